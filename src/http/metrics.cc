#include "http/metrics.h"

#include <algorithm>
#include <map>
#include <utility>

#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include "base/check.h"
#include "http/metrics_model.h"

namespace tinderbox {

namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

// Past the registry, so that labels keep their order and what is read no more is shown no more.
// highest: of each counter so far. Prometheus takes one that falls for one that began anew; and what is computed for a
// moment between two windows of a body may be a little more than what the next window then says.
std::vector<MetricFamily> families_of(const std::vector<GaugeReading>& readings,
                                      std::map<std::string, double>& highest) {
  std::vector<MetricFamily> families;
  for (const GaugeReading& r : readings) {
    auto family = std::ranges::find(families, r.name, &MetricFamily::name);
    if (family == families.end()) {
      const MetricType type = r.kind == GaugeReading::Kind::Counter ? MetricType::Counter : MetricType::Gauge;
      family = families.insert(family, {r.name, r.help, type, {}});
    }
    prometheus::ClientMetric metric;
    std::string key = r.name;
    for (const auto& [name, value] : r.labels) {
      metric.label.push_back({name, value});
      key.append("\n").append(value);
    }
    if (family->type == MetricType::Counter) {
      double& most = highest[key];
      metric.counter.value = most = std::max(most, r.value);
    } else {
      metric.gauge.value = r.value;
    }
    family->metric.push_back(std::move(metric));
  }
  return families;
}

// Families that are told under another name, too: what vLLM has deprecated, for boards that ask for it; and an answer's
// length is that of the longest one while each answer is a request of its own.
struct Alias {
  const char *name, *of, *help;
};
constexpr Alias kAliases[] = {
    {"vllm:gpu_cache_usage_perc", "vllm:kv_cache_usage_perc", "Deprecated name of vllm:kv_cache_usage_perc"},
    {"vllm:gpu_prefix_cache_queries_total", "vllm:prefix_cache_queries_total",
     "Deprecated name of vllm:prefix_cache_queries_total"},
    {"vllm:gpu_prefix_cache_hits_total", "vllm:prefix_cache_hits_total",
     "Deprecated name of vllm:prefix_cache_hits_total"},
    {"vllm:time_per_output_token_seconds", "vllm:inter_token_latency_seconds",
     "Deprecated name of vllm:inter_token_latency_seconds"},
    {"vllm:request_max_num_generation_tokens", "vllm:request_generation_tokens",
     "Generated tokens of a request's longest answer"}};

void add_aliases(std::vector<MetricFamily>& families) {
  for (const Alias& alias : kAliases) {
    const auto of = std::ranges::find(families, alias.of, &MetricFamily::name);
    if (of == families.end()) continue;
    MetricFamily copy = *of;
    copy.name = alias.name;
    copy.help = alias.help;
    families.push_back(std::move(copy));
  }
}

}  // namespace

struct Metrics::Impl {
  prometheus::Registry registry;
  std::map<std::string, std::unique_ptr<ModelMetrics>> models;
  std::function<std::vector<GaugeReading>()> read;
  std::map<std::string, double> highest;
};

Metrics::Metrics(const MetricsOptions& options) : impl_(std::make_unique<Impl>()) {
  const auto gauge = [&](const char* name, const char* help, const prometheus::Labels& labels) -> prometheus::Gauge& {
    return prometheus::BuildGauge().Name(name).Help(help).Register(impl_->registry).Add(labels);
  };
  gauge("tinderbox_build_info", "Version of this server; always 1", {{"version", options.version}}).Set(1);
  gauge("tinderbox_paced", "1 if answers keep a modelled machine's pace", {{"as", options.as}})
      .Set(options.as.empty() ? 0 : 1);
}

Metrics::~Metrics() = default;

Observer& Metrics::of_model(const std::string& name, const Scheduler& scheduler, const ModelLabels& labels) {
  std::unique_ptr<ModelMetrics>& model = impl_->models[name];
  CHECK(model == nullptr);
  model = std::make_unique<ModelMetrics>(impl_->registry, name, scheduler, labels);
  return *model;
}

void Metrics::show_loaded(const std::string& name, bool loaded) {
  const auto it = impl_->models.find(name);
  CHECK(it != impl_->models.end());
  it->second->show_loaded(loaded);
}

void Metrics::read_from(std::function<std::vector<GaugeReading>()> read) { impl_->read = std::move(read); }

std::string Metrics::text() {
  std::vector<MetricFamily> families = impl_->registry.Collect();
  add_aliases(families);
  if (impl_->read) {
    for (MetricFamily& family : families_of(impl_->read(), impl_->highest)) families.push_back(std::move(family));
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace tinderbox
