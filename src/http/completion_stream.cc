#include "http/completion_stream.h"

#include "base/check.h"

namespace tinderbox {

CompletionStream::CompletionStream(Mailbox& mailbox, const TextCodec& codec, SeqId seq,
                                   std::shared_ptr<TokenStream> events, AnswerWriter writer,
                                   AnswerText text, std::int64_t n_prompt, bool streamed)
    : mailbox_(mailbox),
      codec_(codec),
      seq_(seq),
      events_(std::move(events)),
      writer_(std::move(writer)),
      text_(std::move(text)),
      usage_{.prompt_tokens = n_prompt, .completion_tokens = 0},
      streamed_(streamed) {}

CompletionStream::~CompletionStream() {
  if (live_) mailbox_.cancel(seq_);
}

ResponseStream::State CompletionStream::poll(HttpResponse& response) {
  for (const StreamEvent& event : events_->take()) {
    if (state_ == State::Finished) break;  // what comes after a stop string
    take(event, response);
  }
  return state_;
}

void CompletionStream::take(const StreamEvent& event, HttpResponse& response) {
  if (event.kind == StreamEvent::Kind::Refused) return refuse(event.admission, response);
  const bool last = event.kind == StreamEvent::Kind::Finished;
  if (last) live_ = false;
  if (last && cut_short(event.finish)) return cancelled(response);
  if (streamed_ && state_ == State::Waiting) {
    response.status = 200;
    response.content_type = "text/event-stream";
    response.headers.push_back({"cache-control", "no-cache"});
    response.headers.push_back(
        {"x-accel-buffering", "no"});  // reverse proxies: pass chunks on at once
    writer_.open(response.body);
    state_ = State::Open;
  }
  std::string delta;
  if (!last || event.token >= 0) {
    const std::int64_t index = usage_.completion_tokens++;
    const bool end_token = last && event.finish == FinishReason::Stop;
    if (!end_token) text_.push(codec_.piece(event.token, index), delta);
  }
  if (last || text_.stopped()) text_.finish(delta);
  show(delta, response);
  if (text_.stopped()) {
    if (live_) mailbox_.cancel(seq_);
    live_ = false;
    finish("stop", response);
  } else if (last) {
    finish(event.finish == FinishReason::Stop ? "stop" : "length", response);
  }
}

void CompletionStream::show(const std::string& delta, HttpResponse& response) {
  if (delta.empty()) return;
  if (streamed_) {
    writer_.text(response.body, delta);
  } else {
    answer_ += delta;
  }
}

void CompletionStream::finish(std::string_view reason, HttpResponse& response) {
  state_ = State::Finished;
  if (streamed_) {
    writer_.close(response.body, reason, usage_);
  } else {
    response.body += writer_.whole(answer_, reason, usage_);
  }
}

void CompletionStream::refuse(Admission admission, HttpResponse& response) {
  state_ = State::Finished;
  live_ = false;
  HttpResponse refusal;
  switch (admission) {
    case Admission::QueueFull:
      refusal = error_response(429, "the queue of waiting requests is full; try again in a second",
                               {}, "queue_full");
      refusal.headers.push_back({"retry-after", "1"});
      break;
    case Admission::TooLong:
      refusal = error_response(
          400, "the prompt leaves no room for an answer in the context; send a shorter one", {},
          "context_length_exceeded");
      break;
    case Admission::NeverFits:
      refusal = error_response(
          400,
          "prompt and answer need more KV memory than this server has; send a shorter prompt "
          "or a smaller max_tokens",
          {}, "kv_memory_exceeded");
      break;
    case Admission::Unavailable:
      refusal = error_response(503, "the model could not be loaded; /box/models says why", {}, "model_unavailable");
      break;
    case Admission::Accepted:
    case Admission::Duplicate:
      CHECK(false && "a refusal without a reason");  // ids are given out by the mailbox, once each
  }
  response.status = refusal.status;
  response.headers = std::move(refusal.headers);
  response.body += refusal.body;
}

void CompletionStream::cancelled(HttpResponse& response) {
  // A server that stops lets answers end; only an outage of the modelled box takes them away (box/outages.h).
  HttpResponse refusal =
      error_response(503, "the box went down before the answer was complete; ask again", {}, "box_down");
  if (state_ == State::Open) {
    AnswerWriter::error(response.body, refusal.body);
  } else {
    response.status = refusal.status;
    response.body += refusal.body;
  }
  state_ = State::Finished;
}

}  // namespace tinderbox
