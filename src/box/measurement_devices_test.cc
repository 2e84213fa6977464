// Rows of boxes with several devices, and of boxes fed until they give no more.
#include <gtest/gtest.h>

#include "box/measurement.h"
#include "box/test_rows.h"
#include "twin/concurrency.h"

namespace tinderbox {
namespace {

using namespace testing;

Questioner& questioner() {
  static const TwinCatalogues resources = known().resources();
  static Questioner one(resources);
  return one;
}
Question question(const RowText& row) {
  const Csv csv = csv_of({row});
  return questioner().question(Cells(csv, 0));
}
StepModel model_of(const RowText& row) {
  const Question q = question(row);
  EXPECT_EQ(q.refused, nullptr) << q.refused;
  BuiltTwin built = questioner().build(*q.measured);
  EXPECT_EQ(built.refused, nullptr) << built.refused;
  return std::move(*built.model);
}
double answer(const RowText& row) {
  Answers answers;
  const Question q = question(row);
  EXPECT_EQ(q.refused, nullptr) << q.refused;
  const Answer a = answers.answer(model_of(row), *q.measured);
  EXPECT_EQ(a.refused, nullptr) << a.refused;
  return a.value;
}
std::string refusal(const RowText& row) {
  const Question q = question(row);
  if (q.refused != nullptr) return q.refused;
  const BuiltTwin built = questioner().build(*q.measured);
  if (built.refused != nullptr) return built.refused;
  Answers answers;
  const char* refused = answers.answer(*built.model, *q.measured).refused;
  return refused == nullptr ? "" : refused;
}

TEST(DevicesOfARow, ShareTheModelAsItSays) {
  const RowText row = decode_row({{"machine", "rtx-3090-x2"}, {"parallel", "pp"}});
  const TwinModel pp = model_of(row).twin();
  EXPECT_EQ(pp.machine.id, "rtx-3090");
  EXPECT_EQ(pp.machine.n_devices, 1);
  EXPECT_EQ(pp.link, "peer");
  EXPECT_EQ(pp.parallel, (Parallel{.pp = 2}));
  const TwinModel tp =
      model_of(with(row, {{"parallel", "tp2"}, {"stack_norm", "vllm"}, {"weights_norm", "int4"}}))
          .twin();
  EXPECT_EQ(tp.parallel, (Parallel{.tp = 2}));
  // Unsaid: one after the other, as before.
  const TwinModel unsaid = model_of(with(row, {{"parallel", ""}})).twin();
  EXPECT_EQ(unsaid.machine.n_devices, 2);
  EXPECT_EQ(unsaid.parallel, Parallel{});
}

// One stream passes through the stages one after the other: sending is all that it adds.
TEST(DevicesOfARow, StagesDecodeNearlyAsOne) {
  const RowText one = decode_row({{"machine", "rtx-3090"}});
  const double alone = answer(one);
  const double staged = answer(with(one, {{"machine", "rtx-3090-x2"}, {"parallel", "pp"}}));
  EXPECT_LT(staged, alone);
  EXPECT_GT(staged, 0.98 * alone);
  const RowText prompt = prefill_row({{"machine", "rtx-3090"}, {"prompt_tokens", "16384"}});
  const double both = answer(with(prompt, {{"machine", "rtx-3090-x2"}, {"parallel", "pp"}}));
  EXPECT_GT(both, 1.7 * answer(prompt));
  EXPECT_LT(both, 2 * answer(prompt));
}

TEST(DevicesOfARow, RefusesWhatIsNotSaidOrNotKnown) {
  const RowText row = decode_row({{"machine", "rtx-3090-x2"}, {"parallel", "pp"}});
  EXPECT_EQ(refusal(row), "");
  EXPECT_EQ(refusal(with(row, {{"parallel", "tp4"}})), "way to split the model over boxes");
  EXPECT_EQ(refusal(with(row, {{"parallel", "sideways"}})), "way to split the model over boxes");
  EXPECT_EQ(refusal(with(row, {{"nodes", "2"}})), "several boxes or devices");
  EXPECT_EQ(
      refusal(with(row, {{"machine", "strix-halo-395"}, {"nodes", "4"}, {"parallel", "pp4"}})),
      "several boxes or devices");
  EXPECT_EQ(refusal(with(row, {{"machine", "rtx-3090"}})), "several boxes or devices");
  EXPECT_EQ(refusal(with(row, {{"machine", "rtx-3090-x99"}})), "unknown machine");
  // 141 GB in 16 bits: more than a card's part of two, less than of eight.
  const RowText large = with(row, {{"base", "llama-3.1-70b"}, {"weights_norm", "f16"}});
  EXPECT_EQ(refusal(large), "weights beyond the memory");
  EXPECT_EQ(refusal(with(large, {{"machine", "rtx-3090-x8"}})), "");
}

TEST(DevicesOfARow, RatesPerGpuAreOfOneDevice) {
  const RowText row =
      serve_row({{"machine", "h200-sxm-x8"}, {"parallel", "tp8"}, {"metric", "tok_per_s"}});
  EXPECT_NEAR(answer(with(row, {{"metric", "tok_per_s_per_gpu"}})), answer(row) / 8,
              1e-9 * answer(row));
}

const RowText kSaturated = serve_row({{"machine", "h200-sxm"},
                                      {"stack_norm", "trtllm"},
                                      {"metric", "tok_per_s"},
                                      {"prompt_tokens", "1000"},
                                      {"gen_tokens", "1000"},
                                      {"concurrency", ""},
                                      {"quality_note", "saturated load, concurrency not stated"}});

// The answer is that of the same row with as many streams as fit.
TEST(SaturatedRows, AskForAsManyStreamsAsFit) {
  const Question q = question(kSaturated);
  ASSERT_TRUE(q.measured.has_value());
  EXPECT_TRUE(q.measured->saturated);
  const StepModel model = model_of(kSaturated);
  const std::int64_t n = concurrency_max(model, {.prompt = 1000, .gen = 1000});
  ASSERT_GT(n, 16);
  const RowText stated = with(kSaturated, {{"concurrency", format("{}", n)}, {"quality_note", ""}});
  EXPECT_FALSE(question(stated).measured->saturated);
  EXPECT_NE(question(stated).measured->load_key(), q.measured->load_key());
  EXPECT_NEAR(answer(kSaturated), answer(stated), 1e-6 * answer(stated));
  // Fewer give less.
  EXPECT_GT(answer(kSaturated), answer(with(stated, {{"concurrency", format("{}", n / 4)}})));
  const Question capped = question(with(kSaturated, {{"max_num_seqs", "16"}}));
  EXPECT_EQ(saturated(model, capped.measured->point).concurrency, 16);
}

TEST(SaturatedRows, AreRefusedWithoutLengthsOrWithAnUnsaidSplit) {
  EXPECT_EQ(refusal(with(kSaturated, {{"quality_note", ""}})), "missing column");
  EXPECT_EQ(refusal(with(kSaturated, {{"prompt_tokens", ""}})), "missing column");
  EXPECT_EQ(refusal(with(kSaturated, {{"gen_tokens", ""}})), "missing column");
  EXPECT_EQ(refusal(with(kSaturated, {{"machine", "h200-sxm-x8"}})), "missing column");
  EXPECT_EQ(refusal(with(kSaturated, {{"machine", "h200-sxm-x8"}, {"parallel", "tp8"}})), "");
  EXPECT_EQ(refusal(with(kSaturated, {{"base", "llama-3.1-70b"}, {"machine", "rtx-3090"}})),
            "weights beyond the memory");
}

}  // namespace
}  // namespace tinderbox
