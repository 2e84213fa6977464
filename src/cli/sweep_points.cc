#include "cli/sweep_points.h"

#include <algorithm>
#include <optional>
#include <set>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "box/lengths.h"
#include "box/load_margin.h"
#include "box/router.h"
#include "cli/app_arguments.h"
#include "cli/output.h"
#include "sched/policy.h"

namespace tinderbox::cli {
namespace {

constexpr std::size_t kModelsKept = 8, kTracesKept = 2;

// A switch, which takes no value on the command line.
bool is_switch(const CLI::Option& option) { return option.get_items_expected_max() == 0; }

std::string argument_of(const std::string& key, const std::string& text) {
  return format("--{}={}", key, text);
}

// A word of a POSIX shell.
std::string shell_word(const std::string& text) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-+=./:,@%~").find(c) != std::string_view::npos;
  };
  if (!text.empty() && text[0] != '~' && std::ranges::all_of(text, plain)) return text;
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

// Whatever a value names must exist. Each name is looked up once.
class Names {
 public:
  explicit Names(const Context& context) : context_(context) {}

  // Throws Error naming what does not exist or is no such thing.
  void check(const SimulateOptionsCli& o) {
    once("model " + o.twin.model, [&] { find_model(context_, o.twin.model); });
    once("machine " + o.twin.machine, [&] { find_machine(context_, o.twin.machine); });
    if (!o.twin.stack.empty())
      once("stack " + o.twin.stack, [&] { find_stack(context_, o.twin.stack); });
    once("router " + o.router, [&] { parse_router(o.router, "--router"); });
    if (!o.decode_machine.empty())
      once("machine " + o.decode_machine, [&] { find_machine(context_, o.decode_machine); });
    if (o.policy) once("policy " + *o.policy, [&] { policy_named(*o.policy, "--policy"); });
    once("prompt " + o.prompt, [&] { parse_lengths(o.prompt, "--prompt"); });
    once("gen " + o.gen, [&] { parse_lengths(o.gen, "--gen"); });
    if (o.trace.empty()) return;
    once(format("trace {} {} {}", o.trace, o.speed, o.strict), [&] {
      const Trace trace = load_trace(o.trace, {.strict = o.strict, .speed = o.speed});
      for (const std::string& note : trace.notes) log("tinderbox: " + note);
    });
  }

 private:
  template <typename F>
  void once(const std::string& what, const F& look_up) {
    if (!seen_.insert(what).second) return;
    look_up();
  }

  const Context& context_;
  std::set<std::string> seen_;
};

class Checker {
 public:
  Checker(const Context& context, const Sweep& sweep, SettingsParser& parser)
      : sweep_(sweep), parser_(parser), names_(context), settings_(settings_of(sweep, 0)) {}

  void check() {
    for (const SweepAxis& axis : sweep_.grid) set(axis.key, axis.values.front());
    check_all(0);
    for (const SweepAxis& axis : sweep_.grid) try_all(axis.key, axis.line, axis.values);
    for (const SweepDraw& draw : sweep_.random) {
      if (!draw.choices.empty()) {
        try_all(draw.key, draw.line, draw.choices);
        continue;
      }
      try_all(draw.key, draw.line, {{format("{}", draw.low)}, {format("{}", draw.high)}});
    }
  }

 private:
  SweepValue& value_of(const std::string& key) {
    return std::ranges::find(settings_, key, &SweepSetting::key)->value;
  }
  void set(const std::string& key, const SweepValue& value) { value_of(key) = value; }

  void try_all(const std::string& key, int line, const std::vector<SweepValue>& values) {
    const SweepValue usual = value_of(key);
    for (const SweepValue& value : values) {
      set(key, value);
      check_all(line);
    }
    set(key, usual);
  }

  // line: of what was just set; 0: find it.
  void check_all(int line) {
    try {
      names_.check(parser_.parse(settings_));
    } catch (const Error& error) {
      throw Error(error.code(), format("{}: {}", where(line, error.what()), error.what()));
    }
  }

