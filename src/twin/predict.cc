#include "twin/predict.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/quantile.h"
#include "base/text.h"

namespace tinderbox {
namespace {

constexpr std::int64_t kStreamsMax = 1 << 16;

// Beyond what calibration has seen intervals grow by these factors on their logarithm: judgement,
// there being no measurement to take them from.
constexpr std::int64_t kContextSeen = 140'000, kStreamsSeen = 64;
constexpr double kUnfittedWidth = 1.6, kBeyondWidth = 1.3;

struct Stream {
  std::int64_t past = 0;         // tokens in its cache
  std::int64_t prompt_left = 0;  // tokens still to read
  std::int64_t gen_left = 0;     // tokens still to generate
  double carried = 0;            // part of a token that speculation has given, on average
  Seconds first{}, end{};

  bool done() const { return prompt_left == 0 && gen_left == 0; }
};

// Equal steps in a row: each of n steps adds to every segment the same number of tokens. A run in which all streams
// decode counts its steps in tokens, of which speculation gives several a step.
struct Run {
  std::vector<Segment> segments;
  std::vector<std::size_t> streams;  // whose segment it is
  std::int64_t n_steps = 0;
  bool reads = false;                // some segment is of a prompt
};

// Plays streams that start at once through the scheduler's policy (sched/scheduler.h): in order of
// arrival, one token for each that decodes and as much of the prompts as the step's budget leaves.
class Play {
 public:
  Play(const StepModel& model, const Point& point, bool explain);
  void run();
  std::int64_t sequences() const { return sequences_; }  // that run at once

  Seconds now{};
  Seconds prompts_read{};  // when the last prompt is in
  StepCost prefill;        // sum of the steps until then
  std::vector<Stream> streams;

 private:
  void form();
  // Tokens that each of the run's steps adds to a stream.
  double advance_of(const Segment& segment, const Stream& stream) const;
  StepCost cost_of(std::span<const Segment> segments, bool explain) const;
  std::int64_t repeats(const Segment& segment, const Stream& stream) const;
  // Adds the time of one of the run's steps, `weight` times.
  void price(std::int64_t step, double weight);
  void advance();

