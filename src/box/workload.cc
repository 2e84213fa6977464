#include "box/workload.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

constexpr double kRateMin = 1e-6, kRateMax = 1e6;  // so that arrivals fit the range of TimePoint
constexpr double kShapeMin = 0.01;                 // below, gaps underflow
constexpr double kDayMin = 1, kDayMax = 1e9;       // seconds
constexpr double kThinkMax = 1e9;
constexpr std::int64_t kTurnsMax = 1 << 20;
constexpr std::int64_t kKeysMax = 1 << 16, kPrioritiesMax = 1 << 10;
constexpr double kTimeoutMax = 1e9;  // no deadline beyond

void require(bool ok, std::string_view name, double value, std::string_view expected) {
  if (!ok) throw_invalid(format("workload: {} is {}, but must be {}", name, value, expected));
}

// The time at which a day's rate has brought as many requests as a steady one would by `steady`:
// steady = t - diurnal day / (2 pi) sin(2 pi t / day), solved by halving, which always ends.
Seconds at_diurnal_rate(Seconds steady, double diurnal, double day) {
  const double swing = diurnal * day / (2 * std::numbers::pi);
  double low = steady.value() - swing, high = steady.value() + swing;
  for (int i = 0; i < 60; ++i) {
    const double t = (low + high) / 2;
    const double brought = t - swing * std::sin(2 * std::numbers::pi * t / day);
    (brought < steady.value() ? low : high) = t;
  }
  return Seconds(std::max(0.0, high));
}

}  // namespace

void verify(const WorkloadOptions& o) {
  const auto requests = static_cast<double>(o.requests);
  const auto prompt = static_cast<double>(o.prompt), gen = static_cast<double>(o.gen);
  require(o.requests >= 1 && o.requests <= kRequestsMax, "requests", requests,
          format("1 to {}", kRequestsMax));
  require(o.rate >= kRateMin && o.rate <= kRateMax, "rate", o.rate, "1e-6 to 1e6 per second");
  require(o.burstiness >= kShapeMin, "burstiness", o.burstiness, "0.01 or more");
  require(o.prompt >= 1 && o.prompt <= kLengthMax, "prompt", prompt,
          format("1 to {} tokens", kLengthMax));
  require(o.gen >= 1 && o.gen <= kLengthMax, "gen", gen, format("1 to {} tokens", kLengthMax));
  require(o.diurnal >= 0 && o.diurnal < 1, "diurnal", o.diurnal, "0 to below 1");
  require(o.day >= kDayMin && o.day <= kDayMax, "day", o.day, "1 to 1e9 seconds");
  require(o.think >= 0 && o.think <= kThinkMax, "think time", o.think, "0 to 1e9 seconds");
  require(o.turns >= 1 && o.turns <= kTurnsMax, "turns", static_cast<double>(o.turns),
          format("1 to {}", kTurnsMax));
  require(o.shared_prefix >= 0 && o.shared_prefix <= kLengthMax, "shared prefix",
          static_cast<double>(o.shared_prefix), format("0 to {} tokens", kLengthMax));
  if (o.trace && (o.turns > 1 || o.shared_prefix > 0)) {
    throw_invalid("workload: a trace says itself what its requests share; leave out turns and shared prefix");
  }
  if (o.prompts) verify(*o.prompts, "workload: prompt");
  if (o.gens) verify(*o.gens, "workload: gen");
  require(o.keys >= 1 && o.keys <= kKeysMax, "keys", static_cast<double>(o.keys), format("1 to {}", kKeysMax));
  require(o.priorities >= 1 && o.priorities <= kPrioritiesMax, "priorities", static_cast<double>(o.priorities),
          format("1 to {}", kPrioritiesMax));
  require(o.timeout > 0, "timeout", o.timeout, "above 0 seconds");
  require(o.range_ratio >= 0 && o.range_ratio <= 1, "range ratio", o.range_ratio, "0 to 1");
}

LengthRange length_range(std::int64_t mean, double range_ratio) {
  const double n = static_cast<double>(mean);
  return {.low = std::max<std::int64_t>(1, std::llround(std::floor((1 - range_ratio) * n))),
          .high = std::max<std::int64_t>(1, std::llround(std::ceil((1 + range_ratio) * n)))};
}

Lengths prompt_lengths(const WorkloadOptions& o) {
  if (o.prompts) return *o.prompts;
  const LengthRange range = length_range(o.prompt, o.range_ratio);
  return {.low = range.low, .high = range.high};
}

Lengths gen_lengths(const WorkloadOptions& o) {
  if (o.gens) return *o.gens;
  const LengthRange range = length_range(o.gen, o.range_ratio);
  return {.low = range.low, .high = range.high};
}

