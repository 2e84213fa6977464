#include "twin/price.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace tinderbox {
namespace {

constexpr double kCountedActivationBytes = 4;  // of an element in Work::activations
constexpr double kEven = 1e6;                  // experts so evenly popular are taken as alike
constexpr double kNarrowHead = 128;            // head dimension that attention kernels are made for
constexpr double kLongRow = 5120;              // columns from which a matrix-vector kernel streams at full rate

struct Shares {
  FlopsPerSecond compute;
  BytesPerSecond memory;
};

// The arithmetic's peak, or that of the next wider one that the machine has at all.
FlopsPerSecond peak(const Machine& machine, MathType wanted, Hertz clock) {
  for (const MathType type : {wanted, MathType::F16, MathType::TF32}) {
    const FlopsPerSecond p = machine.peak(type, clock);
    if (p.value() > 0) return p * machine.compute_ratio;
  }
  return machine.peak(MathType::F32, clock) * machine.compute_ratio;
}

BytesPerSecond bandwidth(const Machine& machine) {
  return machine.memory_bandwidth * machine.memory_ratio;
}

// What multiplies the memory share of the kernels: experts are many small matrices; one row alone takes
// libraries' kernels for vectors, whose blocks have few loads in flight where rows of weights are short.
double memory_ratio(const OpShape& op, const PriceParameters& p) {
  if (op.op_class == OpClass::Expert) return p.expert_memory_ratio;
  if (op.x_rows > 1) return 1;
  const double ratio = op.op_class == OpClass::LmHead ? p.single_head_ratio : 1;
  if (dtype_bits(op.w_dtype) < 16 || op.w_cols >= kLongRow) return ratio;
  return ratio * std::pow(op.w_cols / kLongRow, p.short_row_exponent);
}

// Of a product with rows without end; no kernel streams faster than the bus. A machine without the
// kernels' arithmetic runs those of 16 bits instead, on weights widened as they come.
Shares product_shares(const OpShape& op, const TwinModel& twin, Hertz clock) {
  const PriceParameters& p = twin.stack.price;
  static const Kernels plain{};  // vectors and routers in formats that need no kernel of their own
  const Kernels* kernels = twin.stack.kernels_of(op.w_dtype);
  const Kernels& k = kernels != nullptr ? *kernels : plain;
  const Kernels* wide = twin.stack.kernels_of(DType::F16);
  const bool has_math = twin.machine.peak(k.math, clock).value() > 0;
  const Kernels& computes = has_math || wide == nullptr ? k : *wide;
  const double compute_ratio = op.op_class == OpClass::Expert ? p.expert_compute_ratio : 1;
  return {.compute = peak(twin.machine, computes.math, clock) *
                     (computes.compute_share * compute_ratio),
          .memory = bandwidth(twin.machine) * std::min(1.0, k.memory_share * memory_ratio(op, p))};
}

double rows_of_product(const OpShape& op, const StepShape& step) {
  if (op.op_class != OpClass::Expert) return op.x_rows;
  return step.n_tokens * op.at.n_used / std::max(step.experts, 1.0);
}

// Activations are handed from op to op through the L2 cache; only what does not fit goes to memory.
Seconds activation_time(const Work& work, const TwinModel& twin) {
  const Bytes moved = work.activations * (twin.stack.activation_bytes / kCountedActivationBytes);
  const Bytes spilled = std::max(Bytes(0), moved - twin.machine.l2_size);
  return spilled / (bandwidth(twin.machine) * twin.stack.price.vector_memory_share);
}

void price_product(const OpShape& op, const StepShape& step, const Work& work,
                   const TwinModel& twin, Hertz clock, Cost& cost) {
  const PriceParameters& p = twin.stack.price;
  const Shares shares = product_shares(op, twin, clock);
  const double rows = std::max(rows_of_product(op, step), 1.0);
  const double half = op.op_class == OpClass::Expert ? p.expert_half_rows : p.half_rows;
  // One row takes a vector's kernel, which fills no tiles; a mean of 1 to 2 rows is a mixture.
  const double unfilled = half * std::min(rows - 1, 1.0);
  cost.compute = work.matmul / shares.compute * ((rows + unfilled) / rows);
  cost.memory = work.weights / shares.memory + activation_time(work, twin);
}

struct AttentionWork {
  Flops matmul;
  double width = 0;  // of a head's keys
};

// Latent rows may be widened to keys and values of every head before they are used, which saves
// flops where many queries read them; stacks take the cheaper way.
AttentionWork cheapest_attention(const OpShape& op, const StepShape& step, const Work& work,
                                 const LatentConfig& latent) {
  const AttentionWork absorbed{work.matmul, static_cast<double>(op.at.qk_dim)};
  if (!op.at.latent || latent.qk_nope == 0) return absorbed;
  const double width = latent.qk_nope + latent.qk_rope;
  const double dots = (width + latent.v_dim) / (op.at.qk_dim + op.at.v_dim);
  const double older = std::max(step.keys - step.n_tokens, 0.0);  // the graph widens the new ones
  const Flops widening(2 * older * latent.kv_lora * op.at.n_heads * (latent.qk_nope + latent.v_dim));
  const AttentionWork widened{work.matmul * dots + widening, width};
  return widened.matmul < absorbed.matmul ? widened : absorbed;
}

void price_attention(const OpShape& op, const StepShape& step, const Work& work,
                     const TwinModel& twin, Hertz clock, Cost& cost) {
  const PriceParameters& p = twin.stack.price;
  const AttentionWork cheapest = cheapest_attention(op, step, work, twin.model.latent);
  const double wide = std::min(1.0, kNarrowHead / cheapest.width);
  const double ratio = dtype_bits(twin.kv) < 16 ? p.quantised_kv_ratio : 1;
  const double compute_share = p.attention_compute_share * std::pow(wide, p.attention_width_exponent);
  const double memory_share = p.attention_memory_share * std::pow(wide, p.attention_wide_read_exponent) * ratio;
  cost.compute = cheapest.matmul / (peak(twin.machine, MathType::F16, clock) * compute_share);
  cost.memory = (work.kv_read + work.kv_write) / (bandwidth(twin.machine) * memory_share) +
                activation_time(work, twin);
}

void price_scan(const Work& work, const TwinModel& twin, Hertz clock, Cost& cost) {
  const PriceParameters& p = twin.stack.price;
  cost.compute = work.matmul / (peak(twin.machine, MathType::F16, clock) * p.scan_compute_share);
  cost.memory = (work.kv_read + work.kv_write) /
                    (bandwidth(twin.machine) * p.scan_memory_share) +
                activation_time(work, twin);
}

// log(gamma(x + n) / gamma(x)) for x, n > 0. Not std::lgamma, which writes a global.
double log_gamma_step(double x, double n) {
  constexpr double kLarge = 12;  // from where Stirling's series is exact
  double below = 0;
  for (; x < kLarge; ++x) below += std::log((x + n) / x);
  const auto tail = [](double y) {
    const double r = 1 / (y * y);
    return (1.0 / 12 - r * (1.0 / 360 - r * (1.0 / 1260 - r * (1.0 / 1680 - r / 1188)))) / y;
  };
  return (x - 0.5) * std::log1p(n / x) + n * (std::log(x + n) - 1) + tail(x + n) - tail(x) - below;
}

}  // namespace

