// Any bytes, read as a machine file and as a stack file: a value or an Error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "machine/machine.h"
#include "twin/stack.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view toml(reinterpret_cast<const char*>(data), size);
  try {
    tinderbox::parse_machine(toml, "machine.toml");
  } catch (const tinderbox::Error&) {
  }
  try {
    tinderbox::parse_stack(toml, "stack.toml");
  } catch (const tinderbox::Error&) {
  }
  return 0;
}
