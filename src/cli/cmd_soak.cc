#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <memory>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "box/soak.h"
#include "box/soak_traffic.h"
#include "box/telemetry.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace tinderbox::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr double kSamples = 360;

const BodyFacts& body_of(const Machine& machine) {
  if (machine.body) return *machine.body;
  throw_unsupported(
      format("{} has no [body.*]: its power and heat are not known; dgx-spark's are", machine.id));
}

// What runs and how fast it is at the clocks of the machine file.
struct Plan {
  Machine machine;
  std::string what;
  std::vector<SoakPhase> phases;
  std::optional<Prediction> prediction{};
  std::int64_t boxes = 1;
  std::unique_ptr<StepModel> model{};       // of traffic
  std::optional<WorkloadOptions> traffic{};  // in place of phases
};

Duration minutes_of(double minutes) { return to_duration(Seconds(60 * minutes)); }

WorkloadOptions traffic_of(const SoakOptionsCli& o) {
  WorkloadOptions workload{.prompt = o.prompt, .gen = o.gen, .seed = o.seed};
  if (o.rate) {
    workload.rate = *o.rate;
    // More of them than come in that time, so that the last ones are left out.
    const double mean = *o.rate * 60 * o.minutes, n = mean + 10 * std::sqrt(mean) + 10;
    if (n > static_cast<double>(kRequestsMax)) {
      throw_invalid(format("soak: {:g} requests/s for {:g} minutes are more than {} requests; choose less of one",
                           *o.rate, o.minutes, kRequestsMax));
    }
    workload.requests = static_cast<std::int64_t>(n);
    return workload;
  }
  workload.trace = read_trace(o.trace, {});
  return workload;
}

void plan_traffic(const Context& context, const SoakOptionsCli& o, Plan& plan) {
  if (o.twin.model.empty()) throw_invalid("soak: --trace and --rate are of a model's requests; name one with --model");
  if (!o.trace.empty() && o.rate) throw_invalid("soak: expected one of --trace, --rate; got both");
  if (o.load_minutes || o.stack_height != 1 || o.concurrency != 1) {
    throw_invalid("soak: --load-minutes, --stack-height and --concurrency are of a load, not of --trace or --rate; "
                  "leave them out");
  }
  plan.model = std::make_unique<StepModel>(make_twin(context, o.twin));
  const TwinModel& twin = plan.model->twin();
  plan.machine = twin.machine;
  plan.boxes = twin.parallel.boxes();
  plan.traffic = traffic_of(o);
  plan.what = format("{} in {} by {}, {}", twin.model.id, twin.weights.name, twin.stack.name,
                     o.rate ? format("{:g} requests/s of {} + {} tokens", *o.rate, o.prompt, o.gen)
                            : format("the requests of {}", std::filesystem::path(o.trace).filename().string()));
  plan.phases.push_back({.lasts = minutes_of(o.minutes)});
}

Plan plan_of(const Context& context, const SoakOptionsCli& o) {
  const int given = !o.twin.model.empty() + o.watts.has_value() + !o.log.empty();
  if (given > 1) throw_invalid("soak: expected one of --model, --watts, --log; got several");
  Plan plan{.machine = find_machine(context, o.twin.machine), .what = "idle", .phases = {}};
  if (!o.trace.empty() || o.rate) {
    plan_traffic(context, o, plan);
    return plan;
  }
  const Duration total = minutes_of(o.minutes);
  const Duration loaded = o.load_minutes ? std::min(total, minutes_of(*o.load_minutes)) : total;
  if (!o.log.empty()) {
    const auto runs =
        parse_telemetry(read_file(o.log), std::filesystem::path(o.log).filename().string());
    if (!runs.front().has_power())
      throw_invalid(format("{}: expected gpu_power_w to soak with", o.log));
    plan.what = runs.front().name;
    for (std::size_t i = 1; i < runs.front().samples.size(); ++i) {
      const TelemetrySample &a = runs.front().samples[i - 1], &b = runs.front().samples[i];
      plan.phases.push_back({.lasts = to_duration(Seconds(b.seconds - a.seconds)), .smi = a.smi});
      plan.phases.back().load.link_up = runs.front().link_up;
    }
    return plan;
  }
  SoakPhase phase{.lasts = loaded};
  if (o.watts) {
    plan.what = format("{:g} W of GPU as nvidia-smi shows it", *o.watts);
    phase.smi = Watts(*o.watts);
  } else if (!o.twin.model.empty()) {
    const StepModel model(make_twin(context, o.twin));
    plan.machine = model.twin().machine;
    const Point point{.prompt = o.prompt, .gen = o.gen, .concurrency = o.concurrency};
    plan.prediction = predict(model, point, true);
    plan.boxes = model.twin().parallel.boxes();
    phase.load = mixed(phase_loads(model, point, *plan.prediction));
    plan.what =
        format("{} in {} by {}, prompt {}, gen {}, concurrency {}", model.twin().model.id,
               model.twin().weights.name, model.twin().stack.name, o.prompt, o.gen, o.concurrency);
  }
  plan.phases.push_back(phase);
  if (loaded < total) plan.phases.push_back({.lasts = total - loaded});
  return plan;
}

