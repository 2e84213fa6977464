// One model's share of /metrics: vLLM's names, labelled with its name. Observed on the thread that runs the model.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include <prometheus/registry.h>

#include "box/loop.h"
#include "http/metrics.h"

namespace tinderbox {

class ModelMetrics final : public Observer {
 public:
  // The registry must outlive this.
  ModelMetrics(prometheus::Registry& registry, const std::string& name, const Scheduler& scheduler,
               const ModelLabels& labels);
  ~ModelMetrics() override;

  void show_loaded(bool loaded);  // any thread

  void on_admission(const Request& request, Admission admission, TimePoint now) override;
  void on_step(const Step& step, TimePoint start, const StepResult& result,
               const Scheduler& scheduler) override;
  void on_token(const TokenEvent& event, TimePoint now) override;

 private:
  struct Series;
  // What is known of a request between its admission and its end.
  struct Live {
    TimePoint arrival{}, first_step{}, first_token{}, last_token{};
    bool stepped = false;
    std::int32_t n_prompt = 0, n_gen_max = 0, n_answers = 1;
    std::int64_t n_generated = 0;
  };

  void show_sizes(prometheus::Registry& registry, const ModelLabels& labels);
  void update_gauges();
  void finished(const Live& live, FinishReason reason, TimePoint now);

  const std::string name_;
  const Duration request_time_;
  const Scheduler& scheduler_;
  SchedulerCounters counted_{};  // of this scheduler, already in the counters
  std::unique_ptr<Series> series_;
  std::unordered_map<SeqId, Live> live_;
  bool completing_ = false;  // a step is over whose tokens nobody has seen
};

}  // namespace tinderbox
