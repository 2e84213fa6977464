#include "cli/sweep_session.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include <unistd.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/sweep_points.h"

namespace tinderbox::cli {
namespace {

constexpr std::int64_t kRowsShown = 40;
constexpr Seconds kTerminalEvery{0.2}, kLogEvery{10.0};

std::optional<std::int64_t> environment(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? std::nullopt : parse_int(text);
}

// The task of a job array, and within it the process of the step that srun started. SLURM_NTASKS
// will not do: a batch script has it too, and is one process.
Shard slurm_shard() {
  Shard array, step;
  if (const auto id = environment("SLURM_ARRAY_TASK_ID")) {
    const std::int64_t first = environment("SLURM_ARRAY_TASK_MIN").value_or(0);
    const std::int64_t stride = environment("SLURM_ARRAY_TASK_STEP").value_or(1);
    array = {(*id - first) / std::max<std::int64_t>(1, stride),
             environment("SLURM_ARRAY_TASK_COUNT").value_or(0)};
  }
  if (const auto n = environment("SLURM_STEP_NUM_TASKS"))
    step = {environment("SLURM_PROCID").value_or(-1), *n};
  const Shard both{array.index * step.n + step.index, array.n * step.n};
  const bool sensible = array.n >= 1 && step.n >= 1 && array.n <= kSweepPointsMax &&
                        step.n <= kSweepPointsMax && step.index >= 0 && step.index < step.n &&
                        array.index >= 0 && array.index < array.n;
  const bool any = environment("SLURM_ARRAY_TASK_ID") || environment("SLURM_STEP_NUM_TASKS");
  if (!any || !sensible || both.n > kSweepPointsMax) {
    throw_invalid(
        "--shard slurm: SLURM_ARRAY_TASK_ID, _MIN and _COUNT or SLURM_PROCID and "
        "SLURM_STEP_NUM_TASKS do not "
        "say which part this is; start it by sbatch --array=1-N or by srun, or give --shard I/N");
  }
  return both;
}

Shard shard_of(const std::string& text) {
  if (text.empty()) return {};
  return text == "slurm" ? slurm_shard() : parse_shard(text, "--shard");
}

std::string results_path(const Sweep& sweep, const SweepOptionsCli& options, const Shard& shard) {
  if (!options.results.empty()) return options.results;
  const std::string stem = std::filesystem::path(sweep.name).stem().string();
  return shard.n == 1 ? stem + ".sqlite"
                      : format("{}.{}-of-{}.sqlite", stem, shard.index + 1, shard.n);
}

std::string time_text(Seconds seconds) {
  const auto s = static_cast<std::int64_t>(seconds.value());
  if (s < 60) return format("{} s", s);
  if (s < 3600) return format("{} min {} s", s / 60, s % 60);
  return format("{} h {} min", s / 3600, s / 60 % 60);
}

}  // namespace

SweepProgress::SweepProgress(std::int64_t n_before, std::int64_t n_total)
    : terminal_(::isatty(STDERR_FILENO) == 1),
      n_before_(n_before),
      n_total_(n_total),
      next_(terminal_ ? kTerminalEvery : kLogEvery) {}

SweepProgress::~SweepProgress() {
  if (shown_ && terminal_) std::fputs("\r\033[K", stderr);
}

void SweepProgress::add(std::size_t n_points) {
  n_now_ += static_cast<std::int64_t>(n_points);
  const Seconds passed = since_start(clock_.now());
  if (passed < next_) return;
  next_ = passed + (terminal_ ? kTerminalEvery : kLogEvery);
  shown_ = true;
  const double rate = static_cast<double>(n_now_) / passed.value();
  const Seconds left{static_cast<double>(n_total_ - n_before_ - n_now_) / rate};
  const std::string line =
      format("sweep: {} of {} points, {} points/s, {} left", n_before_ + n_now_, n_total_,
             human_number(rate, 3), time_text(left));
  std::fputs((terminal_ ? "\r\033[K" + line : line + "\n").c_str(), stderr);
}

SweepSession::SweepSession(const Sweep& sweep, const SweepOptionsCli& options)
    : sweep_(sweep),
      options_(options),
      shard_(shard_of(options.shard)),
      store_(path_ = results_path(sweep, options, shard_), sweep, "tinderbox " TINDERBOX_VERSION,
             [&sweep](std::int64_t point) { return command_of(settings_of(sweep, point)); }) {
  const std::vector<bool> done = store_.done();
  for (std::int64_t point = 0; point < n_points(sweep); ++point) {
    if (!shard_.has(point)) continue;
    ++n_mine_;
    if (!done[static_cast<std::size_t>(point)]) to_do_.push_back(point);
  }
  if (!options_.merge.empty()) {
    to_do_.clear();
    return;
  }
  const std::int64_t n_before = n_mine_ - static_cast<std::int64_t>(to_do_.size());
  if (n_before > 0)
    log(format("sweep: {} of {} points are in {} already", n_before, n_mine_, path_));
  progress_.emplace(n_before, n_mine_);
}

void SweepSession::keep(std::span<const SweepRow> rows) {
  store_.add(rows);
  progress_->add(rows.size());
}

int SweepSession::finish() {
  progress_.reset();
  for (const std::string& path : options_.merge) {
    log(format("sweep: {} new points from {}", store_.merge(path), path));
  }
  if (!options_.csv.empty()) {
    std::ofstream file(options_.csv, std::ios::binary);
    store_.csv([&](const std::string& text) { file << text; });
    if (!file.flush())
      throw_invalid(format("--csv: {} cannot be written; is the disk full?", options_.csv));
  }
  const std::int64_t n_done = store_.n_done(), n_errors = store_.n_errors(), n = n_points(sweep_);
  if (options_.json) {
    print_json({{"sweep", sweep_.name},
                {"results", path_},
                {"points", n},
                {"done", n_done},
                {"errors", n_errors},
                {"missing", n - n_done}});
  } else {
    print(store_.table(kRowsShown));
    if (n_done > kRowsShown) print(format("... and {} more\n", n_done - kRowsShown));
    print(format("\n{} of {} points in {}", n_done, n, path_));
    print(n_errors > 0 ? format(", {} of which cannot run\n", n_errors) : std::string("\n"));
  }
  return !options_.merge.empty() && n_done < n ? 1 : 0;
}

}  // namespace tinderbox::cli
