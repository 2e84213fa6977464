// Traces are read back and held to laws: what begins ends, what is inside lies inside, time does
// not go back on a track, and what is counted is what the report counts.
#include "box/perfetto.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include <nlohmann/json.hpp>

#include "base/random.h"
#include "box/simulate.h"
#include "twin/test_body.h"
#include "twin/test_models.h"

namespace tinderbox {
namespace {

using Json = nlohmann::json;

struct Traced {
  SimulationResult result;
  std::vector<std::string> pieces = {std::string(PerfettoTrace::kBegin)};
  std::int64_t n_events = 0, n_bytes = 0;
  bool cut = false;

  // As if it had ended after so many pieces.
  Json read(std::size_t n_pieces) const {
    std::string text;
    for (std::size_t i = 0; i < n_pieces; ++i) text += pieces[i];
    return Json::parse(text + std::string(PerfettoTrace::kEnd))["traceEvents"];
  }
  Json read() const { return read(pieces.size()); }
};

Traced traced(SimulateOptions options, const std::string& name = "m",
              std::int64_t bytes_max = 1 << 30) {
  Traced out;
  PerfettoTrace trace([&](std::string_view piece) { out.pieces.emplace_back(piece); }, bytes_max);
  options.watch = [&](std::int64_t box, std::int64_t) { return std::vector<BoxWatch*>{trace.box(box, name)}; };
  out.result = simulate(testing::fp8_twin(), options);
  trace.finish();
  out.n_events = trace.n_events();
  out.n_bytes = trace.n_bytes();
  out.cut = trace.cut().has_value();
  return out;
}

SimulateOptions draw(std::uint64_t seed) {
  Random random(seed, Stream::Test);
  SimulateOptions options;
  options.workload = {.requests = random.range(1, 200),
                      .rate = std::exp(3 * random.uniform() - 1),
                      .prompt = random.range(1, 900),
                      .gen = random.range(1, 120),
                      .range_ratio = random.uniform(),
                      .seed = seed};
  if (random.range(0, 3) > 0) options.kv_tokens = random.range(2200, 3000);
  if (random.range(0, 1) == 0) options.sequences_max = random.range(1, 20);
  options.policy =
      policies()[static_cast<std::size_t>(random.range(0, std::ssize(policies()) - 1))].name;
  options.boxes = random.range(1, 3);
  options.workload.keys = random.range(1, 3);
  options.workload.priorities = random.range(1, 3);
  if (random.range(0, 2) == 0) options.workload.timeout = std::exp(4 * random.uniform());
  if (random.range(0, 2) == 0) options.users = random.range(1, 20);
  if (random.range(0, 2) == 0) options.workload.turns = 3;
  return options;
}

// Nanoseconds.
std::int64_t ns(const Json& us) { return std::llround(1000 * us.get<double>()); }

// Of the async slices of one request: each ends before the next begins, all within the outer one.
// Its phases.
std::vector<std::string> phases_of(const std::vector<Json>& events) {
  std::vector<std::string> open, phases;
  std::int64_t last = 0;
  for (const Json& e : events) {
    EXPECT_GE(ns(e["ts"]), last);
    last = ns(e["ts"]);
    if (e["ph"] == "b") {
      open.push_back(e["name"]);
      EXPECT_LE(open.size(), 2u);
      if (open.size() == 2) phases.push_back(open.back());
    } else {
      EXPECT_FALSE(open.empty());
      if (open.empty()) return phases;
      EXPECT_EQ(e["name"], open.back());
      open.pop_back();
    }
  }
  EXPECT_TRUE(open.empty());
  EXPECT_EQ(events.front()["name"], "request");
  EXPECT_EQ(events.back()["name"], "request");
  return phases;
}

struct Counts {
  std::int64_t steps = 0, tokens = 0, busy_ns = 0, n_decode = 0, n_requeued = 0;
  std::map<std::string, std::int64_t> instants, finishes;
};

Counts counts_of(const Json& events) {
  Counts out;
  std::map<std::string, std::int64_t> last_on;  // of each track
  std::map<std::int64_t, std::vector<Json>> requests;
  for (const Json& e : events) {
    const std::string ph = e["ph"];
    if (ph == "M") continue;
    if (ph == "b" || ph == "e") {
      requests[e["id"]].push_back(e);
      continue;
    }
    const std::string track = ph + e["pid"].dump() + (ph == "C" ? e["name"].dump() : "");
    const std::int64_t from = ns(e["ts"]);
    EXPECT_GE(from, last_on[track]) << e;
    last_on[track] = from + (ph == "X" ? ns(e["dur"]) : 0);
    if (ph == "i") ++out.instants[e["name"]];
    if (ph != "X") continue;
    out.steps += e["args"]["steps"].get<std::int64_t>();
    out.tokens += e["args"]["tokens"].get<std::int64_t>();
    out.busy_ns += ns(e["dur"]);
  }
  for (const auto& [id, request] : requests) {
    ++out.finishes[request.front()["args"]["finish"]];
    const auto phases = phases_of(request);
    EXPECT_EQ(phases.front(), "queued");
    for (std::size_t i = 1; i < phases.size(); ++i) {
      EXPECT_NE(phases[i], phases[i - 1]);
      out.n_requeued += phases[i] == "queued" ? 1 : 0;
      out.n_decode += phases[i] == "decode" ? 1 : 0;
    }
  }
  return out;
}

TEST(Perfetto, CountsWhatTheReportCounts) {
  std::int64_t n_preemptions = 0, n_expired = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    const Traced trace = traced(draw(seed));
    const Report& r = trace.result.report;
    const Json events = trace.read();
    Counts counts = counts_of(events);
    EXPECT_EQ(counts.steps, r.steps);
    EXPECT_EQ(counts.tokens, std::llround(r.mean_step_tokens * static_cast<double>(r.steps)));
    EXPECT_NEAR(1e-9 * static_cast<double>(counts.busy_ns), r.busy.value(),
                1e-9 * static_cast<double>(events.size()));
    EXPECT_EQ(counts.instants["preempted"], r.preemptions);
    EXPECT_EQ(counts.n_requeued, r.preemptions);
    EXPECT_EQ(counts.instants["refused"], r.refused);
    EXPECT_EQ(counts.instants["expired"], r.expired);
    EXPECT_EQ(counts.finishes["length"], r.finished);
    EXPECT_EQ(counts.finishes["expired"], r.expired);
    EXPECT_EQ(counts.finishes["cut"], 0);
    n_preemptions += r.preemptions;
    n_expired += r.expired;
  }
  EXPECT_GT(n_preemptions, 50);
  EXPECT_GT(n_expired, 20);
}

TEST(Perfetto, WatchingChangesNothing) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const SimulateOptions options = draw(seed);
    EXPECT_EQ(simulation_json(traced(options).result), simulation_json(simulate(testing::fp8_twin(), options)));
  }
}

