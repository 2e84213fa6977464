// A response that another thread gives: the handler returns at once, the answer comes when it is there.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "box/mailbox.h"
#include "http/http.h"

namespace tinderbox {

struct Reply {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
};

class Deferred final : public ResponseStream {
 public:
  using Give = std::function<void(Reply)>;  // once, from any thread
  // start is called at once, and given what takes the answer; that may be called after this is gone.
  static HttpResponse begin(Wake wake, const std::function<void(Give)>& start) {
    auto slot = std::make_shared<Posted<std::optional<Reply>>>();
    HttpResponse response;
    response.stream = std::make_unique<Deferred>(slot);
    start([slot, wake = std::move(wake)](Reply reply) {
      slot->post(std::move(reply));
      if (wake) wake();
    });
    return response;
  }
  explicit Deferred(std::shared_ptr<Posted<std::optional<Reply>>> slot) : slot_(std::move(slot)) {}

  State poll(HttpResponse& response) override {
    std::optional<Reply> reply = slot_->get();
    if (!reply) return State::Waiting;
    response.status = reply->status;
    response.content_type = std::move(reply->content_type);
    response.body += reply->body;
    return State::Finished;
  }

 private:
  std::shared_ptr<Posted<std::optional<Reply>>> slot_;
};

}  // namespace tinderbox
