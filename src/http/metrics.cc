#include "http/metrics.h"

#include <unordered_map>
#include <utility>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace tinderbox {

namespace {

using prometheus::Counter;
using prometheus::Gauge;
using prometheus::Histogram;
using prometheus::Labels;
using prometheus::Registry;
using Buckets = Histogram::BucketBoundaries;

// Bucket bounds as in vLLM's vllm/v1/metrics/loggers.py.
const Buckets kTtftSeconds = {0.001, 0.005, 0.01, 0.02,  0.04,  0.06,  0.08, 0.1,
                              0.25,  0.5,   0.75, 1.0,   2.5,   5.0,   7.5,  10.0,
                              20.0,  40.0,  80.0, 160.0, 640.0, 2560.0};
const Buckets kTokenSeconds = {0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2,  0.3,  0.4, 0.5,
                               0.75, 1.0,   2.5,  5.0,   7.5, 10.0, 20.0, 40.0, 80.0};
const Buckets kRequestSeconds = {0.3,  0.5,   0.8,   1.0,   1.5,   2.0,    2.5,
                                 5.0,  10.0,  15.0,  20.0,  30.0,  40.0,   50.0,
                                 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0};
const Buckets kAnswers = {1.0, 2.0, 5.0, 10.0, 20.0};

Buckets powers_of_two(double first, double last) {
  Buckets bounds = {1.0};
  for (double x = first; x <= last; x *= 2.0) bounds.push_back(x);
  return bounds;
}

// 1-2-5 series up to `last`.
Buckets one_two_five(double last) {
  Buckets bounds;
  for (double decade = 1.0;; decade *= 10.0) {
    for (const double digit : {1.0, 2.0, 5.0}) {
      if (digit * decade > last) return bounds;
      bounds.push_back(digit * decade);
    }
  }
}

double seconds(Duration d) { return to_seconds(d).value(); }

struct Maker {
  Registry& registry;
  Labels labels;

  Counter& counter(const std::string& name, const std::string& help,
                   const Labels& more = {}) const {
    return prometheus::BuildCounter().Name(name).Help(help).Labels(labels).Register(registry).Add(
        more);
  }
  Gauge& gauge(const std::string& name, const std::string& help, const Labels& more = {}) const {
    return prometheus::BuildGauge().Name(name).Help(help).Labels(labels).Register(registry).Add(
        more);
  }
  Histogram& histogram(const std::string& name, const std::string& help,
                       const Buckets& bounds) const {
    return prometheus::BuildHistogram().Name(name).Help(help).Labels(labels).Register(registry).Add(
        {}, bounds);
  }
};

}  // namespace

struct Metrics::Impl {
  // What is known of a request between its admission and its end.
  struct Live {
    TimePoint arrival{}, first_step{}, first_token{}, last_token{};
    bool stepped = false;
    std::int32_t n_prompt = 0, n_gen_max = 0;
    std::int64_t n_generated = 0;
  };

  Impl(const MetricsOptions& options, const Scheduler& s)
      : scheduler(s), make{registry, {{"model_name", options.model}, {"engine", "0"}}} {
    make.gauge("tinderbox_build_info", "Version of this server; always 1",
               {{"version", options.version}})
        .Set(1);
    make.gauge("tinderbox_paced", "1 if answers keep a modelled machine's pace",
               {{"as", options.as}})
        .Set(options.as.empty() ? 0 : 1);
    make.gauge("tinderbox_weightless", "1 if answers are placeholder text")
        .Set(options.weightless ? 1 : 0);
    const KvPool& kv = scheduler.kv();
    make.gauge("vllm:cache_config_info", "Sizes of the KV pool; always 1",
               {{"block_size", std::to_string(kv.block_tokens())},
                {"num_gpu_blocks", std::to_string(kv.n_blocks())}})
        .Set(1);
  }

