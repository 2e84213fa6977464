// Any bytes, read as a sweep file: a design whose points all can be told, or an Error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "box/sweep.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view toml(reinterpret_cast<const char*>(data), size);
  try {
    const tinderbox::Sweep sweep = tinderbox::parse_sweep(
        toml, "sweep.toml", {"model", "rate", "requests", "seed", "fair", "fault"});
    const std::int64_t n = tinderbox::n_points(sweep);
    if (n < 1 || n > tinderbox::kSweepPointsMax) std::abort();
    const std::size_t n_keys = tinderbox::all_keys(sweep).size();
    for (const std::int64_t point : {std::int64_t{0}, n / 2, n - 1}) {
      if (tinderbox::settings_of(sweep, point).size() != n_keys) std::abort();
    }
    if (tinderbox::design_of(sweep).empty()) std::abort();
  } catch (const tinderbox::Error&) {
  }
  return 0;
}
