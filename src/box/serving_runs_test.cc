#include "box/serving_runs.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "box/test_rows.h"
#include "box/validation_serving.h"

namespace tinderbox {
namespace {

using namespace testing;

RowText run_row(const RowText& changes = {}) {
  RowText row = serve_row({{"base", "llama-3.1-8b"}, {"concurrency", ""}, {"arrival_req_per_s", "0.3"},
                           {"num_requests", "200"}, {"prompt_tokens", "4000"}, {"gen_tokens", "500"},
                           {"dataset", "office-baseline"}, {"prefix_cache", "off"}, {"note", ""},
                           {"requests", "djangodevreng-07-office-baseline-in399-7600.csv"}});
  for (const ServingFigure& figure : serving_figures()) row[std::string(figure.column)] = "";
  row["ttft_mean_ms"] = "1000";
  return with(row, changes);
}

const std::string kRequests = kData + "serving/requests";

std::vector<ServedRun> served(const std::vector<RowText>& rows, const LeftOutNumbers& fits = {}) {
  const TwinCatalogues catalogues = known().resources();
  Questioner questioner(catalogues);
  return serve_runs(read_serving_runs(csv_of(rows), kRequests, questioner), questioner, fits);
}

TEST(ServingRuns, SimulatesTheRequestsThatWereSent) {
  const std::vector<ServedRun> runs = served({run_row()});
  ASSERT_EQ(runs.size(), 1u);
  ASSERT_EQ(runs[0].refused, "");
  EXPECT_EQ(runs[0].report.finished, 200);
  EXPECT_GT(runs[0].load, 0);
  const ServingFigure& ttft = serving_figures()[3];
  ASSERT_EQ(ttft.column, "ttft_mean_ms");
  EXPECT_NEAR(*runs[0].error(ttft), 1e3 * runs[0].report.ttft.mean.value() / 1000 - 1, 1e-12);
  EXPECT_FALSE(runs[0].error(serving_figures()[0]));  // not published
  EXPECT_NE(served_csv(runs).find("\nr,dgx-spark,llama-3.1-8b,fp8,vllm,"), std::string::npos);
}

// A client that keeps one request under way at a time leaves no time to the others.
TEST(ServingRuns, AClientMayKeepRequestsBack) {
  const std::vector<ServedRun> runs = served({run_row(), run_row({{"concurrency", "1"}})});
  EXPECT_LT(runs[1].report.tpot.mean, runs[0].report.tpot.mean);
  EXPECT_GT(runs[1].report.duration, runs[0].report.duration);
  EXPECT_EQ(runs[1].load, 0);
}

TEST(ServingRuns, TheFitWithoutTheSourceJudges) {
  const LeftOutNumbers fits{{"vllm", {{"s", {{"kernels.fp8.memory_share", 0.1}}}}}};
  const std::vector<ServedRun> runs = served({run_row(), run_row({{"source", "other"}})}, fits);
  ASSERT_TRUE(runs[0].unseen);
  EXPECT_GT(runs[0].unseen->tpot.mean, runs[0].report.tpot.mean);
  EXPECT_FALSE(runs[1].unseen);
  const ServingFigure& figure = serving_figures()[3];
  EXPECT_GT(*runs[0].error(figure), *runs[1].error(figure));
  EXPECT_EQ(*runs[0].error(figure, ServedRun::Fit::Shipped), *runs[1].error(figure));
}

TEST(ServingRuns, ABadFileIsNamed) {
  for (const RowText& changes : std::vector<RowText>{{{"ttft_mean_ms", "-3"}},
                                                     {{"ttft_mean_ms", "soon"}},
                                                     {{"arrival_req_per_s", ""}},
                                                     {{"requests", "no-such.csv"}}}) {
    EXPECT_THROW(served({run_row(changes)}), Error);
  }
  const auto runs = served({run_row({{"weights_norm", "q4_k_m"}})});
  EXPECT_NE(runs[0].refused, "");
}

TEST(ServingRuns, TheSectionListsEveryModel) {
  const std::vector<ServedRun> runs = served({run_row(), run_row({{"base", "qwen3-8b"}, {"id", "q"}})});
  const std::string text = serving_markdown(runs, "runs.csv", "plots");
  for (const char* part :
       {"## Serving runs", "2 published runs", "qwen3-8b", "llama-3.1-8b", "(plots/serving-ttft.svg)"})
    EXPECT_NE(text.find(part), std::string::npos) << part;
  EXPECT_EQ(serving_plots(runs).size(), 2u);
}

}  // namespace
}  // namespace tinderbox
