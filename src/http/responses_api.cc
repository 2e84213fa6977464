#include "http/responses_api.h"

#include <utility>

#include "base/check.h"
#include "base/text.h"
#include "http/responses_request.h"
#include "http/responses_stream.h"

namespace tinderbox {
namespace {

[[noreturn]] void not_there(const std::string& id) {
  throw RequestError(404, format("there is no response '{}': only the newest are kept, in memory", to_valid_utf8(id)),
                     "response_id", "response_not_found");
}

}  // namespace

ResponsesApi::ResponsesApi(std::function<std::int64_t()> now_unix) : now_unix_(std::move(now_unix)) {
  CHECK(now_unix_ != nullptr);
}

void ResponsesApi::add_to(RouteTable& routes) {
  routes_ = &routes;
  routes.add({.method = "POST", .path = "/v1/responses", .answer = [this](const Call& call) { return answer(call); }});
  routes.add({.method = "GET", .path = "/v1/responses/*", .answer = [this](const Call& call) {
                const StoredResponse* stored = store_->find(call.rest, call.caller.key);
                if (stored == nullptr) not_there(call.rest);
                HttpResponse response;
                response.body = stored->response_json;
                return response;
              }});
  routes.add({.method = "DELETE", .path = "/v1/responses/*", .answer = [this](const Call& call) {
                if (!store_->erase(call.rest, call.caller.key)) not_there(call.rest);
                HttpResponse response;
                response.body = R"({"id":)";
                append_json_string(response.body, call.rest);
                response.body += R"(,"object":"response","deleted":true})";
                return response;
              }});
}

HttpResponse ResponsesApi::answer(const Call& call) {
  ResponsesRequest request = parse_responses_request(call.request.body, *store_, call.caller.key);
  HttpRequest chat;
  chat.method = "POST";
  chat.path = "/v1/chat/completions";
  chat.body = std::move(request.chat_body);
  chat.request_id = call.request.request_id;
  chat.trace_id = call.request.trace_id;
  HttpResponse inner = routes_->handle(chat, call.wake, call.caller);
  if (!inner.stream) return responses_error_of(std::move(inner));
  const std::int64_t created = now_unix_();
  ResponsesStream::Options options{.streamed = request.stream,
                                   .id = format("resp_{:x}{:08x}", created, n_responses_++),
                                   .created_unix = created,
                                   .model = inner.tally.model,
                                   .echo_json = std::move(request.echo_json)};
  if (request.store) {
    options.done = [store = store_, id = options.id, key = call.caller.key,
                    messages = std::move(request.messages_json)](const std::string& response, auto items) {
      std::string all = with_items(messages, items);
      store->put({.id = id,
                  .key = key,
                  .response_json = response,
                  .messages_json = std::move(all),
                  .items = std::move(items)});
    };
  }
  HttpResponse response;
  response.tally = inner.tally;
  response.stream = std::make_unique<ResponsesStream>(std::move(inner), std::move(options));
  return response;
}

}  // namespace tinderbox
