#include "cli/app_arguments.h"

namespace tinderbox::cli {

namespace {

void add_calibrate_body(CLI::App& calibrate, Arguments& a, const Context& context) {
  auto* verb = calibrate.add_subcommand(
      "body", "Fits [body.*] of a machine file: its heat to logs of boxes, its energies to published powers");
  CalibrateBodyOptionsCli& o = a.calibrate_body;
  verb->add_option("--machine", o.machine, "The machine whose file is fitted")->capture_default_str();
  verb->add_option("--telemetry", o.telemetry, "Folder of logs; its README has the columns")->capture_default_str();
  verb->add_option("--machines", o.machines, "Folder of the machine files")->capture_default_str();
  verb->add_option("--powers", o.powers, "CSV file with published powers")->capture_default_str();
  verb->add_flag("!--no-leave-out", o.leave_out, "Do not fit again without each source");
  verb->add_option("--out", o.out, "Write run,samples,room_c,rmse_k,left_out_rmse_k to this CSV file");
  verb->add_flag("--dry-run", o.dry_run, "Print the numbers and leave the file alone");
  verb->add_flag("--json", o.json, "One JSON document on stdout");
  verb->callback([&] { a.action = [&] { return cmd_calibrate_body(context, a.calibrate_body); }; });
}

}  // namespace

void add_calibrate(CLI::App& app, Arguments& a, const Context& context) {
  auto* verb = app.add_subcommand(
      "calibrate", "Fits the numbers of the stack files to published measurements");
  CalibrateOptionsCli& o = a.calibrate;
  verb->add_option("--measurements", o.measurements,
                   "CSV files (default: the built-in inference.csv, machines.csv, cluster.csv)");
  verb->add_option("--only", o.only, "Fit these stacks alone")->delimiter(',');
  verb->add_option("--stacks", o.stacks, "Folder of the stack files to write the numbers into")
      ->capture_default_str();
  verb->add_option("--speculation", o.speculation, "Likewise of the speculation files")
      ->capture_default_str();
  verb->add_option("--machines", o.machines, "Likewise of the machine files")
      ->capture_default_str();
  verb->add_option("--leave-out", o.leave_out,
                   "Cross-validate: leave each model, source or group out in turn")
      ->check(CLI::IsMember({"model", "source", "group", "nothing"}))
      ->capture_default_str();
  verb->add_option("--out", o.out,
                   "Write id,fitted,left_out to this CSV file: each row as the fit to all rows predicts "
                   "it, and as the one that has not seen its model, source or group does");
  verb->add_flag("--dry-run", o.dry_run, "Print the numbers and leave the files alone");
  verb->add_flag("--json", o.json, "One JSON document on stdout");
  verb->require_subcommand(0, 1);
  verb->callback([&, verb] {
    if (!verb->get_subcommands().empty()) return;
    a.action = [&] { return cmd_calibrate(context, a.calibrate); };
  });
  add_calibrate_body(*verb, a, context);
}

void add_validate(CLI::App& app, Arguments& a, const Context& context) {
  auto* verb = app.add_subcommand(
      "validate", "Predicts every row of a measurement file and reports coverage and errors");
  ValidateOptionsCli& o = a.validate;
  verb->add_option("--measurements", o.measurements,
                   "CSV files (default: the built-in inference.csv)");
  verb->add_option("--by", o.by, "Columns to slice the errors by")
      ->delimiter(',')
      ->capture_default_str();
  verb->add_option("--out", o.out, "Write id,predicted,low,high,ape,reason to this CSV file");
  verb->add_flag("--json", o.json, "One JSON document on stdout");
  verb->add_option("--document", o.document,
                   "Of this checkout: cross-validate, then write VALIDATION.md, docs/validation/*.svg and "
                   "the README's table of predictions")
      ->excludes("--measurements")
      ->excludes("--out")
      ->excludes("--json");
  verb->callback([&] { a.action = [&] { return cmd_validate(context, a.validate); }; });
}

}  // namespace tinderbox::cli