// What came of it.
struct Outcome {
  SoakReport soak;
  std::optional<Report> traffic{};
  std::int64_t unanswered = 0;  // of the traffic
};

double tokens_of(const SoakOptionsCli& o, const Plan& plan, const Outcome& outcome, double work) {
  if (outcome.traffic) return static_cast<double>(outcome.traffic->output_tokens);
  if (!plan.prediction) return 0;
  return work / plan.prediction->total.value() * static_cast<double>(o.gen * o.concurrency);
}

// Seconds of work under load: idle time works off nothing.
double loaded_work(const SoakReport& report) {
  return report.work - report.limited[static_cast<std::size_t>(ClockLimit::Idle)];
}

Json to_json(const BodyFacts& body, const SoakReport& report) {
  Json samples = Json::array(), events = Json::array(), limited = Json::object();
  for (const SoakSample& s : report.samples) {
    Json nodes = Json::object(), rails = Json::object(), zones = Json::array();
    for (std::size_t i = 0; i < body.nodes.size(); ++i)
      nodes[body.nodes[i].name] = s.nodes[i].degrees();
    for (int i = 0; i < kRails; ++i) {
      rails[std::string(rail_name(static_cast<Rail>(i)))] =
          s.rails[static_cast<std::size_t>(i)].value();
    }
    for (const Celsius zone : s.sensors.zones) zones.push_back(zone.degrees());
    samples.push_back({{"t_s", since_start(s.time).value()},
                       {"clock_hz", s.sensors.sm_clock.value()},
                       {"speed", s.speed},
                       {"limit", clock_limit_name(s.limit)},
                       {"fan_share", s.sensors.fan},
                       {"nodes_c", std::move(nodes)},
                       {"zones_c", std::move(zones)},
                       {"air_c", s.air.degrees()},
                       {"inlet_c", s.inlet.degrees()},
                       {"rails_w", std::move(rails)},
                       {"smi_w", s.sensors.gpu_power.value()},
                       {"module_w", module_power(s.rails).value()},
                       {"dc_w", dc_power(s.rails).value()},
                       {"wall_w", s.sensors.wall.value()}});
  }
  for (const SoakEvent& event : report.events) {
    events.push_back({{"t_s", since_start(event.time).value()}, {"what", event.what}});
  }
  for (int i = 0; i < kClockLimits; ++i) {
    limited[std::string(clock_limit_name(static_cast<ClockLimit>(i))) + "_s"] =
        report.limited[static_cast<std::size_t>(i)];
  }
  return {{"total_s", to_seconds(report.total).value()},
          {"energy_j", report.joules},
          {"wall_energy_j", report.wall_joules},
          {"work_s", report.work},
          {"tripped", report.tripped},
          {"gpu_max_c", report.gpu_max.degrees()},
          {"zone_max_c", report.zone_max.degrees()},
          {"limited", std::move(limited)},
          {"events", std::move(events)},
          {"samples", std::move(samples)}};
}

