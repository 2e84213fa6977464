#include "box/own_engine.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/mapped_file.h"
#include "engine/dequantise.h"
#include "twin/stack.h"

namespace tinderbox {
namespace {

OwnEngineResult result() {
  return {.cpu = "CPU, \"quoted\"",
          .date = "2026-11-02",
          .n_cores = 2,
          .rows = {{.model = "a", .weights = "q4_1", .test = "pp512", .predicted = 110, .measured = 100},
                   {.model = "a",
                    .weights = "q4_1",
                    .test = "tg128",
                    .predicted = 40,
                    .measured = 50,
                    .low = 35,
                    .high = 45}}};
}

TEST(OwnEngine, CsvThereAndBack) {
  const OwnEngineResult back = read_own_engine(Csv::parse(own_engine_csv(result()), "x.csv"));
  EXPECT_EQ(back.cpu, result().cpu);
  EXPECT_EQ(back.date, "2026-11-02");
  EXPECT_EQ(back.n_cores, 2);
  ASSERT_EQ(back.rows.size(), 2u);
  EXPECT_EQ(back.rows[0].test, "pp512");
  EXPECT_DOUBLE_EQ(back.rows[0].predicted, 110);
  EXPECT_FALSE(back.rows[0].held().has_value());
  EXPECT_DOUBLE_EQ(*back.rows[1].low, 35);
  EXPECT_EQ(back.rows[1].held(), std::optional(false));
  EXPECT_EQ(own_engine_csv(back), own_engine_csv(result()));
}

TEST(OwnEngine, TablesSayErrorAndInterval) {
  for (const std::string& text : {own_engine_table(result()), own_engine_markdown(result())}) {
    EXPECT_NE(text.find("+10.0 %"), std::string::npos) << text;
    EXPECT_NE(text.find("-20.0 %"), std::string::npos) << text;
    EXPECT_NE(text.find("Mean absolute error 15.0 % over 2 rows; the interval held in 0 of 1"), std::string::npos)
        << text;
  }
  EXPECT_TRUE(own_engine_markdown(result()).starts_with("## "));
}

TEST(OwnEngine, RefusesWhatIsNoResult) {
  std::string csv = own_engine_csv(result());
  EXPECT_THROW(read_own_engine(Csv::parse(csv.substr(0, csv.find('\n') + 1), "x.csv")), Error);
  csv.replace(csv.find("110.00"), 6, "x");
  EXPECT_THROW(read_own_engine(Csv::parse(csv, "x.csv")), Error);
}

// Every format that the engine runs has a kernel, and no other.
TEST(OwnEngine, StackFileNamesTheEnginesFormats) {
  const Stack stack =
      parse_stack(read_file(std::string(TINDERBOX_SOURCE_DIR) + "/data/stacks/tinderbox.toml"), "tinderbox");
  EXPECT_EQ(stack.id, "tinderbox");
  EXPECT_TRUE(stack.gguf());
  for (int i = 0; i < kWeightDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(stack.kernels_of(dtype) != nullptr, engine_supports(dtype)) << dtype_info(dtype).name;
  }
}

}  // namespace
}  // namespace tinderbox
