#include "http/completion_stream.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "http/refusal.h"

namespace tinderbox {

CompletionStream::CompletionStream(Mailbox& mailbox, const TextCodec& codec, std::vector<AnswerInMaking> answers,
                                   AnswerWriter writer, const Options& options)
    : mailbox_(mailbox),
      codec_(codec),
      answers_(std::move(answers)),
      writer_(std::move(writer)),
      usage_{.prompt_tokens = options.n_prompt, .completion_tokens = 0},
      streamed_(options.streamed),
      logprobs_(options.logprobs) {
  CHECK(!answers_.empty());
}

CompletionStream::~CompletionStream() { give_up(); }

void CompletionStream::give_up() {
  for (AnswerInMaking& answer : answers_) {
    if (std::exchange(answer.live, false)) mailbox_.cancel(answer.seq);
  }
}

ResponseStream::State CompletionStream::poll(HttpResponse& response) {
  take_all(response);
  response.tally.prompt_tokens = admitted_ ? usage_.prompt_tokens : 0;
  response.tally.generated_tokens = usage_.completion_tokens;
  return state_;
}

void CompletionStream::take_all(HttpResponse& response) {
  for (std::size_t i = 0; i < answers_.size(); ++i) {
    for (const StreamEvent& event : answers_[i].events->take()) {
      if (state_ == State::Finished) return;  // refused
      if (answers_[i].finished) break;               // what comes after a stop string
      take(i, event, response);
    }
  }
}

void CompletionStream::open(std::size_t choice, HttpResponse& response) {
  if (!streamed_ || std::exchange(answers_[choice].opened, true)) return;
  if (state_ == State::Waiting) {
    response.status = 200;
    response.content_type = "text/event-stream";
    response.headers.push_back({"cache-control", "no-cache"});
    response.headers.push_back(
        {"x-accel-buffering", "no"});  // reverse proxies: pass chunks on at once
    state_ = State::Open;
  }
  writer_.open(response.body, static_cast<int>(choice));
}

LoggedToken CompletionStream::logged(const StreamEvent& event, std::int64_t index) const {
  LoggedToken token{.bytes = std::string(codec_.piece(event.token, index))};
  if (!event.detail) return token;
  token.logprob = event.detail->logprob;
  for (const auto& [id, logprob] : event.detail->top) token.top.emplace_back(codec_.piece(id, index), logprob);
  return token;
}

void CompletionStream::say(AnswerInMaking& answer, std::string& delta) {
  constexpr std::size_t kBytesPerToken = 4;
  const std::size_t n = std::min(kBytesPerToken, answer.script->size());
  answer.text.push(std::string_view(*answer.script).substr(0, n), delta);
  answer.script->erase(0, n);
}

void CompletionStream::take(std::size_t choice, const StreamEvent& event, HttpResponse& response) {
  AnswerInMaking& answer = answers_[choice];
  const bool last = event.kind != StreamEvent::Kind::Token;
  if (last) answer.live = false;
  if (event.kind == StreamEvent::Kind::Refused) return refuse(event.admission, response);
  admitted_ = true;
  if (last && cut_short(event.finish)) return cancelled(response);
  open(choice, response);
  std::string delta;
  std::vector<LoggedToken> logs;
  if (answer.n_tokens == 0) delta = std::exchange(answer.echoed, {});
  if (!last || event.token >= 0) {
    ++usage_.completion_tokens;
    if (answer.chat && answer.chat->thinking()) ++usage_.reasoning_tokens;
    const std::int64_t index = answer.n_tokens++;
    const bool end_token = last && event.finish == FinishReason::Stop;
    if (answer.script) {
      say(answer, delta);
    } else if (!end_token) {
      answer.text.push(codec_.piece(event.token, index), delta);
      if (logprobs_) logs.push_back(logged(event, index));
    }
  }
  const bool stopped = answer.text.stopped() || (answer.script && answer.script->empty());
  if (last || stopped) answer.text.finish(delta);
  ChatDelta shown;
  if (answer.chat) {
    answer.chat->push(delta, shown);
    if (last || stopped) answer.chat->finish(shown);
  } else {
    shown.content = std::move(delta);
  }
  show(choice, shown, std::move(logs), response);
  if (stopped) {
    if (std::exchange(answer.live, false)) mailbox_.cancel(answer.seq);
    finish(choice, "stop", response);
  } else if (last) {
    finish(choice, event.finish == FinishReason::Stop ? "stop" : "length", response);
  }
}

void CompletionStream::show(std::size_t choice, const ChatDelta& delta, std::vector<LoggedToken> logged,
                            HttpResponse& response) {
  AnswerInMaking& answer = answers_[choice];
  if (!streamed_) {
    answer.whole.text += delta.content;
    answer.whole.reasoning += delta.reasoning;
    answer.whole.calls.insert(answer.whole.calls.end(), delta.calls.begin(), delta.calls.end());
    for (LoggedToken& token : logged) answer.whole.logged.push_back(std::move(token));
  } else if (!delta.empty() || !logged.empty()) {
    writer_.chat(response.body, static_cast<int>(choice), delta, answer.n_calls, logged);
  }
  answer.n_calls += delta.calls.size();
}

void CompletionStream::finish(std::size_t choice, std::string_view reason, HttpResponse& response) {
  answers_[choice].finished = true;
  if (reason == "stop" && answers_[choice].n_calls > 0) reason = "tool_calls";
  answers_[choice].whole.finish_reason = reason;
  if (streamed_) writer_.close(response.body, static_cast<int>(choice), reason);
  if (++n_finished_ < answers_.size()) return;
  state_ = State::Finished;
  if (streamed_) {
    writer_.end(response.body, usage_);
    return;
  }
  std::vector<WholeChoice> choices;
  for (AnswerInMaking& answer : answers_) choices.push_back(std::move(answer.whole));
  response.body += writer_.whole(choices, usage_);
}

void CompletionStream::refuse(Admission admission, HttpResponse& response) {
  const State state_before = state_;
  state_ = State::Finished;
  give_up();
  HttpResponse refusal = refusal_of(admission);
  if (state_before == State::Open) {  // another of its answers has begun
    AnswerWriter::error(response.body, refusal.body);
    return;
  }
  response.status = refusal.status;
  response.headers = std::move(refusal.headers);
  response.body = refusal.body;
}

void CompletionStream::cancelled(HttpResponse& response) {
  HttpResponse refusal = box_down();
  give_up();
  if (state_ == State::Open) {
    AnswerWriter::error(response.body, refusal.body);
  } else {
    response.status = refusal.status;
    response.body += refusal.body;
  }
  state_ = State::Finished;
}

}  // namespace tinderbox