std::string sample_table(const SoakReport& report) {
  Table table({"time", "GPU", "zone", "CPU", "NIC", "drive", "air out", "clock", "GPU W", "module",
               "wall", "fan", "speed", "clock limit"},
              "rrrrrrrrrrrrrl");
  constexpr std::size_t kRows = 12;
  const std::size_t n = report.samples.size();
  const std::size_t step = std::max<std::size_t>(1, (n - 1) / kRows);
  for (std::size_t i = 0; i < n; i += step) {
    const SoakSample& s = report.samples[i];
    const auto degrees = [](Celsius c) { return format("{:.1f} °C", c.degrees()); };
    const auto watts = [](Watts w) { return format("{:.1f} W", w.value()); };
    table.add({human(since_start(s.time)), degrees(s.sensors.gpu_temperature),
               degrees(*std::ranges::max_element(s.sensors.zones)), degrees(s.sensors.cpu),
               degrees(s.sensors.network), degrees(s.sensors.drive), degrees(s.air),
               format("{:.0f} MHz", s.sensors.sm_clock.value() * 1e-6), watts(s.sensors.gpu_power),
               watts(module_power(s.rails)), watts(s.sensors.wall),
               format("{:.0f} %", 100 * s.sensors.fan), format("{:.1f} %", 100 * s.speed),
               std::string(clock_limit_name(s.limit))});
  }
  return table.str();
}

std::string traffic_text(const Report& r, std::int64_t unanswered) {
  return format("{} requests came, {} finished{}; TTFT p50 {}, p99 {}; TPOT p50 {}, p99 {}\n", r.submitted, r.finished,
                unanswered > 0 ? format(", {} were under way at the end", unanswered) : "", human(r.ttft.p50),
                human(r.ttft.p99), human(r.tpot.p50), human(r.tpot.p99));
}

std::string report_text(const SoakOptionsCli& o, const Plan& plan, const Outcome& outcome) {
  const SoakReport& report = outcome.soak;
  std::string out = format(
      "{}: {}\n{} in a room of {:g} °C{}{}\n\n", plan.machine.name, plan.what,
      human(to_seconds(report.total)), surroundings_of(o.surroundings).room.degrees(),
      o.stack_height > 1 ? format(", the last of {} boxes", o.stack_height) : "",
      o.surroundings.clock_cap.empty() ? "" : ", clock capped at " + o.surroundings.clock_cap);
  out += sample_table(report);
  out += format(
      "\nhighest GPU {:.1f} °C, highest zone {:.1f} °C; energy {:.1f} Wh behind the adapter, "
      "{:.1f} Wh at "
      "the wall (mean {:.1f} W)\n",
      report.gpu_max.degrees(), report.zone_max.degrees(), report.joules / 3600,
      report.wall_joules / 3600, report.wall_joules / to_seconds(report.total).value());
  if (outcome.traffic) out += traffic_text(*outcome.traffic, outcome.unanswered);
  if (const double tokens = tokens_of(o, plan, outcome, loaded_work(report)); tokens > 0) {
    out += format("{} output tokens, {:.3g} J a token at the wall{}\n", human_number(tokens),
                  report.wall_joules * static_cast<double>(plan.boxes) / tokens,
                  plan.boxes > 1 ? format(" of {} boxes", plan.boxes) : "");
  }
  std::string held;
  for (const ClockLimit limit : {ClockLimit::UserCap, ClockLimit::Power, ClockLimit::Heat,
                                 ClockLimit::Fault, ClockLimit::Off}) {
    const double s = report.limited[static_cast<std::size_t>(limit)];
    if (s > 0)
      held +=
          format("{}{} {}", held.empty() ? "" : ", ", clock_limit_name(limit), human(Seconds(s)));
  }
  out += format("clock held down by: {}\n", held.empty() ? "nothing" : held);
  for (const SoakEvent& event : report.events)
    out += format("  {:>9}  {}\n", human(since_start(event.time)), event.what);
  return out;
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  if (!out.flush())
    throw_invalid(format("{}: cannot write; check the folder and its rights", path));
}

}  // namespace

Surroundings surroundings_of(const SurroundingsOptions& options) {
  const Surroundings out{.room = parse_celsius(options.ambient, "--ambient"),
                         .altitude = options.altitude};
  check_surroundings(out);
  return out;
}

std::optional<Hertz> clock_cap_of(const SurroundingsOptions& options) {
  if (options.clock_cap.empty()) return std::nullopt;
  return parse_hertz(options.clock_cap, "--clock-cap");
}

