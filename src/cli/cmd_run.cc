#include <chrono>

#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "box/engine_executor.h"
#include "box/loop.h"
#include "cli/commands.h"
#include "cli/loaded_model.h"
#include "cli/output.h"

namespace tinderbox::cli {

namespace {

constexpr std::int32_t kStepTokens = 512;

// The one request of this process.
class OneRequest final : public Arrivals {
 public:
  explicit OneRequest(Request request) { commands_.push_back(std::move(request)); }
  std::vector<Command> take(TimePoint) override { return std::exchange(commands_, {}); }
  bool wait(Clock&) override { return false; }

 private:
  std::vector<Command> commands_;
};

// Prints each token as it comes, holding back unfinished characters.
class Printer final : public Observer {
 public:
  Printer(const TextCodec& codec, const Clock& clock) : codec_(codec), clock_(clock) {}

  void on_token(const TokenEvent& event, TimePoint) override {
    if (n_tokens_++ == 0) first_ = clock_.now();
    last_ = clock_.now();
    held_ += codec_.piece(event.token, n_tokens_ - 1);
    const bool ended = event.finish != FinishReason::None;
    const std::size_t whole = ended ? held_.size() : complete_utf8_prefix(held_);
    if (whole > 0) print(to_valid_utf8(std::string_view(held_).substr(0, whole)));
    held_.erase(0, whole);
    if (ended) print("\n");
  }

  std::string stats(TimePoint start, std::int64_t n_prompt) const {
    const double prefill = to_seconds(first_ - start).value();
    const double decode = to_seconds(last_ - first_).value();
    return format("prompt {} tokens, {} tok/s; answer {} tokens, {} tok/s", n_prompt,
                  human_number(static_cast<double>(n_prompt) / prefill), n_tokens_,
                  n_tokens_ > 1 ? human_number(static_cast<double>(n_tokens_ - 1) / decode) : "-");
  }

 private:
  const TextCodec& codec_;
  const Clock& clock_;
  std::string held_;
  std::int64_t n_tokens_ = 0;
  TimePoint first_{}, last_{};
};

EncodedPrompt encode(const TextCodec& codec, const RunOptions& options, std::int64_t context_max) {
  if (options.raw) return codec.encode_text(options.prompt, context_max);
  std::vector<ChatMessage> messages;
  if (!options.system.empty()) messages.push_back({"system", options.system});
  messages.push_back({"user", options.prompt});
  return codec.encode_chat(messages, context_max);
}

}  // namespace

int cmd_run(const RunOptions& options) {
  LoadedModel model = load_model_file(options.engine, 1, kStepTokens);
  const std::int64_t context = model.limits.context_max;
  EncodedPrompt prompt = encode(*model.codec, options, context);
  if (prompt.n_tokens + 1 > context) {
    throw_too_large(format(
        "the prompt has at least {} tokens and leaves no room in the context of {}; shorten it or "
        "raise --context",
        prompt.n_tokens, context));
  }
  Request request{
      .id = 1,
      .prompt = std::move(prompt.tokens),
      .n_prompt = static_cast<std::int32_t>(prompt.n_tokens),
      .n_gen_max = static_cast<std::int32_t>(options.max_tokens > 0 ? options.max_tokens : context),
      .end_tokens = model.codec->end_tokens(),
      .sampling = options.sampling};
  WallClock clock;
  Scheduler scheduler(model.limits, model.kv_pool());
  EngineExecutor executor(*model.engine, clock);
  OneRequest arrivals(std::move(request));
  Printer printer(*model.codec, clock);
  const TimePoint start = clock.now();
  run_loop(scheduler, executor, arrivals, clock, printer);
  if (options.stats) log(printer.stats(start, prompt.n_tokens));
  return 0;
}

}  // namespace tinderbox::cli
