#include "box/capacity.h"

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/quantile.h"
#include "base/text.h"

namespace tinderbox {
namespace {

constexpr double kTolerance = 0.01;  // of the load
constexpr double kLightest = 0.1;    // of the rate at which one request would follow the other
constexpr double kLoadMax = 1e6;
constexpr double kCurve[] = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0};

std::shared_ptr<const Trace> at_pace(const Trace& trace, double speed) {
  auto out = std::make_shared<Trace>(trace);
  for (Request& r : out->requests) {
    r.arrival = TimePoint(
        Duration(std::llround(static_cast<double>((r.arrival - TimePoint{}).count()) / speed)));
  }
  return out;
}

class Search {
 public:
  Search(const StepModel& model, const CapacityOptions& options)
      : model_(model), options_(options) {
    if (!options.simulation.slo.any())
      throw_invalid("capacity: expected a promise: --slo-ttft, --slo-tpot or --slo-e2e");
    if (!(options.share > 0 && options.share <= 1)) {
      throw_invalid(format("capacity: expected a share of requests above 0 and at most 1; got {:g}",
                           options.share));
    }
    if (options.seeds < 1)
      throw_invalid(format("capacity: expected 1 seed or more; got {}", options.seeds));
    const auto& trace = options.simulation.workload.trace;
    if (options.kind == LoadKind::TraceSpeed && !(trace && trace->timed)) {
      throw_invalid(
          "capacity: the trace states no times; give --rate or --users to search over instead");
    }
  }

  SimulateOptions loaded(double load, std::uint64_t seed) const {
    SimulateOptions o = options_.simulation;
    o.workload.seed = seed;
    switch (options_.kind) {
      case LoadKind::Rate:
        o.workload.rate = load;
        break;
      case LoadKind::Users:
        o.users = std::llround(load);
        break;
      case LoadKind::TraceSpeed:
        o.workload.trace = at_pace(*options_.simulation.workload.trace, load);
        break;
    }
    return o;
  }
  CapacityPoint at(double load, std::uint64_t seed) const {
    CapacityPoint out{.load = load, .report = simulate(model_, loaded(load, seed)).report};
    const Report& r = out.report;
    out.good_share =
        r.submitted == 0 ? 0 : static_cast<double>(r.good) / static_cast<double>(r.submitted);
    return out;
  }
  bool holds(const CapacityPoint& point) const { return point.good_share >= options_.share; }

  // Of all boxes.
  double lightest(std::uint64_t seed) const {
    if (options_.kind == LoadKind::Users) return 1;
    const auto boxes = static_cast<double>(options_.simulation.boxes);
    SimulateOptions one = options_.simulation;
    one.users = one.boxes = 1;
    one.workload.seed = seed;
    one.workload.think = 0;
    one.workload.requests = std::min<std::int64_t>(one.workload.requests, 20);
    if (options_.kind == LoadKind::TraceSpeed) {
      // So slow that no two requests meet.
      const double rate = simulate(model_, options_.simulation).report.e2e.mean.value();
      const Trace& trace = *options_.simulation.workload.trace;
      const double gap = to_seconds(trace.requests.back().arrival - TimePoint{}).value() /
                         static_cast<double>(std::max<std::size_t>(trace.requests.size(), 1));
      return kLightest * std::max(1e-6, gap / std::max(rate, 1e-9));
    }
    return kLightest * boxes / simulate(model_, one).report.e2e.mean.value();
  }

  // The largest load that holds, from one that does.
  double largest(double low, std::uint64_t seed) const {
    double high = low;
    do {
      low = high;
      high = std::min(2 * high, kLoadMax);
    } while (high > low && holds(at(high, seed)));
    const bool whole = options_.kind == LoadKind::Users;
    while (whole ? high - low > 1 : high - low > kTolerance * low) {
      const double middle = whole ? std::floor((low + high) / 2) : (low + high) / 2;
      (holds(at(middle, seed)) ? low : high) = middle;
    }
    return low;
  }

 private:
  const StepModel& model_;
  const CapacityOptions& options_;
};

std::string ms(Seconds s) { return human(s); }

}  // namespace

std::string_view load_unit(LoadKind kind) {
  return kind == LoadKind::Rate    ? "requests/s"
         : kind == LoadKind::Users ? "users"
                                   : "x the trace's pace";
}

Capacity capacity(const StepModel& model, const CapacityOptions& options,
                  const CapacityProgress& progress) {
  const Search search(model, options);
  const std::uint64_t seed = options.simulation.workload.seed;
  Capacity out{.boxes = options.simulation.boxes};
  std::vector<double> found;
  for (int i = 0; i < options.seeds; ++i) {
    if (progress)
      progress(format("{} boxes, seed {}", out.boxes, seed + static_cast<std::uint64_t>(i)));
    const std::uint64_t at = seed + static_cast<std::uint64_t>(i);
    const double light = search.lightest(at);
    CapacityPoint lightest = search.at(light, at);
    if (!search.holds(lightest)) {
      out.reachable = false;
      out.curve = {std::move(lightest)};
      return out;
    }
    found.push_back(search.largest(light, at));
  }
  out.load = quantile(found, 0.5);
  out.low = *std::ranges::min_element(found);
  out.high = *std::ranges::max_element(found);
  const SimulateOptions full = search.loaded(out.load, seed);
  out.margin = load_margin(model, full, simulate(model, full));
  double before = 0;
  for (const double share : kCurve) {
    double load = share * found.front();
    if (options.kind == LoadKind::Users) load = std::max(1.0, std::round(load));
    if (load <= before) continue;
    before = load;
    out.curve.push_back(search.at(load, seed));
  }
  return out;
}

