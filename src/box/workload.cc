#include "box/workload.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

constexpr double kRateMin = 1e-6, kRateMax = 1e6;  // so that arrivals fit the range of TimePoint
constexpr double kShapeMin = 0.01;                 // below, gaps underflow
constexpr std::int64_t kLengthMax = 1 << 24;       // tokens

void require(bool ok, std::string_view name, double value, std::string_view expected) {
  if (!ok) throw_invalid(format("workload: {} is {}, but must be {}", name, value, expected));
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
  require(o.range_ratio >= 0 && o.range_ratio <= 1, "range ratio", o.range_ratio, "0 to 1");
}

RequestGenerator::RequestGenerator(WorkloadOptions options)
    : options_(options),
      gaps_(options.seed, Stream::Arrivals),
      prompts_(options.seed, Stream::PromptLength),
      gens_(options.seed, Stream::GenLength) {}

LengthRange length_range(std::int64_t mean, double range_ratio) {
  const double n = static_cast<double>(mean);
  return {.low = std::max<std::int64_t>(1, std::llround(std::floor((1 - range_ratio) * n))),
          .high = std::max<std::int64_t>(1, std::llround(std::ceil((1 + range_ratio) * n)))};
}

std::optional<Request> RequestGenerator::next() {
  if (n_drawn_ == options_.requests) return std::nullopt;
  const double mean_gap = 1 / options_.rate;
  if (options_.burstiness == 1) {
    time_ += Seconds(gaps_.exponential(mean_gap));
  } else if (std::isinf(options_.burstiness)) {
    time_ += Seconds(mean_gap);
  } else {
    time_ += Seconds(gaps_.gamma(options_.burstiness, mean_gap / options_.burstiness));
  }
  Request request;
  request.id = ++n_drawn_;
  request.arrival = TimePoint(to_duration(time_));
  const auto draw = [&](Random& random, std::int64_t mean) {
    const LengthRange range = length_range(mean, options_.range_ratio);
    return static_cast<std::int32_t>(random.range(range.low, range.high));
  };
  request.n_prompt = draw(prompts_, options_.prompt);
  request.n_gen_max = draw(gens_, options_.gen);
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

bool GeneratedArrivals::wait(Clock& clock) {
  if (!next_) return false;
  clock.wait_until(next_->arrival);
  return true;
}

ClosedLoopArrivals::ClosedLoopArrivals(const WorkloadOptions& options, std::int32_t users)
    : generator_(options) {
  CHECK(users >= 1);
  idle_since_.resize(static_cast<std::size_t>(users));
}

std::vector<Command> ClosedLoopArrivals::take(TimePoint) {
  std::vector<Command> commands;
  for (const TimePoint since : idle_since_) {
    std::optional<Request> request = generator_.next();
    if (!request) break;
    request->arrival = since;
    commands.emplace_back(*std::move(request));
  }
  idle_since_.clear();
  return commands;
}

TimePoint ClosedLoopArrivals::next() const {
  return idle_since_.empty() || generator_.n_left() == 0 ? TimePoint::max() : TimePoint::min();
}

bool ClosedLoopArrivals::wait(Clock&) { return !idle_since_.empty() && generator_.n_left() > 0; }

void ClosedLoopArrivals::on_admission(const Request&, Admission admission, TimePoint now) {
  if (admission != Admission::Accepted) idle_since_.push_back(now);
}

void ClosedLoopArrivals::on_token(const TokenEvent& event, TimePoint now) {
  if (event.finish != FinishReason::None) idle_since_.push_back(now);
}

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

bool TraceArrivals::wait(Clock& clock) {
  if (requests_.empty()) return false;
  clock.wait_until(requests_.begin()->first);
  return true;
}

}  // namespace tinderbox
