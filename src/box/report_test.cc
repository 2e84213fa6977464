#include "box/report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "box/test_executor.h"
#include "box/workload.h"

namespace tinderbox {
namespace {

Report run(std::vector<Request> requests, Limits limits = {}, KvPool kv = KvPool(100, 4),
           Duration request_time = {}) {
  Scheduler scheduler(limits, std::move(kv));
  FixedCostExecutor executor(Duration(1000), Duration(10));
  TraceArrivals arrivals(std::move(requests));
  VirtualClock clock;
  Recorder recorder(request_time);
  run_loop(scheduler, executor, arrivals, clock, recorder);
  return recorder.report();
}

Request sized(SeqId id, std::int64_t arrival_ns, std::int32_t n_prompt, std::int32_t n_gen_max) {
  Request request;
  request.id = id;
  request.arrival = TimePoint(Duration(arrival_ns));
  request.n_prompt = n_prompt;
  request.n_gen_max = n_gen_max;
  return request;
}

TEST(Recorder, OneRequestByHand) {
  const Report r = run({sized(1, 5000, 20, 3)});
  // Steps: 20 tokens 1200 ns, then 1010 ns twice.
  EXPECT_DOUBLE_EQ(r.ttft.mean.value(), 1200e-9);
  EXPECT_DOUBLE_EQ(r.tpot.mean.value(), 1010e-9);
  EXPECT_DOUBLE_EQ(r.e2e.mean.value(), 3220e-9);
  EXPECT_EQ(r.itl.n, 2);
  EXPECT_EQ(r.queue.mean.value(), 0);
  EXPECT_DOUBLE_EQ(r.duration.value(), 3220e-9);
  EXPECT_DOUBLE_EQ(r.output_rate.value(), 3 / 3220e-9);
  EXPECT_EQ(r.steps, 3);
  EXPECT_EQ(r.prompt_tokens, 20);
  EXPECT_EQ(r.output_tokens, 3);
  EXPECT_DOUBLE_EQ(r.mean_step_tokens, 22.0 / 3);
  EXPECT_EQ(r.kv_blocks_peak, 6);  // 22 tokens in blocks of 4
  EXPECT_DOUBLE_EQ(r.mean_kv_share, (5 * 1200 + 6 * 2020) / 3220.0 / 100);
  EXPECT_DOUBLE_EQ(r.mean_running, 1);
  EXPECT_EQ(r.mean_waiting, 0);
  EXPECT_DOUBLE_EQ(r.busy_share, 1);
}

// HTTP and tokenising: a client waits for them before its first token; the box's steps, its rates and
// the gaps between tokens know nothing of them.
TEST(Recorder, RequestTimeIsPartOfTtftAndE2eAlone) {
  const std::vector<Request> requests = {sized(1, 5000, 20, 3), sized(2, 5100, 7, 9),
                                         sized(3, 90000, 4, 1)};
  const Report plain = run(requests), later = run(requests, {}, KvPool(100, 4), Duration(700));
  for (const auto part : {&Distribution::mean, &Distribution::p50, &Distribution::p99}) {
    EXPECT_NEAR((later.ttft.*part).value(), (plain.ttft.*part).value() + 700e-9, 1e-15);
    EXPECT_NEAR((later.e2e.*part).value(), (plain.e2e.*part).value() + 700e-9, 1e-15);
    EXPECT_EQ(later.tpot.*part, plain.tpot.*part);
    EXPECT_EQ(later.itl.*part, plain.itl.*part);
    EXPECT_EQ(later.queue.*part, plain.queue.*part);
  }
  EXPECT_EQ(later.duration, plain.duration);
  EXPECT_EQ(later.output_rate, plain.output_rate);
  EXPECT_EQ(later.busy, plain.busy);
}

// Three alone: TTFT 1200 ns, 1070 and 1040; TPOT 1010 of the first two.
TEST(Recorder, GoodputCountsThePromisesKept) {
  const std::vector<Request> requests = {sized(1, 5000, 20, 3), sized(2, 15000, 7, 9), sized(3, 90000, 4, 1)};
  const auto good = [&](const Slo& slo) {
    Scheduler scheduler({}, KvPool(100, 4));
    FixedCostExecutor executor(Duration(1000), Duration(10));
    TraceArrivals arrivals(requests);
    VirtualClock clock;
    std::vector<SeqId> ids;
    Recorder recorder({}, slo, [&](const RequestTimes& t) {
      if (t.good) ids.push_back(t.id);
    });
    run_loop(scheduler, executor, arrivals, clock, recorder);
    const Report r = recorder.report();
    EXPECT_EQ(r.good, std::ssize(ids));
    EXPECT_EQ(r.has_slo, slo.any());
    EXPECT_DOUBLE_EQ(r.goodput.value(), static_cast<double>(r.good) / r.duration.value());
    EXPECT_EQ(report_json(r).contains("goodput_per_s"), slo.any());
    return ids;
  };
  EXPECT_EQ(good({}), (std::vector<SeqId>{1, 2, 3}));
  EXPECT_EQ(good({.ttft = 1100e-9}), (std::vector<SeqId>{2, 3}));
  EXPECT_EQ(good({.tpot = 1000e-9}), (std::vector<SeqId>{3}));
  EXPECT_EQ(good({.ttft = 1, .e2e = 4000e-9}), (std::vector<SeqId>{1, 3}));
  EXPECT_THROW(Recorder({}, {.ttft = 0}), Error);
  EXPECT_THROW(Recorder({}, {.e2e = -1}), Error);
}

// What a run writes of its requests, another can read.
TEST(Recorder, RequestRowsAreATrace) {
  std::string csv = requests_csv_header();
  Recorder recorder({}, {}, [&](const RequestTimes& t) { csv += requests_csv_row(t); });
  Scheduler scheduler({}, KvPool(100, 4));
  FixedCostExecutor executor(Duration(1000), Duration(10));
  TraceArrivals arrivals({sized(1, 5000, 20, 3), sized(2, 15000, 7, 9)});
  VirtualClock clock;
  run_loop(scheduler, executor, arrivals, clock, recorder);
  const std::string row = "\n1,0.000005000,20,3,0.000000000,0.000001200,0.000001010,0.000003220,1\n";
  EXPECT_NE(csv.find(row), std::string::npos) << csv;
  const Trace trace = read_trace(csv, "requests.csv", {.strict = true});
  ASSERT_EQ(trace.requests.size(), 2u);
  EXPECT_EQ(trace.requests[1].arrival, TimePoint(Duration(10'000)));
  EXPECT_EQ(trace.requests[1].n_gen_max, 9);
}

// One step of 1100 ns each, one after the other, and 7800 ns of nothing before a third.
TEST(Recorder, AveragesAreOverTime) {
  const Report r = run({sized(1, 0, 10, 1), sized(2, 0, 10, 1), sized(3, 10'000, 10, 1)}, {.sequences_max = 1});
  EXPECT_DOUBLE_EQ(r.mean_running, 3300 / 11'100.0);
  EXPECT_DOUBLE_EQ(r.mean_waiting, 1100 / 11'100.0);
  EXPECT_DOUBLE_EQ(r.busy_share, 3300 / 11'100.0);
  EXPECT_DOUBLE_EQ(r.mean_kv_share, 3 * 3300 / 11'100.0 / 100);
  const nlohmann::ordered_json json = report_json(r);
  EXPECT_EQ(json["mean_kv_share"], r.mean_kv_share);
  EXPECT_EQ(json["peak_kv_share"], 0.03);
}

TEST(Recorder, QueueIsTheTimeBeforeTheFirstStep) {
  const Report r = run({sized(1, 0, 10, 1), sized(2, 100, 10, 1)}, {.sequences_max = 1});
  EXPECT_DOUBLE_EQ(r.queue.mean.value(), 500e-9);  // 0 and 1100 - 100
  EXPECT_EQ(r.tpot.n, 0);
  EXPECT_EQ(r.itl.n, 0);
}

// Preemption recomputes: first step and first token are the first ones, and no token is counted
// twice.
TEST(Recorder, CountsPreemptedSequencesOnce) {
  std::vector<Request> requests;
  for (int i = 1; i <= 4; ++i) requests.push_back(sized(i, 0, 4, 20));
  const Report r = run(requests, {}, KvPool(9, 4));
  EXPECT_GT(r.preemptions, 0);
  EXPECT_EQ(r.finished, 4);
  EXPECT_EQ(r.output_tokens, 80);
  EXPECT_EQ(r.itl.n, 76);
  EXPECT_EQ(r.kv_blocks_peak, 9);
  EXPECT_GE(r.e2e.mean, r.ttft.mean);
  EXPECT_GE(r.ttft.mean, r.queue.mean);
}

TEST(Recorder, AnEmptyRunReportsZeros) {
  const Report r = Recorder().report();
  EXPECT_EQ(r.submitted, 0);
  EXPECT_EQ(r.duration.value(), 0);
  EXPECT_EQ(report_json(r)["ttft_s"]["count"], 0);
  EXPECT_TRUE(report_json(r)["ttft_s"]["mean"].is_null()) << "no time is not a time of 0";
  EXPECT_TRUE(report_json(r)["ttft_s"]["p99"].is_null());
  EXPECT_NE(report_table(r).find("TTFT         0     -    -"), std::string::npos) << report_table(r);
}

TEST(Report, JsonRoundTrips) {
  const Report r = run({sized(1, 5000, 20, 3), sized(2, 5000, 7, 9)});
  const auto json = nlohmann::ordered_json::parse(report_json(r).dump());
  EXPECT_EQ(json["finished"], 2);
  EXPECT_EQ(json["ttft_s"]["p99"].get<double>(), r.ttft.p99.value());
  EXPECT_EQ(json["output_tokens_per_s"].get<double>(), r.output_rate.value());
}

}  // namespace
}  // namespace tinderbox