std::optional<BodyOptions> body_options_of(const BodyOptionsCli& o, const Machine& machine, Duration total,
                                           std::uint64_t seed) {
  BodyOptions out{.surroundings = surroundings_of(o.surroundings),
                  .clock_cap = clock_cap_of(o.surroundings),
                  .faults = plan_faults(o.faults, machine, total, seed)};
  for (FaultEvent& event : out.faults) {
    if (event.end == TimePoint(total)) event.end = TimePoint::max();
  }
  const SurroundingsOptions usual;
  const bool asked = o.body || !o.faults.empty() || out.clock_cap || o.surroundings.ambient != usual.ambient ||
                     o.surroundings.altitude != usual.altitude;
  if (!asked) return std::nullopt;
  body_of(machine);
  return out;
}

namespace {

Outcome run_plan(const SoakOptionsCli& options, const Plan& plan, const BodyFacts& body) {
  Duration total{};
  for (const SoakPhase& phase : plan.phases) total += phase.lasts;
  const Duration every =
      to_duration(Seconds(options.every_s.value_or(std::max(1.0, to_seconds(total).value() / kSamples))));
  Progress progress("soak");
  const auto told = [&](double share) { progress.at(static_cast<std::int64_t>(1000 * share), 1000); };
  const std::vector<FaultEvent> faults = plan_faults(options.faults, plan.machine, total, options.seed);
  if (!plan.traffic) {
    return {.soak = soak(body, plan.phases,
                         {.surroundings = surroundings_of(options.surroundings),
                          .clock_cap = clock_cap_of(options.surroundings),
                          .every = every,
                          .faults = faults,
                          .stack_height = options.stack_height},
                         told)};
  }
  SimulateOptions simulation{.workload = *plan.traffic};
  simulation.body = BodyOptions{.surroundings = surroundings_of(options.surroundings),
                                .clock_cap = clock_cap_of(options.surroundings),
                                .faults = faults};
  TrafficSoak traffic = soak_traffic(*plan.model, simulation, total, every, told);
  return {.soak = std::move(traffic.soak), .traffic = traffic.traffic, .unanswered = traffic.unanswered};
}

}  // namespace

int cmd_soak(const Context& context, const SoakOptionsCli& options) {
  const Plan plan = plan_of(context, options);
  const BodyFacts& body = body_of(plan.machine);
  const Outcome outcome = run_plan(options, plan, body);
  const SoakReport& report = outcome.soak;
  if (!options.csv.empty()) write_file(options.csv, soak_csv(body, report));
  if (!options.svg.empty()) {
    const std::string room =
        format("{:g} °C", surroundings_of(options.surroundings).room.degrees());
    write_file(options.svg,
               time_chart_svg(soak_chart(body, report, plan.machine.name + " in a room of " + room,
                                         plan.what)));
  }
  if (options.json) {
    Json out = {{"machine", plan.machine.id}, {"load", plan.what}};
    out.update(to_json(body, report));
    if (plan.prediction) out["output_tokens"] = tokens_of(options, plan, outcome, loaded_work(report));
    if (outcome.traffic) {
      out["traffic"] = report_json(*outcome.traffic);
      out["unanswered"] = outcome.unanswered;
    }
    print_json(out);
  } else {
    print(report_text(options, plan, outcome));
  }
  return report.tripped ? 1 : 0;
}

int cmd_faults(const Context& context, const FaultsOptionsCli& options) {
  const Machine machine = find_machine(context, options.machine);
  const std::vector<Fault> faults = faults_of(machine);
  if (options.json) {
    Json out = Json::array();
    for (const Fault& f : faults) {
      Json entry = {{"name", f.name}, {"what", f.what}, {"ends", f.ends}, {"sources", f.sources}};
      if (f.lasts > Duration(0)) entry["lasts_s"] = to_seconds(f.lasts).value();
      if (!f.link.empty()) entry["link"] = f.link;
      out.push_back(std::move(entry));
    }
    print_json(out);
    return 0;
  }
  if (faults.empty()) {
    print(format("{} documents no faults\n", machine.name));
    return 0;
  }
  print(
      format("What goes wrong with a {}. Inject with `soak --fault NAME@10min`.\n", machine.name));
  for (const Fault& f : faults) {
    print(format(
        "\n{}\n  {}\n  ends {}\n{}  sources: {}\n", f.name, f.what, f.ends,
        f.link.empty() ? "" : format("  a state of the link between boxes: --link {}\n", f.link),
        f.sources));
  }
  return 0;
}

}  // namespace tinderbox::cli