  const StepModel& model_;
  bool explain_;
  double tokens_per_step_ = 1;  // of a stream that decodes
  std::int64_t budget_, sequences_;
  std::size_t n_reading_;  // streams whose prompt is not in yet
  Run run_;
  std::vector<Segment> shifted_;
  std::array<Seconds, kBounds> bound_time_{};  // of prefill's steps by what bounds them
};

Play::Play(const StepModel& model, const Point& point, bool explain)
    : model_(model), explain_(explain) {
  const Stack& stack = model.twin().stack;
  if (model.twin().speculation) tokens_per_step_ = model.twin().speculation->tokens_per_step();
  budget_ =
      std::max<std::int64_t>(1, point.step_tokens > 0 ? point.step_tokens : stack.step_tokens_max);
  sequences_ =
      std::max<std::int64_t>(1, point.sequences > 0 ? point.sequences : stack.sequences_max);
  streams.assign(static_cast<std::size_t>(point.concurrency),
                 Stream{.past = point.depth, .prompt_left = point.prompt, .gen_left = point.gen});
  n_reading_ = point.prompt > 0 ? streams.size() : 0;
}

double Play::advance_of(const Segment& segment, const Stream& stream) const {
  if (stream.prompt_left > 0 || !run_.reads) return segment.n_new;
  return tokens_per_step_;
}

// How often a step with this segment may repeat before something changes: a stream ends, a prompt
// is in (its last chunk samples), or the context outgrows a window or a selection, where the cost bends.
std::int64_t Play::repeats(const Segment& segment, const Stream& stream) const {
  const bool reads = stream.prompt_left > 0;
  std::int64_t n =
      reads ? std::max<std::int64_t>(1, (stream.prompt_left - 1) / segment.n_new)
            : std::llround(std::ceil(static_cast<double>(stream.gen_left) / advance_of(segment, stream)));
  for (const std::int64_t bend : model_.footprint().bends) {
    if (bend <= segment.n_past) continue;
    n = std::min<std::int64_t>(n, (bend - segment.n_past + segment.n_new - 1) / segment.n_new);
  }
  return n;
}

void Play::form() {
  run_.segments.clear();
  run_.streams.clear();
  run_.reads = false;
  std::int64_t budget = budget_, running = 0, decoding = 0;
  for (std::size_t i = 0; i < streams.size() && budget > 0 && running < sequences_; ++i) {
    const Stream& stream = streams[i];
    if (stream.done()) continue;
    ++running;
    const bool reads = stream.prompt_left > 0;
    // Whether a prompt ends just within a step or a few tokens later is chance in the field, where
    // lengths vary: tokens that decode beside it do not push its end into another step.
    const bool ends = reads && stream.prompt_left <= budget + decoding;
    const std::int64_t n_new = !reads ? 1 : ends ? stream.prompt_left : budget;
    decoding += reads ? 0 : 1;
    budget = std::max<std::int64_t>(budget - n_new, 0);
    const Segment segment{.n_past = static_cast<std::int32_t>(stream.past),
                          .n_new = static_cast<std::int32_t>(n_new),
                          .samples = n_new >= stream.prompt_left};
    run_.reads |= reads;
    run_.segments.push_back(segment);
    run_.streams.push_back(i);
  }
  run_.n_steps = std::numeric_limits<std::int64_t>::max();
  for (std::size_t i = 0; i < run_.segments.size(); ++i) {
    run_.n_steps = std::min(run_.n_steps, repeats(run_.segments[i], streams[run_.streams[i]]));
  }
}

StepCost Play::cost_of(std::span<const Segment> segments, bool explain) const {
  if (!model_.twin().speculation) return model_.price(segments, explain);
  std::vector<Segment> reading, decoding;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    (streams[run_.streams[i]].prompt_left > 0 ? reading : decoding).push_back(segments[i]);
  }
  return decoding.empty() ? model_.price(segments, explain)
                          : speculative_step(model_, reading, decoding, explain);
}

void Play::price(std::int64_t step, double weight) {
  shifted_ = run_.segments;
  for (std::size_t i = 0; i < shifted_.size(); ++i) {
    const double advance = advance_of(shifted_[i], streams[run_.streams[i]]);
    shifted_[i].n_past += static_cast<std::int32_t>(static_cast<double>(step) * advance);
  }
  const StepCost cost = cost_of(shifted_, explain_ && n_reading_ > 0);
  if (!run_.reads) weight /= tokens_per_step_;
  now += cost.time * weight;
  if (n_reading_ > 0) {
    add_scaled(prefill, cost, weight);
    bound_time_[static_cast<std::size_t>(cost.bound)] += cost.time * weight;
    prefill.bound = static_cast<Bound>(std::ranges::max_element(bound_time_) - bound_time_.begin());
  }
}

void Play::advance() {
  for (std::size_t i = 0; i < run_.segments.size(); ++i) {
    Stream& stream = streams[run_.streams[i]];
    std::int64_t n_new = run_.segments[i].n_new * run_.n_steps;
    if (stream.prompt_left == 0 && run_.reads) {
      stream.carried += tokens_per_step_ * static_cast<double>(run_.n_steps);
      n_new = std::min(stream.gen_left, static_cast<std::int64_t>(stream.carried));
      stream.carried -= static_cast<double>(n_new);
    }
    stream.past += n_new;
    if (stream.prompt_left > 0) {
      stream.prompt_left -= n_new;
      if (stream.prompt_left > 0) continue;
      stream.first = now;
      if (stream.gen_left > 0) --stream.gen_left;
      if (--n_reading_ == 0) prompts_read = now;
    } else {
      stream.gen_left -= n_new;
    }
    if (stream.done()) stream.end = now;
  }
}

void Play::run() {
  for (form(); !run_.segments.empty(); form()) {
    const std::int64_t n = run_.n_steps;
    if (n <= 3) {
      for (std::int64_t i = 0; i < n; ++i) price(i, 1);
    } else {
      // Gauss-Legendre with two nodes: exact while the cost is at most cubic in the step, and
      // symmetric, so that rounding the nodes keeps affine costs exact.
      const auto low =
          static_cast<std::int64_t>(std::lround(0.2113248654 * static_cast<double>(n - 1)));
      price(low, 0.5 * static_cast<double>(n));
      price(n - 1 - low, 0.5 * static_cast<double>(n));
    }
    advance();
  }
}

void check(const StepModel& model, const Point& point) {
  const std::int64_t lengths_min = std::min({point.prompt, point.gen, point.depth});
  if (lengths_min < 0 || (point.prompt == 0 && point.gen == 0)) {
    throw_invalid(
        format("prompt {}, gen {} and depth {} tokens: none may be negative and prompt or gen must "
               "be at least 1",
               point.prompt, point.gen, point.depth));
  }
  if (point.concurrency < 1 || point.concurrency > kStreamsMax) {
    throw_invalid(format("concurrency {} is not between 1 and {}", point.concurrency, kStreamsMax));
  }
  const ModelConfig& config = model.twin().model;
  const std::int64_t longest = std::max({point.prompt, point.gen, point.depth});
  if (longest > config.n_ctx || point.depth + point.prompt + point.gen > config.n_ctx) {
    throw_unsupported(
        format("depth {} + prompt {} + gen {} tokens exceed the context of {}, {} tokens; "
               "use shorter ones",
               point.depth, point.prompt, point.gen, config.id, config.n_ctx));
  }
}

// On one box, or on boxes that share one model.
Prediction predict_replica(const StepModel& step_model, const Point& point, bool explain) {
  Play play(step_model, point, explain);
  play.run();

  Prediction result;
  const auto n_streams = static_cast<double>(point.concurrency);
  const auto n_decoded =
      static_cast<double>(point.prompt > 0 ? std::max<std::int64_t>(point.gen - 1, 0) : point.gen);
  Seconds first_min = play.streams.front().first;
  for (const Stream& s : play.streams) {
    result.ttft += s.first / n_streams;
    if (n_decoded > 0) {
      result.tpot += (s.end - s.first) / (n_streams * n_decoded);
      result.stream_tok_per_s += n_decoded / ((s.end - s.first).value() * n_streams);
    }
    first_min = std::min(first_min, s.first);
  }
  const Seconds request_time(step_model.twin().stack.price.request_time);
  if (point.prompt > 0) {
    std::vector<double> firsts;
    for (const Stream& s : play.streams) firsts.push_back((s.first + request_time).value());
    result.ttft += request_time;
    result.ttft_p50 = Seconds(quantile(firsts, 0.5));
    result.ttft_p95 = Seconds(quantile(std::move(firsts), 0.95));
  }
  result.total = play.now + request_time;
  result.prompts_read = play.prompts_read;
  result.first_decode_step =
      step_model.price(std::array{Segment{.n_past = 1, .n_new = 1}}).time;
  if (point.prompt > 0) {
    result.prefill_tok_per_s =
        n_streams * static_cast<double>(point.prompt) / play.prompts_read.value();
  }
  if (n_decoded > 0) {
    result.decode_tok_per_s = n_streams * n_decoded / (play.now - first_min).value();
    const auto middle = static_cast<std::int32_t>(point.depth + point.prompt + point.gen / 2);
    const std::int64_t running = std::min(point.concurrency, play.sequences());
    const std::vector<Segment> segments(static_cast<std::size_t>(running),
                                        Segment{.n_past = middle, .n_new = 1});
    const bool speculates = step_model.twin().speculation.has_value();
    result.decode_step = speculates ? speculative_step(step_model, {}, segments, explain)
                                    : step_model.price(segments, explain);
  }
  result.prefill_step = std::move(play.prefill);
  result.memory = plan_memory(step_model.twin(), step_model.footprint(),
                              point.depth + point.prompt + point.gen, point.concurrency);
  return result;
}

}  // namespace

