#include "cli/app_arguments.h"

namespace tinderbox::cli {

void add_top(CLI::App& app, Arguments& a) {
  auto* verb = app.add_subcommand("top", "Watches a running box: power, heat, memory, models, requests");
  TopOptions& o = a.top;
  verb->add_option("--url", o.url, "Where `tinderbox serve` listens")->capture_default_str();
  verb->add_option("--key", o.key, "API key, if the box asks for one")->envname("TINDERBOX_KEY");
  verb->add_option("--every", o.every_s, "Seconds between two looks")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  verb->add_flag("--once", o.once, "One look, as plain lines (always if stdout is no terminal)");
  verb->add_flag("--json", o.json, "The state as the box tells it, once");
  verb->callback([&a] { a.action = [&a] { return cmd_top(a.top); }; });
}

}  // namespace tinderbox::cli