TEST(Perfetto, OpensWhereverItEnds) {
  const Traced trace =
      traced({.workload = {.requests = 800, .rate = 2, .prompt = 50, .gen = 20}, .boxes = 2});
  ASSERT_GT(trace.pieces.size(), 5u);  // it is told in pieces
  for (std::size_t n = 1; n <= trace.pieces.size(); ++n) counts_of(trace.read(n));
  std::int64_t n_bytes = 0, n_events = 0;
  for (std::size_t i = 1; i < trace.pieces.size(); ++i) n_bytes += std::ssize(trace.pieces[i]);
  n_events += std::ssize(trace.read());
  EXPECT_EQ(trace.n_bytes, n_bytes);
  EXPECT_EQ(trace.n_events, n_events);
}

TEST(Perfetto, StopsAtItsLimit) {
  const SimulateOptions options{.workload = {.requests = 400, .rate = 2, .prompt = 50, .gen = 20}};
  const Traced trace = traced(options, "m", 50'000);
  EXPECT_TRUE(trace.cut);
  EXPECT_LE(trace.n_bytes, 50'000);
  EXPECT_GT(trace.n_bytes, 48'000);
  counts_of(trace.read());
  EXPECT_EQ(trace.result.report.finished, 400);
  EXPECT_FALSE(traced(options).cut);
}

TEST(Perfetto, NamesAreEscaped) {
  const std::string name = "a \"b\" \\ \n </script> \xff é";
  const Json events = traced({.workload = {.requests = 1, .prompt = 5, .gen = 2}}, name).read();
  const std::string shown = events[0]["args"]["name"];
  EXPECT_TRUE(shown.starts_with("box 1: a \"b\" \\ \n </script> ")) << shown;
}

// What a fault cancels ends in the trace too, and a body has counters.
TEST(Perfetto, BodiesHaveCountersAndLoseRequests) {
  const StepModel model = testing::fp8_twin_on(round_machine_with_body());
  const auto at = [](double s) { return TimePoint(to_duration(Seconds(s))); };
  SimulateOptions options{.workload = {.requests = 60, .rate = 1, .prompt = 300, .gen = 40}};
  const Fault off{.name = "off", .what = "", .ends = "", .sources = "", .handicap = {.off = true}};
  options.body = BodyOptions{.faults = {{at(20.5), at(40), off}}};
  std::string text(PerfettoTrace::kBegin);
  PerfettoTrace trace([&](std::string_view piece) { text += piece; }, 1 << 30);
  options.watch = [&](std::int64_t box, std::int64_t) { return std::vector<BoxWatch*>{trace.box(box, "m")}; };
  const SimulationResult result = simulate(model, options);
  trace.finish();
  const Json events = Json::parse(text + std::string(PerfettoTrace::kEnd))["traceEvents"];
  Counts counts = counts_of(events);
  EXPECT_GT(result.report.cancelled, 0);
  EXPECT_EQ(counts.instants["cancelled"], result.report.cancelled);
  EXPECT_EQ(counts.finishes["cancelled"], result.report.cancelled);
  std::set<std::string> counters;
  for (const Json& e : events) {
    if (e["ph"] == "C") counters.insert(e["name"]);
  }
  EXPECT_EQ(counters, (std::set<std::string>{"running", "waiting", "KV in use", "wall W", "GPU °C",
                                             "GPU MHz"}));
}

}  // namespace
}  // namespace tinderbox
