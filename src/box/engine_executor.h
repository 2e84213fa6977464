// Real tokens, computed on this computer. Owned by the box thread.
#pragma once

#include <vector>

#include "box/executor.h"
#include "engine/engine.h"

namespace tinderbox {

class EngineExecutor final : public Executor {
 public:
  // Both must outlive this. The clock is only read, after the work: by a WallClock a step takes as
  // long as it took; by a VirtualClock, which stands still meanwhile, it ends when it starts.
  EngineExecutor(Engine& engine, const Clock& clock) : engine_(engine), clock_(clock) {}
  // Requires token values, and scheduler limits and KV pool within the engine's options.
  StepResult run(const Step& step, TimePoint start) override;

 private:
  Engine& engine_;
  const Clock& clock_;
  std::vector<EngineItem> items_;
};

}  // namespace tinderbox
