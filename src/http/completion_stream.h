// One request's way back: token events from the box thread become the reply object or server-sent
// events. Both forms show the same text, because both are made from the same deltas. A request may have several
// answers (n, or several prompts), each a sequence of its own.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "box/mailbox.h"
#include "http/answer_text.h"
#include "http/answer_writer.h"
#include "http/http.h"
#include "http/text_codec.h"

namespace tinderbox {

// One of its answers.
struct AnswerInMaking {
  SeqId seq = 0;
  std::shared_ptr<TokenStream> events;
  AnswerText text;
  std::string echoed = {};  // comes before the answer
  std::optional<std::string> script = {};  // said instead of the tokens, four bytes for each, and then it is over
  std::optional<ChatText> chat = {};  // where an answer may be more than text
  // Filled on the way.
  std::size_t n_calls = 0;
  WholeChoice whole = {};  // what has been shown, when it is sent as a whole
  std::int64_t n_tokens = 0;
  bool live = true;  // the scheduler may still be running it
  bool opened = false, finished = false;
};

class CompletionStream final : public ResponseStream {
 public:
  struct Options {
    std::int64_t n_prompt = 0;  // tokens of all prompts
    bool streamed = false;
    bool logprobs = false;  // told of every token; of one without detail (a placeholder), that it was certain
  };
  // mailbox and codec must outlive it.
  CompletionStream(Mailbox& mailbox, const TextCodec& codec, std::vector<AnswerInMaking> answers, AnswerWriter writer,
                   const Options& options);
  ~CompletionStream() override;
  State poll(HttpResponse& response) override;

 private:
  void take_all(HttpResponse& response);
  void take(std::size_t choice, const StreamEvent& event, HttpResponse& response);
  void open(std::size_t choice, HttpResponse& response);
  static void say(AnswerInMaking& answer, std::string& delta);
  LoggedToken logged(const StreamEvent& event, std::int64_t index) const;
  void refuse(Admission admission, HttpResponse& response);
  void cancelled(HttpResponse& response);
  void finish(std::size_t choice, std::string_view reason, HttpResponse& response);
  void show(std::size_t choice, const ChatDelta& delta, std::vector<LoggedToken> logged, HttpResponse& response);
  void give_up();  // all that are still running

  Mailbox& mailbox_;
  const TextCodec& codec_;
  std::vector<AnswerInMaking> answers_;
  AnswerWriter writer_;
  Usage usage_;
  const bool streamed_, logprobs_;
  std::size_t n_finished_ = 0;
  bool admitted_ = false;  // at least one of them
  State state_ = State::Waiting;
};

}  // namespace tinderbox
