#include "base/error.h"

#include <utility>

namespace tinderbox {

Error::Error(Code code, std::string message) : std::runtime_error(std::move(message)), code_(code) {}

void throw_invalid(std::string message) { throw Error(Error::Code::Invalid, std::move(message)); }
void throw_not_found(std::string message) { throw Error(Error::Code::NotFound, std::move(message)); }
void throw_unsupported(std::string message) {
  throw Error(Error::Code::Unsupported, std::move(message));
}
void throw_too_large(std::string message) { throw Error(Error::Code::TooLarge, std::move(message)); }

}  // namespace tinderbox
