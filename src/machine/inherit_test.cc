// Machine files that say only what differs from another one.
#include <gtest/gtest.h>

#include "base/error.h"
#include "machine/machine.h"

namespace tinderbox {
namespace {

const std::string kData = std::string(TINDERBOX_SOURCE_DIR) + "/data/machines";

const Catalogue& machines() {
  static const Catalogue catalogue = Catalogue::from_folder("machine", kData, ".toml");
  return catalogue;
}

const std::string kHead =
    "id = \"mine\"\nname = \"Mine\"\ninherits = \"dgx-spark\"\nscope = \"box\"\nstacks = "
    "\"vllm\"\n";
const std::string kTail =
    "[sources]\nME = { address = \"https://example.org\", date = \"2026\" }\n";

std::string refusal(const std::string& toml) {
  try {
    parse_machine(toml, "mine.toml", &machines());
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Inherit, WhatAFileDoesNotSayIsItsParents) {
  const Machine parent = machine_of(machines(), "dgx-spark");
  const Machine child = parse_machine(kHead +
                                          "[memory]\nread_bandwidth = { value = \"200 GB/s\", kind "
                                          "= \"measured\", source = \"ME\" }\n" +
                                          kTail,
                                      "mine.toml", &machines());
  EXPECT_EQ(child.id, "mine");
  EXPECT_EQ(child.stacks, std::vector<std::string>{"vllm"});
  EXPECT_EQ(child.memory_read_bandwidth, BytesPerSecond(200e9));
  EXPECT_EQ(child.memory_bandwidth, parent.memory_bandwidth);
  EXPECT_EQ(child.links.size(), parent.links.size());
  EXPECT_EQ(child.facts.size(), parent.facts.size());
  EXPECT_EQ(child.body->full_flow, parent.body->full_flow);
}

TEST(Inherit, ACurveIsReplacedAsAWhole) {
  const Machine child = parse_machine(
      kHead +
          "[body.fan_share]\n\"60 °C\" = { value = 0.5, kind = \"measured\", source = \"ME\" }\n" +
          kTail,
      "mine.toml", &machines());
  EXPECT_EQ(child.body->fan.points.size(), 1U);
  EXPECT_GT(child.body->boost.points.size(), 1U);
}

TEST(Inherit, WrongParentsAreRefused) {
  EXPECT_NE(refusal("id = \"mine\"\nname = \"Mine\"\ninherits = \"dgx-sparc\"\nscope = "
                    "\"box\"\nstacks = \"vllm\"\n" +
                    kTail)
                .find("did you mean 'dgx-spark'"),
            std::string::npos);
  EXPECT_NE(refusal("id = \"mine\"\nname = \"Mine\"\ninherits = \"acer-gn100\"\nscope = "
                    "\"box\"\nstacks = \"vllm\"\n" +
                    kTail)
                .find("inherits itself"),
            std::string::npos);
  EXPECT_NE(
      refusal(kHead + "[sources]\nNVHW = { address = \"https://example.org\", date = \"2026\" }\n")
          .find("another address"),
      std::string::npos);
  EXPECT_THROW(parse_machine(kHead + kTail, "mine.toml"), Error);
}

TEST(Inherit, TheVariantsOfOtherMakersDiffer) {
  const BodyFacts spark = *machine_of(machines(), "dgx-spark").body;
  EXPECT_GT(machine_of(machines(), "acer-gn100").body->full_flow, spark.full_flow);
  EXPECT_LT(machine_of(machines(), "asus-ascent-gx10").body->fan.at(90), spark.fan.at(90));
}

}  // namespace
}  // namespace tinderbox
