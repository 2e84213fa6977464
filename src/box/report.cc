#include "box/report.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"

namespace tinderbox {

Recorder::Recorder(Duration request_time, const Slo& slo,
                   std::function<void(const RequestTimes&)> on_finished, std::int64_t n_keys,
                   std::int64_t exact_max)
    : request_time_(request_time),
      slo_(slo),
      on_finished_(std::move(on_finished)),
      ttft_(exact_max),
      tpot_(exact_max),
      itl_(exact_max),
      e2e_(exact_max),
      queue_(exact_max),
      keys_(n_keys) {
  for (const auto& [name, promised] :
       {std::pair{"TTFT", slo.ttft}, std::pair{"TPOT", slo.tpot}, std::pair{"E2E", slo.e2e}}) {
    if (promised && !(*promised > 0)) {
      throw_invalid(format("SLO: a {} of {} s can never be kept; it must be above 0", name, *promised));
    }
  }
  sums_.has_slo = slo.any();
}

void Recorder::on_admission(const Request& request, Admission admission, TimePoint now) {
  ++sums_.submitted;
  first_ = std::min(first_, request.arrival);
  last_ = std::max(last_, now);
  if (admission != Admission::Accepted) {
    ++sums_.refused;
    return;
  }
  sums_.prompt_tokens += request.n_prompt;
  Live& live = live_[request.id];
  live.arrival = request.arrival;
  live.key = request.key;
  live.n_prompt = request.n_prompt;
}

void Recorder::on_step(const Step& step, TimePoint start, const StepResult& result,
                       const Scheduler& scheduler) {
  ++sums_.steps;
  n_items_ += static_cast<std::int64_t>(step.items.size());
  n_step_tokens_ += step.n_tokens;
  busy_ += result.end - start;
  lateness_ += result.lateness;
  last_ = std::max(last_, result.end);
  see_memory(scheduler);
  see_time(scheduler, result.end - start);
  kv_block_ns_ += Wide{scheduler.kv().n_blocks() - scheduler.kv().n_free()} * (result.end - start).count();
  for (const StepItem& item : step.items) {
    if (!item.decodes) see_start(item.seq, start);
  }
}

void Recorder::see_memory(const Scheduler& scheduler) {
  const KvPool& kv = scheduler.kv();
  sums_.kv_blocks = kv.n_blocks();
  sums_.kv_blocks_peak = std::max<std::int64_t>(sums_.kv_blocks_peak, kv.n_blocks() - kv.n_free());
  const SchedulerCounters& counters = scheduler.counters();
  sums_.preemptions = counters.preemptions;
  sums_.prefix_tokens = counters.prefix_tokens;
  sums_.prefix_hit_tokens = counters.prefix_hit_tokens;
}

void Recorder::see_time(const Scheduler& scheduler, Duration duration) {
  running_ns_ += Wide{scheduler.n_running()} * duration.count();
  waiting_ns_ += Wide{scheduler.n_waiting()} * duration.count();
}

void Recorder::on_wait(TimePoint from, TimePoint to, const Inside& inside) {
  running_ns_ += Wide{inside.running} * (to - from).count();
  waiting_ns_ += Wide{inside.waiting} * (to - from).count();
  kv_block_ns_ += Wide{inside.kv_blocks} * (to - from).count();
}

void Recorder::see_start(SeqId seq, TimePoint start) {
  const auto live = live_.find(seq);
  if (live == live_.end() || live->second.started) return;
  live->second.started = true;
  live->second.first_step = start;
}

void Recorder::on_run(const StepRun& run, TimePoint start, const RunTimes& times,
                      const Scheduler& scheduler) {
  by_runs_ = true;
  if (!paused_ && start > ran_to_) {  // others had the device
    paused_ = true;
    pause_ = ran_to_;
  }
  if (run.n_steps > 0) ran_to_ = times.end;
  sums_.steps += run.n_steps;
  n_items_ += run.n_steps * (run.n_decoding + std::ssize(run.prompts));
  n_step_tokens_ += run.n_steps * run.n_tokens();
  busy_ += times.end - start;
  last_ = std::max(last_, times.end);
  see_memory(scheduler);
  see_time(scheduler, times.end - start);
  std::int64_t n_steps = 0, n_blocks = 0;  // so far
  for (const RunTimes::Piece& piece : times.pieces) {
    const std::int64_t before = n_blocks;
    n_blocks = scheduler.kv_blocks_sum(run, n_steps += piece.n);
    kv_block_ns_ += Wide{n_blocks - before} * piece.step.count();
  }
  for (const SeqId seq : run.preempted) {
    Live& live = live_.at(seq);
    // Until then it had a token in every step that decodes; if its prompt was not in again, its last one stands.
    const bool joined = std::erase_if(joined_, [&](const auto& j) { return j.first == seq; }) > 0;
    if (!live.resumes && !joined) live.last_token = paused_ ? pause_ : start;
    live.resumes = true;
  }
  for (const PromptChunk& chunk : run.prompts) see_start(chunk.seq, start);
  if (run.pauses && !paused_) {
    paused_ = true;
    pause_ = start;
  }
  if (!run.pauses && run.n_steps > 0) see_gaps(run, start, times);
}

void Recorder::see_gaps(const StepRun& run, TimePoint start, const RunTimes& times) {
  sums_.output_tokens += run.n_steps * run.n_decoding;
  bool waited = paused_;  // the first step ends the pause
  for (const RunTimes::Piece& piece : times.pieces) {
    std::int64_t n = piece.n * run.n_decoding;
    if (waited) {
      n -= run.n_decoding;
      itl_.add(start + piece.step - pause_, run.n_decoding - std::ssize(joined_));
      for (const auto& [seq, since] : joined_) itl_.add(start + piece.step - since);
      waited = false;
    }
    if (n > 0) itl_.add(piece.step, n);
  }
  paused_ = false;
  joined_.clear();
}

void Recorder::on_token(const TokenEvent& event, TimePoint now) {
  last_ = std::max(last_, now);
  const auto it = live_.find(event.seq);
  CHECK(it != live_.end());
  Live& live = it->second;
  if (cut_short(event.finish)) {
    ++(event.finish == FinishReason::Cancelled ? sums_.cancelled : sums_.expired);
    std::erase_if(joined_, [&](const auto& j) { return j.first == event.seq; });
    live_.erase(it);
    return;
  }
  if (event.n_generated == 1) {
    ++sums_.output_tokens;
    live.first_token = now;
  } else if (!by_runs_ || live.resumes) {  // otherwise on_run has counted it
    ++sums_.output_tokens;
    itl_.add(now - live.last_token);
  }
  live.last_token = now;
  live.resumes = false;
  if (event.finish == FinishReason::None) {
    if (paused_) joined_.emplace_back(event.seq, now);
    return;
  }
  finish(event, live, now);
  live_.erase(it);
}

Recorder::Handover Recorder::hand_over(SeqId seq, TimePoint now) {
  const auto node = live_.extract(seq);
  CHECK(!node.empty());
  last_ = std::max(last_, now);
  ++sums_.output_tokens;
  const Live& live = node.mapped();
  return {.arrival = live.arrival, .first_step = live.first_step, .first_token = now, .n_prompt = live.n_prompt};
}

void Recorder::take_over(SeqId seq, const Handover& request) {
  // As after a preemption, its next token is told by itself.
  live_[seq] = {.arrival = request.arrival,
                .first_step = request.first_step,
                .first_token = request.first_token,
                .last_token = request.first_token,
                .n_prompt = request.n_prompt,
                .started = true,
                .resumes = true};
}

void Recorder::finish(const TokenEvent& event, const Live& live, TimePoint now) {
  RequestTimes times{.id = event.seq,
                     .arrival = live.arrival,
                     .n_prompt = live.n_prompt,
                     .n_generated = event.n_generated,
                     .queue = live.first_step - live.arrival,
                     .ttft = live.first_token - live.arrival + request_time_,
                     .e2e = now - live.arrival + request_time_,
                     .key = live.key};
  if (event.n_generated > 1) times.tpot = (now - live.first_token) / (event.n_generated - 1);
  const auto keeps = [](const std::optional<double>& promised, Duration time) {
    return !promised || to_seconds(time).value() <= *promised;
  };
  times.good = keeps(slo_.ttft, times.ttft) && keeps(slo_.tpot, times.tpot) && keeps(slo_.e2e, times.e2e);
  ++sums_.finished;
  sums_.good += times.good ? 1 : 0;
  ttft_.add(times.ttft);
  if (event.n_generated > 1) tpot_.add(times.tpot);
  e2e_.add(times.e2e);
  queue_.add(times.queue);
  keys_.finished(times.key, times.n_generated, times.ttft);
  if (on_finished_) on_finished_(times);
}

void Recorder::merge(const Recorder& other) {
  const Report& o = other.sums_;
  for (std::int64_t Report::* sum :
       {&Report::submitted, &Report::finished, &Report::cancelled, &Report::refused, &Report::prompt_tokens,
        &Report::output_tokens, &Report::good, &Report::steps, &Report::preemptions, &Report::expired,
        &Report::prefix_tokens, &Report::prefix_hit_tokens}) {
    sums_.*sum += o.*sum;
  }
  sums_.kv_blocks = std::max(sums_.kv_blocks, o.kv_blocks);
  sums_.kv_blocks_peak = std::max(sums_.kv_blocks_peak, o.kv_blocks_peak);
  n_items_ += other.n_items_;
  n_step_tokens_ += other.n_step_tokens_;
  busy_ += other.busy_;
  running_ns_ += other.running_ns_;
  waiting_ns_ += other.waiting_ns_;
  kv_block_ns_ += other.kv_block_ns_;
  lateness_ += other.lateness_;
  first_ = std::min(first_, other.first_);
  last_ = std::max(last_, other.last_);
  ttft_.merge(other.ttft_);
  tpot_.merge(other.tpot_);
  itl_.merge(other.itl_);
  e2e_.merge(other.e2e_);
  queue_.merge(other.queue_);
  keys_.merge(other.keys_);
}

double Recorder::mean_of(Wide sum, Duration over) {
  return static_cast<double>(sum) / static_cast<double>(over.count());
}

Report Recorder::report(std::int64_t n_boxes) const {
  Report r = sums_;
  r.busy = to_seconds(busy_);
  r.lateness = to_seconds(lateness_);
  if (last_ > first_) {
    r.duration = to_seconds(last_ - first_);
    r.request_rate = static_cast<double>(r.finished) / r.duration;
    r.goodput = static_cast<double>(r.good) / r.duration;
    r.output_rate = static_cast<double>(r.output_tokens) / r.duration;
    r.total_rate = static_cast<double>(r.prompt_tokens + r.output_tokens) / r.duration;
    r.mean_running = mean_of(running_ns_, last_ - first_);
    r.mean_waiting = mean_of(waiting_ns_, last_ - first_);
    const auto boxes = static_cast<double>(n_boxes);
    r.busy_share = r.busy / r.duration / boxes;
    if (r.kv_blocks > 0) {
      r.mean_kv_share = mean_of(kv_block_ns_, last_ - first_) / (boxes * static_cast<double>(r.kv_blocks));
    }
  }
  if (r.steps > 0) {
    r.mean_batch = static_cast<double>(n_items_) / static_cast<double>(r.steps);
    r.mean_step_tokens = static_cast<double>(n_step_tokens_) / static_cast<double>(r.steps);
  }
  r.ttft = ttft_.distribution();
  r.tpot = tpot_.distribution();
  r.itl = itl_.distribution();
  r.e2e = e2e_.distribution();
  r.queue = queue_.distribution();
  r.keys = keys_.rows();
  return r;
}

std::string requests_csv_header() {
  return "id,arrival_s,prompt_tokens,output_tokens,queue_s,ttft_s,tpot_s,e2e_s,within_slo\n";
}

std::string requests_csv_row(const RequestTimes& t) {
  // Exact: to the nanosecond.
  const auto s = [](Duration d) { return format("{}.{:09}", d.count() / 1'000'000'000, d.count() % 1'000'000'000); };
  const std::string tpot = t.n_generated > 1 ? s(t.tpot) : "";
  return format("{},{},{},{},{},{},{},{},{}\n", t.id, s(t.arrival - TimePoint{}), t.n_prompt, t.n_generated,
                s(t.queue), s(t.ttft), tpot, s(t.e2e), t.good ? 1 : 0);
}

namespace {

double peak_kv_share(const Report& r) {
  return r.kv_blocks == 0 ? 0 : static_cast<double>(r.kv_blocks_peak) / static_cast<double>(r.kv_blocks);
}

}  // namespace

std::string report_table(const Report& r) {
  Table latencies({"latency", "count", "mean", "p50", "p90", "p95", "p99"});
  const auto row = [&](const char* name, const Distribution& d) {
    const auto text = [&](Seconds s) { return d.n == 0 ? std::string("-") : human(s); };
    latencies.add({name, format("{}", d.n), text(d.mean), text(d.p50), text(d.p90), text(d.p95), text(d.p99)});
  };
  row("TTFT", r.ttft);
  row("TPOT", r.tpot);
  row("ITL", r.itl);
  row("E2E", r.e2e);
  row("queue", r.queue);

  Table counts({"requests", format("{} finished, {} refused, {} cancelled", r.finished, r.refused,
                                   r.cancelled)},
               "ll");
  counts.add({"duration", human(r.duration)});
  counts.add({"requests/s", human_number(r.request_rate.value())});
  if (r.has_slo) {
    const double share = r.submitted == 0 ? 0 : static_cast<double>(r.good) / static_cast<double>(r.submitted);
    counts.add({"goodput", format("{} requests/s, {} of {} within the SLO ({} %)", human_number(r.goodput.value()),
                                  r.good, r.submitted, human_number(100 * share))});
  }
  counts.add({"output tokens/s", human_number(r.output_rate.value())});
  counts.add({"all tokens/s", human_number(r.total_rate.value())});
  counts.add({"steps", format("{}", r.steps)});
  const auto about = [](double n) { return format("{:.{}f}", n, n < 10 ? 2 : n < 100 ? 1 : 0); };
  const auto percent = [](double share) { return format("{} %", human_number(100 * share)); };
  counts.add({"busy", percent(r.busy_share) + " of the time"});
  counts.add({"mean batch", human_number(r.mean_batch)});
  counts.add({"requests inside",
              format("{} running, {} waiting on average", about(r.mean_running), about(r.mean_waiting))});
  if (r.kv_blocks > 0) {
    counts.add({"KV in use", percent(r.mean_kv_share) + " on average"});
    counts.add({"KV peak", format("{} of {} blocks ({})", r.kv_blocks_peak, r.kv_blocks,
                                  percent(peak_kv_share(r)))});
  }
  counts.add({"preemptions", format("{}", r.preemptions)});
  if (r.expired > 0) counts.add({"past deadline", format("{} requests", r.expired)});
  if (r.prefix_hit_tokens > 0) {
    const double share = static_cast<double>(r.prefix_hit_tokens) / static_cast<double>(r.prefix_tokens);
    counts.add({"prefix hits", format("{} of {} tokens ({} %)", r.prefix_hit_tokens, r.prefix_tokens,
                                      human_number(100 * share))});
  }
  return latencies.str() + "\n" + counts.str();
}

nlohmann::ordered_json report_json(const Report& r) {
  using Json = nlohmann::ordered_json;
  const auto distribution = [](const Distribution& d) {
    if (d.n == 0) {  // not a time of 0
      return Json{{"count", 0},     {"mean", nullptr}, {"p50", nullptr},
                  {"p90", nullptr}, {"p95", nullptr},  {"p99", nullptr}};
    }
    return Json{{"count", d.n},         {"mean", d.mean.value()}, {"p50", d.p50.value()},
                {"p90", d.p90.value()}, {"p95", d.p95.value()},   {"p99", d.p99.value()}};
  };
  nlohmann::ordered_json json = {
      {"submitted", r.submitted},
      {"finished", r.finished},
      {"cancelled", r.cancelled},
      {"refused", r.refused},
      {"expired", r.expired},
      {"prompt_tokens", r.prompt_tokens},
      {"output_tokens", r.output_tokens},
      {"duration_s", r.duration.value()},
      {"busy_s", r.busy.value()},
      {"lateness_s", r.lateness.value()},
      {"requests_per_s", r.request_rate.value()},
      {"output_tokens_per_s", r.output_rate.value()},
      {"total_tokens_per_s", r.total_rate.value()},
      {"steps", r.steps},
      {"mean_batch", r.mean_batch},
      {"mean_step_tokens", r.mean_step_tokens},
      {"preemptions", r.preemptions},
      {"prefix_tokens", r.prefix_tokens},
      {"prefix_hit_tokens", r.prefix_hit_tokens},
      {"kv_blocks", r.kv_blocks},
      {"kv_blocks_peak", r.kv_blocks_peak},
      {"peak_kv_share", peak_kv_share(r)},
      {"mean_kv_share", r.mean_kv_share},
      {"mean_running", r.mean_running},
      {"mean_waiting", r.mean_waiting},
      {"busy_share", r.busy_share},
      {"ttft_s", distribution(r.ttft)},
      {"tpot_s", distribution(r.tpot)},
      {"itl_s", distribution(r.itl)},
      {"e2e_s", distribution(r.e2e)},
      {"queue_s", distribution(r.queue)},
  };
  if (r.has_slo) {
    json["good"] = r.good;
    json["goodput_per_s"] = r.goodput.value();
  }
  if (!r.keys.empty()) json["keys"] = key_json(r.keys);
  return json;
}

}  // namespace tinderbox
