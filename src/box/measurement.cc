#include "box/measurement.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
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
constexpr const char* kMetric = "unsupported test or metric";
constexpr const char* kMissing = "missing column";
constexpr const char* kContext = "context exceeded";
constexpr const char* kTooBig = "weights beyond the memory";  // the rest runs elsewhere, as no row says
constexpr const char* kMemory = "context or memory exceeded";

// Lengths that a source does not state, where a rate barely depends on them.
constexpr std::int64_t kGenUnstated = 128;

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
  workload.requests = cells.count("num_requests").value_or(0);
  workload.rate = *cells.number("arrival_req_per_s");
  workload.burstiness = cells.number("burstiness").value_or(1);
  workload.prompt = cells.count("prompt_mean").value_or(measured.point.prompt);
  workload.gen = measured.point.gen;
  if (const auto gen_mean = cells.count("gen_mean")) workload.gen = *gen_mean;
  workload.range_ratio = cells.number("range_ratio").value_or(0);
  options.step_tokens_max = cells.count("max_batched_tokens");
  options.sequences_max = cells.count("max_num_seqs");
  // A client that keeps at most so many requests in flight makes the others wait.
  if (const auto in_flight = cells.count("concurrency")) {
    options.sequences_max = std::min(*in_flight, options.sequences_max.value_or(*in_flight));
  }
  const bool complete = workload.requests > 0 && workload.rate > 0 && workload.prompt > 0 &&
                        workload.gen > 0 && (cells.has("gen_tokens") || cells.has("gen_mean"));
  return complete ? nullptr : kMissing;
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
  if (point.prompt == 0) return kMissing;
  // Streams at once are not stated where requests came as they came, or as fast as the box took them.
  if (!cells.has("concurrency") && !decode) return kMissing;
  const Metric metric = metric_of(measured);
  if (metric == Metric::Ttft || metric == Metric::Prefill) return nullptr;
  return point.gen >= 2 ? nullptr : kMissing;
}

std::optional<double> read_off(const Report& report, Reading reading) {
  switch (reading) {
    case Reading::Ttft:
      return report.ttft.mean.value();
    case Reading::TtftP50:
      return report.ttft.p50.value();
    case Reading::TtftP95:
      return report.ttft.p95.value();
    case Reading::Tpot:
      return report.tpot.mean.value();
    case Reading::OutputRate:
      return report.output_rate.value();
    case Reading::RequestRate:
      return report.request_rate.value();
    case Reading::TotalRate:
      return report.total_rate.value();
    case Reading::PrefillRate:
    case Reading::DecodeRate:
    case Reading::DecodeStreamRate:
    case Reading::OutputStreamRate:
      return std::nullopt;
  }
  std::abort();
}

}  // namespace

std::string Measured::twin_key() const {
  return format("{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}", machine, stack, model, weights, weights_note, kv,
                kernel_path, version, parallel.text(), spec, accepted.value_or(-1),
                checkpoint_gb.value_or(0));
}

std::string Measured::load_key() const {
  const Point& p = point;
  std::string key = format("{}|{}|{}|{}|{}|{}|{}", p.prompt, p.gen, p.depth, p.concurrency,
                           p.step_tokens, p.sequences, alone);
  if (open_loop) {
    const WorkloadOptions& w = open_loop->workload;
    key += format("|{}|{}|{}|{}|{}|{}|{}|{}", w.requests, w.rate, w.burstiness, w.prompt, w.gen,
                  w.range_ratio, open_loop->step_tokens_max.value_or(0),
                  open_loop->sequences_max.value_or(0));
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
    if (error.code() != Error::Code::NotFound) throw;
    return {.refused = kUnknownMachine};
  }
  if (!catalogues_.stacks.has(m.stack)) return {.refused = kUnknownStack};
  const std::int64_t nodes = cells.count("nodes").value_or(1);
  const bool several = nodes > 1 || cells.has("parallel");
  if (several && (nodes == 1 || machine(m.machine).usual_link.empty())) return {.refused = kSeveral};
  try {
    m.parallel = parse_parallel(cells.text("parallel"), nodes, stack(m.stack).usual_parallel);
  } catch (const Error&) {
    return {.refused = kSplit};
  }
  if (cells.text("metric").ends_with("_per_gpu")) m.scale /= static_cast<double>(nodes);
  if (!catalogues_.models.has(m.model)) return {.refused = kUnknownModel};
  if (m.weights.empty()) return {.refused = kMissing};
  if (const char* refused = read_load(cells, stack(m.stack).gguf(), m)) return {.refused = refused};
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
  twin.machine = machine(m.machine);
  twin.stack = with_path(stack(m.stack), m.kernel_path, m.version);
  const char* trying = kModelFamily;
  try {
    twin.model = parse_config(catalogues_.models.text(m.model), m.model);
    trying = kWeights;
    require_readable(m.weights, twin.stack.file, twin.stack.name);
    twin.weights = with_note(
        weight_format(m.weights, twin.stack.file, kind_of(twin.model)), m.weights_note);
    if (m.checkpoint_gb) {
      twin.weights = choose_by_size(twin.weights, twin.model, Bytes(1e9 * *m.checkpoint_gb),
                                    twin.stack.file);
    }
    // A box may keep look-up tables on its disk; a card leaves layers to the processor beside it.
    const bool card = twin.machine.scope == Scope::Part && m.parallel.boxes() <= 1;
    if (card && weight_bytes(twin.model, twin.weights) > twin.machine.memory_size) {
      return {.refused = kTooBig};
    }
    trying = kKv;
    twin.kv = kv_format(m.kv.empty() ? twin.stack.kv_default : m.kv);
    if (!m.spec.empty()) twin.speculation = speculation_of(m);
    twin.parallel = m.parallel;
    trying = m.parallel.boxes() > 1 ? kSplit : kWeights;
    return {.model = StepModel(std::move(twin))};
  } catch (const Error& error) {
    // A model file that does not parse is a broken catalogue, not a row beyond us.
    if (trying == kModelFamily && error.code() != Error::Code::Unsupported) throw;
    return {.refused = trying};
  }
}

