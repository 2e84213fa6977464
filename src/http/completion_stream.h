// One request's way back: token events from the box thread become the reply object or server-sent
// events. Both forms show the same text, because both are made from the same deltas.
#pragma once

#include <memory>
#include <string>

#include "box/mailbox.h"
#include "http/answer_text.h"
#include "http/answer_writer.h"
#include "http/http.h"
#include "http/text_codec.h"

namespace tinderbox {

class CompletionStream final : public ResponseStream {
 public:
  // mailbox and codec must outlive it.
  CompletionStream(Mailbox& mailbox, const TextCodec& codec, SeqId seq,
                   std::shared_ptr<TokenStream> events, AnswerWriter writer, AnswerText text,
                   std::int64_t n_prompt, bool streamed);
  ~CompletionStream() override;
  State poll(HttpResponse& response) override;

 private:
  void take(const StreamEvent& event, HttpResponse& response);
  void refuse(Admission admission, HttpResponse& response);
  void cancelled(HttpResponse& response);
  void finish(std::string_view reason, HttpResponse& response);
  void show(const std::string& delta, HttpResponse& response);

  Mailbox& mailbox_;
  const TextCodec& codec_;
  const SeqId seq_;
  std::shared_ptr<TokenStream> events_;
  AnswerWriter writer_;
  AnswerText text_;
  Usage usage_;
  const bool streamed_;
  std::string answer_;  // what has been shown, when it is sent as a whole
  State state_ = State::Waiting;
  bool live_ = true;  // the scheduler may still be running it
};

}  // namespace tinderbox
