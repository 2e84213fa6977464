// Who looks on while a box of a simulation runs: what the loop tells, and the box's body if it has
// one. Called from the thread that simulates; boxes that are watched take turns on one.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "box/loop.h"
#include "twin/body.h"

namespace tinderbox {

class BoxWatch : public Observer {
 public:
  // After every second of a body, which is body.state().time.
  virtual void on_body(const Body&) {}
};

// Asked once for each box and each model that it holds, both from 0; what it names must outlive the simulation. Of a
// box's body those of its first model are told.
using WatchBox = std::function<std::vector<BoxWatch*>(std::int64_t box, std::int64_t model)>;

// A body's on_window() that tells all of them, after `first` if there is one.
std::function<void(const Body&)> tell_body(std::function<void(const Body&)> first,
                                           std::vector<BoxWatch*> watches);

}  // namespace tinderbox
