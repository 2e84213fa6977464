#include "http/state_document.h"

#include <cmath>
#include <filesystem>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/mapped_file.h"

namespace tinderbox {
namespace {

TEST(StateDocument, IsReadWhole) {
  const BoxState s = parse_box_state(
      read_file(std::filesystem::path(TINDERBOX_SOURCE_DIR) / "tests/fuzz/corpus/state/busy.json"));
  EXPECT_EQ(s.at_unix, 1764266400.25);
  EXPECT_EQ(s.machine_name, "NVIDIA DGX Spark");
  EXPECT_EQ(s.modelled.size(), 4U);
  ASSERT_EQ(s.models.size(), 2U);
  EXPECT_TRUE(s.models[0].pinned);
  EXPECT_EQ(s.models[1].weights, "") << "null";
  EXPECT_EQ(s.traffic.generated_tokens_per_s, 131.25);
  EXPECT_EQ(s.memory->kv_used_bytes, 11.25e9);
  EXPECT_EQ(s.sensors->rails_w.front(), (std::pair<std::string, double>("gpu", 61.2)));
  EXPECT_EQ(s.sensors->rails_w.back().first, "board") << "in the document's order";
  EXPECT_EQ(s.sensors->zones_c[2], 80.4);
  EXPECT_EQ(s.computer.cpu_ratio, 0.31);
  EXPECT_TRUE(std::isnan(s.faults[1].until_unix));
  EXPECT_EQ(s.requests[1].state, "waiting");
  EXPECT_EQ(s.requests[1].key, "");
}

TEST(StateDocument, WhatIsMissingIsNotKnown) {
  const BoxState s = parse_box_state(R"({"memory":{}})");
  EXPECT_TRUE(std::isnan(s.traffic.running));
  EXPECT_TRUE(std::isnan(s.memory->total_bytes));
  EXPECT_FALSE(s.sensors.has_value());
  EXPECT_TRUE(s.machine_name.empty());
}

TEST(StateDocument, WrongTypesAreNamed) {
  for (const auto& [text, named] : {std::pair{R"({"models":[{},{"id":7}]})", "models[1].id: expected a string"},
                                    std::pair{R"({"sensors":{"rails_w":{"gpu":"x"}}})", "sensors.rails_w.gpu"},
                                    std::pair{R"({"sensors":{"zones_c":[1,null]}})", "sensors.zones_c[1]"},
                                    std::pair{R"([1])", "expected an object"}, std::pair{"<html>", "not JSON"}}) {
    try {
      parse_box_state(text);
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_NE(std::string_view(error.what()).find(named), std::string_view::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace tinderbox
