#include "http/metrics_model.h"

#include <utility>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>

namespace tinderbox {

namespace {

using prometheus::Counter;
using prometheus::Gauge;
using prometheus::Histogram;
using prometheus::Labels;
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

// The registry hands out the family or metric that it has, if it has one of this name and these labels. The model is a
// label of the metric, never of the family: families that differ in constant labels repeat their HELP and TYPE lines.
struct Maker {
  prometheus::Registry& registry;
  const std::string& model;

  Labels labels(Labels more) const {
    more.insert({{"model_name", model}, {"engine", "0"}});
    return more;
  }
  Counter& counter(const std::string& name, const std::string& help, Labels more = {}) const {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add(labels(std::move(more)));
  }
  Gauge& gauge(const std::string& name, const std::string& help) const {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add(labels({}));
  }
  Histogram& histogram(const std::string& name, const std::string& help, const Buckets& bounds) const {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add(labels({}), bounds);
  }
};

}  // namespace

struct ModelMetrics::Series {
  Series(const Maker& maker, std::int32_t context_max)
      : make(maker), token_bounds(one_two_five(static_cast<double>(context_max))) {}

  Counter& success(const std::string& reason) const {
    return make.counter("vllm:request_success_total", "Requests finished, by what ended them",
                        {{"finished_reason", reason}});
  }

