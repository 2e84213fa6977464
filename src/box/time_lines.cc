#include "box/time_lines.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/check.h"
#include "base/text.h"
#include "twin/sensors.h"

namespace tinderbox {
namespace {

constexpr Duration kShortest = std::chrono::milliseconds(1);
constexpr double kPerOctave = 16;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

}  // namespace

void TimeLines::Histogram::add(Duration duration) {
  const double ns = std::max<double>(1, static_cast<double>(duration.count()));
  const auto bucket = static_cast<std::size_t>(kPerOctave * std::log2(ns));
  if (bucket >= buckets_.size()) buckets_.resize(bucket + 1);
  ++buckets_[bucket];
  ++n_;
}

void TimeLines::Histogram::merge(const Histogram& other) {
  if (buckets_.size() < other.buckets_.size()) buckets_.resize(other.buckets_.size());
  for (std::size_t i = 0; i < other.buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  n_ += other.n_;
}

double TimeLines::Histogram::percentile(double percent) const {
  if (n_ == 0) return kNan;
  const double rank = percent / 100 * static_cast<double>(n_ - 1);
  std::int64_t n_below = 0;
  std::size_t i = 0;
  for (; i + 1 < buckets_.size(); ++i) {
    n_below += buckets_[i];
    if (static_cast<double>(n_below) > rank) break;
  }
  return 1e-9 * std::exp2((static_cast<double>(i) + 0.5) / kPerOctave);
}

void TimeLines::Window::merge(const Window& o) {
  for (double Window::* sum :
       {&Window::output_tokens, &Window::prompt_tokens, &Window::running_s, &Window::waiting_s,
        &Window::kv_s, &Window::busy_s, &Window::wall_joules, &Window::clock_s, &Window::body_s}) {
    this->*sum += o.*sum;
  }
  gpu_max = std::max(gpu_max, o.gpu_max);
  ttft.merge(o.ttft);
  tpot.merge(o.tpot);
}

// Shares out what a run of steps did over the windows that it touches, evenly.
class TimeLines::Box final : public BoxWatch {
 public:
  explicit Box(TimeLines& lines) : lines_(lines) {}

  void on_step(const Step&, TimePoint, const StepResult&, const Scheduler&) override {
    CHECK(false);  // of executors that take runs
  }

  void on_run(const StepRun& run, TimePoint start, const RunTimes& times,
              const Scheduler& scheduler) override {
    const auto running = static_cast<double>(scheduler.n_running());
    const auto waiting = static_cast<double>(scheduler.n_waiting());
    lines_.spread(start, times.end, [&](Window& w, double seconds) {
      w.busy_s += seconds;
      w.running_s += seconds * running;
      w.waiting_s += seconds * waiting;
    });
    double prompts = 0, firsts = 0;
    for (const PromptChunk& chunk : run.prompts) {
      prompts += chunk.n_new;
      firsts += chunk.samples ? 1 : 0;
    }
    TimePoint from = start;
    std::int64_t n_steps = 0, n_blocks = 0;
    for (const RunTimes::Piece& piece : times.pieces) {
      const TimePoint to = from + piece.step * piece.n;
      const std::int64_t before = n_blocks;
      n_blocks = scheduler.kv_blocks_sum(run, n_steps += piece.n);
      const auto n = static_cast<double>(piece.n);
      const double kv = static_cast<double>(n_blocks - before) / n /
                        static_cast<double>(scheduler.kv().n_blocks());
      const double tokens = static_cast<double>(run.n_decoding) * n + firsts;
      const double whole = std::max(1e-9, to_seconds(to - from).value());
      lines_.spread(from, to, [&](Window& w, double seconds) {
        w.output_tokens += tokens * seconds / whole;
        w.prompt_tokens += prompts * seconds / whole;
        w.kv_s += kv * seconds;
      });
      from = to;
    }
  }

  void on_wait(TimePoint from, TimePoint to, const Inside& inside) override {
    const double kv = static_cast<double>(inside.kv_blocks) / static_cast<double>(inside.kv_blocks_all);
    lines_.spread(from, to, [&](Window& w, double seconds) {
      w.running_s += seconds * static_cast<double>(inside.running);
      w.waiting_s += seconds * static_cast<double>(inside.waiting);
      w.kv_s += seconds * kv;
    });
  }

  void on_body(const Body& body) override {
    const TimePoint now = body.state().time;
    const Sensors sensors = read_sensors(body);
    lines_.spread(std::exchange(body_, now), now, [&](Window& w, double seconds) {
      w.body_s += seconds;
      w.wall_joules += seconds * sensors.wall.value();
      w.clock_s += seconds * sensors.sm_clock.value();
      w.gpu_max = std::max(w.gpu_max, sensors.gpu_temperature.degrees());
    });
  }

 private:
  TimeLines& lines_;
  TimePoint body_{};
};

TimeLines::TimeLines() : length_(kShortest) {}
TimeLines::~TimeLines() = default;

BoxWatch* TimeLines::box(std::int64_t i) {
  n_boxes_ = std::max(n_boxes_, i + 1);
  return &boxes_.emplace_back(*this);
}

TimeLines::Window& TimeLines::at(TimePoint time) {
  auto i = static_cast<std::size_t>((time - TimePoint{}) / length_);
  while (i >= kWindowsMax) {
    for (std::size_t k = 0; k < windows_.size(); ++k) {
      if (k % 2 == 1) {
        windows_[k / 2].merge(windows_[k]);
      } else if (k > 0) {
        windows_[k / 2] = std::move(windows_[k]);
      }
    }
    windows_.resize((windows_.size() + 1) / 2);
    length_ *= 2;
    i = static_cast<std::size_t>((time - TimePoint{}) / length_);
  }
  if (i >= windows_.size()) windows_.resize(i + 1);
  return windows_[i];
}

template <typename Add>
void TimeLines::spread(TimePoint from, TimePoint to, Add add) {
  end_ = std::max(end_, to);
  at(std::max(from, to - Duration(1)));  // the windows are then long enough for all of it
  while (from < to) {
    const TimePoint next = std::min(to, TimePoint(((from - TimePoint{}) / length_ + 1) * length_));
    add(at(from), to_seconds(next - from).value());
    from = next;
  }
}

void TimeLines::finished(const RequestTimes& times) {
  Window& w = at(times.arrival);
  w.ttft.add(times.ttft);
  if (times.n_generated > 1) w.tpot.add(times.tpot);
}

TimeChart TimeLines::chart(const std::string& title, const std::string& subtitle) const {
  TimeChart chart{.title = title, .subtitle = subtitle};
  const auto n_boxes = static_cast<double>(n_boxes_);
  const auto n_seats = static_cast<double>(std::max<std::size_t>(1, boxes_.size()));
  const auto curve = [&](const char* name, auto value) {
    TimeCurve out{.name = name};
    for (std::size_t i = 0; i < windows_.size(); ++i) {
      const TimePoint from(static_cast<Duration::rep>(i) * length_);
      const double seconds =
          to_seconds(std::min(from + length_, std::max(end_, from + Duration(1))) - from).value();
      out.points.emplace_back(since_start(from).value() + seconds / 2, value(windows_[i], seconds));
    }
    return out;
  };
  const auto panel = [&](const char* label, std::vector<TimeCurve> curves, bool from_zero = true) {
    chart.panels.push_back(
        {.label = label, .curves = std::move(curves), .height = 110, .from_zero = from_zero});
  };
  panel("tokens/s",
        {curve("output", [](const Window& w, double s) { return w.output_tokens / s; }),
         curve("prompt", [](const Window& w, double s) { return w.prompt_tokens / s; })});
  panel("requests", {curve("running", [](const Window& w, double s) { return w.running_s / s; }),
                     curve("waiting", [](const Window& w, double s) { return w.waiting_s / s; })});
  panel("%",
        {curve("KV in use", [&](const Window& w, double s) { return 100 * w.kv_s / s / n_seats; }),
         curve("busy", [&](const Window& w, double s) { return 100 * w.busy_s / s / n_boxes; })});
  panel("TTFT, s", {curve("p50", [](const Window& w, double) { return w.ttft.percentile(50); }),
                    curve("p99", [](const Window& w, double) { return w.ttft.percentile(99); })});
  panel("TPOT, ms",
        {curve("p50", [](const Window& w, double) { return 1e3 * w.tpot.percentile(50); }),
         curve("p99", [](const Window& w, double) { return 1e3 * w.tpot.percentile(99); })});
  if (std::ranges::none_of(windows_, [](const Window& w) { return w.body_s > 0; })) return chart;
  const auto known = [](const Window& w, double value) { return w.body_s > 0 ? value : kNan; };
  panel("W", {curve("at the wall", [&](const Window& w, double) {
          return known(w, n_boxes * w.wall_joules / w.body_s);
        })});
  panel("°C", {curve("GPU, hottest", [&](const Window& w, double) { return known(w, w.gpu_max); })},
        false);
  panel("MHz", {curve("GPU clock", [&](const Window& w, double) {
          return known(w, 1e-6 * w.clock_s / w.body_s);
        })});
  return chart;
}

}  // namespace tinderbox
