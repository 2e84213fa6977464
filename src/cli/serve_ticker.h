// Once a second, on the box thread, what the box is like: for whoever follows its state, and for its history.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "box/mailbox_queue.h"
#include "cli/serve_models.h"
#include "http/box_state.h"

namespace tinderbox::cli {

class Ticker {
 public:
  // told: on the box thread, with each state. All must outlive it.
  Ticker(ServeModels& models, ServingBox& box, const Roster& roster, BoxFacts facts, Broadcast& state,
         std::function<std::string(std::uint64_t)> key_name, std::function<void(const BoxMoment&)> told);
  ~Ticker();  // before the box

 private:
  void run();
  void tick();
  BoxMoment state_now();
  MemoryUse memory(const BoxStatus& box) const;

  ServeModels& models_;
  ServingBox& box_;
  const Roster& roster_;
  BoxFacts facts_;
  Broadcast& state_;
  std::function<std::string(std::uint64_t)> key_name_;
  std::function<void(const BoxMoment&)> told_;
  // Box thread: of the last tick.
  double last_unix_ = 0, cpu_s_ = 0;
  std::int64_t n_prompt_ = 0, n_generated_ = 0;
  std::atomic<bool> stopping_ = false;
  std::atomic<bool> asked_ = false;  // the box has not come to it yet
  // nullptr once it is gone: the box has errands of it that it has not come to.
  std::shared_ptr<Guarded<Ticker*>> self_ = std::make_shared<Guarded<Ticker*>>(this);
  Bell bell_;
  std::thread thread_;
};

// Of /proc; 0 where that does not tell.
ComputerLoad computer_load();

}  // namespace tinderbox::cli
