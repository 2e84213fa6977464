#include "http/responses_stream.h"

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/text.h"
#include "http/responses_request.h"

namespace tinderbox {
namespace {

using Json = nlohmann::ordered_json;

std::string json_text(std::string_view utf8) {
  std::string out;
  append_json_string(out, utf8);
  return out;
}

std::string text_of(const Json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

std::int64_t integer_of(const Json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_number_integer() ? at->get<std::int64_t>() : 0;
}

std::string usage_object(const Json& usage) {
  const auto detail = [&](const char* key, const char* name) {
    const auto at = usage.find(key);
    return at != usage.end() && at->is_object() ? integer_of(*at, name) : 0;
  };
  return format(R"({{"input_tokens":{},"input_tokens_details":{{"cached_tokens":{},"cache_write_tokens":0}},)"
                R"("output_tokens":{},"output_tokens_details":{{"reasoning_tokens":{}}},"total_tokens":{}}})",
                integer_of(usage, "prompt_tokens"), detail("prompt_tokens_details", "cached_tokens"),
                integer_of(usage, "completion_tokens"), detail("completion_tokens_details", "reasoning_tokens"),
                integer_of(usage, "total_tokens"));
}

// Objects of a list, without its brackets.
std::string members_of(const Json& list) {
  if (!list.is_array() || list.empty()) return {};
  const std::string out = list.dump(-1, ' ', false, Json::error_handler_t::replace);
  return out.substr(1, out.size() - 2);
}

// As events tell them.
Json without_bytes(Json list) {
  for (Json& token : list) {
    if (!token.is_object()) continue;
    token.erase("bytes");
    if (const auto top = token.find("top_logprobs"); top != token.end()) *top = without_bytes(std::move(*top));
  }
  return list;
}

}  // namespace

ResponsesStream::ResponsesStream(HttpResponse inner, Options options)
    : inner_(std::move(inner)), options_(std::move(options)) {
  CHECK(inner_.stream != nullptr);
}

ResponseStream::State ResponsesStream::poll(HttpResponse& response) {
  if (state_ == State::Finished) return state_;
  const State inner = inner_.stream->poll(inner_);
  response.tally = inner_.tally;
  if (inner == State::Waiting) return state_;
  if (inner_.status >= 400) {
    HttpResponse refusal = responses_error_of(std::move(inner_));
    response.status = refusal.status;
    response.headers = std::move(refusal.headers);
    response.body += refusal.body;
    return state_ = State::Finished;
  }
  if (state_ == State::Waiting && options_.streamed) {
    response.content_type = "text/event-stream";
    response.headers.push_back({"cache-control", "no-cache"});
    response.headers.push_back({"x-accel-buffering", "no"});
    state_ = State::Open;
    for (const char* type : {"response.created", "response.in_progress"}) {
      event(response.body, type, "\"response\":" + whole("in_progress", "null"));
    }
  }
  reader_.take(std::exchange(inner_.body, {}), [&](std::string_view data) { return chunk(data, response); });
  if (inner == State::Finished && state_ != State::Finished) last(response);
  return state_;
}

// false: nothing more is to be read.
bool ResponsesStream::chunk(std::string_view data, HttpResponse& response) {
  if (data == "[DONE]") {
    last(response);
    return false;
  }
  const Json chunk = Json::parse(data, nullptr, false);
  if (!chunk.is_object()) return true;
  if (chunk.contains("error")) {
    error(data, response);
    return false;
  }
  if (const auto usage = chunk.find("usage"); usage != chunk.end() && usage->is_object()) usage_ = usage_object(*usage);
  const auto choices = chunk.find("choices");
  if (choices == chunk.end() || !choices->is_array() || choices->empty() || !choices->front().is_object()) return true;
  const Json& choice = choices->front();
  if (text_of(choice, "finish_reason") == "length") cut_ = true;
  const auto delta = choice.find("delta");
  if (delta == choice.end() || !delta->is_object()) return true;
  Json logged = Json::array();
  if (const auto at = choice.find("logprobs"); at != choice.end() && at->is_object() && at->contains("content")) {
    logged = (*at)["content"];
  }
  if (const std::string said = text_of(*delta, "reasoning_content"); !said.empty()) {
    say(Kind::Reasoning, said, "", "", response.body);
  }
  const std::string said = text_of(*delta, "content");
  if (!said.empty() || (logged.is_array() && !logged.empty() && !delta->contains("reasoning_content"))) {
    const std::string with = members_of(logged);
    say(Kind::Message, said, with, members_of(without_bytes(std::move(logged))), response.body);
  }
  const auto calls = delta->find("tool_calls");
  if (calls == delta->end() || !calls->is_array()) return true;
  for (const Json& call : *calls) {
    if (!call.is_object() || !call.contains("function") || !call["function"].is_object()) continue;
    if (const std::string id = text_of(call, "id"); !id.empty()) {  // the first of this call
      close_item("completed", response.body);
      Item& item = items_.emplace_back(Item{.kind = Kind::Call, .id = {}, .text = {}});
      item.id = format("fc_{}_{}", options_.id.substr(options_.id.find('_') + 1), items_.size() - 1);
      item.call_id = id;
      item.name = text_of(call["function"], "name");
      event(response.body, "response.output_item.added",
            format(R"("output_index":{},"item":)", items_.size() - 1) + object(item, "in_progress", true));
    }
    if (const std::string more = text_of(call["function"], "arguments"); !more.empty()) {
      say(Kind::Call, more, "", "", response.body);
    }
  }
  return true;
}

void ResponsesStream::error(std::string_view data, HttpResponse& response) {
  state_ = State::Finished;
  inner_.stream.reset();
  if (!options_.streamed) {
    response.status = 503;
    response.body += data;
    return;
  }
  const Json body = Json::parse(data);
  const std::string message = body["error"].is_object() ? text_of(body["error"], "message") : std::string("failed");
  event(response.body, "response.failed",
        "\"response\":" + whole("failed", R"({"code":"server_error","message":)" + json_text(message) + "}"));
}

// The one that is being said, begun if it is not yet.
ResponsesStream::Item& ResponsesStream::item_of(Kind kind, std::string& out) {
  if (!items_.empty() && !items_.back().done && items_.back().kind == kind) return items_.back();
  close_item("completed", out);
  Item& item = items_.emplace_back(Item{.kind = kind, .id = {}, .text = {}});
  item.id = format("{}_{}_{}", kind == Kind::Reasoning ? "rs" : "msg",
                   options_.id.substr(options_.id.find('_') + 1), items_.size() - 1);
  event(out, "response.output_item.added",
        format(R"("output_index":{},"item":)", items_.size() - 1) + object(item, "in_progress", true));
  event(out, "response.content_part.added", place(item, true) + ",\"part\":" + part(item, true));
  return item;
}

void ResponsesStream::say(Kind kind, const std::string& delta, std::string_view logprobs,
                          std::string_view logprobs_without_bytes, std::string& out) {
  Item& item = item_of(kind, out);
  item.text += delta;
  if (!logprobs.empty()) item.logprobs += (item.logprobs.empty() ? "" : ",") + std::string(logprobs);
  std::string members = place(item, kind != Kind::Call) + ",\"delta\":" + json_text(delta);
  if (kind == Kind::Message) members += ",\"logprobs\":[" + std::string(logprobs_without_bytes) + "]";
  event(out,
        kind == Kind::Call        ? "response.function_call_arguments.delta"
        : kind == Kind::Reasoning ? "response.reasoning_text.delta"
                                  : "response.output_text.delta",
        members);
}

void ResponsesStream::close_item(std::string_view status, std::string& out) {
  if (items_.empty() || items_.back().done) return;
  Item& item = items_.back();
  item.done = true;
  if (!options_.streamed) return;
  const std::string where = place(item, item.kind != Kind::Call);
  if (item.kind == Kind::Call) {
    event(out, "response.function_call_arguments.done",
          where + ",\"arguments\":" + json_text(item.text));
  } else if (item.kind == Kind::Reasoning) {
    event(out, "response.reasoning_text.done", where + ",\"text\":" + json_text(item.text));
  } else {
    const Json logged = Json::parse("[" + item.logprobs + "]", nullptr, false);
    event(out, "response.output_text.done",
          where + ",\"text\":" + json_text(item.text) + ",\"logprobs\":[" + members_of(without_bytes(logged)) + "]");
  }
  if (item.kind != Kind::Call) event(out, "response.content_part.done", where + ",\"part\":" + part(item, false));
  event(out, "response.output_item.done",
        format(R"("output_index":{},"item":)", items_.size() - 1) + object(item, status, false));
}

void ResponsesStream::last(HttpResponse& response) {
  state_ = State::Finished;
  if (items_.empty()) item_of(Kind::Message, response.body);  // an answer without a word
  const char* status = cut_ ? "incomplete" : "completed";
  close_item(status, response.body);
  const std::string object = whole(status, "null");
  if (options_.streamed) {
    event(response.body, format("response.{}", status), "\"response\":" + object);
  } else {
    response.body += object;
  }
  if (!options_.done) return;
  std::vector<std::pair<std::string, std::string>> items;
  for (const Item& item : items_) items.emplace_back(item.id, ResponsesStream::object(item, status, false));
  options_.done(object, std::move(items));
}

void ResponsesStream::event(std::string& out, std::string_view type, std::string_view members) {
  if (!options_.streamed) return;
  out += format("event: {}\ndata: {{\"type\":\"{}\",\"sequence_number\":{},", type, type, n_events_++);
  out += members;
  out += "}\n\n";
}

std::string ResponsesStream::place(const Item& item, bool has_part) const {
  return format(R"("item_id":"{}","output_index":{}{})", item.id, items_.size() - 1,
                has_part ? R"(,"content_index":0)" : "");
}

std::string ResponsesStream::part(const Item& item, bool begins) {
  const std::string text = json_text(begins ? std::string() : item.text);
  if (item.kind == Kind::Reasoning) return R"({"type":"reasoning_text","text":)" + text + "}";
  return R"({"type":"output_text","text":)" + text + R"(,"annotations":[],"logprobs":[)" +
         (begins ? std::string() : item.logprobs) + "]}";
}

std::string ResponsesStream::object(const Item& item, std::string_view status, bool begins) {
  std::string out = R"({"id":)" + json_text(item.id);
  const std::string content = begins ? "[]" : item.kind == Kind::Call ? "" : "[" + part(item, false) + "]";
  switch (item.kind) {
    case Kind::Reasoning:
      out += R"(,"type":"reasoning","summary":[],"content":)" + content;
      break;
    case Kind::Message:
      out += R"(,"type":"message","role":"assistant","content":)" + content;
      break;
    case Kind::Call:
      out += R"(,"type":"function_call","call_id":)" + json_text(item.call_id) + ",\"name\":" + json_text(item.name) +
             ",\"arguments\":" + json_text(begins ? std::string() : item.text);
      break;
  }
  return out + format(R"(,"status":"{}"}})", status);
}

std::string ResponsesStream::whole(std::string_view status, std::string_view error) const {
  std::string out = format(R"({{"id":"{}","object":"response","created_at":{},"status":"{}","model":)", options_.id,
                           options_.created_unix, status);
  out += json_text(options_.model);
  out += R"(,"error":)";
  out += error;
  out += R"(,"incomplete_details":)";
  out += status == "incomplete" ? R"({"reason":"max_output_tokens"})" : "null";
  out += R"(,"output":[)";
  for (const Item& item : items_) {
    if (&item != items_.data()) out += ',';
    const bool cut = &item == &items_.back() && status != "completed";
    out += object(item, cut ? "incomplete" : "completed", false);
  }
  out += "],\"usage\":" + usage_ + "," + options_.echo_json + "}";
  return out;
}

}  // namespace tinderbox
