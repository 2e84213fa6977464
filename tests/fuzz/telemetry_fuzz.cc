// Any bytes, read as a log of a box: runs whose time grows and that replay to finite temperatures,
// or an Error. And as a plan of faults: events within the run, or an Error.
#include <cmath>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "box/telemetry.h"
#include "twin/fault.h"

namespace tinderbox {
namespace {

constexpr std::size_t kSamplesMax = 200;  // of a run that is replayed

void use(const TelemetryRun& run, const Body& at_rest) {
  CHECK(run.samples.size() >= 2);
  for (std::size_t i = 1; i < run.samples.size(); ++i)
    CHECK(run.samples[i].seconds > run.samples[i - 1].seconds);
  // Ten days at most: this is about any bytes, not about patience.
  if (!run.has_power() || run.samples.size() > kSamplesMax || run.samples.back().seconds > 864000)
    return;
  const Replay replayed = replay(at_rest, run, Celsius(25));
  for (const Celsius c : replayed.gpu) CHECK(std::isfinite(c.degrees()));
  CHECK(std::isfinite(replayed.rmse));
}

}  // namespace
}  // namespace tinderbox

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tinderbox;
  static const Machine spark = parse_machine(
      read_file(std::string(TINDERBOX_SOURCE_DIR) + "/data/machines/dgx-spark.toml"), "dgx-spark");
  static const Body at_rest = [] {
    BodyFacts coarse = *spark.body;
    coarse.loop = coarse.fan_interval = Seconds(10);
    return Body(coarse);
  }();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    for (const TelemetryRun& run : parse_telemetry(text, "fuzz-log.csv")) use(run, at_rest);
  } catch (const Error&) {
  }
  try {
    constexpr Duration kTotal = std::chrono::hours(1);
    for (const FaultEvent& event :
         plan_faults({std::string(text.substr(0, 100))}, spark, kTotal, 1)) {
      CHECK(event.begin <= event.end && event.end <= TimePoint(kTotal));
    }
  } catch (const Error&) {
  }
  return 0;
}