  Maker make;
  Buckets token_bounds;
  Gauge& running = make.gauge("vllm:num_requests_running", "Requests in the running batch");
  Gauge& waiting = make.gauge("vllm:num_requests_waiting", "Requests waiting to be run");
  Gauge& kv_usage = make.gauge("vllm:kv_cache_usage_perc", "Share of KV blocks in use, 0 to 1");
  Gauge& weightless = make.gauge("tinderbox_weightless", "1 if answers are placeholder text");
  Gauge& loaded = make.gauge("tinderbox_model_loaded", "1 if the model is in memory");
  Counter& prompt_tokens = make.counter("vllm:prompt_tokens_total", "Prompt tokens processed");
  Counter& generated = make.counter("vllm:generation_tokens_total", "Tokens generated");
  Counter& preemptions = make.counter("vllm:num_preemptions_total", "Sequences preempted to free KV blocks");
  Counter& prefix_queries =
      make.counter("vllm:prefix_cache_queries_total", "Prompt tokens looked up in the prefix cache");
  Counter& prefix_hits = make.counter("vllm:prefix_cache_hits_total", "Prompt tokens found in the prefix cache");
  Counter& stop = success("stop");
  Counter& length = success("length");
  Counter& abort = success("abort");
  Counter& refused = make.counter("tinderbox_requests_refused_total", "Requests that the scheduler refused");
  Counter& steps = make.counter("tinderbox_steps_total", "Steps run");
  Counter& busy = make.counter("tinderbox_busy_seconds_total", "Time in steps, of the pace that answers keep");
  Counter& lateness = make.counter(
      "tinderbox_lateness_seconds_total",
      "Time by which steps ended later than on the modelled machine; measured");
  Counter& late_steps =
      make.counter("tinderbox_late_steps_total", "Steps that ended later than on the modelled machine; measured");
  Histogram& ttft = make.histogram("vllm:time_to_first_token_seconds", "Arrival to first token", kTtftSeconds);
  Histogram& itl = make.histogram("vllm:inter_token_latency_seconds", "Between two tokens", kTokenSeconds);
  Histogram& tpot = make.histogram("vllm:request_time_per_output_token_seconds",
                                   "A request's mean time a token after the first", kTokenSeconds);
  Histogram& e2e = make.histogram("vllm:e2e_request_latency_seconds", "Arrival to last token", kRequestSeconds);
  Histogram& queue = make.histogram("vllm:request_queue_time_seconds", "Arrival to first step", kRequestSeconds);
  Histogram& inference =
      make.histogram("vllm:request_inference_time_seconds", "First step to last token", kRequestSeconds);
  Histogram& prefill =
      make.histogram("vllm:request_prefill_time_seconds", "First step to first token", kRequestSeconds);
  Histogram& decode = make.histogram("vllm:request_decode_time_seconds", "First to last token", kRequestSeconds);
  Histogram& n_prompt = make.histogram("vllm:request_prompt_tokens", "Prompt tokens of a request", token_bounds);
  Histogram& n_generated =
      make.histogram("vllm:request_generation_tokens", "Generated tokens of a request", token_bounds);
  Histogram& params_max = make.histogram("vllm:request_params_max_tokens", "max_tokens of a request", token_bounds);
  Histogram& params_n = make.histogram("vllm:request_params_n", "n of a request", kAnswers);
  Histogram& iteration =
      make.histogram("vllm:iteration_tokens_total", "Tokens of a step", powers_of_two(8.0, 16384.0));
};

ModelMetrics::ModelMetrics(prometheus::Registry& registry, const std::string& name, const Scheduler& scheduler,
                           const ModelLabels& labels)
    : name_(name),
      request_time_(labels.request_time),
      scheduler_(scheduler),
      series_(std::make_unique<Series>(Maker{registry, name_}, scheduler.limits().context_max)) {
  series_->loaded.Set(1);
  series_->weightless.Set(labels.weightless ? 1 : 0);
  show_sizes(registry, labels);
  update_gauges();
}

ModelMetrics::~ModelMetrics() = default;

void ModelMetrics::show_loaded(bool loaded) { series_->loaded.Set(loaded ? 1 : 0); }

void ModelMetrics::show_sizes(prometheus::Registry& registry, const ModelLabels& labels) {
  const KvPool& kv = scheduler_.kv();
  prometheus::BuildGauge()
      .Name("vllm:cache_config_info")
      .Help("Sizes of the KV pool; always 1")
      .Register(registry)
      .Add(series_->make.labels({{"block_size", std::to_string(kv.block_tokens())},
                                 {"num_gpu_blocks", std::to_string(kv.n_blocks())},
                                 {"cache_dtype", labels.kv_format},
                                 {"enable_prefix_caching", scheduler_.policy().prefix_cache ? "True" : "False"}}))
      .Set(1);
}

void ModelMetrics::update_gauges() {
  series_->running.Set(scheduler_.n_running());
  series_->waiting.Set(scheduler_.n_waiting());
  const KvPool& kv = scheduler_.kv();
  series_->kv_usage.Set(1.0 - static_cast<double>(kv.n_free()) / static_cast<double>(kv.n_blocks()));
  const SchedulerCounters& now = scheduler_.counters();
  series_->preemptions.Increment(static_cast<double>(now.preemptions - counted_.preemptions));
  series_->prefix_queries.Increment(static_cast<double>(now.prefix_tokens - counted_.prefix_tokens));
  series_->prefix_hits.Increment(static_cast<double>(now.prefix_hit_tokens - counted_.prefix_hit_tokens));
  counted_ = now;
}

void ModelMetrics::finished(const Live& l, FinishReason reason, TimePoint now) {
  Series& s = *series_;
  s.n_prompt.Observe(l.n_prompt);
  s.n_generated.Observe(static_cast<double>(l.n_generated));
  s.params_max.Observe(l.n_gen_max);
  if (l.n_answers > 0) s.params_n.Observe(l.n_answers);
  s.e2e.Observe(seconds(now - l.arrival + request_time_));
  (reason == FinishReason::Stop     ? s.stop
   : reason == FinishReason::Length ? s.length
                                    : s.abort)
      .Increment();
  if (l.stepped) s.inference.Observe(seconds(now - l.first_step));
  if (l.n_generated == 0) return;
  s.prefill.Observe(seconds(l.first_token - l.first_step));
  s.decode.Observe(seconds(l.last_token - l.first_token));
  if (l.n_generated > 1) {
    s.tpot.Observe(seconds(l.last_token - l.first_token) / static_cast<double>(l.n_generated - 1));
  }
}

void ModelMetrics::on_admission(const Request& request, Admission admission, TimePoint /*now*/) {
  if (admission == Admission::Accepted) {
    Live l;
    l.arrival = request.arrival;
    l.n_prompt = request.n_prompt;
    l.n_gen_max = request.n_gen_max;
    l.n_answers = request.n_answers;
    live_[request.id] = l;
  } else {
    series_->refused.Increment();
  }
  update_gauges();
}

void ModelMetrics::on_step(const Step& step, TimePoint start, const StepResult& result, const Scheduler&) {
  Series& s = *series_;
  s.steps.Increment();
  s.busy.Increment(seconds(result.end - start));
  s.iteration.Observe(step.n_tokens);
  if (result.lateness > Duration::zero()) {
    s.late_steps.Increment();
    s.lateness.Increment(seconds(result.lateness));
  }
  for (const StepItem& item : step.items) {
    const auto it = live_.find(item.seq);
    if (it == live_.end() || it->second.stepped) continue;
    it->second.stepped = true;
    it->second.first_step = start;
    s.queue.Observe(seconds(start - it->second.arrival));
  }
  update_gauges();
  completing_ = true;
}

void ModelMetrics::on_token(const TokenEvent& event, TimePoint now) {
  const auto it = live_.find(event.seq);
  if (it == live_.end()) return;
  Series& s = *series_;
  Live& l = it->second;
  if (!cut_short(event.finish)) {
    s.generated.Increment();
    if (++l.n_generated == 1) {
      l.first_token = now;
      s.prompt_tokens.Increment(l.n_prompt);
      s.ttft.Observe(seconds(now - l.arrival + request_time_));
    } else {
      s.itl.Observe(seconds(now - l.last_token));
    }
    l.last_token = now;
  }
  if (event.finish != FinishReason::None) {
    finished(l, event.finish, now);
    live_.erase(it);
    completing_ = true;
  }
  // The scheduler is as the first token of a step found it until a sequence ends.
  if (completing_) update_gauges();
  completing_ = false;
}

}  // namespace tinderbox
