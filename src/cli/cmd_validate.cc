#include <filesystem>
#include <fstream>

#include "base/csv.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "box/markdown.h"
#include "box/own_engine.h"
#include "box/validate.h"
#include "box/validation_document.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace tinderbox::cli {

namespace {

namespace fs = std::filesystem;

// Well-known figures of three publishers, beside which the README shows what is predicted.
const std::vector<std::string> kShown = {"nvblog-gptoss-120b-pp", "ggml-b7941-gpt-oss-20b-gguf-tg32-d0",
                                         "lmsys-llama31-8b-b1-tg"};
// What is validated, and whether calibrate fits it unless told otherwise.
constexpr std::pair<const char*, bool> kFiles[] = {
    {"inference.csv", true}, {"cluster.csv", true}, {"machines.csv", true}, {"memory.csv", false}};
constexpr std::string_view kReadmeSection = "predictions";

void write_file(const fs::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  if (!out.flush())
    throw_invalid(format("{}: cannot write; check the folder and its rights", path.string()));
}

void report_one(const TwinCatalogues& catalogues, const ValidateOptionsCli& options, const Csv& rows) {
  const ValidationReport report = validate(rows, catalogues, options.by);
  print(options.json ? validation_json(report) + "\n" : validation_table(report));
  if (!options.out.empty()) write_file(options.out, validation_csv(report));
}

void write_document(const TwinCatalogues& catalogues, const fs::path& root) {
  std::vector<MeasurementFile> files;
  for (const auto& [name, fitted] : kFiles)
    files.push_back({name, Csv::load(root / "data/measurements" / name), fitted});
  const fs::path diagnoses = root / "data/validation/diagnoses.toml";
  DocumentOptions options{.diagnoses = parse_diagnoses(read_file(diagnoses), diagnoses.string())};
  const fs::path own_engine = root / "data/own-engine.csv";  // of `./dev bench twin --write`
  if (fs::exists(own_engine)) options.own_engine = own_engine_markdown(read_own_engine(Csv::load(own_engine)));
  const fs::path readme = root / "README.md";
  std::string readme_text = read_file(readme);
  // Before the minutes of work: the lines must be there.
  readme_text = with_section(readme_text, kReadmeSection, "", readme.string());

  const Validation validation = validate_all(std::move(files), catalogues, [](const std::string& what) {
    log("validate: " + what);
  });
  const fs::path folder = root / options.plot_folder;
  fs::create_directories(folder);
  for (const PlotFile& plot : validation_plots(validation)) write_file(folder / plot.name, plot.svg);
  write_file(root / "VALIDATION.md", validation_document(validation, catalogues, options));
  const std::string table = predictions_beside_measurements(validation, kShown);
  write_file(readme, with_section(readme_text, kReadmeSection, table, readme.string()));
}

}  // namespace

int cmd_validate(const Context& context, const ValidateOptionsCli& options) {
  const TwinCatalogues catalogues{context.machines, context.stacks, context.models,
                                  &context.trainers, &context.speculation};
  if (!options.document.empty()) {
    write_document(catalogues, options.document);
    return 0;
  }
  if (options.measurements.size() > 1 && (options.json || !options.out.empty())) {
    throw_invalid("--json and --out take one measurement file; run validate once for each");
  }
  if (options.measurements.empty())
    report_one(catalogues, options, Csv::parse(context.measurements, "inference.csv"));
  for (const std::string& path : options.measurements)
    report_one(catalogues, options, Csv::load(path));
  return 0;
}

}  // namespace tinderbox::cli
