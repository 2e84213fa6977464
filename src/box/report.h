// What a run was like for its users: latencies, rates, and how full the box was.
//
// TTFT: arrival to first token. TPOT: (last token - first token) / (tokens - 1), of answers of two
// tokens or more. ITL: every gap between two tokens of an answer. E2E: arrival to last token.
// Queue: arrival to the start of the first step that works on it. Definitions as in vLLM's serving
// benchmark; percentiles interpolate linearly between order statistics (Hyndman and Fan 1996, type
// 7, as in NumPy), of large samples within kDurationError (box/durations.h). Latencies are of finished
// requests; ITL of all tokens.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "box/durations.h"
#include "box/key_report.h"
#include "box/loop.h"

namespace tinderbox {

// What users were promised, in seconds; of TPOT, an answer of one token keeps any.
struct Slo {
  std::optional<double> ttft = {}, tpot = {}, e2e = {};
  bool any() const { return ttft || tpot || e2e; }
};

// One finished request.
struct RequestTimes {
  SeqId id = 0;
  TimePoint arrival{};
  std::int32_t n_prompt = 0, n_generated = 0;
  Duration queue{}, ttft{}, tpot{}, e2e{};  // tpot: 0 of one token
  bool good = true;                         // within the SLO
  std::uint64_t key = 0;
};

struct Report {
  std::int64_t submitted = 0, finished = 0, cancelled = 0, refused = 0;
  std::int64_t prompt_tokens = 0, output_tokens = 0;  // of admitted requests
  Seconds duration;                                   // first arrival to last event
  std::int64_t good = 0;  // finished within the SLO
  bool has_slo = false;
  Hertz goodput;                                // good requests
  Hertz request_rate, output_rate, total_rate;  // finished requests, output tokens, all tokens
  std::int64_t steps = 0, preemptions = 0;
  std::int64_t expired = 0;                               // ended at their deadline
  std::int64_t prefix_tokens = 0, prefix_hit_tokens = 0;  // looked up in the prefix cache, and found
  double mean_batch = 0, mean_step_tokens = 0;  // sequences and tokens of a step
  std::int64_t kv_blocks = 0, kv_blocks_peak = 0;
  // Over the whole duration, idle times too; of several boxes the first two are those of all together.
  double mean_running = 0, mean_waiting = 0;  // requests
  double mean_kv_share = 0;                   // of the KV blocks in use
  double busy_share = 0;                      // of the time in steps
  Seconds busy, lateness;  // in steps; behind the modelled machine
  Distribution ttft, tpot, itl, e2e, queue;
  std::vector<KeyRow> keys = {};  // if there are several
};

class Recorder final : public Observer {
 public:
  // request_time: what a client waits beside the box's steps (HTTP, tokenising); part of TTFT and
  // E2E. on_finished: told of each request as it finishes. n_keys: above 1, those below it get rows of their own.
  // exact_max: see Durations. Throws Error::Invalid for an SLO of 0 or less.
  explicit Recorder(Duration request_time = {}, const Slo& slo = {},
                    std::function<void(const RequestTimes&)> on_finished = {}, std::int64_t n_keys = 1,
                    std::int64_t exact_max = kExactMax);
  void on_admission(const Request& request, Admission admission, TimePoint now) override;
  void on_step(const Step& step, TimePoint start, const StepResult& result,
               const Scheduler& scheduler) override;
  void on_token(const TokenEvent& event, TimePoint now) override;
  void on_run(const StepRun& run, TimePoint start, const RunTimes& times,
              const Scheduler& scheduler) override;
  void on_wait(TimePoint from, TimePoint to, const Inside& inside) override;
  // A request that is read here and goes on at another box (box/disaggregate.h): in place of on_token() of its first
  // token, and there of on_admission(). The events that follow there count that token too.
  struct Handover {
    TimePoint arrival, first_step, first_token;
    std::int32_t n_prompt = 0;
  };
  Handover hand_over(SeqId seq, TimePoint now);
  void take_over(SeqId seq, const Handover& request);
  // Adds what another box saw. Of KV it keeps the fullest box.
  void merge(const Recorder& other);
  // n_boxes: whose records were merged.
  Report report(std::int64_t n_boxes = 1) const;

 private:
  // A number of things times how long they were there, exactly: what steps in runs and one by one agree on.
  __extension__ using Wide = __int128;
  static double mean_of(Wide sum, Duration over);
  void see_time(const Scheduler& scheduler, Duration duration);

  struct Live {
    TimePoint arrival, first_step, first_token, last_token;
    std::uint64_t key = 0;
    std::int32_t n_prompt = 0;
    bool started = false;
    bool resumes = false;  // preempted, and no token since
  };

  void see_memory(const Scheduler& scheduler);
  void see_start(SeqId seq, TimePoint start);
  void see_gaps(const StepRun& run, TimePoint start, const RunTimes& times);
  void finish(const TokenEvent& event, const Live& live, TimePoint now);

  Duration request_time_;
  Slo slo_;
  std::function<void(const RequestTimes&)> on_finished_;
  std::unordered_map<SeqId, Live> live_;  // looked up, never iterated
  Report sums_;                           // its rates and distributions are made by report()
  std::int64_t n_items_ = 0, n_step_tokens_ = 0;
  Duration busy_{}, lateness_{};
  Wide running_ns_ = 0, waiting_ns_ = 0, kv_block_ns_ = 0;
  TimePoint first_ = TimePoint::max(), last_{};
  bool by_runs_ = false;
  TimePoint ran_to_{};  // the end of the last run
  // Of runs in which decoding pauses, or before which it did: since when, and the first tokens of those who have
  // joined since.
  bool paused_ = false;
  TimePoint pause_{};
  std::vector<std::pair<SeqId, TimePoint>> joined_;
  Durations ttft_, tpot_, itl_, e2e_, queue_;
  KeyTimes keys_;
};

// One row a request, with a header; a trace reads them as input (box/trace.h).
std::string requests_csv_header();
std::string requests_csv_row(const RequestTimes& times);

// A short aligned table for people; a JSON document whose keys end in their unit for programs.
std::string report_table(const Report& report);
nlohmann::ordered_json report_json(const Report& report);

}  // namespace tinderbox
