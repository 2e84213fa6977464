#include "box/load_margin.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/quantile.h"
#include "base/text.h"

namespace tinderbox {
namespace {

constexpr int kSeeds = 5;
constexpr std::int64_t kBacklogMin = 1000, kBacklogMax = 4000;
constexpr std::int64_t kTurnovers = 8;  // of a full batch, if that many requests are allowed
constexpr double kRateMax = 1e6;        // a workload's
constexpr double kNear = 0.9;           // of saturation
constexpr std::uint64_t kAnew = 0x9E3779B97F4A7C15;  // odd: multiples differ

// n requests of the trace, those of seed i of kSeeds, all there at once. Parts of a short trace
// overlap, and come again and again; what they share with others is then new.
std::shared_ptr<const Trace> backlog_of(const Trace& trace, std::int64_t n, int i) {
  const std::int64_t n_all = std::ssize(trace.requests), n_part = std::min(n, (n_all + 1) / 2);
  const std::int64_t from = (n_all - n_part) * i / (kSeeds - 1);
  auto out = std::make_shared<Trace>();
  out->format = trace.format;
  for (std::int64_t k = 0; k < n; ++k) {
    Request request = trace.requests[static_cast<std::size_t>(from + k % n_part)];
    request.arrival = TimePoint{};
    for (Content& content : request.contents)
      content.id += static_cast<std::uint64_t>(k / n_part) * kAnew;
    out->requests.push_back(std::move(request));
  }
  return out;
}

struct Stay {
  TimePoint begin, end;  // first step, last token
};

// Requests a second while the batch is full, and in each half of that time; nothing if none
// finished.
std::vector<double> sustained(const std::vector<Stay>& stays) {
  std::vector<TimePoint> begins, ends;
  for (const Stay& stay : stays) {
    begins.push_back(stay.begin);
    ends.push_back(stay.end);
  }
  std::ranges::sort(begins);
  std::ranges::sort(ends);
  std::size_t together = 0;
  for (std::size_t begun = 0, ended = 0; begun < begins.size(); ++begun) {
    while (ends[ended] <= begins[begun]) ++ended;
    together = std::max(together, begun + 1 - ended);
  }
  if (ends.empty() || ends.back() <= TimePoint{}) return {};
  // By the end of the last one that began a place is free for nobody.
  const auto until = std::ranges::upper_bound(ends, begins.back()) - ends.begin();
  const auto from = static_cast<std::ptrdiff_t>(together);
  const auto rate = [&](std::ptrdiff_t after, std::ptrdiff_t last) {
    const Duration lasts =
        ends[static_cast<std::size_t>(last - 1)] - ends[static_cast<std::size_t>(after - 1)];
    return lasts > Duration(0) ? static_cast<double>(last - after) / to_seconds(lasts).value() : 0;
  };
  const std::ptrdiff_t middle = from + (until - from) / 2;
  if (until - from >= std::max<std::ptrdiff_t>(20, from / 2) && rate(from, middle) > 0 &&
      rate(middle, until) > 0) {
    return {rate(from, until), rate(from, middle), rate(middle, until)};
  }
  return {static_cast<double>(ends.size()) /
          since_start(ends.back()).value()};  // with filling and emptying: less
}

// What one box sustains of the requests of seed i.
std::vector<double> saturation_of(const StepModel& model, const SimulateOptions& options,
                                  const SimulationResult& result, std::int64_t n, int i) {
  SimulateOptions backlog = options;
  WorkloadOptions& w = backlog.workload;
  if (w.trace) {
    w.trace = backlog_of(*w.trace, n, i);
  } else {
    w.requests = n;
  }
  w.seed += static_cast<std::uint64_t>(i);
  w.rate = kRateMax;
  w.burstiness = std::numeric_limits<double>::infinity();
  w.diurnal = 0;
  w.timeout = std::numeric_limits<double>::infinity();
  backlog.kv_tokens = result.report.kv_blocks * result.kv_block_tokens;
  backlog.boxes = 1;
  backlog.slo = {};
  backlog.body = {};
  backlog.watch = {};
  const Duration request_time = to_duration(Seconds(model.twin().stack.price.request_time));
  std::vector<Stay> stays;
  backlog.on_finished = [&](const RequestTimes& t) {
    stays.push_back({t.arrival + t.queue, t.arrival + t.e2e - request_time});
  };
  simulate(model, backlog);
  return sustained(stays);
}

std::string why_not(const SimulateOptions& options, const SimulationResult& result) {
  const WorkloadOptions& w = options.workload;
  if (options.users > 0)
    return "users in a closed loop wait for their answers: they never saturate a box";
  if (w.turns > 1) return "turns of a conversation wait for answers";
  if (options.disaggregation) return "boxes of two roles saturate one by one";
  if (options.in_flight_max) return "a client that keeps requests back never saturates a box";
  if (result.report.kv_blocks == 0 || result.report.finished == 0) return "no request was answered";
  if (w.trace && w.trace->timed && w.trace->requests.back().arrival <= TimePoint{})
    return "all come at once";
  return "";
}

std::string percent(double share) { return format("{:.{}f}", 100 * share, share < 0.1 ? 1 : 0); }

}  // namespace

Saturation LoadMargin::verdict() const {
  if (share_low() >= 1) return Saturation::Above;
  return std::max(share_high(), peak_load / saturation) >= kNear ? Saturation::Near
                                                                 : Saturation::Below;
}

LoadMargin load_margin(const StepModel& model, const SimulateOptions& options,
                       const SimulationResult& result) {
  LoadMargin out{.why_not = why_not(options, result)};
  if (!out.why_not.empty()) return out;
  const WorkloadOptions& w = options.workload;
  const Report& r = result.report;
  const double taken = 1 - static_cast<double>(r.refused) /
                               static_cast<double>(std::max<std::int64_t>(1, r.submitted));
  const bool timed = w.trace && w.trace->timed;
  const double rate = timed ? static_cast<double>(w.trace->requests.size() - 1) /
                                  since_start(w.trace->requests.back().arrival).value()
                            : w.rate;
  out.load = rate * taken;
  out.body = options.body.has_value();
  out.peak_load = out.load * (1 + (timed ? 0 : w.diurnal));
  const std::int64_t n =
      std::clamp<std::int64_t>(kTurnovers * result.limits.sequences_max, kBacklogMin, kBacklogMax);
  const auto boxes = static_cast<double>(options.boxes);
  std::vector<double> found, all;
  for (int i = 0; i < kSeeds; ++i) {
    const std::vector<double> rates = saturation_of(model, options, result, n, i);
    if (!rates.empty()) found.push_back(boxes * rates.front());
    for (const double each : rates) all.push_back(boxes * each);
  }
  if (found.empty()) return {.why_not = "no request was answered"};
  out.saturation = quantile(found, 0.5);
  out.saturation_low = *std::ranges::min_element(all);
  out.saturation_high = *std::ranges::max_element(all);
  out.seeds = static_cast<int>(found.size());
  out.requests = n;
  return out;
}

std::string load_margin_text(const LoadMargin& m) {
  if (!m.why_not.empty()) return "";
  std::string out = format(
      "load             {} % of saturation ({} to {} % over {} seeds): {} of {} requests/s\n",
      percent(m.share()), percent(m.share_low()), percent(m.share_high()), m.seeds,
      human_number(m.load, 3), human_number(m.saturation, 3));
  if (m.peak_load > m.load) {
    out +=
        format("                 {} % at the peak of a day\n", percent(m.peak_load / m.saturation));
  }
  if (m.body) out += "                 saturation is that of a cool and healthy box\n";
  switch (m.verdict()) {
    case Saturation::Below:
      break;
    case Saturation::Near:
      out +=
          "                 near or above saturation latencies depend on the seed and grow with "
          "the length "
          "of the run:\n"
          "                 read them as what this run had, not as what such a load has\n";
      break;
    case Saturation::Above:
      out +=
          "                 above saturation the queue grows as long as requests come: the "
          "latencies only tell\n"
          "                 how long this run was\n";
      break;
  }
  return out;
}

nlohmann::ordered_json load_margin_json(const LoadMargin& m) {
  if (!m.why_not.empty()) return {{"applies", false}, {"why_not", m.why_not}};
  constexpr std::string_view kVerdicts[] = {"below", "near", "above"};
  return {{"applies", true},
          {"load_per_s", m.load},
          {"peak_load_per_s", m.peak_load},
          {"saturation_per_s", m.saturation},
          {"saturation_low_per_s", m.saturation_low},
          {"saturation_high_per_s", m.saturation_high},
          {"share", m.share()},
          {"share_low", m.share_low()},
          {"share_high", m.share_high()},
          {"seeds", m.seeds},
          {"requests_per_seed", m.requests},
          {"verdict", kVerdicts[static_cast<std::size_t>(m.verdict())]}};
}

}  // namespace tinderbox
