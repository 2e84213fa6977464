#include <algorithm>
#include <cmath>
#include <regex>
#include <set>

#include <gtest/gtest.h>

#include "base/error.h"
#include "box/calibrate.h"
#include "box/test_calibration.h"

namespace tinderbox {
namespace {

using namespace testing;

std::string without_fit(const std::string& line) {
  return std::regex_replace(line, std::regex("(value|prior|error|rows) = (\"[^\"]*\"|[^,} ]+) ?"), "");
}

TEST(WithFitted, ChangesWhatIsFittedAlone) {
  const std::string toml = known().stacks.text("llama.cpp");
  FittedStack fitted =
      fit(measured_with(configurations(), kTruth), LeaveOut::Model).stacks.at(0);
  fitted.intervals[static_cast<std::size_t>(Metric::Serve)] = {.low = 0.5, .high = 2.25};
  fitted.intervals[static_cast<std::size_t>(Metric::Ttft)] = {};  // nothing to go by
  const std::string after = with_fitted(toml, fitted);
  const std::vector<std::string> old_lines = split(toml, '\n'), new_lines = split(after, '\n');
  ASSERT_EQ(new_lines.size(), old_lines.size());
  int changed = 0;
  for (std::size_t i = 0; i < old_lines.size(); ++i) {
    changed += new_lines[i] == old_lines[i] ? 0 : 1;
    const bool interval = old_lines[i].find("_ratio = { value") != std::string::npos &&
                          !old_lines[i].starts_with("ttft_");
    const bool may_change = interval || old_lines[i].find("kind = \"fitted\"") != std::string::npos;
    if (may_change) {
      EXPECT_EQ(without_fit(new_lines[i]), without_fit(old_lines[i]));
    } else {
      EXPECT_EQ(new_lines[i], old_lines[i]);
    }
  }
  EXPECT_GT(changed, 10);
  EXPECT_EQ(with_fitted(after, fitted), after);

  Stack stack = parse_stack(after, "after");
  std::set<std::string> keys;
  for (const StackParameter& p : parameters(stack)) {
    const auto found = std::ranges::find(fitted.parameters, p.key, &FittedParameter::key);
    ASSERT_NE(found, fitted.parameters.end()) << p.key;
    EXPECT_NEAR(*p.value / found->value, 1, 1e-3) << p.key;
    const Fact& fact = *std::ranges::find(stack.facts, p.key, &Fact::key);
    EXPECT_NEAR(fact.fit->error, found->error, 5.1e-4) << p.key;
    EXPECT_EQ(fact.fit->n_rows, found->n_rows) << p.key;
    EXPECT_NEAR(fact.fit->prior / found->prior, 1, 1e-3) << p.key;
    EXPECT_EQ(fact.fit->spread, found->spread) << p.key;
  }
  EXPECT_EQ(stack.intervals[static_cast<std::size_t>(Metric::Serve)].low, 0.5);
  EXPECT_EQ(stack.intervals[static_cast<std::size_t>(Metric::Serve)].high, 2.25);
}

// Fitting again on the same rows from the written file gives the same numbers: priors, not values, are
// where a fit begins.
TEST(WithFitted, AFitDoesNotDependOnTheValuesInTheFile) {
  const Csv rows = measured_with(configurations(), kTruth);
  const FittedStack first = fit(rows).stacks.at(0);
  Catalogues again;
  again.stacks = Catalogue("stack");
  again.stacks.add("llama.cpp", with_fitted(known().stacks.text("llama.cpp"), first));
  const Calibration second =
      calibrate(rows, again.resources(), {.leave_out = LeaveOut::Nothing, .n_threads = 1});
  for (const FittedParameter& p : first.parameters) {
    EXPECT_EQ(parameter(second, p.key).value, p.value) << p.key;
  }
}

TEST(WithFitted, NamesAKeyThatHasNoLine) {
  const std::string toml = known().stacks.text("llama.cpp");
  const auto refusal = [&](const FittedParameter& p, const std::string& text) -> std::string {
    try {
      with_fitted(text, FittedStack{.id = "llama.cpp", .parameters = {p}});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Error::Code::Invalid);
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(refusal({.key = "price.step_time", .value = 1e-3}, toml), "");
  EXPECT_NE(refusal({.key = "price.sponge_time"}, toml).find("price.sponge_time"), std::string::npos);
  EXPECT_NE(refusal({.key = "kernels.none.memory_share"}, toml).find("kernels.none"), std::string::npos);
  // A number that is assumed has nothing to write beside its value.
  EXPECT_NE(refusal({.key = "launches.n_norm"}, toml).find("has no prior"), std::string::npos);
}

}  // namespace
}  // namespace tinderbox
