// The one exception type: the outside world is wrong (a file, a flag, a request). Thrown at the edges while
// loading and parsing; caught in main() (exit 2), in OpenAiApi::handle (an error object) and in tests.
// A bug of ours is a CHECK; a normal outcome is a value.
#pragma once

#include <stdexcept>
#include <string>

namespace tinderbox {

class Error : public std::runtime_error {
 public:
  enum class Code {
    Invalid,      // malformed or contradictory input
    NotFound,     // no such file, model, machine
    Unsupported,  // well-formed, but not something this version can do
    TooLarge,     // over a stated limit
    Busy,         // try again later
  };

  // message names what is wrong, where, and what to do about it, in one sentence.
  Error(Code code, std::string message);
  Code code() const { return code_; }

 private:
  Code code_;
};

[[noreturn]] void throw_invalid(std::string message);
[[noreturn]] void throw_not_found(std::string message);
[[noreturn]] void throw_unsupported(std::string message);
[[noreturn]] void throw_too_large(std::string message);

}  // namespace tinderbox