std::int64_t boxes_needed(const StepModel& model, const CapacityOptions& options,
                          std::int64_t boxes_max, const CapacityProgress& progress) {
  const auto holds = [&](std::int64_t boxes) {
    CapacityOptions o = options;
    o.simulation.boxes = boxes;
    const Search search(model, o);
    const double load = o.kind == LoadKind::Rate    ? o.simulation.workload.rate
                        : o.kind == LoadKind::Users ? static_cast<double>(o.simulation.users)
                                                    : 1;
    if (progress) progress(format("{} boxes", boxes));
    for (int i = 0; i < o.seeds; ++i) {
      if (!search.holds(
              search.at(load, o.simulation.workload.seed + static_cast<std::uint64_t>(i))))
        return false;
    }
    return true;
  };
  std::int64_t low = 0, high = 1;
  while (high < boxes_max && !holds(high)) {
    low = high;
    high = std::min(2 * high, boxes_max);
  }
  if (high == boxes_max && !holds(high)) return 0;
  while (high - low > 1) {
    const std::int64_t middle = (low + high) / 2;
    (holds(middle) ? high : low) = middle;
  }
  return high;
}

std::string capacity_table(const CapacityOptions& options, const Capacity& c) {
  const std::string boxes = c.boxes == 1 ? "1 box" : format("{} boxes", c.boxes);
  const std::string margin = c.reachable ? load_margin_text(c.margin) : "";
  std::string out;
  if (!c.reachable) {
    out = format("{}: the promise cannot be kept: one request at a time already breaks it\n\n",
                 boxes);
  } else {
    out =
        format("{} {} {} {} with {} % of the requests within the SLO ({} to {} over {} seeds)\n\n",
               boxes, c.boxes == 1 ? "holds" : "hold", human_number(c.load),
               load_unit(options.kind), human_number(100 * options.share), human_number(c.low),
               human_number(c.high), options.seeds) +
        (margin.empty() ? margin : margin + "\n");
  }
  Table table({std::string(load_unit(options.kind)), "TTFT p50", "p99", "TPOT p50", "p99",
               "E2E p99", "output tok/s", "within SLO"});
  for (const CapacityPoint& p : c.curve) {
    const Report& r = p.report;
    table.add({human_number(p.load), ms(r.ttft.p50), ms(r.ttft.p99), ms(r.tpot.p50), ms(r.tpot.p99),
               ms(r.e2e.p99), human_number(r.output_rate.value()),
               format("{:.1f} %", 100 * p.good_share)});
  }
  return out + table.str();
}

nlohmann::ordered_json capacity_json(const CapacityOptions& options, const Capacity& c) {
  using Json = nlohmann::ordered_json;
  Json curve = Json::array();
  for (const CapacityPoint& p : c.curve) {
    Json point = {{"load", p.load}, {"good_share", p.good_share}};
    point.update(report_json(p.report));
    curve.push_back(std::move(point));
  }
  return {{"boxes", c.boxes},
          {"reachable", c.reachable},
          {"unit", load_unit(options.kind)},
          {"capacity", c.load},
          {"low", c.low},
          {"high", c.high},
          {"share", options.share},
          {"load_margin", load_margin_json(c.margin)},
          {"curve", std::move(curve)}};
}

std::string capacity_csv(const std::vector<Capacity>& capacities) {
  std::string out =
      "boxes,load,ttft_p50_s,ttft_p99_s,tpot_p50_s,tpot_p99_s,e2e_p99_s,output_tok_per_s,good_"
      "share\n";
  for (const Capacity& c : capacities) {
    for (const CapacityPoint& p : c.curve) {
      const Report& r = p.report;
      out += format("{},{},{},{},{},{},{},{},{}\n", c.boxes, p.load, r.ttft.p50.value(),
                    r.ttft.p99.value(), r.tpot.p50.value(), r.tpot.p99.value(), r.e2e.p99.value(),
                    r.output_rate.value(), p.good_share);
    }
  }
  return out;
}

TimeChart capacity_chart(const CapacityOptions& options, const std::vector<Capacity>& capacities,
                         const std::string& subtitle) {
  TimeChart chart{.title = "Latency against load", .subtitle = subtitle};
  chart.x_label = load_unit(options.kind);
  TimePanel ttft{.label = "TTFT p99, s", .from_zero = true},
      tpot{.label = "TPOT p99, ms", .from_zero = true},
      rate{.label = "output tokens/s", .from_zero = true};
  for (const Capacity& c : capacities) {
    TimeCurve curve{.name = c.boxes == 1 ? "1 box" : format("{} boxes", c.boxes)};
    TimeCurve a = curve, b = curve, d = curve;
    for (const CapacityPoint& p : c.curve) {
      a.points.emplace_back(p.load, p.report.ttft.p99.value());
      b.points.emplace_back(p.load, 1e3 * p.report.tpot.p99.value());
      d.points.emplace_back(p.load, p.report.output_rate.value());
    }
    ttft.curves.push_back(std::move(a));
    tpot.curves.push_back(std::move(b));
    rate.curves.push_back(std::move(d));
  }
  chart.panels = {ttft, tpot, rate};
  return chart;
}

}  // namespace tinderbox
