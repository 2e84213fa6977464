// For tests that explore every schedule of few requests: what an observer of a scheduler's inputs and outputs knows
// of each, and what its counters and memory must then say.
#pragma once

#include <cstdint>
#include <ranges>

#include <gtest/gtest.h>

#include "sched/scheduler.h"

namespace tinderbox::explored {

struct Size {
  std::int32_t n_prompt, n_gen;
};

struct Seen {
  enum Status : std::uint8_t { Unborn, Waiting, Running, Gone } status = Unborn;
  std::int32_t n_computed = 0, n_generated = 0;

  bool lives() const { return status == Waiting || status == Running; }
};

// seen: of all requests. Every one is accounted for; without any, all memory is free.
template <std::ranges::range Requests>
void check_counters(const Scheduler& scheduler, const Requests& seen) {
  const SchedulerCounters& c = scheduler.counters();
  std::int64_t n_submitted = 0, n_live = 0;
  for (const Seen& s : seen) {
    n_submitted += s.status != Seen::Unborn;
    n_live += s.lives();
  }
  ASSERT_EQ(c.submitted, n_submitted);
  ASSERT_EQ(c.submitted, c.finished + c.cancelled + c.refused + c.expired + n_live);
  if (n_live == 0) {
    ASSERT_EQ(scheduler.kv().n_free(), scheduler.kv().n_blocks());
  }
  scheduler.verify();
}

}  // namespace tinderbox::explored
