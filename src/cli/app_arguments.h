// What the parser of the command line fills, shared by the files that add verbs to it.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

#include "cli/commands.h"

namespace tinderbox::cli {

// Everything the parser fills; `action` is set by the verb that was given.
struct Arguments {
  CatalogueOptions catalogue;
  PredictOptions predict;
  CompareOptions compare;
  FitOptions fit;
  SoakOptionsCli soak;
  FaultsOptionsCli faults;
  SimulateOptionsCli simulate;
  SweepOptionsCli sweep;
  CapacityOptionsCli capacity;
  ValidateOptionsCli validate;
  CalibrateOptionsCli calibrate;
  CalibrateBodyOptionsCli calibrate_body;
  RunOptions run;
  BenchOptions bench;
  ProbeOptionsCli probe;
  ServeOptions serve;
  TopOptions top;
  KeysOptionsCli keys;
  SmiOptions smi;
  InspectOptions inspect;
  PagesOptions pages;
  PullOptions pull;
  std::function<int()> action;
};

// The number options must lie in; CLI11 names option and range in its message.
inline const CLI::Range kTokens(1, 1 << 24);
inline const CLI::Range kTokensOrNone(0, 1 << 24);

// 1 to 4096 streams, or "max".
inline const CLI::Validator kStreamsOrMax(
    [](std::string& text) -> std::string {
      if (text == "max") {
        text = std::to_string(kConcurrencyMax);
        return "";
      }
      return CLI::Range(1, 4096)(text).empty()
                 ? ""
                 : "expected 1 to 4096 streams or max; got '" + text + "'";
    },
    "1 to 4096, or max");

// Options that several verbs share.
void add_twin(CLI::App& verb, TwinOptions& twin, bool model_required);
void add_speculation(CLI::App& verb, TwinOptions& twin);
// --ambient, --altitude, --clock-cap.
void add_surroundings(CLI::App& verb, SurroundingsOptions& options);
// These, --body and --fault.
void add_body(CLI::App& verb, BodyOptionsCli& options);

// Every option that says what is simulated; not where its answer goes. A sweep file may set each.
void add_simulation(CLI::App& verb, SimulateOptionsCli& options);
// --sweep and the options that need it. sweep_of: as they were given; throws Error::Invalid naming an option of
// simulate that belongs into the sweep file.
void add_sweep(CLI::App& simulate, SweepOptionsCli& options);
SweepOptionsCli sweep_of(const CLI::App& simulate, const Arguments& a);
void add_simulate(CLI::App& app, Arguments& a, const Context& context);
void add_capacity(CLI::App& app, Arguments& a, const Context& context);
// soak and faults.
void add_soak(CLI::App& app, Arguments& a, const Context& context);

// Who may use the server: options of serve, and the verb keys.
void add_gate(CLI::App& verb, GateOptionsCli& options);
void add_keys(CLI::App& app, Arguments& a);

void add_pull(CLI::App& app, Arguments& a);
// completion and, hidden, man.
void add_pages(CLI::App& app, Arguments& a, const Context& context);

// The verbs that read published measurements: calibrate and validate.
void add_top(CLI::App& app, Arguments& a);
void add_smi(CLI::App& app, Arguments& a);

void add_calibrate(CLI::App& app, Arguments& a, const Context& context);
void add_validate(CLI::App& app, Arguments& a, const Context& context);

}  // namespace tinderbox::cli
