// Any bytes, read as a trace of requests: Errors, or requests in order of arrival that a scheduler takes.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/error.h"
#include "box/lengths.h"
#include "box/trace.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tinderbox;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const bool strict : {false, true}) {
    try {
      const Trace trace = read_trace(text, "trace", {.strict = strict, .speed = 2});
      CHECK(!trace.requests.empty() && (!strict || trace.n_skipped + trace.n_unordered == 0));
      TimePoint last{};
      for (const Request& r : trace.requests) {
        CHECK(r.n_prompt >= 1 && r.n_prompt <= kLengthMax && r.n_gen_max >= 1 && r.n_gen_max <= kLengthMax);
        CHECK(r.arrival >= last);
        std::int64_t n_named = 0;
        for (const Content& content : r.contents) n_named += content.n_tokens;
        CHECK(n_named <= r.n_prompt);
        last = r.arrival;
      }
    } catch (const Error&) {
    }
  }
  return 0;
}
