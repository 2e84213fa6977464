// What of a prediction the value of a row is.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "base/error.h"
#include "box/measurement.h"
#include "twin/concurrency.h"

namespace tinderbox {
namespace {

constexpr const char* kContext = "context exceeded";
constexpr const char* kMissing = "missing column";
constexpr const char* kMemory = "context or memory exceeded";

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

// Then queues grow as long as requests come, and everything depends on how many there were.
bool falls_behind(const Report& report, const WorkloadOptions& workload) {
  constexpr double kKeepsUp = 0.9;  // of the rate at which requests come; the last ones end after the last has come
  return report.request_rate.value() < kKeepsUp * workload.rate;
}

// Clients ask for a number of tokens, but most let the model end its answer before: with answers of
// exponential length the streams end one after another, and the tokens of all over the time of the
// longest are fewer than the streams' own rates add up to. Mean over longest of n answers of at
// most `asked` tokens.
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

}  // namespace

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
    const Point point = m.saturated ? saturated(model, m.point) : within_pool(model, m.point);
    if (m.open_loop) {
      auto found = reports_.find(key);
      if (found == reports_.end()) {
        found = reports_.emplace(key, simulate(model, *m.open_loop).report).first;
      }
      if (m.presumed && falls_behind(found->second, m.open_loop->workload)) return {.refused = kMissing};
      value = read_off(found->second, m.reading);
    } else {
      auto found = predictions_.find(key);
      if (found == predictions_.end()) {
        found = predictions_.emplace(key, predict(model, point)).first;
      }
      Measured asked = m;
      asked.point = point;
      value = read_off(found->second, asked, model.twin().stack);
    }
    if (!value) return {.refused = kMetric};
    // A time is as uncertain as the rate it is the inverse of.
    const bool is_time = m.reading == Reading::Tpot;
    const Interval interval = interval_of(model.twin(), metric_of(m), point);
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
