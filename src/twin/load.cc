#include "twin/load.h"

#include <algorithm>

#include "base/check.h"

namespace tinderbox {
namespace {

bool has_weights(OpClass op_class) {
  return op_class == OpClass::MatMul || op_class == OpClass::Expert || op_class == OpClass::LmHead;
}

}  // namespace

Load load_of(const StepModel& model, const StepCost& step) {
  CHECK(!step.classes.empty() && step.time > Seconds(0));
  const TwinModel& twin = model.twin();
  const double time = step.time.value();
  Load load;
  load.clock = twin.machine.clock_light;
  load.awake = true;
  load.link_up = twin.parallel.boxes() > 1;
  double working = 0, bytes = 0, compute = 0, memory = 0;
  for (const ClassCost& c : step.classes) {
    const Kernels* kernels =
        has_weights(c.op_class) ? twin.stack.kernels_of(c.work.weight_dtype) : nullptr;
    const MathType math = kernels != nullptr ? kernels->math : MathType::F16;
    load.flops[static_cast<std::size_t>(math)] += c.work.matmul.value() / time;
    load.flops[static_cast<std::size_t>(MathType::F32)] += c.work.vector.value() / time;
    // Activations stay in the cache where memory alone would be faster than they say.
    bytes += std::min(c.work.bytes().value(),
                      c.memory.value() * twin.machine.memory_read_bandwidth.value());
    working += c.time.value();
    // What is not launching is the longer of the two.
    const double streaming = std::max(0.0, (c.time - c.launch).value());
    (c.compute > c.memory ? compute : memory) += streaming;
  }
  load.memory_bytes = std::min(bytes / time, twin.machine.memory_read_bandwidth.value());
  load.gpu_busy = std::clamp(working / time, 0.0, 1.0);
  load.compute_share = std::min(compute / time, 1.0);
  load.memory_share = std::min(memory / time, 1 - load.compute_share);
  if (twin.machine.body) load.cpu_p_busy = twin.machine.body->host_share;
  return load;
}

PhaseLoads phase_loads(const StepModel& model, const Point& point, const Prediction& prediction) {
  PhaseLoads out;
  const double total = prediction.total.value();
  if (point.prompt > 0 && !prediction.prefill_step.classes.empty()) {
    out.prefill = load_of(model, prediction.prefill_step);
    out.prefill_share = std::clamp(prediction.prompts_read.value() / total, 0.0, 1.0);
  }
  if (!prediction.decode_step.classes.empty()) {
    out.decode = load_of(model, prediction.decode_step);
    out.decode_share = 1 - out.prefill_share;
  } else {
    out.prefill_share = 1;
  }
  return out;
}

Load mixed(std::span<const std::pair<Load, double>> loads) {
  Load out;
  double shares = 0;
  for (const auto& [load, share] : loads) {
    if (share <= 0) continue;
    shares += share;
    out.clock = std::max(out.clock, load.clock);
    for (std::size_t i = 0; i < kMathTypes; ++i) out.flops[i] += share * load.flops[i];
    for (double Load::* member :
         {&Load::memory_bytes, &Load::link_bytes, &Load::drive_bytes, &Load::gpu_busy,
          &Load::compute_share, &Load::memory_share, &Load::cpu_p_busy, &Load::cpu_e_busy}) {
      out.*member += share * (load.*member);
    }
    out.awake = out.awake || load.awake;
    out.link_up = out.link_up || load.link_up;
  }
  CHECK(shares > 0.999999 && shares < 1.000001);
  return out;
}

Load mixed(const PhaseLoads& phases) {
  const std::pair<Load, double> loads[] = {{phases.prefill, phases.prefill_share},
                                           {phases.decode, phases.decode_share}};
  return mixed(loads);
}

}  // namespace tinderbox