std::int64_t n_requests(const WorkloadOptions& o) {
  return o.trace ? std::ssize(o.trace->requests) : o.requests;
}

std::int64_t longest_request(const WorkloadOptions& o) {
  if (!o.trace) return o.shared_prefix + o.turns * (prompt_lengths(o).high + gen_lengths(o).high);
  std::int64_t longest = 0;
  for (const Request& r : o.trace->requests) {
    longest = std::max<std::int64_t>(longest, std::int64_t{r.n_prompt} + r.n_gen_max);
  }
  return longest;
}

RequestGenerator::RequestGenerator(WorkloadOptions options)
    : options_(std::move(options)),
      prompt_lengths_(prompt_lengths(options_)),
      gen_lengths_(gen_lengths(options_)),
      n_requests_(n_requests(options_)),
      gaps_(options_.seed, Stream::Arrivals),
      prompts_(options_.seed, Stream::PromptLength),
      gens_(options_.seed, Stream::GenLength),
      urgency_(options_.seed, Stream::Urgency),
      models_(options_.seed, Stream::Model) {}

TimePoint RequestGenerator::draw_arrival() {
  const double mean_gap = 1 / options_.rate;
  if (options_.burstiness == 1) {
    time_ += Seconds(gaps_.exponential(mean_gap));
  } else if (std::isinf(options_.burstiness)) {
    time_ += Seconds(mean_gap);
  } else {
    time_ += Seconds(gaps_.gamma(options_.burstiness, mean_gap / options_.burstiness));
  }
  if (options_.diurnal == 0) return TimePoint(to_duration(time_));
  return TimePoint(to_duration(at_diurnal_rate(time_, options_.diurnal, options_.day)));
}

std::optional<Request> RequestGenerator::draw_sizes() {
  if (n_drawn_ == n_requests_) return std::nullopt;
  Request request;
  if (options_.trace) {
    request = options_.trace->requests[static_cast<std::size_t>(n_drawn_)];
  } else {
    request.n_prompt = prompt_lengths_.draw(prompts_);
    request.n_gen_max = gen_lengths_.draw(gens_);
  }
  request.id = ++n_drawn_;
  if (options_.keys > 1) request.key = static_cast<std::uint64_t>(urgency_.range(0, options_.keys - 1));
  if (options_.priorities > 1) {
    request.priority = static_cast<std::int32_t>(urgency_.range(0, options_.priorities - 1));
  }
  return request;
}

std::int32_t RequestGenerator::draw_model() {
  const std::vector<double>& shares = options_.mix;
  if (shares.size() <= 1) return 0;
  double at = models_.uniform() * std::accumulate(shares.begin(), shares.end(), 0.0);
  std::size_t model = 0;
  while (model + 1 < shares.size() && at >= shares[model]) at -= shares[model++];
  return static_cast<std::int32_t>(model);
}

void RequestGenerator::arrive(Request& request, TimePoint arrival) {
  request.arrival = arrival;
  if (options_.timeout <= kTimeoutMax) request.deadline = arrival + to_duration(Seconds(options_.timeout));
}

std::optional<Request> RequestGenerator::next() {
  std::optional<Request> request = draw_sizes();
  const bool timed = options_.trace && options_.trace->timed;
  if (!request) return request;
  arrive(*request, timed ? request->arrival : draw_arrival());
  if (!options_.mix.empty()) request->model = draw_model();
  return request;
}

std::optional<Request> RequestGenerator::next(TimePoint arrival) {
  std::optional<Request> request = draw_sizes();
  if (request) arrive(*request, arrival);
  return request;
}

GeneratedArrivals::GeneratedArrivals(const WorkloadOptions& options)
    : generator_(options), next_(generator_.next()) {}

std::vector<Command> GeneratedArrivals::take(TimePoint now) {
  std::vector<Command> commands;
  for (; next_ && next_->arrival <= now; next_ = generator_.next())
    commands.emplace_back(*std::move(next_));
  return commands;
}

TimePoint GeneratedArrivals::next() const { return next_ ? next_->arrival : TimePoint::max(); }

TraceArrivals::TraceArrivals(std::vector<Request> requests) {
  for (Request& request : requests) requests_.emplace(request.arrival, std::move(request));
}

std::vector<Command> TraceArrivals::take(TimePoint now) {
  std::vector<Command> commands;
  while (!requests_.empty() && requests_.begin()->first <= now) {
    commands.emplace_back(std::move(requests_.extract(requests_.begin()).mapped()));
  }
  return commands;
}

TimePoint TraceArrivals::next() const {
  return requests_.empty() ? TimePoint::max() : requests_.begin()->first;
}

}  // namespace tinderbox
