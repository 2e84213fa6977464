// What the box does, as Prometheus metrics: vLLM's names for each model's traffic, so that its dashboards fit, and
// tinderbox_* for what only a twin has. Models are observed on the box thread; text() may be called from another one,
// but from one at a time.
//
// In an ObserverList put a model's observer before the Mailbox: then a client that has its last token finds it
// counted. Latencies count from the moment the loop took a request in, so they leave out the rest
// of the step that was running when it came.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "box/gauges.h"
#include "box/loop.h"

namespace tinderbox {

struct MetricsOptions {
  std::string version;
  std::string as;  // the machine whose pace is kept; empty: none
};

// What a model's metrics say beside its traffic.
struct ModelLabels {
  bool weightless = false;
  std::string kv_format = "auto";  // vLLM's cache_dtype
  Duration request_time{};         // before the scheduler hears of a request; part of TTFT and E2E
};

class Metrics {
 public:
  explicit Metrics(const MetricsOptions& options);
  ~Metrics();

  // Who observes the model of this name, from now on with this scheduler, which is read on the box thread only and
  // must live as long as this. Requires that there was none of this name, and that nothing is observed yet.
  Observer& of_model(const std::string& name, const Scheduler& scheduler, const ModelLabels& labels = {});
  // Whether the model of that name is in memory; it is until this says otherwise. Any thread.
  void show_loaded(const std::string& name, bool loaded);

  // Before anything is observed. read: called for each text(), from its thread; no two with one name and the same
  // labels, none with a name of this file's. A counter that falls is shown where it was.
  void read_from(std::function<std::vector<GaugeReading>()> read);

  // The exposition format, text/plain; version=0.0.4.
  std::string text();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tinderbox
