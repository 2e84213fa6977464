// A real scheduler, loop and mailbox for the tests of this layer, with an executor whose answers
// are known: the answer to a prompt is the prompt, one byte a token.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <semaphore>
#include <string>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/text.h"
#include "box/loop.h"
#include "box/mailbox.h"
#include "http/metrics.h"
#include "http/openai.h"
#include "http/responses_api.h"
#include "http/roster.h"
#include "http/route_table.h"
#include "http/server_pages.h"
#include "http/text_api.h"

namespace tinderbox {

inline constexpr TokenId kEchoEnd = 256;     // ends an answer
inline constexpr TokenId kEchoPrompt = 257;  // ends a prompt
inline constexpr TokenId kEchoEndless =
    258;  // as the first token of a prompt: the answer is 'a' for ever

// A token is a byte.
class ByteCodec final : public TextCodec {
 public:
  ByteCodec() {
    for (int i = 0; i < 256; ++i) bytes_ += static_cast<char>(i);
  }
  EncodedPrompt encode_chat(const std::vector<ChatMessage>& messages, std::int64_t n_max,
                            const std::string& = {}) const override {
    if (messages.back().content == "refuse me") throw_invalid("the template refuses the messages");
    return encode_text(messages.back().content, n_max);
  }
  EncodedPrompt encode_text(std::string_view text, std::int64_t) const override {
    EncodedPrompt prompt;
    if (text == "endless") prompt.tokens.push_back(kEchoEndless);
    for (const char c : text) prompt.tokens.push_back(static_cast<unsigned char>(c));
    prompt.tokens.push_back(kEchoPrompt);
    prompt.n_tokens = static_cast<std::int64_t>(prompt.tokens.size());
    return prompt;
  }
  EncodedPrompt encode_ids(std::vector<TokenId> ids) const override {
    for (const TokenId id : ids) {
      if (id < 0 || id > kEchoEndless)
        throw_invalid(format("token id {} is outside the vocabulary", id));
    }
    const auto n = static_cast<std::int64_t>(ids.size());
    return {.tokens = std::move(ids), .n_tokens = n};
  }
  std::string_view piece(TokenId id, std::int64_t) const override {
    return id < 256 ? std::string_view(bytes_).substr(static_cast<std::size_t>(id), 1)
                    : std::string_view();
  }
  const std::vector<TokenId>& end_tokens() const override { return end_tokens_; }
  std::shared_ptr<TokenConstraint> constrain(std::shared_ptr<const Grammar>) const override { return nullptr; }

 private:
  std::string bytes_;
  std::vector<TokenId> end_tokens_ = {kEchoEnd};
};

// Each step takes 10 ms of its clock and, while held, one permit.
class EchoExecutor final : public Executor {
 public:
  StepResult run(const Step& step, TimePoint start) override {
    if (held_) permits_.acquire();
    StepResult result;
    result.end = start + std::chrono::milliseconds(10);
    for (const StepItem& item : step.items) {
      if (item.samples) result.sampled.push_back(answer(item.history));
    }
    return result;
  }
  void hold() { held_ = true; }
  void permit(int n) { permits_.release(n); }
  void let_go() {
    held_ = false;
    permits_.release(1);  // for a step that is already waiting
  }

 private:
  static TokenId answer(std::span<const TokenId> history) {
    if (history[0] == kEchoEndless) return 'a';
    std::size_t n = 0;
    while (n < history.size() && history[n] != kEchoPrompt) ++n;
    CHECK(n < history.size());
    const std::size_t k = history.size() - n - 1;
    return k < n ? history[k] : kEchoEnd;
  }

