#include "box/validate.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "box/simulate.h"
#include "box/validate_memory.h"
#include "model/config.h"
#include "twin/predict.h"

namespace tinderbox {
namespace {

// Reasons of refusal: few and stable, so that reports compare.
constexpr const char* kUnknownMachine = "unknown machine";
constexpr const char* kUnknownStack = "unknown stack";
constexpr const char* kUnknownModel = "unknown model";
constexpr const char* kModelFamily = "unsupported model family";
constexpr const char* kWeights = "unknown weights format";
constexpr const char* kKv = "unknown kv format";
constexpr const char* kSpeculation = "speculation";
constexpr const char* kSeveral = "several boxes or devices";
constexpr const char* kCapped = "power or clock cap";
constexpr const char* kMetric = "unsupported test or metric";
constexpr const char* kMissing = "missing column";
constexpr const char* kContext = "context exceeded";
constexpr const char* kMemory = "context or memory exceeded";

// A prediction, or why there is none.
struct Outcome {
  double value = 0;
  const char* refused = nullptr;
};
Outcome refuse(const char* reason) { return {.refused = reason}; }

// Lengths that a source does not state, where a rate barely depends on them.
constexpr std::int64_t kGenUnstated = 128;

std::string column_of(const std::string& key) {
  if (key == "stack" || key == "weights" || key == "kv") return key + "_norm";
  return key == "model" ? "base" : key;
}

// One row of the file by column; an empty or absent cell means: not stated.
class Cells {
 public:
  Cells(const Csv& csv, std::size_t row) : csv_(csv), row_(row) {}

  const std::string& text(std::string_view column) const {
    static const std::string none;
    return csv_.has(column) ? csv_.at(row_, column) : none;
  }
  bool has(std::string_view column) const { return !text(column).empty(); }
  std::optional<double> number(std::string_view column) const {
    if (!has(column)) return std::nullopt;
    const auto value = parse_double(text(column));
    if (!value || *value < 0 || *value > 1e9) {
      throw_invalid(format("measurement '{}': column {} has '{}', not a number from 0 to 1e9",
                           text("id"), column, text(column)));
    }
    return value;
  }
  std::optional<std::int64_t> count(std::string_view column) const {
    const auto n = number(column);
    return n ? std::optional<std::int64_t>(std::llround(*n)) : std::nullopt;
  }

 private:
  const Csv& csv_;
  std::size_t row_;
};

// A StepModel, or why there is none.
struct Built {
  std::optional<StepModel> model;
  const char* refused = nullptr;
};

Built refuse_model(const char* reason) { return {std::nullopt, reason}; }

Built build(const ValidationResources& resources, const Cells& cells) {
  const std::string &machine = cells.text("machine"), &stack = cells.text("stack_norm"),
                    &model = cells.text("base"), &weights = cells.text("weights_norm");
  if (!resources.machines.has(machine)) return refuse_model(kUnknownMachine);
  if (!resources.stacks.has(stack)) return refuse_model(kUnknownStack);
  if (!resources.models.has(model)) return refuse_model(kUnknownModel);
  if (weights.empty()) return refuse_model(kMissing);
  TwinModel twin;
  twin.machine = parse_machine(resources.machines.text(machine), machine);
  twin.stack = parse_stack(resources.stacks.text(stack), stack);
  const char* trying = kModelFamily;
  try {
    twin.model = parse_config(resources.models.text(model), model);
    trying = kWeights;
    twin.weights = weight_format(weights, twin.stack.gguf);
    trying = kKv;
    twin.kv = kv_format(cells.has("kv_norm") ? cells.text("kv_norm") : twin.stack.kv_default);
  } catch (const Error& error) {
    // A model file that does not parse is a broken catalogue, not a row beyond us.
    if (trying == kModelFamily && error.code() != Error::Code::Unsupported) throw;
    return refuse_model(trying);
  }
  return {StepModel(std::move(twin)), nullptr};
}

std::string model_key(const Cells& cells) {
  return format("{}|{}|{}|{}|{}", cells.text("machine"), cells.text("stack_norm"),
                cells.text("base"), cells.text("weights_norm"), cells.text("kv_norm"));
}

// Models and simulated runs by configuration, made once each: rows differ in the metric they read
// off.
class Cache {
 public:
  explicit Cache(const ValidationResources& resources) : resources_(resources) {}

  const ValidationResources& resources() const { return resources_; }

  const Built& model(const Cells& cells) {
    const std::string key = model_key(cells);
    auto found = built_.find(key);
    if (found == built_.end()) found = built_.emplace(key, build(resources_, cells)).first;
    return found->second;
  }

  const Report& open_loop(const StepModel& model, const Cells& cells,
                          const SimulateOptions& options) {
    const WorkloadOptions& w = options.workload;
    const std::string key =
        format("{}|{}|{}|{}|{}|{}|{}|{}|{}", model_key(cells), w.requests, w.rate, w.burstiness,
               w.prompt, w.gen, w.range_ratio, options.step_tokens_max.value_or(0),
               options.sequences_max.value_or(0));
    auto found = runs_.find(key);
    if (found == runs_.end()) found = runs_.emplace(key, simulate(model, options).report).first;
    return found->second;
  }

