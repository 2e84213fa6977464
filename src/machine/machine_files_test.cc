// The machine files as a set: each is a physically possible machine, says where its numbers come
// from, and agrees with what its vendor publishes.
#include <cmath>
#include <filesystem>
#include <set>

#include <gtest/gtest.h>

#include "base/csv.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "machine/machine.h"

namespace tinderbox {
namespace {

const std::filesystem::path kData = std::filesystem::path(TINDERBOX_SOURCE_DIR) / "data";

const Catalogue& catalogue() {
  static const Catalogue catalogue =
      Catalogue::from_folder("machine", kData / "machines", ".toml");
  return catalogue;
}

std::string text_of(const Machine& machine, std::string_view key) {
  for (const Fact& fact : machine.facts) {
    if (fact.key == key) return fact.text;
  }
  return "";
}

std::string refusal(std::string_view id) {
  try {
    machine_of(catalogue(), id);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

class EveryMachine : public testing::TestWithParam<std::string> {
 protected:
  const Machine m = machine_of(catalogue(), GetParam());
};

TEST_P(EveryMachine, IsNamedAfterItsFile) {
  EXPECT_EQ(m.id, GetParam());
  EXPECT_FALSE(m.name.empty());
  EXPECT_EQ(m.n_devices, 1);
  EXPECT_FALSE(m.stacks.empty());
  for (const std::string& stack : m.stacks) EXPECT_FALSE(stack.empty());
}

TEST_P(EveryMachine, IsPhysicallyPossible) {
  EXPECT_GT(m.peak(MathType::F32, m.clock_heavy).value(), 0);
  EXPECT_GT(m.clock_heavy.value(), 0);
  EXPECT_LE(m.clock_heavy, m.clock_light);
  EXPECT_GT(m.memory_bandwidth.value(), 0);
  EXPECT_GT(m.memory_read_bandwidth, m.memory_bandwidth * 0.5);
  EXPECT_GT(m.memory_safe.value(), 0);
  EXPECT_GT(m.l2_size.value(), 0);
  EXPECT_LT(m.l2_size, m.memory_size * 0.01);
  EXPECT_GT(m.kernel_launch.value(), 0);
  EXPECT_GT(m.power_idle.value(), 0);
  EXPECT_GE(m.power_load, m.power_idle);
  EXPECT_GE(m.power_system_limit, m.power_module_limit);
  // A chip that draws more than its limit for long is a slip; at the wall the rest of the box adds.
  EXPECT_LE(m.power_load, m.power_module_limit * (m.scope == Scope::Box ? 1.5 : 1.1));
  for (const Link& link : m.links) {
    EXPECT_GT(link.bandwidth.value(), 0) << link.name;
    EXPECT_GT(link.latency.value(), 0) << link.name;
  }
}

TEST_P(EveryMachine, IsNotSlowerInNarrowerArithmetic) {
  const auto rate = [&](MathType type) {
    return m.flops_per_clock[static_cast<std::size_t>(type)];
  };
  EXPECT_GE(rate(MathType::F16), rate(MathType::F32));
  for (const MathType type : {MathType::TF32, MathType::FP8, MathType::FP4, MathType::INT8}) {
    if (rate(type) == 0) continue;
    const bool wider = type == MathType::TF32;
    EXPECT_GE(rate(type), rate(wider ? MathType::F32 : MathType::F16)) << math_type_name(type);
    EXPECT_TRUE(!wider || rate(type) <= rate(MathType::F16));
  }
}

TEST_P(EveryMachine, PeaksAreWhatTheVendorPublishes) {
  const std::string boost = text_of(m, "gpu.boost_clock"), tensor = text_of(m, "gpu.tensor_clock");
  for (int i = 0; i < kMathTypes; ++i) {
    const auto type = static_cast<MathType>(i);
    const std::string claim =
        text_of(m, format("gpu.claimed_compute.{}", math_type_name(type)));
    if (claim.empty()) continue;
    const std::string clock = type == MathType::F32 || tensor.empty() ? boost : tensor;
    ASSERT_FALSE(clock.empty()) << "a claim without the clock it holds at";
    const double derived = m.peak(type, parse_hertz(clock, "clock")).value();
    EXPECT_NEAR(derived / parse_flops_per_second(claim, "claim").value(), 1, 0.05)
        << math_type_name(type);
  }
}

TEST_P(EveryMachine, NoMultiplyIsFasterThanThePeak) {
  for (const auto& [word, type] :
       {std::pair{"f32", MathType::F32}, std::pair{"tf32", MathType::TF32},
        std::pair{"f16", MathType::F16}, std::pair{"bf16", MathType::F16},
        std::pair{"fp8", MathType::FP8}, std::pair{"nvfp4", MathType::FP4}}) {
    const std::string reached = text_of(m, format("gpu.gemm_compute.{}", word));
    if (reached.empty()) continue;
    EXPECT_LE(parse_flops_per_second(reached, word).value(),
              m.peak(type, m.clock_heavy).value() * 1.001)
        << word;
  }
}

TEST_P(EveryMachine, SaysWhereEveryNumberComesFrom) {
  std::set<std::string> sources, used, keys;
  for (const Source& source : m.sources) sources.insert(source.key);
  for (const Fact& fact : m.facts) {
    EXPECT_FALSE(fact.text.empty()) << fact.key;
    EXPECT_TRUE(keys.insert(fact.key).second) << fact.key << " twice";
    for (const std::string& part : split(fact.source, ',')) {
      EXPECT_TRUE(sources.contains(std::string(trim(part)))) << fact.key;
      used.insert(std::string(trim(part)));
    }
    if (fact.kind == FactKind::Assumed) {
      EXPECT_FALSE(fact.note.empty()) << fact.key << ": say why";
    }
  }
  EXPECT_EQ(used, sources) << "a source nobody cites";
}
INSTANTIATE_TEST_SUITE_P(MachineFiles, EveryMachine, testing::ValuesIn(catalogue().ids()),
                         [](const testing::TestParamInfo<std::string>& machine) {
                           std::string name = machine.param;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

// Rows nobody can predict for want of a file are the exception.
TEST(MachineFiles, CoverMostMeasurements) {
  const Csv csv = Csv::parse(read_file(kData / "measurements/machines.csv"), "machines.csv");
  std::size_t known = 0;
  for (std::size_t i = 0; i < csv.size(); ++i) {
    if (refusal(csv.at(i, "machine")).empty()) ++known;
  }
  EXPECT_GT(known, csv.size() * 4 / 5);
}

TEST(MachineFiles, SeveralDevicesAddMemoryPriceAndPowerButNotSpeed) {
  const Machine one = machine_of(catalogue(), "rtx-3090");
  const Machine two = machine_of(catalogue(), "rtx-3090-x2");
  EXPECT_EQ(two.id, "rtx-3090-x2");
  EXPECT_EQ(two.n_devices, 2);
  EXPECT_DOUBLE_EQ(two.memory_safe.value(), 2 * one.memory_safe.value());
  EXPECT_DOUBLE_EQ(two.memory_freeze.value(), 2 * one.memory_freeze.value());
  EXPECT_DOUBLE_EQ(two.price_usd, 2 * one.price_usd);
  EXPECT_EQ(two.power_load, one.power_load + one.power_idle);
  EXPECT_EQ(two.memory_bandwidth, one.memory_bandwidth);
  EXPECT_EQ(two.n_units, one.n_units);
  EXPECT_EQ(two.facts.size(), one.facts.size());
}

TEST(MachineFiles, DevicesOfAnId) {
  const auto n_of = [](std::string_view id) { return devices_of(catalogue(), id).n; };
  EXPECT_EQ(n_of("rtx-3090"), 1);
  EXPECT_EQ(n_of("rtx-3090-x2"), 2);
  EXPECT_EQ(devices_of(catalogue(), "rtx-3090-x2").id, "rtx-3090");
  EXPECT_EQ(n_of("rtx-3090-xl"), 1);
  EXPECT_EQ(devices_of(catalogue(), "nowhere-x4").id, "nowhere");
  for (const std::string& id : catalogue().ids()) EXPECT_EQ(devices_of(catalogue(), id).id, id);
}

// A library's operation is never faster than the link.
TEST(MachineFiles, OperationsTakeAtLeastTheLatency) {
  int n_peers = 0;
  for (const std::string& id : catalogue().ids()) {
    for (const Link& link : machine_of(catalogue(), id).links) {
      EXPECT_GE(link.operation_latency, link.latency) << id << ' ' << link.name;
      EXPECT_LT(link.operation_latency.value(), 1e-3) << id << ' ' << link.name;
      n_peers += link.joins_devices() ? 1 : 0;
    }
  }
  EXPECT_GT(n_peers, 8);
}

TEST(MachineFiles, RefusesWhatItDoesNotKnow) {
  EXPECT_NE(refusal("rtx-309O").find("did you mean 'rtx-3090'"), std::string::npos);
  EXPECT_NE(refusal("rtx-309O-x2").find("did you mean 'rtx-3090'"), std::string::npos);
  EXPECT_NE(refusal("rtx-3090-x1").find("2 to 64"), std::string::npos);
  EXPECT_NE(refusal("rtx-3090-x65").find("2 to 64"), std::string::npos);
  EXPECT_NE(refusal("rtx-3090-x-2").find("2 to 64"), std::string::npos);
  EXPECT_NE(refusal("mac-m3-ultra-80-x2").find("[links.peer]"), std::string::npos);
  EXPECT_NE(refusal("").find("no machine ''"), std::string::npos);
  EXPECT_NE(refusal("-x2").find("no machine ''"), std::string::npos);
  EXPECT_NE(refusal("rtx-3090-x99999999999999999999").find("no machine"), std::string::npos);
}

}  // namespace
}  // namespace tinderbox
