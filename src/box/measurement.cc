#include "box/measurement.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "model/config.h"
#include "twin/memory_plan.h"
#include "twin/weight_choice.h"

namespace tinderbox {
namespace {

constexpr const char* kUnknownMachine = "unknown machine";
constexpr const char* kUnknownStack = "unknown stack";
constexpr const char* kUnknownModel = "unknown model";
constexpr const char* kModelFamily = "unsupported model family";
constexpr const char* kWeights = "weights format that the stack cannot run";
constexpr const char* kKv = "unknown kv format";
constexpr const char* kSpeculation = "speculation";
constexpr const char* kMethod = "unknown method of speculation";
constexpr const char* kSeveral = "several boxes or devices";
constexpr const char* kSplit = "way to split the model over boxes";
constexpr const char* kCapped = "power or clock cap";
constexpr const char* kMissing = "missing column";
constexpr const char* kTooBig = "weights beyond the memory";  // the rest runs elsewhere, as no row says

// What a source does not state, where a rate barely depends on it: lengths; requests of a run that keeps up with them.
constexpr std::int64_t kGenUnstated = 128, kPromptUnstated = 128, kRequestsUnstated = 1000;

struct MetricReading {
  std::string_view test, metric;
  Reading reading;
  double scale;
};
constexpr MetricReading kReadings[] = {
    {"prefill", "tok_per_s", Reading::PrefillRate, 1},
    {"prefill", "ttft_ms", Reading::Ttft, 1e3},
    {"serve", "ttft_ms", Reading::Ttft, 1e3},
    {"prefill", "ttft_p50_ms", Reading::TtftP50, 1e3},
    {"serve", "ttft_p50_ms", Reading::TtftP50, 1e3},
    {"prefill", "ttft_p95_ms", Reading::TtftP95, 1e3},
    {"serve", "ttft_p95_ms", Reading::TtftP95, 1e3},
    {"decode", "tok_per_s", Reading::DecodeRate, 1},
    {"decode", "tok_per_s_per_stream", Reading::DecodeStreamRate, 1},
    {"decode", "tpot_ms", Reading::Tpot, 1e3},
    {"serve", "tpot_ms", Reading::Tpot, 1e3},
    {"serve", "tok_per_s", Reading::OutputRate, 1},
    {"serve", "tok_per_s_per_gpu", Reading::OutputRate, 1},
    {"serve", "tok_per_s_per_stream", Reading::OutputStreamRate, 1},
    {"serve", "total_tok_per_s", Reading::TotalRate, 1},
    {"serve", "total_tok_per_s_per_gpu", Reading::TotalRate, 1},
    {"serve", "req_per_s", Reading::RequestRate, 1},
};

const MetricReading* reading_of(const Cells& cells) {
  for (const MetricReading& r : kReadings) {
    if (r.test == cells.text("test") && r.metric == cells.text("metric")) return &r;
  }
  return nullptr;
}

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

// Requests that come when they come: the mean lengths, drawn within the stated range.
const char* read_open_loop(const Cells& cells, Measured& measured) {
  SimulateOptions& options = measured.open_loop.emplace();
  WorkloadOptions& workload = options.workload;
  measured.presumed = !cells.has("num_requests");
  workload.requests = cells.count("num_requests").value_or(kRequestsUnstated);
  workload.rate = *cells.number("arrival_req_per_s");
  workload.burstiness = cells.number("burstiness").value_or(1);
  workload.prompt = cells.count("prompt_mean").value_or(measured.point.prompt);
  workload.gen = measured.point.gen;
  if (const auto gen_mean = cells.count("gen_mean")) workload.gen = *gen_mean;
  workload.range_ratio = cells.number("range_ratio").value_or(0);
  options.step_tokens_max = cells.count("max_batched_tokens");
  options.sequences_max = cells.count("max_num_seqs");
  // A client that keeps at most so many requests in flight makes the others wait.
  if (const auto in_flight = cells.count("concurrency"); in_flight && *in_flight > 0) {
    options.in_flight_max = *in_flight;
  }
  const bool complete = workload.requests > 0 && workload.rate > 0 && workload.prompt > 0 &&
                        workload.gen > 0 && (cells.has("gen_tokens") || cells.has("gen_mean"));
  return complete ? nullptr : kMissing;
}

// Rates of answers, by so many streams: a prompt of usual length takes as long as a few tokens of answers that are not
// shorter.
bool barely_depends_on_prompts(const Cells& cells, const Measured& measured) {
  return cells.text("test") == "serve" && cells.has("concurrency") && measured.point.gen >= kPromptUnstated &&
         (measured.reading == Reading::OutputRate || measured.reading == Reading::OutputStreamRate);
}

// A documented reading: of a box that its source fed until it gave no more.
bool says_saturated(const Cells& cells) {
  return cells.text("quality_note").find("saturated load") != std::string::npos;
}

const char* read_load(const Cells& cells, bool gguf, Measured& measured) {
  Point& point = measured.point = point_of(cells);
  if (cells.has("arrival_req_per_s")) return read_open_loop(cells, measured);
  // Whoever measures n streams gives the server room for n.
  point.sequences = std::max(point.sequences, point.concurrency);
  const bool decode = cells.text("test") == "decode";
  if (decode && (gguf || point.concurrency == 1 || point.prompt == 0)) {
    // One stream, or tools that start all streams with their prompts already read.
    measured.server_clock = gguf && point.concurrency == 1 && point.prompt > 0;
    point.depth = cells.count("ctx_start").value_or(point.prompt + point.depth);
    point.prompt = 0;
    measured.alone = true;
    return point.gen > 0 ? nullptr : kMissing;
  }
  if (point.prompt == 0 && barely_depends_on_prompts(cells, measured)) {
    point.prompt = kPromptUnstated;
    measured.presumed = true;
  }
  if (point.prompt == 0) return kMissing;
  // Streams at once are not stated where requests came as they came, or as fast as the box took them.
  if (!cells.has("concurrency") && !decode) {
    const bool gen = cells.has("gen_tokens") || cells.has("gen_mean");
    measured.saturated = cells.text("test") == "serve" && gen && measured.spec.empty() &&
                         says_saturated(cells);
    if (!measured.saturated) return kMissing;
    point.sequences = cells.count("max_num_seqs").value_or(0);
  }
  const Metric metric = metric_of(measured);
  if (metric == Metric::Ttft || metric == Metric::Prefill) return nullptr;
  return point.gen >= 2 ? nullptr : kMissing;
}

}  // namespace

std::string Measured::twin_key() const {
  return format("{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}", machine, stack, model, weights, weights_note, kv,
                kernel_path, version, parallel.text(), spec, accepted.value_or(-1),
                checkpoint_gb.value_or(0)) +
         (ubatch ? format("|{}", *ubatch) : "");
}

std::string Measured::load_key() const {
  const Point& p = point;
  std::string key = format("{}|{}|{}|{}|{}|{}|{}", p.prompt, p.gen, p.depth, p.concurrency,
                           p.step_tokens, p.sequences, alone);
  if (saturated) key += "|saturated";
  if (open_loop) {
    const WorkloadOptions& w = open_loop->workload;
    key += format("|{}|{}|{}|{}|{}|{}|{}|{}|{}", w.requests, w.rate, w.burstiness, w.prompt, w.gen,
                  w.range_ratio, open_loop->step_tokens_max.value_or(0),
                  open_loop->sequences_max.value_or(0), open_loop->in_flight_max.value_or(0));
  }
  return key;
}

const Stack& Questioner::stack(const std::string& id) {
  auto found = stacks_.find(id);
  if (found == stacks_.end()) {
    found = stacks_.emplace(id, parse_stack(catalogues_.stacks.text(id), id)).first;
  }
  return found->second;
}

const Machine& Questioner::machine(const std::string& id) {
  auto found = machines_.find(id);
  if (found == machines_.end()) {
    found = machines_.emplace(id, machine_of(catalogues_.machines, id)).first;
  }
  return found->second;
}

Metric metric_of(const Measured& m) {
  switch (m.reading) {
    case Reading::PrefillRate:
      return Metric::Prefill;
    case Reading::Ttft:
    case Reading::TtftP50:
    case Reading::TtftP95:
      return Metric::Ttft;
    case Reading::DecodeRate:
    case Reading::DecodeStreamRate:
    case Reading::Tpot:
      return m.open_loop || m.point.concurrency > 1 ? Metric::DecodeBatch : Metric::Decode;
    case Reading::OutputRate:
    case Reading::OutputStreamRate:
    case Reading::TotalRate:
    case Reading::RequestRate:
      return Metric::Serve;
  }
  std::abort();
}

// Several boxes over a link that has been measured, or several devices in one box.
const char* Questioner::read_boxes(const Cells& cells, Measured& m) {
  const std::int64_t nodes = cells.count("nodes").value_or(1);
  const Devices devices = devices_of(catalogues_.machines, m.machine);
  const std::string& ways = cells.text("parallel");
  const bool in_box = nodes == 1 && devices.n > 1 && !ways.empty();
  const bool several = nodes > 1 || !ways.empty();
  if (several && !in_box && (nodes == 1 || machine(m.machine).usual_link.empty())) return kSeveral;
  try {
    m.parallel = in_box ? parallel_of_devices(ways, devices.n)
                        : parse_parallel(ways, nodes, stack(m.stack).usual_parallel);
  } catch (const Error&) {
    return kSplit;
  }
  if (in_box) m.device = devices.id;
  if (cells.text("metric").ends_with("_per_gpu")) m.scale /= static_cast<double>(nodes * devices.n);
  return nullptr;
}

Question Questioner::question(const Cells& cells) {
  const std::string& spec = cells.text("spec");
  const bool speculates = !spec.empty() && spec != "none";
  if (speculates && catalogues_.speculation == nullptr) return {.refused = kSpeculation};
  if (speculates && !catalogues_.speculation->has(spec)) return {.refused = kMethod};
  if (cells.has("power_cap_or_clock")) return {.refused = kCapped};
  const MetricReading* reading = reading_of(cells);
  if (reading == nullptr) return {.refused = kMetric};
  Measured m;
  m.machine = cells.text("machine");
  m.stack = cells.text("stack_norm");
  m.model = cells.text("base");
  m.weights = cells.text("weights_norm");
  m.weights_note = cells.text("weights_note");
  m.checkpoint_gb = cells.number("checkpoint_gb");
  m.ubatch = cells.count("ubatch");
  m.kv = cells.text("kv_norm");
  m.kernel_path = cells.text("kernel_path");
  m.version = cells.text("stack_version");
  if (speculates) {
    m.spec = spec;
    m.accepted = cells.number("spec_accept");
  }
  m.reading = reading->reading;
  m.scale = reading->scale;
  try {
    machine(m.machine);
  } catch (const Error& error) {
    // A file that does not parse is a broken catalogue; a number of devices that cannot be is the row's.
    const bool devices = devices_of(catalogues_.machines, m.machine).id != m.machine;
    if (error.code() != Error::Code::NotFound && !devices) throw;
    return {.refused = kUnknownMachine};
  }
  if (!catalogues_.stacks.has(m.stack)) return {.refused = kUnknownStack};
  if (const char* refused = read_boxes(cells, m)) return {.refused = refused};
  if (!catalogues_.models.has(m.model)) return {.refused = kUnknownModel};
  if (m.weights.empty()) return {.refused = kMissing};
  if (const char* refused = read_load(cells, stack(m.stack).gguf(), m)) return {.refused = refused};
  // Of several devices one works after the other unless the row says how they share the model.
  if (m.saturated && m.device.empty() && machine(m.machine).n_devices > 1) return {.refused = kMissing};
  return {.measured = std::move(m)};
}

// No source states both: drafting as many as it accepts, if that is more than the method's usual number.
Speculation Questioner::speculation_of(const Measured& m) const {
  Speculation method = parse_speculation(catalogues_.speculation->text(m.spec), m.spec);
  const double accepted = m.accepted.value_or(0);
  const auto n_draft = std::max<std::int64_t>(method.n_draft, std::llround(std::ceil(accepted)));
  return with_choice(std::move(method), n_draft, m.accepted);
}

BuiltTwin Questioner::build(const Measured& m) {
  TwinModel twin;
  twin.machine = machine(m.device.empty() ? m.machine : m.device);
  if (!m.device.empty()) twin.link = "peer";
  twin.stack = with_path(stack(m.stack), m.kernel_path, m.version);
  const char* trying = kModelFamily;
  try {
    twin.model = parse_config(catalogues_.models.text(m.model), m.model);
    trying = kWeights;
    require_readable(m.weights, twin.stack.file, twin.stack.name);
    twin.weights = weight_format(m.weights, twin.stack.file, kind_of(twin.model));
    const std::set<WeightClass> noted = apply_note(twin.weights, m.weights_note);
    if (m.checkpoint_gb) {
      twin.weights = choose_by_size(twin.weights, noted, twin.model, Bytes(1e9 * *m.checkpoint_gb),
                                    twin.stack.file);
    }
    if (m.ubatch && twin.stack.micro_tokens_max > 0) twin.micro_tokens = static_cast<int>(*m.ubatch);
    trying = kKv;
    twin.kv = kv_format(m.kv.empty() ? twin.stack.kv_default : m.kv);
    if (!m.spec.empty()) twin.speculation = speculation_of(m);
    twin.parallel = m.parallel;
    trying = m.parallel.boxes() > 1 ? kSplit : kWeights;
    // A box may keep look-up tables on its disk; a card leaves layers to the processor beside it.
    StepModel model(std::move(twin));
    const Machine& box = model.twin().machine;
    if (box.scope == Scope::Part && model.footprint().weights > box.memory_size) return {.refused = kTooBig};
    return {.model = std::move(model)};
  } catch (const Error& error) {
    // A model file that does not parse is a broken catalogue, not a row beyond us.
    if (trying == kModelFamily && error.code() != Error::Code::Unsupported) throw;
    return {.refused = trying};
  }
}

}  // namespace tinderbox
