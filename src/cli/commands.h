// The verbs: each takes its parsed options and returns the exit code (0 done, 1 the answer is no).
// Bad input is thrown as Error and becomes exit 2 in main().
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/sampling.h"
#include "box/body_executor.h"
#include "box/compare.h"
#include "box/simulate.h"
#include "box/trace.h"
#include "cli/context.h"
#include "twin/body.h"
#include "twin/memory_plan.h"

namespace tinderbox::cli {

struct CatalogueOptions {
  std::string kind;  // "machines", "models", "stacks"
  std::string show;  // an id; empty: list
  bool json = false;
};
int cmd_catalogue(const Context& context, const CatalogueOptions& options);

struct SurroundingsOptions {
  std::string ambient = "25C", clock_cap;  // clock_cap empty: none
  double altitude = 0;                     // m
};
// Throw Error::Invalid naming the option.
Surroundings surroundings_of(const SurroundingsOptions& options);
// A body in these surroundings, if it was asked for or something here says more than the defaults.
struct BodyOptionsCli {
  SurroundingsOptions surroundings;
  std::vector<std::string> faults;
  bool body = false;
};
// faults: drawn for so long a time, from the seed; one that nothing ends lasts for ever.
std::optional<BodyOptions> body_options_of(const BodyOptionsCli& options, const Machine& machine, Duration total,
                                           std::uint64_t seed);
std::optional<Hertz> clock_cap_of(const SurroundingsOptions& options);

inline constexpr std::int64_t kConcurrencyMax = 0;  // as many streams as fit
struct PredictOptions {
  TwinOptions twin;
  SurroundingsOptions surroundings;
  bool sustained = false;
  std::int64_t prompt = 512, gen = 128, depth = 0;
  std::int64_t concurrency = 1;  // or kConcurrencyMax
  bool json = false, explain = false;
};
int cmd_predict(const Context& context, const PredictOptions& options);

struct CompareOptions {
  std::string model, weights, stack, kv;  // empty: each machine's or stack's own
  std::vector<std::string> machines = {"dgx-spark", "strix-halo-395", "mac-m3-ultra-80",
                                       "rtx-5090"};
  std::int64_t prompt = 2048, gen = 256, concurrency = 1;
  Tariff tariff;
  std::string currency = "EUR";
  bool json = false;
};
int cmd_compare(const Context& context, const CompareOptions& options);

struct FitOptions {
  TwinOptions twin;
  MemoryDemand demand;  // context 0: 8192 or the model's, if less
  bool json = false, explain = false;
};
int cmd_fit(const Context& context, const FitOptions& options);

struct SoakOptionsCli {
  TwinOptions twin;
  SurroundingsOptions surroundings;
  std::int64_t prompt = 2048, gen = 512, concurrency = 1;
  std::optional<double> watts, load_minutes, every_s, rate;
  std::string log, trace, csv, svg;
  double minutes = 60;
  int stack_height = 1;
  std::vector<std::string> faults;
  std::uint64_t seed = 0;
  bool json = false;
};
int cmd_soak(const Context& context, const SoakOptionsCli& options);

struct FaultsOptionsCli {
  std::string machine = "dgx-spark";
  bool json = false;
};
int cmd_faults(const Context& context, const FaultsOptionsCli& options);

struct SimulateOptionsCli {
  TwinOptions twin;
  double rate = 1, burstiness = 1, range_ratio = 0, diurnal = 0, day = 86'400, think = 0, speed = 1;
  std::string prompt = "512", gen = "128", trace, requests_out, perfetto, svg;
  std::optional<std::int64_t> in_flight_max{};
  std::int64_t requests = 100, users = 0, turns = 1, shared_prefix = 0;
  std::uint64_t seed = 0;
  std::int64_t keys = 1, priorities = 1;
  std::optional<double> timeout;  // seconds
  std::optional<std::string> policy, prefix_cache;
  bool fair = false;
  std::optional<std::int64_t> step_tokens_max, sequences_max, kv_tokens;
  std::optional<double> slo_ttft, slo_tpot, slo_e2e;  // seconds
  BodyOptionsCli body;
  std::int64_t boxes = 1;
  int threads = 0;
  std::string router = "round-robin";
  std::optional<std::int64_t> faulty_boxes;
  std::string disaggregate, decode_machine, kv_bandwidth;  // "1:2"; empty: every box does both
  std::string kv_transfer = "after";                       // or "layerwise"
  bool strict = false, json = false;
  std::int64_t exact = kExactMax;
  // Of several models ("a,b" as --model, --weights, --stack, --kv) in one memory.
  std::string mix, load_rate;     // "2,1"; "3 GB/s"
  std::vector<std::string> pins;  // of the models
  std::optional<double> keep_alive;
};
// --disaggregate and what belongs to it. decode: filled if another machine generates.
std::optional<Disaggregation> disaggregation_of(const Context& context, const SimulateOptionsCli& options,
                                                std::optional<StepModel>& decode);
// Says what was skipped, and why. Throws as load_trace() does.
std::shared_ptr<const Trace> read_trace(const std::string& path, const TraceOptions& options);
// Reads the trace, if there is one and it is not given.
SimulateOptions simulation_of(const StepModel& model, const SimulateOptionsCli& options,
                              std::shared_ptr<const Trace> trace = {});
// What --json prints.
nlohmann::ordered_json simulation_document(const TwinModel& twin, const SimulateOptionsCli& options,
                                           const SimulationResult& result);
int cmd_simulate(const Context& context, const SimulateOptionsCli& options);
int cmd_simulate_pool(const Context& context, const SimulateOptionsCli& options);

// simulate --sweep: many simulations in one file of results.
struct SweepOptionsCli {
  std::string file, results, csv;  // empty results: the file's name, in the working folder
  std::string shard;               // "I/N" or "slurm"; empty: all points
  std::vector<std::string> merge;  // files of results to take in, instead of running
  int threads = 0;                 // 0: all processors
  bool json = false;
};
int cmd_sweep(const Context& context, const SweepOptionsCli& options);

struct CapacityOptionsCli {
  SimulateOptionsCli simulation;
  std::vector<std::int64_t> boxes = {1};
  std::int64_t boxes_max = 0;  // above 0: how many are needed is asked
  double percent = 99;
  int seeds = 3;
  bool users = false, json = false;
  std::string svg, csv;
};
int cmd_capacity(const Context& context, const CapacityOptionsCli& options);

struct ValidateOptionsCli {
  std::vector<std::string> measurements;  // empty: the embedded inference.csv
  std::vector<std::string> by = {"test", "metric", "stack"};
  std::string out;
  std::string document;  // a checkout; empty: report only
  bool json = false;
};
int cmd_validate(const Context& context, const ValidateOptionsCli& options);

struct EngineOptionsCli {
  std::string file;
  int threads = 0;
  std::int64_t context = 0;  // tokens; 0: the model's, at most 8192
};

struct CalibrateOptionsCli {
  std::vector<std::string> measurements;  // empty: those built in
  std::vector<std::string> only;          // stacks; empty: all with rows
  // Folders whose files get the fitted numbers.
  std::string stacks = "data/stacks", machines = "data/machines", speculation = "data/speculation";
  std::string leave_out = "model";     // or "nothing", "source", "group"
  std::string out;                     // CSV of the rows as fitted and as left out
  bool dry_run = false, json = false;
};
int cmd_calibrate(const Context& context, const CalibrateOptionsCli& options);

struct CalibrateBodyOptionsCli {
  std::string machine = "dgx-spark", telemetry = "data/telemetry", machines = "data/machines";
  std::string powers = "data/measurements/power-thermal.csv", out;
  bool leave_out = true, dry_run = false, json = false;
};
int cmd_calibrate_body(const Context& context, const CalibrateBodyOptionsCli& options);

struct RunOptions {
  EngineOptionsCli engine;
  std::string prompt, system;
  std::int64_t max_tokens = 0;  // 0: until the model ends or the context is full
  SamplingParams sampling;
  bool raw = false;  // no chat template
  bool stats = false;
};
int cmd_run(const RunOptions& options);

struct BenchOptions {
  EngineOptionsCli engine;
  std::vector<std::int64_t> prompt = {512}, gen = {128};
  int repetitions = 5;
  bool json = false;
};
int cmd_bench(const BenchOptions& options);

struct ProbeOptionsCli {
  std::string out, id = "this-computer";  // out: machine file; empty: stdout
  double seconds = 20;
  int threads = 0;  // 0: all processors
  bool json = false;
};
int cmd_probe(const ProbeOptionsCli& options);

// Who may use the box, and what it keeps.
struct GateOptionsCli {
  std::vector<std::string> api_keys, api_key_files, cors_origins, allowed_hosts;
  std::string state;         // a folder, or "none"; empty: the usual one
  std::string log = "text";  // "json", "none"
  bool no_auth = false, open_metrics = false;
};

struct KeysOptionsCli {
  std::string verb, state, name, id;  // verb: "add", "list", "revoke"
  std::int32_t priority = 0;
  std::optional<std::int64_t> requests_per_min, tokens_per_min;
  bool manager = false, json = false;
};
int cmd_keys(const KeysOptionsCli& options);

struct ServeOptions {
  std::vector<std::string> files, weightless;  // models: of either kind
  EngineOptionsCli engine;                     // its file is none of this
  TwinOptions twin;  // stack and formats of --as and --weightless; the machine of --weightless
  std::vector<std::string> pins;
  std::optional<double> keep_alive;  // seconds
  std::string load_rate;             // "3 GB/s"; empty: what the machine's drive reads
  bool freeze = false, no_pace = false, fair = false;
  std::string as, host = "127.0.0.1", name, port_file, requests_out;
  int port = 8080;
  std::int64_t sequences_max = 0, queue_max = 1024, step_tokens_max = 0;
  BodyOptionsCli body;
  std::uint64_t fault_seed = 0;
  GateOptionsCli gate;
};
int cmd_serve(const Context& context, const ServeOptions& options);

struct TopOptions {
  std::string url = "http://127.0.0.1:8080", key;  // key empty: none
  double every_s = 1;
  bool once = false, json = false;
};
int cmd_top(const TopOptions& options);

struct SmiOptions {
  TopOptions box;
  std::string query = "index,name,temperature.gpu,power.draw,utilization.gpu,memory.used", format = "csv";
  bool list = false;  // names and UUIDs only
};
int cmd_smi(const SmiOptions& options);
// What GET PATH of that address says, e.g. "box/state". Throws Error, with what to do about it.
std::string box_text(const TopOptions& options, const std::string& path);

struct PullOptions {
  std::string model, sha256, token, store;
  int tries = 5;
  bool list = false, dry_run = false, json = false;
};
int cmd_pull(const PullOptions& options);

// Manual pages and completions.
struct PagesOptions {
  std::string shell, verb, folder;  // empty verb: the page of the program; empty folder: to stdout
};

// Plumbing for tests against independent implementations: JSON in on stdin, JSON out on stdout.
struct InspectOptions {
  std::string file;
  int threads = 0;
};
int cmd_tokenize(const InspectOptions& options);
int cmd_logits(const InspectOptions& options);
int cmd_render();

}  // namespace tinderbox::cli
