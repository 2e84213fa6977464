// Deterministic simulation of the real server: scheduler, KV, loop, mailbox and API of `tinderbox
// serve` in one thread and virtual time. A seed draws who comes, what the box is like and what goes
// wrong (sim_plan.h); the laws of a serving box (sim_laws.h), of its answers (sim_replies.h) and of
// its body hold at every step. Beyond these:
//   - a seed run twice does the same, to the byte;
//   - clients who read slowly do not change what the box does;
//   - the same arrivals from a trace give the same steps.
// A broken law prints the command that replays its seed. --prove puts bugs in, one after another,
// and fails if one is not found.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <string>

#include "base/check.h"
#include "sim_box.h"

namespace tinderbox::sim {
namespace {

constexpr const char* kUsage =
    "usage: server_sim [--seed=N | --first=N] [--seeds=COUNT] [--seconds=T] [--hash] [--verbose] "
    "[--break=BUG]\n"
    "       server_sim --prove[=SEEDS]\n"
    "  --seed=N       runs this one\n"
    "  --first=N      begins with it; 0 by default\n"
    "  --seeds=COUNT  stops after so many;  --seconds=T  after so long; with neither it runs until "
    "it is stopped\n"
    "  --hash         prints a hash of all that happened: the same in every run of the same seeds\n"
    "  --verbose      prints every event\n"
    "  --break=BUG    runs a box that has this bug; a wrong name lists them\n"
    "  --prove        each bug must be found within so many seeds (100)\n";

struct Options {
  std::int64_t first = 0, n_seeds = -1, seconds = -1, prove = 0;  // -1: no limit
  bool hash = false, verbose = false;
  Bug bug = Bug::None;
};

struct Sums {
  std::int64_t n_seeds = 0, n_answers = 0, n_vanished = 0, n_steps = 0, n_readers = 0,
               n_replays = 0;
  double seconds = 0;
  SchedulerCounters counters;
  std::uint64_t hash = 1;
};

// For the handler of a failed CHECK.
std::atomic<std::int64_t> current_seed{0};
std::string program;

void print_replay(int) {
  std::string_view text = program;
  static_cast<void>(!write(STDERR_FILENO, text.data(), text.size()));
  char line[80];
  const int n =
      std::snprintf(line, sizeof line, " --seed=%ld\n", static_cast<long>(current_seed.load()));
  if (n > 0) static_cast<void>(!write(STDERR_FILENO, line, static_cast<std::size_t>(n)));
}

void add(Sums& sums, const Outcomes& o) {
  sums.n_answers += o.n_answers;
  sums.n_vanished += o.n_vanished;
  sums.n_steps += o.n_steps;
  sums.seconds += o.seconds;
  SchedulerCounters& c = sums.counters;
  c.submitted += o.counters.submitted;
  c.finished += o.counters.finished;
  c.cancelled += o.counters.cancelled;
  c.refused += o.counters.refused;
  c.expired += o.counters.expired;
  c.preemptions += o.counters.preemptions;
  c.prefix_hit_tokens += o.counters.prefix_hit_tokens;
}

void run_seed(Workshop& workshop, std::uint64_t seed, const Options& options, Sums& sums) {
  const Plan plan = draw_plan(seed);
  Log log(options.verbose);
  const Outcomes outcomes = run_box(workshop, plan, options.bug, false, log);
  add(sums, outcomes);
  ++sums.n_seeds;
  sums.hash = mixed(sums.hash, log.hash());
  if (seed % 8 == 0 || options.bug != Bug::None) {
    Log again(false);
    run_box(workshop, plan, options.bug, false, again);
    require(again.hash() == log.hash(), "a seed run twice does the same");
  }
  const bool slow =
      std::ranges::any_of(plan.visits, [](const Visit& v) { return v.read_delay > Duration(0); });
  if (slow && !plan.stops) {  // whoever waits for a stop string ends his answer by reading
    Log at_once(false);
    run_box(workshop, plan, options.bug, true, at_once);
    require(at_once.steps() == log.steps(), "slow readers do not stall the box");
    ++sums.n_readers;
  }
  // The engine's steps end when this computer's clock says so.
  const bool late = plan.answers == Answers::Engine && !plan.jumps.empty();
  if (options.bug == Bug::None && !late) {
    Log replayed(false);
    replay(workshop, plan, outcomes.trace, seed % 2 == 0, replayed);
    require(replayed.steps() == log.steps(), "a trace of the same arrivals gives the same steps");
    ++sums.n_replays;
  }
}

void print(const Sums& sums, bool hash) {
  const SchedulerCounters& c = sums.counters;
  std::string text = format(
      "{} seeds, {:.0f} s of box time, {} steps: {} submitted, {} finished, {} cancelled, {} past "
      "their deadline, {} "
      "refused; {} answers read, {} clients vanished, {} preemptions, {} tokens found; {} runs "
      "with quick readers and {} "
      "from traces took the same steps",
      sums.n_seeds, sums.seconds, sums.n_steps, c.submitted, c.finished, c.cancelled, c.expired,
      c.refused, sums.n_answers, sums.n_vanished, c.preemptions, c.prefix_hit_tokens,
      sums.n_readers, sums.n_replays);
  if (hash) text += format("; hash {:016x}", sums.hash);
  std::puts(text.c_str());
  std::fflush(stdout);
}

// A sweep that never meets a fault tests nothing.
void check_variety(const Sums& sums) {
  const std::int64_t n = sums.n_seeds;
  const SchedulerCounters& c = sums.counters;
  if (n < 500) return;
  CHECK(c.finished > n && c.cancelled > n && c.refused > n && c.expired > n / 10 &&
        c.preemptions > n / 4 && c.prefix_hit_tokens > n && sums.n_vanished > n &&
        sums.n_readers > n / 10);
}

int run(const Options& options, const std::string& name) {
  Workshop workshop;
  WallClock wall;
  std::signal(SIGABRT, print_replay);
  Sums sums;
  const auto lasts = [&] {
    return (options.n_seeds < 0 || sums.n_seeds < options.n_seeds) &&
           (options.seconds < 0 ||
            since_start(wall.now()).value() < static_cast<double>(options.seconds));
  };
  const bool endless = options.n_seeds < 0 && options.seconds < 0;
  for (std::int64_t seed = options.first; lasts(); ++seed) {
    current_seed = seed;
    try {
      run_seed(workshop, static_cast<std::uint64_t>(seed), options, sums);
    } catch (const std::exception& e) {
      std::fputs(format("law broken by seed {}: {}\nreplay with: {} --seed={} --verbose\n", seed,
                        e.what(), name, seed)
                     .c_str(),
                 stderr);
      return 1;
    }
    if (endless && sums.n_seeds % 2000 == 0) print(sums, options.hash);
  }
  std::signal(SIGABRT, SIG_DFL);
  print(sums, options.hash);
  if (options.bug == Bug::None) check_variety(sums);
  return 0;
}

// Each bug in a process of its own, because a CHECK may find it first.
int prove(const Options& options, const std::string& name) {
  int n_missed = 0;
  for (const auto& [bug, its_name] : kBugs) {
    std::fputs(format("{}: ", its_name).c_str(), stderr);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      Options with = options;
      with.bug = bug;
      with.n_seeds = options.prove;
      program += format(" --break={}", its_name);
      _exit(run(with, format("{} --break={}", name, its_name)));
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    const bool law = WIFEXITED(status) && WEXITSTATUS(status) == 1;
    const bool check = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
    if (law || check) continue;
    ++n_missed;
    std::fputs(format("NOT FOUND in {} seeds\n", options.prove).c_str(), stderr);
  }
  std::puts(
      format("{} of {} bugs found", kBugs.size() - static_cast<std::size_t>(n_missed), kBugs.size())
          .c_str());
  return n_missed == 0 ? 0 : 1;
}

std::optional<Options> parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    const std::size_t equals = std::min(flag.size(), flag.find('='));
    const std::string_view key = flag.substr(0, equals),
                           text = flag.substr(std::min(flag.size(), equals + 1));
    const auto value = parse_int(text);
    if (flag == "--hash") {
      options.hash = true;
    } else if (flag == "--verbose") {
      options.verbose = true;
    } else if (flag == "--prove") {
      options.prove = 100;
    } else if (key == "--break" && bug_named(text)) {
      options.bug = *bug_named(text);
    } else if (key == "--seed" && value) {
      options.first = *value;
      options.n_seeds = 1;
    } else if (key == "--first" && value) {
      options.first = *value;
    } else if (key == "--seeds" && value && *value > 0) {
      options.n_seeds = *value;
    } else if (key == "--seconds" && value && *value > 0) {
      options.seconds = *value;
    } else if (key == "--prove" && value && *value > 0) {
      options.prove = *value;
    } else {
      return std::nullopt;
    }
  }
  return options;
}

int main_of(int argc, char** argv) {
  const auto options = parse(argc, argv);
  if (!options) {
    std::fputs(kUsage, stderr);
    std::string names = "bugs:";
    for (const auto& [bug, name] : kBugs) names += format(" {}", name);
    std::fputs((names + "\n").c_str(), stderr);
    return 2;
  }
  const std::string name = argv[0];
  program = "replay with: " + name;
  return options->prove > 0 ? prove(*options, name) : run(*options, name);
}

}  // namespace
}  // namespace tinderbox::sim

int main(int argc, char** argv) { return tinderbox::sim::main_of(argc, argv); }