Interval interval_of(const TwinModel& twin, Metric metric, const Point& point) {
  const Interval base = twin.stack.intervals[static_cast<std::size_t>(metric)];
  const Kernels* kernels = twin.stack.kernels_of(
      twin.model.is_moe() ? twin.weights.expert : twin.weights.dense_mlp);
  double width = 1;  // factor on the logarithms
  if (kernels != nullptr && !kernels->fitted) width *= kUnfittedWidth;
  if (point.depth + point.prompt + point.gen > kContextSeen || point.concurrency > kStreamsSeen) {
    width *= kBeyondWidth;
  }
  if (twin.parallel.boxes() > 1) width *= kUnfittedWidth;
  Interval interval{.low = std::pow(base.low, width), .high = std::pow(base.high, width)};
  // The spread of speculating rows has that of the plain ones in it.
  if (twin.speculation && metric != Metric::Prefill && metric != Metric::Ttft) {
    interval.low = std::min(interval.low, twin.speculation->interval.low);
    interval.high = std::max(interval.high, twin.speculation->interval.high);
  }
  return interval;
}

Prediction predict(const StepModel& step_model, const Point& point, bool explain) {
  check(step_model, point);
  const std::int64_t n = step_model.twin().parallel.replicas();
  // Sequences are dealt out evenly: so many replicas have one more than the others.
  const std::int64_t fewer = point.concurrency / n, n_more = point.concurrency % n;
  Point own = point;
  own.concurrency = fewer + (n_more > 0 ? 1 : 0);
  Prediction result = predict_replica(step_model, own, explain);
  if (n == 1) return result;
  const auto share = [&](std::int64_t n_replicas, std::int64_t streams) {
    return static_cast<double>(n_replicas * streams) / static_cast<double>(point.concurrency);
  };
  const auto busy = static_cast<double>(n_more > 0 ? n_more : n);
  Prediction lighter;
  double weight = 1;  // of the busiest replicas' streams
  if (n_more > 0 && fewer > 0) {
    own.concurrency = fewer;
    lighter = predict_replica(step_model, own, false);
    weight = share(n_more, fewer + 1);
  }
  const auto rest = static_cast<double>(n) - busy;
  result.ttft = result.ttft * weight + lighter.ttft * (1 - weight);
  result.tpot = result.tpot * weight + lighter.tpot * (1 - weight);
  result.decode_tok_per_s = result.decode_tok_per_s * busy + lighter.decode_tok_per_s * rest;
  if (point.prompt > 0) {
    result.prefill_tok_per_s =
        static_cast<double>(point.concurrency * point.prompt) / result.prompts_read.value();
  }
  return result;
}

}  // namespace tinderbox