  // A message names the option first of all, or what does not exist.
  std::string where(int line, std::string_view message) const {
    for (const SweepSetting& setting : settings_) {
      if (line != 0) break;
      const std::string option = "--" + setting.key;
      const bool first = message.starts_with(option) &&
                         message.substr(option.size(), 1).find_first_not_of(": =") != 0;
      const bool named = std::ranges::any_of(setting.value, [&](const std::string& text) {
        return text.size() > 3 && message.find(text) != std::string_view::npos;
      });
      if (first || named) line = setting.line;
    }
    return line == 0 ? sweep_.name : format("{}:{}", sweep_.name, line);
  }

  const Sweep& sweep_;
  SettingsParser& parser_;
  Names names_;
  std::vector<SweepSetting> settings_;
};

// Moves what the key stands for to the end, made first if it is not there.
template <typename Kept, typename Key, typename Make>
const auto& keep(Kept& kept, const Key& key, std::size_t n_kept, const Make& make) {
  const auto found =
      std::ranges::find_if(kept, [&](const auto& entry) { return entry.first == key; });
  if (found != kept.end()) {
    std::rotate(found, found + 1, kept.end());
    return kept.back().second;
  }
  auto made = make();
  if (kept.size() == n_kept) kept.erase(kept.begin());
  kept.emplace_back(key, std::move(made));
  return kept.back().second;
}

}  // namespace

SettingsParser::SettingsParser() {
  app_.set_help_flag();
  add_simulation(app_, options_);
  app_.remove_option(app_.get_option("--threads"));  // points run side by side, each on one
}

std::vector<std::string> SettingsParser::keys() const {
  std::vector<std::string> keys;
  for (const CLI::Option* option : app_.get_options()) keys.push_back(option->get_lnames().at(0));
  return keys;
}

SimulateOptionsCli SettingsParser::parse(const std::vector<SweepSetting>& settings) {
  options_ = {};
  std::vector<std::string> arguments;
  for (const SweepSetting& s : settings) {
    const bool off = is_switch(*app_.get_option("--" + s.key)) && s.value == SweepValue{"false"};
    for (const std::string& text : s.value) {
      if (!off) arguments.push_back(argument_of(s.key, text));
    }
  }
  std::ranges::reverse(arguments);  // as the library wants them
  try {
    app_.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    throw_invalid(error.what());
  }
  return options_;
}

Sweep read_sweep(const Context& context, const std::string& text, const std::string& name) {
  SettingsParser parser;
  Sweep sweep = parse_sweep(text, name, parser.keys());
  Checker(context, sweep, parser).check();
  return sweep;
}

std::string command_of(const std::vector<SweepSetting>& settings) {
  std::string out = "tinderbox simulate";
  for (const SweepSetting& s : settings) {
    for (const std::string& text : s.value) {
      if (text == "false") continue;  // of a switch: nothing else may be false
      out += text == "true" ? format(" --{}", s.key) : format(" --{} {}", s.key, shell_word(text));
    }
  }
  return out;
}

const StepModel& PointRunner::model_of(const TwinOptions& options) {
  return *keep(models_, options, kModelsKept, [&] {
    auto model = std::make_unique<StepModel>(make_twin(context_, options));
    require_one_replica(model->twin());
    return model;
  });
}

std::shared_ptr<const Trace> PointRunner::trace_of(const SimulateOptionsCli& o) {
  if (o.trace.empty()) return {};
  const TraceKey key{.path = o.trace, .speed = o.speed, .strict = o.strict};
  return keep(traces_, key, kTracesKept, [&] {
    return std::make_shared<const Trace>(
        load_trace(o.trace, {.strict = o.strict, .speed = o.speed}));
  });
}

SweepRow PointRunner::run(std::int64_t point) {
  SweepRow row{.point = point};
  try {
    const SimulateOptionsCli options = parser_.parse(settings_of(sweep_, point));
    const StepModel& model = model_of(options.twin);
    SimulateOptions simulation = simulation_of(model, options, trace_of(options));
    simulation.n_threads = 1;
    std::optional<StepModel> decode_model;
    simulation.disaggregation = disaggregation_of(context_, options, decode_model);
    const SimulationResult result = simulate(model, simulation);
    nlohmann::ordered_json document = simulation_document(model.twin(), options, result);
    document["load_margin"] = load_margin_json(load_margin(model, simulation, result));
    row.report = document.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  } catch (const Error& error) {
    row.error = error.what();
  }
  return row;
}

}  // namespace tinderbox::cli
