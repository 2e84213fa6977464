#include "cli/app_arguments.h"

namespace tinderbox::cli {
namespace {

void add_address(CLI::App& verb, TopOptions& o) {
  verb.add_option("--url", o.url, "Where `tinderbox serve` listens")->capture_default_str();
  verb.add_option("--key", o.key, "API key, if the box asks for one")->envname("TINDERBOX_KEY");
}

}  // namespace

void add_smi(CLI::App& app, Arguments& a) {
  auto* verb = app.add_subcommand("smi", "A running box as nvidia-smi on the modelled machine would show it");
  SmiOptions& o = a.smi;
  add_address(*verb, o.box);
  verb->add_option("--query-gpu", o.query, "Fields, as nvidia-smi names them, separated by commas")
      ->capture_default_str();
  verb->add_option("--format", o.format, "csv, and after commas noheader, nounits")->capture_default_str();
  verb->add_flag("-L,--list-gpus", o.list, "Name and UUID");
  verb->callback([&a] { a.action = [&a] { return cmd_smi(a.smi); }; });
}

void add_top(CLI::App& app, Arguments& a) {
  auto* verb = app.add_subcommand("top", "Watches a running box: power, heat, memory, models, requests");
  TopOptions& o = a.top;
  add_address(*verb, o);
  verb->add_option("--every", o.every_s, "Seconds between two looks")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  verb->add_flag("--once", o.once, "One look, as plain lines (always if stdout is no terminal)");
  verb->add_flag("--json", o.json, "The state as the box tells it, once");
  verb->callback([&a] { a.action = [&a] { return cmd_top(a.top); }; });
}

}  // namespace tinderbox::cli