 private:
  const ValidationResources& resources_;
  std::map<std::string, Built> built_;
  std::map<std::string, Report> runs_;
};

Point point_of(const Cells& cells) {
  Point point;
  point.concurrency = cells.count("concurrency").value_or(1);
  point.depth = cells.count("depth").value_or(0);
  const auto gen = cells.count("gen_tokens"), gen_mean = cells.count("gen_mean");
  point.gen = gen ? *gen : gen_mean.value_or(kGenUnstated);
  point.step_tokens =
      cells.has("ubatch") ? *cells.count("ubatch") : cells.count("max_batched_tokens").value_or(0);
  point.sequences = cells.count("max_num_seqs").value_or(0);
  const auto prompt = cells.count("prompt_tokens"), prompt_mean = cells.count("prompt_mean");
  point.prompt = prompt ? *prompt : prompt_mean.value_or(0);
  return point;
}

// Decode alone: one stream, or tools that start all streams with their prompts already read.
Outcome predict_decode(const StepModel& model, const Cells& cells, Point point) {
  const std::string& metric = cells.text("metric");
  point.depth = cells.count("ctx_start").value_or(point.prompt + point.depth);
  point.prompt = 0;
  if (point.gen == 0) return refuse(kMissing);
  const Prediction p = predict(model, point);
  if (metric == "tok_per_s") return {p.decode_tok_per_s};
  if (metric == "tok_per_s_per_stream") return {1 / p.tpot.value()};
  if (metric == "tpot_ms") return {1e3 * p.tpot.value()};
  return refuse(kMetric);
}

// A closed loop keeps n requests in flight; a wave of n that start at once has the same mix of
// work.
Outcome serve_rate(const Prediction& p, const Point& point, const std::string& metric) {
  const auto n = static_cast<double>(point.concurrency), prompt = static_cast<double>(point.prompt);
  const auto gen = static_cast<double>(point.gen);
  const double total = p.total.value();
  if (metric == "tok_per_s" || metric == "tok_per_s_per_gpu") return {n * gen / total};
  if (metric == "tok_per_s_per_stream") return {gen / total};
  if (metric == "req_per_s") return {n / total};
  if (metric == "total_tok_per_s" || metric == "total_tok_per_s_per_gpu") {
    return {n * (prompt + gen) / total};
  }
  return refuse(kMetric);
}

Outcome predict_point(const StepModel& model, const Cells& cells) {
  const std::string &test = cells.text("test"), &metric = cells.text("metric");
  const Point point = point_of(cells);
  const bool decode = test == "decode", prefill = test == "prefill";
  if (!decode && !prefill && test != "serve") return refuse(kMetric);
  if (decode && (model.twin().stack.gguf || point.concurrency == 1 || point.prompt == 0)) {
    return predict_decode(model, cells, point);
  }
  if (point.prompt == 0) return refuse(kMissing);
  const Prediction p = predict(model, point);
  if (metric == "ttft_ms" && !decode) return {1e3 * p.ttft.value()};
  if (prefill) return metric == "tok_per_s" ? Outcome{p.prefill_tok_per_s} : refuse(kMetric);
  if (point.gen < 2) return refuse(kMissing);
  if (metric == "tpot_ms") return {1e3 * p.tpot.value()};
  if (!decode) return serve_rate(p, point, metric);
  if (metric == "tok_per_s") return {p.decode_tok_per_s};
  if (metric == "tok_per_s_per_stream") return {1 / p.tpot.value()};
  return refuse(kMetric);
}

// Requests that come when they come: the mean lengths, drawn within the stated range, through the
// simulator.
Outcome predict_open_loop(Cache& cache, const StepModel& model, const Cells& cells) {
  const std::string& metric = cells.text("metric");
  const auto n_requests = cells.count("num_requests"), prompt = cells.count("prompt_tokens");
  const auto gen = cells.count("gen_tokens");
  SimulateOptions options;
  WorkloadOptions& workload = options.workload;
  workload.requests = n_requests.value_or(0);
  workload.rate = *cells.number("arrival_req_per_s");
  workload.burstiness = cells.number("burstiness").value_or(1);
  workload.prompt = cells.count("prompt_mean").value_or(prompt.value_or(0));
  workload.gen = cells.count("gen_mean").value_or(gen.value_or(0));
  workload.range_ratio = cells.number("range_ratio").value_or(0);
  if (workload.requests == 0 || workload.prompt == 0 || workload.gen == 0) return refuse(kMissing);
  options.step_tokens_max = cells.count("max_batched_tokens");
  options.sequences_max = cells.count("max_num_seqs");
  try {
    const Report& report = cache.open_loop(model, cells, options);
    if (metric == "ttft_ms") return {1e3 * report.ttft.mean.value()};
    if (metric == "tpot_ms") return {1e3 * report.tpot.mean.value()};
    if (metric == "tok_per_s") return {report.output_rate.value()};
    if (metric == "req_per_s") return {report.request_rate.value()};
    if (metric == "total_tok_per_s") return {report.total_rate.value()};
    return refuse(kMetric);
  } catch (const Error& error) {
    if (error.code() != Error::Code::TooLarge) throw;
    return refuse(kMemory);
  }
}

Outcome predict_row(Cache& cache, const Cells& cells) {
  const std::string &nodes = cells.text("nodes"), &spec = cells.text("spec");
  if ((!nodes.empty() && nodes != "1") || cells.has("parallel")) return refuse(kSeveral);
  if (!spec.empty() && spec != "none") return refuse(kSpeculation);
  if (cells.has("power_cap_or_clock")) return refuse(kCapped);
  const Built& built = cache.model(cells);
  if (built.refused != nullptr) return refuse(built.refused);
  if (cells.has("arrival_req_per_s")) return predict_open_loop(cache, *built.model, cells);
  try {
    return predict_point(*built.model, cells);
  } catch (const Error& error) {
    if (error.code() != Error::Code::Unsupported) throw;
    return refuse(kContext);
  }
}

Outcome predict_memory_row(const Cache& cache, const Csv& csv, std::size_t i) {
  const MemoryOutcome outcome = predict_memory(csv, i, cache.resources());
  return {.value = outcome.value_gb, .refused = outcome.refused};
}

// Linear between the nearest ranks. Requires a value.
double quantile(std::vector<double> values, double share) {
  std::ranges::sort(values);
  const double rank = share * static_cast<double>(values.size() - 1);
  const auto low = static_cast<std::size_t>(rank);
  const std::size_t high = std::min(low + 1, values.size() - 1);
  return values[low] + (rank - static_cast<double>(low)) * (values[high] - values[low]);
}

Score score(const std::vector<const ValidationRow*>& rows) {
  std::map<std::string_view, std::vector<double>> errors;  // by group
  Score s;
  for (const ValidationRow* row : rows) {
    if (!row->predicted) continue;
    errors[row->group].push_back(row->error());
    ++s.rows;
  }
  if (errors.empty()) return s;
  std::vector<double> medians, biases;
  for (const auto& [group, signed_errors] : errors) {
    biases.push_back(quantile(signed_errors, 0.5));
    std::vector<double> absolute;
    for (const double e : signed_errors) absolute.push_back(std::abs(e));
    medians.push_back(quantile(std::move(absolute), 0.5));
  }
  s.groups = static_cast<std::int64_t>(medians.size());
  for (const double m : medians) {
    s.mean_ape += m / static_cast<double>(s.groups);
    s.within_10pct += (m <= 0.1 ? 1.0 : 0.0) / static_cast<double>(s.groups);
  }
  s.median_ape = quantile(medians, 0.5);
  s.p90_ape = quantile(medians, 0.9);
  s.bias = quantile(biases, 0.5);
  return s;
}

ValidationRow row_of(Cache& cache, const Csv& csv, std::size_t i,
                     const std::vector<std::string>& by) {
  const Cells cells(csv, i);
  ValidationRow row{.id = csv.at(i, "id"), .group = csv.at(i, "group")};
  for (const std::string& key : by) row.key.push_back(csv.at(i, column_of(key)));
  const auto value = parse_double(csv.at(i, "value"));
  if (!value || *value <= 0) {
    throw_invalid(format("measurement '{}': value '{}' is not a positive number", row.id,
                         csv.at(i, "value")));
  }
  row.value = *value;
  const Outcome outcome = cells.text("test") == "memory" ? predict_memory_row(cache, csv, i)
                                                          : predict_row(cache, cells);
  if (outcome.refused != nullptr) {
    row.reason = outcome.refused;
  } else {
    row.predicted = outcome.value;
  }
  return row;
}

}  // namespace

ValidationReport validate(const Csv& rows, const ValidationResources& resources,
                          const std::vector<std::string>& by) {
  ValidationReport report{.by = by};
  Cache cache(resources);
  std::map<std::vector<std::string>, std::vector<const ValidationRow*>> slices;
  std::vector<const ValidationRow*> all;
  report.rows.reserve(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) report.rows.push_back(row_of(cache, rows, i, by));
  for (const ValidationRow& row : report.rows) {
    all.push_back(&row);
    slices[row.key].push_back(&row);
    if (row.predicted) {
      ++report.predicted;
    } else {
      ++report.refused[row.reason];
    }
  }
  if (!report.rows.empty()) {
    report.coverage =
        static_cast<double>(report.predicted) / static_cast<double>(report.rows.size());
  }
  report.macro = score(all);
  for (const auto& [key, members] : slices) {
    const Score s = score(members);
    if (s.rows > 0) report.slices.push_back({key, static_cast<std::int64_t>(members.size()), s});
  }
  return report;
}

}  // namespace tinderbox
