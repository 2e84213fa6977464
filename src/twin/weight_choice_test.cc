// Which modules a file quantises, by its size and by what was said of it.
#include "twin/weight_choice.h"

#include <string>

#include <gtest/gtest.h>

#include "model/config.h"
#include "twin/memory_plan.h"

namespace tinderbox {
namespace {

using enum WeightClass;

ModelConfig gpt_oss() { return load_config(std::string(TINDERBOX_SOURCE_DIR) + "/data/models/gpt-oss-20b.json"); }

WeightFormat chosen(Bytes file, const char* note) {
  const ModelConfig model = gpt_oss();
  WeightFormat format = weight_format("mxfp4", WeightFile::Checkpoint, kind_of(model));
  const std::set<WeightClass> noted = apply_note(format, note);
  return choose_by_size(format, noted, model, file, WeightFile::Checkpoint);
}

TEST(WeightChoice, TheSizeOfTheUsualFileChangesNothing) {
  const ModelConfig model = gpt_oss();
  const WeightFormat usual = weight_format("mxfp4", WeightFile::Checkpoint, kind_of(model));
  const WeightFormat same = chosen(weight_bytes(model, usual), "");
  for (int c = 0; c < kWeightClasses; ++c) {
    EXPECT_EQ(same.of(static_cast<WeightClass>(c)), usual.of(static_cast<WeightClass>(c))) << c;
  }
}

TEST(WeightChoice, ASmallerFileHasQuantisedMore) {
  const WeightFormat f = chosen(Bytes(12.1e9), "");
  EXPECT_EQ(f.of(Expert), DType::MXFP4);
  EXPECT_EQ(f.of(Attention), DType::MXFP4);
}

// The size of another file of the name, as of its GGUF, does not overrule its makers.
TEST(WeightChoice, WhatIsSaidIsSettled) {
  const WeightFormat f = chosen(Bytes(12.1e9), "experts mxfp4; attention, embedding and head bf16");
  EXPECT_EQ(f.of(Attention), DType::BF16);
  EXPECT_EQ(f.of(LmHead), DType::BF16);
  EXPECT_EQ(f.of(Expert), DType::MXFP4);
}

}  // namespace
}  // namespace tinderbox