  std::atomic<bool> held_{false};
  std::counting_semaphore<> permits_{0};
};

struct EchoOptions {
  Limits limits{.step_tokens_max = 64, .sequences_max = 4, .queue_max = 8, .context_max = 1 << 14};
  std::int32_t n_blocks = 2048;
};

// The whole box behind an OpenAI API, its loop on a thread of its own in virtual time.
class EchoBox {
 public:
  explicit EchoBox(EchoOptions o = {})
      : scheduler_(o.limits, KvPool(o.n_blocks, 16)),
        metrics_({.version = "0.0.1", .as = "dgx-spark"}),
        roster_({{.info = {.id = "echo",
                           .created_unix = 1600000000,
                           .context_max = o.limits.context_max,
                           .as = "dgx-spark",
                           .d_model = 8},
                  .mailbox = &mailbox_,
                  .codec = &codec_}}),
        api_(roster_, {.version = "0.0.1", .seed = 7, .now_unix = [] { return std::int64_t{1700000000}; }}),
        observers_({&metrics_.of_model("echo", scheduler_), &mailbox_}),
        thread_([this] { run_loop(scheduler_, executor_, mailbox_, clock_, observers_); }) {
    api_.add_to(routes_);
    responses_.add_to(routes_);
    text_api_.add_to(routes_);
    add_server_pages(routes_, "0.0.1", metrics_, {{"index.html", "<!doctype html>", ""}, {"app.js", "let a;", ""}});
  }
  ~EchoBox() { close(); }

  // Ends the loop; afterwards the scheduler may be looked at.
  void close() {
    if (!thread_.joinable()) return;
    executor_.let_go();
    mailbox_.close();
    thread_.join();
  }

  HttpHandler handler() {
    return [this](const HttpRequest& request, Wake wake) {
      return routes_.handle(request, std::move(wake));
    };
  }
  // The finished response.
  HttpResponse ask(std::string method, std::string path, std::string body = {}) {
    const auto ready = std::make_shared<std::counting_semaphore<>>(0);
    HttpResponse response = routes_.handle({.method = std::move(method),
                                         .path = std::move(path),
                                         .query = {},
                                         .headers = {},
                                         .body = std::move(body)},
                                        [ready] { ready->release(); });
    if (!response.stream) return response;
    while (response.stream->poll(response) != ResponseStream::State::Finished) ready->acquire();
    response.stream.reset();
    return response;
  }
  HttpResponse chat(const std::string& fields) {
    return ask("POST", "/v1/chat/completions", R"({"model":"echo",)" + fields + "}");
  }
  HttpResponse complete(const std::string& fields) {
    return ask("POST", "/v1/completions", R"({"model":"echo",)" + fields + "}");
  }

  RouteTable& api() { return routes_; }
  const Roster& roster() const { return roster_; }
  EchoExecutor& executor() { return executor_; }
  const Scheduler& scheduler() const { return scheduler_; }  // after close()
  Metrics& metrics() { return metrics_; }

 private:
  Scheduler scheduler_;
  EchoExecutor executor_;
  Mailbox mailbox_;
  VirtualClock clock_;
  ByteCodec codec_;
  Metrics metrics_;
  Roster roster_;
  OpenAiApi api_;
  ResponsesApi responses_{[] { return std::int64_t{1700000000}; }};
  TextApi text_api_{roster_};
  RouteTable routes_;
  ObserverList observers_;
  std::thread thread_;
};

// The value of a metric whose line starts with `name`, e.g. "vllm:num_requests_running{"; -1 if
// there is none.
inline double metric(const std::string& text, const std::string& name) {
  const std::size_t at = text.find("\n" + name);
  if (at == std::string::npos) return -1;
  const std::size_t end = text.find('\n', at + 1);
  const std::string line = text.substr(at + 1, end - at - 1);
  return parse_double(line.substr(line.rfind(' ') + 1)).value_or(-1);
}

// Requests that ended as "stop", "length" or "abort".
inline double n_finished(const std::string& text, const std::string& reason) {
  return metric(
      text,
      R"(vllm:request_success_total{engine="0",finished_reason=")" + reason + "\"");
}

}  // namespace tinderbox
