#include "box/perfetto.h"

#include <algorithm>
#include <array>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/text.h"
#include "twin/sensors.h"

namespace tinderbox {
namespace {

constexpr std::size_t kPiece = 1 << 16;

std::string json_text(std::string_view text) {
  return nlohmann::json(std::string(text))
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// Microseconds, exactly.
std::string us(Duration d) { return format("{}.{:03}", d.count() / 1000, d.count() % 1000); }
std::string us(TimePoint t) { return us(t - TimePoint{}); }

std::string_view admission_name(Admission admission) {
  switch (admission) {
    case Admission::Accepted:
      return "accepted";
    case Admission::QueueFull:
      return "queue full";
    case Admission::TooLong:
      return "too long for the context";
    case Admission::NeverFits:
      return "never fits the KV";
    case Admission::Unavailable:
      return "unavailable";
    case Admission::Duplicate:
      return "duplicate";
  }
  return "";
}

std::string_view finish_name(FinishReason finish) {
  switch (finish) {
    case FinishReason::None:
      return "running";
    case FinishReason::Stop:
      return "stop";
    case FinishReason::Length:
      return "length";
    case FinishReason::Cancelled:
      return "cancelled";
    case FinishReason::Deadline:
      return "expired";
  }
  return "";
}

}  // namespace

// A counter is told when it changes.
class PerfettoTrace::Box final : public BoxWatch {
 public:
  Box(PerfettoTrace& trace, std::int64_t pid, std::string_view called) : trace_(trace), pid_(pid) {
    const auto name = [&](std::string_view what, std::string_view args, std::string_view text) {
      trace_.add(
          {}, format("{{\"ph\":\"M\",\"pid\":{}{},\"name\":\"{}\",\"args\":{{\"name\":{}}}}}", pid_,
                     args, what, json_text(text)));
    };
    name("process_name", "", called);
    name("thread_name", ",\"tid\":1", "steps");
    name("thread_name", ",\"tid\":2", "events");
  }

  void on_admission(const Request& request, Admission admission, TimePoint now) override {
    if (admission != Admission::Accepted) {
      instant(now, "refused",
              format("\"request\":{},\"why\":\"{}\"", request.id, admission_name(admission)));
      return;
    }
    Live& live = live_[request.id];
    live.args = format("\"id\":{},\"prompt_tokens\":{}", request.id, request.n_prompt);
    if (request.key != 0) live.args += format(",\"key\":{}", request.key);
    if (request.priority != 0) live.args += format(",\"priority\":{}", request.priority);
    live.phases = {{Phase::Queued, request.arrival}};
  }

  void on_step(const Step&, TimePoint, const StepResult&, const Scheduler&) override {
    CHECK(false);  // of executors that take runs
  }

  void on_run(const StepRun& run, TimePoint start, const RunTimes& times,
              const Scheduler& scheduler) override {
    if (start > last_) count(last_, 0, 0, 0);  // it was idle
    last_ = times.end;
    for (const SeqId seq : run.preempted) {
      live_.at(seq).phases.push_back({Phase::Queued, start});
      instant(start, "preempted", format("\"request\":{}", seq));
    }
    std::int64_t prompt_tokens = 0;
    for (const PromptChunk& chunk : run.prompts) {
      prompt_tokens += chunk.n_new;
      Live& live = live_.at(chunk.seq);
      if (live.phases.back().first == Phase::Queued)
        live.phases.emplace_back(Phase::Prefill, start);
    }
    const KvPool& kv = scheduler.kv();
    const std::int64_t kv_blocks = kv.n_blocks() - kv.n_free();
    count(start, scheduler.n_running(), scheduler.n_waiting(),
          static_cast<double>(kv_blocks) / static_cast<double>(kv.n_blocks()));
    const char* name = run.prompts.empty() ? "decode" : run.n_decoding == 0 ? "prefill" : "mixed";
    trace_.add(
        start,
        format(
            "{{\"ph\":\"X\",\"pid\":{},\"tid\":1,\"ts\":{},\"dur\":{},\"name\":\"{}\",\"args\":{{"
            "\"steps\":{},\"tokens\":{},\"sequences\":{},\"prompts\":{},\"prompt_tokens\":{},"
            "\"kv_blocks\":{}}}}}",
            pid_, us(start), us(times.end - start), name, run.n_steps, run.n_steps * run.n_tokens(),
            run.n_decoding + std::ssize(run.prompts), run.prompts.size(), prompt_tokens,
            kv_blocks));
  }

  void on_wait(TimePoint from, TimePoint to, const Inside& inside) override {
    if (from > last_) count(last_, 0, 0, 0);
    last_ = to;
    count(from, inside.running, inside.waiting,
          static_cast<double>(inside.kv_blocks) / static_cast<double>(inside.kv_blocks_all));
  }

  void on_token(const TokenEvent& event, TimePoint now) override {
    const auto it = live_.find(event.seq);
    CHECK(it != live_.end());
    last_ = std::max(last_, now);
    if (event.finish == FinishReason::None) {
      it->second.phases.emplace_back(Phase::Decode, now);
      return;
    }
    if (cut_short(event.finish)) {
      instant(now, finish_name(event.finish), format("\"request\":{}", event.seq));
    }
    end_request(event.seq, it->second, now, finish_name(event.finish), event.n_generated);
    live_.erase(it);
  }

