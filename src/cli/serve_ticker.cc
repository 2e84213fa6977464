#include "cli/serve_ticker.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>

#include "cli/serve_gate.h"

namespace tinderbox::cli {
namespace {

constexpr Duration kEvery = std::chrono::seconds(1);

double cpu_seconds() {
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  const auto s = [](const timeval& t) { return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec); };
  return s(usage.ru_utime) + s(usage.ru_stime);
}

// A field of /proc/meminfo, in bytes.
double meminfo(const std::string& field) {
  std::ifstream in("/proc/meminfo");
  std::string key;
  double kib = 0;
  for (std::string unit; in >> key >> kib; std::getline(in, unit)) {
    if (key == field + ":") return kib * 1024;
  }
  return 0;
}

}  // namespace

ComputerLoad computer_load() {
  ComputerLoad load;
  std::ifstream statm("/proc/self/statm");
  double size = 0, resident = 0;
  if (statm >> size >> resident) load.rss = resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
  load.memory_total = meminfo("MemTotal");
  load.memory_available = meminfo("MemAvailable");
  return load;
}

Ticker::Ticker(ServeModels& models, ServingBox& box, const Roster& roster, BoxFacts facts, Broadcast& state,
               std::function<std::string(std::uint64_t)> key_name, std::function<void(const BoxMoment&)> told)
    : models_(models),
      box_(box),
      roster_(roster),
      facts_(std::move(facts)),
      state_(state),
      key_name_(std::move(key_name)),
      told_(std::move(told)),
      thread_([this] { run(); }) {}

Ticker::~Ticker() {
  stopping_ = true;
  bell_.ring();
  thread_.join();
  // The box may be at a tick, and may come to one that it was asked for only afterwards.
  self_->with([](Ticker*& ticker) { ticker = nullptr; });
}

void Ticker::run() {
  for (TimePoint next = models_.clock->now(); !stopping_; next = std::max(next + kEvery, models_.clock->now())) {
    // A long step must not pile them up.
    if (!asked_.exchange(true)) {
      box_.post([self = self_] {
        self->with([](Ticker* ticker) {
          if (ticker != nullptr) ticker->tick();
        });
      });
    }
    while (!stopping_ && models_.clock->now() < next + kEvery) bell_.wait(*models_.clock, next + kEvery);
  }
}

void Ticker::tick() {
  asked_ = false;
  const BoxMoment state = state_now();
  state_.publish(std::make_shared<const std::string>(state_json(facts_, roster_, state, key_name_)));
  if (told_) told_(state);
}

BoxMoment Ticker::state_now() {
  BoxMoment state;
  state.at_unix = precise_now_unix();
  state.uptime_s = since_start(models_.clock->now()).value();
  state.box = box_.status();
  std::int64_t n_prompt = 0, n_generated = 0;
  for (const ServedStatus& m : state.box.models) {
    n_prompt += m.n_prompt;
    n_generated += m.n_generated;
  }
  state.computer = computer_load();
  const double cpu = cpu_seconds(), elapsed = state.at_unix - last_unix_;
  if (last_unix_ > 0 && elapsed > 0) {
    state.prompt_tokens_per_s = static_cast<double>(n_prompt - n_prompt_) / elapsed;
    state.generated_tokens_per_s = static_cast<double>(n_generated - n_generated_) / elapsed;
    const double processors = static_cast<double>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
    state.computer.cpu_ratio = (cpu - cpu_s_) / elapsed / processors;
  }
  last_unix_ = state.at_unix;
  cpu_s_ = cpu;
  n_prompt_ = n_prompt;
  n_generated_ = n_generated;
  state.memory = memory(state.box);
  if (models_.body) {
    state.sensors = idle_sensors(*models_.shown.get(), std::max(box_.now(), models_.clock->now()));
    state.faults = models_.body->faults();
  }
  return state;
}

MemoryUse Ticker::memory(const BoxStatus& box) const {
  MemoryUse m;
  double models = 0;
  for (std::size_t i = 0; i < box.models.size(); ++i) {
    const ServedStatus& s = box.models[i];
    if (s.state == ModelPool::State::Absent) continue;
    const ServeModel& model = models_.models[i];
    const double kv = model.kv_size.value();
    m.weights += model.weights.value();
    m.kv += kv;
    if (s.kv_blocks > 0) m.kv_used += kv * static_cast<double>(s.kv_blocks_used) / static_cast<double>(s.kv_blocks);
    models += static_cast<double>(s.bytes);
  }
  if (models_.machine) {
    m.total = models_.machine->memory_visible.value();
    m.safe = models_.machine->memory_safe.value();
    m.runtime = models_.host.value() + std::max(0.0, models - m.weights - m.kv);
    return m;
  }
  m.total = meminfo("MemTotal");
  m.safe = m.weights + m.kv + meminfo("MemAvailable");
  m.page_cache = meminfo("Cached");
  const double used = m.total - meminfo("MemFree") - m.page_cache;
  // Weights that the file's pages hold are in the page cache, and not counted twice.
  m.runtime = std::max(0.0, used - m.weights - m.kv);
  m.page_cache = std::max(0.0, std::min(m.page_cache, m.total - m.weights - m.kv - m.runtime));
  return m;
}

}  // namespace tinderbox::cli
