#include "base/error.h"
#include "base/text.h"
#include "cli/app_arguments.h"

namespace tinderbox::cli {

void add_sweep(CLI::App& simulate, SweepOptionsCli& o) {
  auto* sweep = simulate.add_option(
      "--sweep", o.file,
      "Instead: every point of this TOML file, on all processors, into one SQLite file. [base] "
      "holds options that all "
      "share (rate = 2), [grid] lists (rate = [1, 2, 4]), [random] ranges ({ low = 1, high = 8, "
      "log = true }) with "
      "points = N, [design] seeds = N. A run that was ended goes on where it was");
  simulate.add_option("--results", o.results, "The SQLite file (default: the sweep's name, here)")
      ->needs(sweep);
  simulate
      .add_option("--csv", o.csv,
                  "Write the results here, a row a point, without the whole reports")
      ->needs(sweep);
  auto* shard = simulate
                    .add_option("--shard", o.shard,
                                "Only part I of N, into a file of its own: 1/8 to 8/8; slurm: as "
                                "the environment of a "
                                "job array or of srun says")
                    ->needs(sweep);
  simulate
      .add_option("--merge", o.merge,
                  "Run nothing: take in the results of these files, as of the shards")
      ->needs(sweep)
      ->excludes(shard);
}

SweepOptionsCli sweep_of(const CLI::App& simulate, const Arguments& a) {
  for (const CLI::Option* option : simulate.get_options()) {
    if (option->count() == 0) continue;
    const std::string name =
        option->get_lnames().empty() ? option->get_name() : option->get_lnames()[0];
    constexpr std::string_view kAlso[] = {"sweep", "results", "csv", "shard",
                                          "merge", "threads", "json"};
    if (std::ranges::find(kAlso, name) != std::end(kAlso)) continue;
    throw_invalid(
        format("--{}: with --sweep the file says it, in [base] or where it varies", name));
  }
  SweepOptionsCli o = a.sweep;
  o.threads = a.simulate.threads;
  o.json = a.simulate.json;
  return o;
}

}  // namespace tinderbox::cli
