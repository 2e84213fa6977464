#include <filesystem>
#include <fstream>

#include "base/csv.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "box/markdown.h"
#include "box/own_engine.h"
#include "box/telemetry.h"
#include "box/validate.h"
#include "box/validation_body.h"
#include "box/validation_document.h"
#include "box/validation_serving.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "twin/load.h"

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

constexpr std::string_view kBodyMachine = "dgx-spark", kBodyFolder = "docs/body";
// A load at the power limit, for the chart of an hour of serving.
constexpr std::int64_t kHourPrompt = 25'000, kHourGen = 256, kHourStreams = 20;

std::string hour_of_serving(const Context& context, const BodyFacts& body) {
  TwinOptions options;
  options.model = "qwen3.6-27b";
  options.weights = "bf16";
  options.stack = "vllm";
  const StepModel model(make_twin(context, options));
  const Point point{.prompt = kHourPrompt, .gen = kHourGen, .concurrency = kHourStreams};
  const Prediction prediction = predict(model, point, true);
  const double tokens = static_cast<double>((point.prompt + point.gen) * point.concurrency);
  return time_chart_svg(rooms_chart(body, mixed(phase_loads(model, point, prediction)),
                                    tokens / prediction.total.value(),
                                    format("{} in bf16 by vLLM, {} streams of {} prompt and {} answer tokens; all "
                                           "tokens",
                                           options.model, kHourStreams, kHourPrompt, kHourGen),
                                    {Celsius(20), Celsius(25), Celsius(30), Celsius(35)}));
}

// The section about heat and power; its plots are written.
std::string body_section(const Context& context, const TwinCatalogues& catalogues, const fs::path& root) {
  const std::string id(kBodyMachine);
  const BodyValidation body =
      validate_body(read_file(root / "data/machines" / (id + ".toml")), id, load_telemetry(root / "data/telemetry"),
                    Csv::load(root / "data/measurements/power-thermal.csv"), catalogues,
                    [](const std::string& what) { log("validate: " + what); });
  const fs::path folder = root / kBodyFolder;
  fs::create_directories(folder);
  for (const PlotFile& plot : body_plots(body)) write_file(folder / plot.name, plot.svg);
  write_file(folder / "serving-hour.svg", hour_of_serving(context, body.facts));
  return body_markdown(body, std::string(kBodyFolder));
}

constexpr std::string_view kServingCsv = "serving-runs.csv";

// The section about serving; its plots and the file of all runs are written.
std::string serving_section(const Validation& validation, const TwinCatalogues& catalogues, const fs::path& root,
                            const std::string& plot_folder) {
  log("validate: serving runs");
  const fs::path data = root / "data/serving";
  Questioner questioner(catalogues);
  const std::vector<ServedRun> runs =
      serve_runs(read_serving_runs(Csv::load(data / "runs.csv"), data / "requests", questioner), questioner,
                 validation.without_source);
  for (const PlotFile& plot : serving_plots(runs)) write_file(root / plot_folder / plot.name, plot.svg);
  write_file(root / plot_folder / kServingCsv, served_csv(runs));
  return serving_markdown(runs, format("{}/{}", plot_folder, kServingCsv), plot_folder) +
         streams_markdown(validation, std::string(kBodyMachine));
}

void write_document(const Context& context, const TwinCatalogues& catalogues, const fs::path& root) {
  std::vector<MeasurementFile> files;
  for (const auto& [name, fitted] : kFiles)
    files.push_back({name, Csv::load(root / "data/measurements" / name), fitted});
  const fs::path diagnoses = root / "data/validation/diagnoses.toml";
  DocumentOptions options{.diagnoses = parse_diagnoses(read_file(diagnoses), diagnoses.string())};
  const fs::path own_engine = root / "data/own-engine.csv";  // of `./dev bench twin --write`
  if (fs::exists(own_engine)) options.own_engine = own_engine_markdown(read_own_engine(Csv::load(own_engine)));
  options.body = body_section(context, catalogues, root);
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
  options.serving = serving_section(validation, catalogues, root, options.plot_folder);
  write_file(root / "VALIDATION.md", validation_document(validation, catalogues, options));
  const std::string table = predictions_beside_measurements(validation, kShown);
  write_file(readme, with_section(readme_text, kReadmeSection, table, readme.string()));
}

}  // namespace

int cmd_validate(const Context& context, const ValidateOptionsCli& options) {
  const TwinCatalogues catalogues{context.machines, context.stacks, context.models,
                                  &context.trainers, &context.speculation};
  if (!options.document.empty()) {
    write_document(context, catalogues, options.document);
    return 0;
  }
  if (options.measurements.size() > 1 && (options.json || !options.out.empty())) {
    throw_invalid("--json and --out take one measurement file; run validate once for each");
  }
  if (options.measurements.empty())
    report_one(catalogues, options, Csv::parse(unpacked(context.measurements), "inference.csv"));
  for (const std::string& path : options.measurements)
    report_one(catalogues, options, Csv::load(path));
  return 0;
}

}  // namespace tinderbox::cli