  void update_gauges() {
    running.Set(scheduler.n_running());
    waiting.Set(scheduler.n_waiting());
    const KvPool& kv = scheduler.kv();
    kv_usage.Set(1.0 - static_cast<double>(kv.n_free()) / static_cast<double>(kv.n_blocks()));
    const auto n_preempted = static_cast<double>(scheduler.counters().preemptions);
    preemptions.Increment(n_preempted - preemptions.Value());
    prefix_queries.Increment(static_cast<double>(scheduler.counters().prefix_tokens) - prefix_queries.Value());
    prefix_hits.Increment(static_cast<double>(scheduler.counters().prefix_hit_tokens) - prefix_hits.Value());
  }

  void finished(const Live& live, FinishReason reason, TimePoint now);

  Registry registry;
  const Scheduler& scheduler;
  Maker make;
  Buckets token_bounds = one_two_five(static_cast<double>(scheduler.limits().context_max));
  std::unordered_map<SeqId, Live> live;

  std::function<std::vector<Reading>()> read;
  Gauge& running = make.gauge("vllm:num_requests_running", "Requests in the running batch");
  Gauge& waiting = make.gauge("vllm:num_requests_waiting", "Requests waiting to be run");
  Gauge& kv_usage = make.gauge("vllm:kv_cache_usage_perc", "Share of KV blocks in use, 0 to 1");
  Counter& prompt_tokens = make.counter("vllm:prompt_tokens_total", "Prompt tokens processed");
  Counter& generated = make.counter("vllm:generation_tokens_total", "Tokens generated");
  Counter& preemptions =
      make.counter("vllm:num_preemptions_total", "Sequences preempted to free KV blocks");
  Counter& prefix_queries =
      make.counter("vllm:prefix_cache_queries_total", "Prompt tokens looked up in the prefix cache");
  Counter& prefix_hits =
      make.counter("vllm:prefix_cache_hits_total", "Prompt tokens found in the prefix cache");
  Counter& stop = make.counter("vllm:request_success_total", "Requests finished",
                               {{"finished_reason", "stop"}});
  Counter& length = make.counter("vllm:request_success_total", "Requests finished",
                                 {{"finished_reason", "length"}});
  Counter& abort = make.counter("vllm:request_success_total", "Requests finished",
                                {{"finished_reason", "abort"}});
  Counter& refused =
      make.counter("tinderbox_requests_refused_total", "Requests that the scheduler refused");
  Counter& steps = make.counter("tinderbox_steps_total", "Steps run");
  Counter& busy = make.counter("tinderbox_busy_seconds_total", "Time in steps");
  Counter& lateness = make.counter("tinderbox_lateness_seconds_total",
                                   "Time by which steps ended later than on the modelled machine");
  Counter& late_steps =
      make.counter("tinderbox_late_steps_total", "Steps later than on the modelled machine");
  Histogram& ttft =
      make.histogram("vllm:time_to_first_token_seconds", "Arrival to first token", kTtftSeconds);
  Histogram& itl =
      make.histogram("vllm:inter_token_latency_seconds", "Between two tokens", kTokenSeconds);
  Histogram& tpot = make.histogram("vllm:request_time_per_output_token_seconds",
                                   "A request's mean time a token after the first", kTokenSeconds);
  Histogram& e2e =
      make.histogram("vllm:e2e_request_latency_seconds", "Arrival to last token", kRequestSeconds);
  Histogram& queue =
      make.histogram("vllm:request_queue_time_seconds", "Arrival to first step", kRequestSeconds);
  Histogram& inference = make.histogram("vllm:request_inference_time_seconds",
                                        "First step to last token", kRequestSeconds);
  Histogram& prefill = make.histogram("vllm:request_prefill_time_seconds",
                                      "First step to first token", kRequestSeconds);
  Histogram& decode =
      make.histogram("vllm:request_decode_time_seconds", "First to last token", kRequestSeconds);
  Histogram& n_prompt =
      make.histogram("vllm:request_prompt_tokens", "Prompt tokens of a request", token_bounds);
  Histogram& n_generated = make.histogram("vllm:request_generation_tokens",
                                          "Generated tokens of a request", token_bounds);
  Histogram& params_max =
      make.histogram("vllm:request_params_max_tokens", "max_tokens of a request", token_bounds);
  Histogram& params_n = make.histogram("vllm:request_params_n", "n of a request", kAnswers);
  Histogram& iteration = make.histogram("vllm:iteration_tokens_total", "Tokens of a step",
                                        powers_of_two(8.0, 16384.0));
};