// Clients ask for a number of tokens, but most let the model end its answer before: with answers of
// exponential length the streams end one after another, and the tokens of all over the time of the
// longest are fewer than the streams' own rates add up to. Mean over longest of n answers of at most
// `asked` tokens.
double mean_over_longest(double n, double asked, double answer_tokens) {
  constexpr int kSteps = 64;
  double mean = 0, longest = 0;
  for (int i = 0; i < kSteps; ++i) {
    const double beyond = std::exp(-asked * (i + 0.5) / kSteps / answer_tokens);
    mean += beyond;
    longest += 1 - std::pow(1 - beyond, n);
  }
  return mean / longest;
}

double read_off(const Prediction& p, const Measured& m, const Stack& stack) {
  const auto n = static_cast<double>(m.point.concurrency);
  const auto prompt = static_cast<double>(m.point.prompt), gen = static_cast<double>(m.point.gen);
  const double total = p.total.value();
  switch (m.reading) {
    case Reading::PrefillRate: {
      // llama-benchy takes one token's latency off.
      const double latency = stack.latency_subtracted ? p.first_decode_step.value() : 0;
      return n * prompt / std::max(p.prompts_read.value() - latency, 0.2 * p.prompts_read.value());
    }
    case Reading::Ttft:
      return p.ttft.value();
    case Reading::TtftP50:
      return p.ttft_p50.value();
    case Reading::TtftP95:
      return p.ttft_p95.value();
    case Reading::DecodeRate:
      if (m.server_clock) return p.decode_tok_per_s * (gen > 1 ? gen / (gen - 1) : 1);
      return p.decode_tok_per_s *
             (m.alone ? 1 : mean_over_longest(n, gen, stack.price.answer_tokens));
    case Reading::DecodeStreamRate:
      return p.stream_tok_per_s;
    case Reading::Tpot:
      return p.tpot.value();
    // A closed loop keeps n requests in flight; a wave of n that start at once has the same mix of
    // work.
    case Reading::OutputRate:
      return n * gen / total;
    case Reading::OutputStreamRate:
      return gen / total;
    case Reading::TotalRate:
      return n * (prompt + gen) / total;
    case Reading::RequestRate:
      return n / total;
  }
  std::abort();
}

Answer Answers::answer(const StepModel& model, const Measured& m) {
  const std::string key = m.twin_key() + "#" + m.load_key();
  try {
    std::optional<double> value;
    if (m.open_loop) {
      auto found = reports_.find(key);
      if (found == reports_.end()) {
        found = reports_.emplace(key, simulate(model, *m.open_loop).report).first;
      }
      value = read_off(found->second, m.reading);
    } else {
      auto found = predictions_.find(key);
      if (found == predictions_.end()) {
        found = predictions_.emplace(key, predict(model, m.point)).first;
      }
      value = read_off(found->second, m, model.twin().stack);
    }
    if (!value) return {.refused = kMetric};
    // A time is as uncertain as the rate it is the inverse of.
    const bool is_time = m.reading == Reading::Tpot;
    const Interval interval = interval_of(model.twin(), metric_of(m), m.point);
    const double answer = *value * m.scale;
    return {.value = answer,
            .low = answer * (is_time ? 1 / interval.high : interval.low),
            .high = answer * (is_time ? 1 / interval.low : interval.high)};
  } catch (const Error& error) {
    if (error.code() == Error::Code::Unsupported) return {.refused = kContext};
    if (error.code() == Error::Code::TooLarge) return {.refused = kMemory};
    throw;
  }
}

}  // namespace tinderbox
