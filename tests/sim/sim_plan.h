// What a seed is about: how big the box is, who comes, what goes wrong. Which features are on is
// drawn first, so that some seeds are all about one thing (Groce et al., "Swarm Testing", ISSTA
// 2012).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "box/body_executor.h"
#include "http/http.h"
#include "sched/scheduler.h"

namespace tinderbox::sim {

// Who computes the answers, and how long that takes.
enum class Answers : std::uint8_t {
  Formula,  // real ids that follow from the prompt; steps cost a sum
  Twin,     // placeholders at the pace of the twin (serve --weightless)
  Engine,   // the model of data/tiny at the pace of the twin (serve --as)
};

// One client, decided before the run, so that what happens to it never shifts another.
struct Visit {
  enum class Kind : std::uint8_t { Chat, Completions, Direct, Wrong, Metrics } kind = Kind::Chat;
  TimePoint at{};
  std::string text;            // the prompt
  std::int64_t n_gen_max = 0;  // 0: not said
  bool streamed = true, usage = false;
  std::vector<std::string> stops;
  Duration read_delay{};             // between news and reading it
  std::optional<Duration> vanishes;  // so long after it came, unless its answer is over
  Request direct;                    // Direct: past the API, with what HTTP does not carry
  HttpRequest wrong;                 // Wrong: refused with this status and code
  int status = 0;
  std::string code;
};

struct Plan {
  std::uint64_t seed = 0;
  Answers answers = Answers::Formula;
  Limits limits;
  std::int32_t n_blocks = 1, block_tokens = 1;
  Policy policy;
  Duration step{};  // about how long one takes
  bool end_tokens = false;
  bool eager = false;  // clients read from within the push of a token, as a very fast thread would
  bool oversleeps = false;
  bool stalls = false;  // some steps take long
  bool closes_early = false;
  bool stops = false;  // some clients give stop strings: what they read changes what the box does
  std::optional<BodyOptions> body;
  std::vector<Visit> visits;
  std::vector<std::pair<TimePoint, Duration>> jumps;           // of the box's clock, forwards
  std::vector<std::pair<TimePoint, std::int64_t>> date_jumps;  // of the calendar, in s, both ways
  TimePoint closes{};
};

Plan draw_plan(std::uint64_t seed);

}  // namespace tinderbox::sim
