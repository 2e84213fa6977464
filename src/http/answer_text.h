// From token bytes to text that may be shown: well-formed UTF-8 only, an unfinished character held
// back until its bytes are there, and nothing shown that may turn out to be the start of a stop
// string.
//
// The match that ends first wins, the longer one on a tie, so that the result depends on the bytes
// alone and not on how they are cut into tokens.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tinderbox {

class AnswerText {
 public:
  // stops: none empty.
  explicit AnswerText(std::vector<std::string> stops = {});
  // Appends to `out` what may be shown after these bytes. Nothing more comes once stopped().
  void push(std::string_view bytes, std::string& out);
  // The answer is over: what was held back is shown, an unfinished character as U+FFFD.
  void finish(std::string& out);
  // A stop string has been found; the text before it is out, the string itself is not.
  bool stopped() const { return stopped_; }

 private:
  void release(std::string& out);

  std::vector<std::string> stops_;
  std::string bytes_;    // not yet well-formed
  std::string pending_;  // well-formed, maybe the start of a stop string
  bool stopped_ = false;
};

}  // namespace tinderbox
