// The verbs about the body of a box: soak, faults; and the options of the room it stands in.
#include "cli/app_arguments.h"

namespace tinderbox::cli {

void add_surroundings(CLI::App& verb, SurroundingsOptions& o) {
  verb.add_option("--ambient", o.ambient, "Temperature of the room, as 25C")->capture_default_str();
  verb.add_option("--altitude", o.altitude, "Height above the sea in m: thinner air cools less")
      ->check(CLI::Range(-500.0, 9000.0))
      ->capture_default_str();
  verb.add_option("--clock-cap", o.clock_cap,
                  "Highest clock of the GPU, as `nvidia-smi -lgc` sets it: 2000MHz");
}

void add_body(CLI::App& verb, BodyOptionsCli& o) {
  verb.add_flag("--body", o.body, "Power, clocks and heat of the box take part (also with the options below)");
  add_surroundings(verb, o.surroundings);
  verb.add_option("--fault", o.faults,
                  "NAME, NAME@TIME, NAME@TIME+LENGTH or NAME~RATE/h: what goes wrong and when (see `tinderbox "
                  "faults`); may be repeated");
}

void add_soak(CLI::App& app, Arguments& a, const Context& context) {
  auto* verb = app.add_subcommand(
      "soak", "A box under load for minutes to days: temperatures, clocks, watts, speed, faults");
  SoakOptionsCli& o = a.soak;
  add_twin(*verb, o.twin, false);
  verb->add_option("--prompt", o.prompt, "Prompt tokens of each request")
      ->check(kTokens)
      ->capture_default_str();
  verb->add_option("--gen", o.gen, "Tokens that each generates")
      ->check(kTokens)
      ->capture_default_str();
  verb->add_option("--concurrency", o.concurrency, "Requests always in flight")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  verb->add_option("--watts", o.watts, "Instead of a model: GPU power as nvidia-smi shows it")
      ->check(CLI::Range(0.0, 200.0));
  verb->add_option("--log", o.log,
                   "Instead of a model: a CSV log with t_s, gpu_power_w, gpu_temp_c")
      ->check(CLI::ExistingFile);
  verb->add_option("--trace", o.trace,
                   "Of a model, instead of --concurrency: requests of this file as they came (as for `simulate`)")
      ->check(CLI::ExistingFile);
  verb->add_option("--rate", o.rate, "Of a model, instead of --concurrency: so many requests a second, at random")
      ->check(CLI::PositiveNumber);
  verb->add_option("--minutes", o.minutes, "How long")
      ->check(CLI::Range(1e-3, 1e6))
      ->capture_default_str();
  verb->add_option("--load-minutes", o.load_minutes,
                   "Load for so long, then idle (default: all the time)")
      ->check(CLI::Range(0.0, 1e6));
  verb->add_option("--every", o.every_s,
                   "Seconds between samples (default: 360 samples, at least 1 s apart)")
      ->check(CLI::Range(0.1, 1e6));
  add_surroundings(*verb, o.surroundings);
  verb->add_option("--stack-height", o.stack_height,
                   "Boxes on top of each other; the last is shown")
      ->check(CLI::Range(1, 16))
      ->capture_default_str();
  verb->add_option("--fault", o.faults,
                   "NAME, NAME@10min, NAME@10min+30s or NAME~2/h at random (see `tinderbox "
                   "faults`); may be repeated");
  verb->add_option("--seed", o.seed, "Of random faults: same seed, same bytes")
      ->capture_default_str();
  verb->add_option("--csv", o.csv,
                   "Write the samples to this file, in the columns of data/telemetry and more");
  verb->add_option("--svg", o.svg, "Write a chart to this file");
  verb->add_flag("--json", o.json, "One JSON document on stdout");
  verb->callback([&] { a.action = [&] { return cmd_soak(context, a.soak); }; });

  auto* faults = app.add_subcommand(
      "faults", "Lists what goes wrong with a machine, with signature and source");
  faults->add_option("--machine", a.faults.machine, "Machine id or .toml file")
      ->capture_default_str();
  faults->add_flag("--json", a.faults.json, "One JSON document on stdout");
  faults->callback([&] { a.action = [&] { return cmd_faults(context, a.faults); }; });
}

}  // namespace tinderbox::cli
