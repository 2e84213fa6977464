// Any bytes, read as a file of measurements: rows without a problem are questions or refusals, the others Errors
// that say the problem.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/error.h"
#include "box/measurement.h"

namespace tinderbox {
namespace {

constexpr std::size_t kRowsMax = 50;

struct Known {
  std::string data = std::string(TINDERBOX_SOURCE_DIR) + "/data/";
  Catalogue machines = Catalogue::from_folder("machine", data + "machines", ".toml");
  Catalogue stacks = Catalogue::from_folder("stack", data + "stacks", ".toml");
  Catalogue models = Catalogue::from_folder("model", data + "models", ".json");
  TwinCatalogues resources{machines, stacks, models};
  Questioner questioner{resources};
};

void one(Questioner& questioner, const Cells& cells) {
  const auto problem = cells.problem();
  try {
    const Question q = questioner.question(cells);
    CHECK((q.refused != nullptr) != q.measured.has_value());
    if (!q.measured) return;
    CHECK(q.measured->point.concurrency >= 1 && q.measured->point.prompt >= 0 && q.measured->point.gen >= 0);
    CHECK(!q.measured->twin_key().empty() && !q.measured->load_key().empty());
  } catch (const Error& error) {
    // A machine of an id such as "x-x9" may be refused too.
    CHECK(problem.has_value() || cells.has("machine"));
  }
}

}  // namespace
}  // namespace tinderbox

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tinderbox;
  static Known known;
  try {
    const Csv csv =
        Csv::parse(std::string_view(reinterpret_cast<const char*>(data), size), "rows.csv");
    for (std::size_t i = 0; i < std::min(csv.size(), kRowsMax); ++i) {
      one(known.questioner, Cells(csv, i));
    }
  } catch (const Error&) {
  }
  return 0;
}
