#include <fstream>

#include "base/csv.h"
#include "base/error.h"
#include "base/text.h"
#include "box/validate.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace tinderbox::cli {

namespace {

void write_file(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  if (!out.flush())
    throw_invalid(format("{}: cannot write; check the folder and its rights", path));
}

void report_one(const Context& context, const ValidateOptionsCli& options, const Csv& rows,
                const std::string& title) {
  const ValidationReport report =
      validate(rows, {context.machines, context.stacks, context.models, &context.trainers,
                 &context.speculation}, options.by);
  print(options.json ? validation_json(report) + "\n" : validation_table(report));
  if (!options.out.empty()) write_file(options.out, validation_csv(report));
  if (!options.report.empty()) write_file(options.report, validation_markdown(report, title));
}

}  // namespace

int cmd_validate(const Context& context, const ValidateOptionsCli& options) {
  if (options.measurements.size() > 1 &&
      (options.json || !options.out.empty() || !options.report.empty())) {
    throw_invalid(
        "--json, --out and --report take one measurement file; run validate once for each");
  }
  if (options.measurements.empty()) {
    report_one(context, options, Csv::parse(context.measurements, "inference.csv"),
               "data/measurements/inference.csv");
  }
  for (const std::string& path : options.measurements)
    report_one(context, options, Csv::load(path), path);
  return 0;
}

}  // namespace tinderbox::cli
