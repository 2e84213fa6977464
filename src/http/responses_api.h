// OpenAI's newer interface, as a translation of its chat: POST /v1/responses, GET and DELETE /v1/responses/{id}.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "http/response_store.h"
#include "http/route_table.h"

namespace tinderbox {

class ResponsesApi {
 public:
  // now_unix: seconds.
  explicit ResponsesApi(std::function<std::int64_t()> now_unix);
  // To a table that has /v1/chat/completions; both must outlive the responses given out. One call at a time.
  void add_to(RouteTable& routes);

 private:
  HttpResponse answer(const Call& call);

  std::function<std::int64_t()> now_unix_;
  std::shared_ptr<ResponseStore> store_ = std::make_shared<ResponseStore>();  // its streams put into it
  const RouteTable* routes_ = nullptr;
  std::uint64_t n_responses_ = 0;
};

}  // namespace tinderbox