  void on_body(const Body& body) override {
    const BodyState& state = body.state();
    const Sensors sensors = read_sensors(body);
    counter(state.time, 3, "wall W", format("\"W\":{:.1f}", sensors.wall.value()));
    counter(state.time, 4, "GPU °C", format("\"°C\":{:.1f}", sensors.gpu_temperature.degrees()));
    counter(state.time, 5, "GPU MHz", format("\"MHz\":{:.0f}", sensors.sm_clock.value() * 1e-6));
    if (std::exchange(limit_, state.limit) != state.limit) {
      instant(state.time, "clock limit", format("\"by\":\"{}\"", clock_limit_name(state.limit)));
    }
  }

  // Those that live, by id: their order is not the table's.
  void finish() {
    count(last_, 0, 0, 0);
    std::vector<SeqId> left;
    for (const auto& [id, live] : live_) left.push_back(id);
    std::ranges::sort(left);
    for (const SeqId id : left) end_request(id, live_.at(id), last_, "cut", 0);
    live_.clear();
  }

 private:
  enum class Phase : std::uint8_t { Queued, Prefill, Decode };
  struct Live {
    std::string args;
    std::vector<std::pair<Phase, TimePoint>> phases;  // each until the next
  };

  void end_request(SeqId id, const Live& live, TimePoint end, std::string_view how,
                   std::int64_t n_generated) {
    const auto event = [&](char ph, std::string_view name, TimePoint at, const std::string& args) {
      return format(
          "{{\"ph\":\"{}\",\"cat\":\"request\",\"id\":{},\"pid\":{},\"tid\":2,\"ts\":{},\"name\":"
          "\"{}\"{}}}",
          ph, id, pid_, us(at), name, args.empty() ? "" : format(",\"args\":{{{}}}", args));
    };
    constexpr std::array<std::string_view, 3> kNames = {"queued", "prefill", "decode"};
    std::string all =
        event('b', "request", live.phases.front().second,
              format("{},\"output_tokens\":{},\"finish\":\"{}\"", live.args, n_generated, how));
    for (std::size_t i = 0; i < live.phases.size(); ++i) {
      const auto& [phase, begin] = live.phases[i];
      const TimePoint until = i + 1 < live.phases.size() ? live.phases[i + 1].second : end;
      const std::string_view name = kNames[static_cast<std::size_t>(phase)];
      all += ",\n" + event('b', name, begin, "") + ",\n" + event('e', name, until, "");
    }
    all += ",\n" + event('e', "request", end, "");
    // All of it or nothing.
    if (trace_.add(end, all)) trace_.n_events_ += 2 * std::ssize(live.phases) + 1;
  }

  void instant(TimePoint at, std::string_view name, const std::string& args) {
    trace_.add(at, format("{{\"ph\":\"i\",\"s\":\"t\",\"pid\":{},\"tid\":2,\"ts\":{},\"name\":\"{}"
                          "\",\"args\":{{{}}}}}",
                          pid_, us(at), name, args));
  }

  void counter(TimePoint at, std::size_t which, std::string_view name, std::string args) {
    if (told_[which] == args) return;
    trace_.add(at, format("{{\"ph\":\"C\",\"pid\":{},\"ts\":{},\"name\":\"{}\",\"args\":{{{}}}}}",
                          pid_, us(at), name, args));
    told_[which] = std::move(args);
  }

  void count(TimePoint at, std::int64_t running, std::int64_t waiting, double kv_share) {
    counter(at, 0, "running", format("\"requests\":{}", running));
    counter(at, 1, "waiting", format("\"requests\":{}", waiting));
    counter(at, 2, "KV in use", format("\"%\":{:.2f}", 100 * kv_share));
  }

  PerfettoTrace& trace_;
  std::int64_t pid_;
  std::unordered_map<SeqId, Live> live_;
  TimePoint last_{};
  std::array<std::string, 6> told_;
  ClockLimit limit_ = ClockLimit::Idle;
};

PerfettoTrace::PerfettoTrace(std::function<void(std::string_view)> sink, std::int64_t bytes_max)
    : sink_(std::move(sink)), bytes_max_(bytes_max) {}

PerfettoTrace::~PerfettoTrace() = default;

BoxWatch* PerfettoTrace::box(std::int64_t i, std::string_view name) {
  return &boxes_.emplace_back(*this, std::ssize(boxes_) + 1, format("box {}: {}", i + 1, name));
}

// One or more events with commas between them.
bool PerfettoTrace::add(TimePoint now, std::string_view event) {
  if (cut_) return false;
  const std::string_view separator = n_events_ == 0 ? "\n" : ",\n";
  const std::int64_t n = std::ssize(separator) + std::ssize(event);
  if (n_bytes_ + n > bytes_max_) {
    cut_ = now;
    return false;
  }
  piece_ += separator;
  piece_ += event;
  n_bytes_ += n;
  ++n_events_;
  if (piece_.size() >= kPiece) {
    sink_(piece_);
    piece_.clear();
  }
  return true;
}

void PerfettoTrace::finish() {
  for (Box& box : boxes_) box.finish();
  if (!piece_.empty()) sink_(piece_);
  piece_.clear();
}

}  // namespace tinderbox