std::string_view bound_name(Bound bound) {
  switch (bound) {
    case Bound::Compute:
      return "compute";
    case Bound::Memory:
      return "memory";
    case Bound::Launch:
      return "launch";
    case Bound::Link:
      return "link";
  }
  std::abort();
}

Bound largest(Seconds compute, Seconds memory, Seconds launch) {
  if (launch >= std::max(compute, memory)) return Bound::Launch;
  return compute >= memory ? Bound::Compute : Bound::Memory;
}

double experts_touched(const OpAttributes& at, double n_tokens, const Stack& stack) {
  if (n_tokens <= 1 || at.n_used >= at.n_experts) return std::min<double>(n_tokens, 1) * at.n_used;
  const double a = stack.price.routing_evenness, b = a * (static_cast<double>(at.n_experts) / at.n_used - 1);
  if (b > kEven) return expected_experts(at.n_experts, at.n_used, n_tokens);
  return at.n_experts * -std::expm1(log_gamma_step(b, n_tokens) - log_gamma_step(a + b, n_tokens));
}

Cost price(const OpShape& op, const StepShape& step, const Work& work, const TwinModel& twin,
           bool decode) {
  const bool nothing = work.bytes() == Bytes(0) && work.matmul + work.vector == Flops(0);
  if (nothing) return {};  // a view is no kernel
  const Machine& machine = twin.machine;
  const PriceParameters& p = twin.stack.price;
  const Hertz clock = decode ? machine.clock_light : machine.clock_heavy;
  Cost cost;
  switch (op.op_class) {
    case OpClass::MatMul:
    case OpClass::LmHead:
    case OpClass::Expert:
      price_product(op, step, work, twin, clock, cost);
      break;
    case OpClass::Attention:
      price_attention(op, step, work, twin, clock, cost);
      break;
    case OpClass::Scan:
      price_scan(work, twin, clock, cost);
      break;
    case OpClass::Embed:
    case OpClass::Norm:
    case OpClass::KvStore:
    case OpClass::Elementwise:
    case OpClass::Route:
      cost.memory = (work.weights + work.kv_read + work.kv_write) /
                        (bandwidth(machine) * p.vector_memory_share) +
                    activation_time(work, twin);
      break;
  }
  const bool product = op.op_class == OpClass::MatMul || op.op_class == OpClass::Expert ||
                       op.op_class == OpClass::LmHead;
  const double kernel_time = !decode                             ? p.kernel_time
                             : twin.replays_graph(step.n_tokens) ? p.graph_kernel_time
                                                                 : p.eager_kernel_time;
  cost.launch = machine.kernel_ratio *
                Seconds(twin.stack.launches[static_cast<std::size_t>(op.op_class)] * kernel_time +
                        (product ? p.product_time : 0) +
                        (op.kind == OpKind::Scan ? p.scan_time : 0));
  cost.time = std::max(cost.compute, cost.memory) +
              p.overlap_ratio * std::min(cost.compute, cost.memory) + cost.launch;
  cost.bound = largest(cost.compute, cost.memory, cost.launch);
  return cost;
}

}  // namespace tinderbox