void Metrics::Impl::finished(const Live& l, FinishReason reason, TimePoint now) {
  n_prompt.Observe(l.n_prompt);
  n_generated.Observe(static_cast<double>(l.n_generated));
  params_max.Observe(l.n_gen_max);
  params_n.Observe(1);
  e2e.Observe(seconds(now - l.arrival));
  (reason == FinishReason::Stop     ? stop
   : reason == FinishReason::Length ? length
                                    : abort)
      .Increment();
  if (l.stepped) inference.Observe(seconds(now - l.first_step));
  if (l.n_generated == 0) return;
  prefill.Observe(seconds(l.first_token - l.first_step));
  decode.Observe(seconds(l.last_token - l.first_token));
  if (l.n_generated > 1) {
    tpot.Observe(seconds(l.last_token - l.first_token) / static_cast<double>(l.n_generated - 1));
  }
}

Metrics::Metrics(MetricsOptions options, const Scheduler& scheduler)
    : impl_(std::make_unique<Impl>(options, scheduler)) {}

Metrics::~Metrics() = default;

void Metrics::on_admission(const Request& request, Admission admission, TimePoint /*now*/) {
  if (admission == Admission::Accepted) {
    Impl::Live l;
    l.arrival = request.arrival;
    l.n_prompt = request.n_prompt;
    l.n_gen_max = request.n_gen_max;
    impl_->live[request.id] = l;
  } else {
    impl_->refused.Increment();
  }
  impl_->update_gauges();
}

void Metrics::on_step(const Step& step, TimePoint start, const StepResult& result,
                      const Scheduler&) {
  impl_->steps.Increment();
  impl_->busy.Increment(seconds(result.end - start));
  impl_->iteration.Observe(step.n_tokens);
  if (result.lateness > Duration::zero()) {
    impl_->late_steps.Increment();
    impl_->lateness.Increment(seconds(result.lateness));
  }
  for (const StepItem& item : step.items) {
    const auto it = impl_->live.find(item.seq);
    if (it == impl_->live.end() || it->second.stepped) continue;
    it->second.stepped = true;
    it->second.first_step = start;
    impl_->queue.Observe(seconds(start - it->second.arrival));
  }
  impl_->update_gauges();
}

void Metrics::on_token(const TokenEvent& event, TimePoint now) {
  const auto it = impl_->live.find(event.seq);
  if (it == impl_->live.end()) return;
  Impl::Live& l = it->second;
  if (!cut_short(event.finish)) {
    impl_->generated.Increment();
    if (++l.n_generated == 1) {
      l.first_token = now;
      impl_->prompt_tokens.Increment(l.n_prompt);
      impl_->ttft.Observe(seconds(now - l.arrival));
    } else {
      impl_->itl.Observe(seconds(now - l.last_token));
    }
    l.last_token = now;
  }
  if (event.finish != FinishReason::None) {
    impl_->finished(l, event.finish, now);
    impl_->live.erase(it);
  }
  impl_->update_gauges();
}

void Metrics::read_from(std::function<std::vector<Reading>()> read) { impl_->read = std::move(read); }

std::string Metrics::text() const {
  if (impl_->read) {
    // The registry hands out the gauge it has, if it has one of this name and these labels.
    for (const Reading& r : impl_->read()) {
      impl_->make.gauge(r.name, r.help, {r.labels.begin(), r.labels.end()}).Set(r.value);
    }
  }
  return prometheus::TextSerializer().Serialize(impl_->registry.Collect());
}

}  // namespace tinderbox
