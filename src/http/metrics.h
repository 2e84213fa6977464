// What the box does, as Prometheus metrics: vLLM's names, so that its dashboards fit, and
// tinderbox_* for what only a twin has. Observed on the box thread; text() may be called from any
// thread.
//
// In an ObserverList put it before the Mailbox: then a client that has its last token finds it
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
  std::string model;  // label model_name
  std::string version;
  std::string as;  // the machine whose pace is kept; empty: none
  bool weightless = false;
};

class Metrics final : public Observer {
 public:
  // scheduler is read on the box thread only and must outlive the loop.
  Metrics(MetricsOptions options, const Scheduler& scheduler);
  ~Metrics() override;

  // Before anything is observed. read: called for each text(), from its thread; gauges like the others.
  void read_from(std::function<std::vector<Reading>()> read);

  // Box thread.
  void on_admission(const Request& request, Admission admission, TimePoint now) override;
  void on_step(const Step& step, TimePoint start, const StepResult& result,
               const Scheduler& scheduler) override;
  void on_token(const TokenEvent& event, TimePoint now) override;

  // The exposition format, text/plain; version=0.0.4.
  std::string text() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tinderbox
