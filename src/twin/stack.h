// How a serving stack uses a machine: which kernel multiplies a weight of each format and what it
// reaches, the times that are not the device's, its scheduling limits and memory policy. One TOML
// file each; every number has kind and source, as in machine files. The numbers of [kernels] and
// [price] are fitted by `tinderbox calibrate`; price.h has the formulas they stand in.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "machine/machine.h"
#include "model/dtype.h"
#include "model/graph.h"
#include "model/weight_format.h"

namespace tinderbox {

// Kernels of products with weights of some formats.
struct Kernels {
  std::string name;
  MathType math{};
  double memory_share = 1;   // of the machine's peak bandwidth, streaming weights
  double compute_share = 1;  // of the arithmetic's peak, with rows without end
  bool fitted = false;       // some measurement has moved one of them
};

// What is fitted beside the kernels. All above 0; ratios may exceed 1.
struct PriceParameters {
  double expert_memory_ratio = 1;   // experts against dense products of the same kernels
  double expert_compute_ratio = 1;  // ditto
  double single_head_ratio = 1;     // LM head of one row against dense products, likewise
  double short_row_exponent = 0;    // memory share of one row by 16-bit weights falls as (columns / 5120)^x below
  double half_rows = 0;             // rows of a product at which it reaches half its compute share
  double expert_half_rows = 0;      // ditto, rows an expert
  double routing_evenness = 1e9;    // of experts' popularity (twin/price.h)
  double attention_memory_share = 1, attention_compute_share = 1;
  double quantised_kv_ratio = 1;    // memory share of attention over keys of less than 16 bits
  double attention_width_exponent = 0;      // compute share falls as (128 / head dimension)^x beyond 128
  double attention_wide_read_exponent = 0;  // memory share ditto
  double scan_memory_share = 1, scan_compute_share = 1;
  double vector_memory_share = 1;  // activations of norms and element-wise ops
  double overlap_ratio = 0;  // share of the shorter of compute and memory that the longer one does not hide
  double kernel_time = 0;        // s a kernel of a prompt's step, with building its graph
  double graph_kernel_time = 0;  // s a kernel of a replayed graph, start and drain
  double eager_kernel_time = 0;  // s a kernel of a step of decode that is not replayed
  double product_time = 0;       // s a product takes beside its bytes and flops: filling, draining
  double scan_time = 0;          // s a scan takes beside its bytes and flops
  double step_time = 0;          // s of a step on the host that the device waits for
  double sequence_time = 0;      // s ditto for each sequence of the step
  double answer_tokens = 0;      // mean length of an answer that nothing but its model ends
  double sync_time = 0;          // s of an operation between boxes beyond what the link alone takes
  double request_time = 0;       // s of a request before its first step: HTTP, template, tokenising
};

// The most tokens of a step that is replayed from a captured graph; larger ones are launched kernel by kernel.
struct GraphLimits {
  static constexpr int kNone = 1 << 30;
  int tokens = kNone;         // of a model without experts
  int expert_tokens = kNone;  // of one with experts
};

// A way to run some formats, or to replay graphs, other than the usual one; by its name in measurements
// (kernel_path).
struct KernelPath {
  std::string name;
  int build_min = 0;  // builds from here on take it without being asked; 0: none
  std::string since;  // ditto, versions from this one ("0.23") on; empty: none
  std::vector<std::pair<DType, int>> kernels;  // format -> index of Stack::kernels
  std::optional<GraphLimits> graph_limits{};  // none: the stack's
};

// What the twin predicts, by how far its answers were off.
enum class Metric : std::uint8_t {
  Prefill,      // prompt tokens a second
  Decode,       // generated tokens a second of one stream alone
  DecodeBatch,  // of several streams, and time per token among them
  Ttft,
  Serve,        // rates of whole runs
};
inline constexpr int kMetrics = 5;
std::string_view metric_name(Metric metric);

// Measured over predicted lies between the two for nine of ten configurations that the fit has not
// seen.
struct Interval {
  double low = 1, high = 1;
};

// What a preallocated share is a share of.
enum class PoolRule : std::uint8_t {
  None,             // no pool: memory is allocated for what is asked (llama.cpp)
  OfTotal,          // of all memory; all on the device counts against it (vLLM)
  OfFreeAtStart,    // of what is free before loading; weights count against it (SGLang)
  OfFreeAfterLoad,  // of what is free beside weights and activations (TensorRT-LLM)
};

// What a stack allocates beside weights and KV, and how it sizes its KV pool.
struct MemoryPolicy {
  PoolRule pool = PoolRule::None;
  double share = 0;              // of the pool rule, by default
  Bytes runtime;                 // device context and libraries
  Bytes host;                    // host processes
  Bytes graphs;                  // captured graphs and their buffers; 0: too few to count
  double activation_size = 4;    // bytes an element
  double load_layers = 0;        // layers held twice while loading
  bool logits_of_all = false;    // logits of every token of a step, not of the sampled ones
  bool maps_weights = false;     // reads weights through the page cache
  // The command line: {share} {context} {context_all} {concurrency} {step_tokens} stand for numbers.
  std::string flags;
  std::map<std::string, std::string> kv_flags;  // by KV format, beyond the default one
};

struct Stack {
  std::string id, name;
  std::string like;  // the stack whose fitted numbers are this one's priors; empty: none
  WeightFile file = WeightFile::Checkpoint;  // kind of files it reads
  bool graphs = false;  // replays captured graphs in decode: a kernel costs graph_kernel_time
  GraphLimits graph_limits;
  std::string usual_parallel = "tp";  // how it uses several boxes if not told: "tp" or "pp"
  bool overlaps_stages = false;       // of pp: stages work on other sequences or chunks meanwhile
  bool latency_subtracted = false;  // its clients take one token's latency off the time of a prompt

  std::vector<Kernels> kernels;
  std::array<int, kDTypes> format_kernels{};  // by DType: index of kernels; -1: cannot run it
  std::vector<KernelPath> paths;
  std::array<Interval, kMetrics> intervals{};
  PriceParameters price;
  std::array<double, kOpClasses> launches{};  // kernels an op of the class costs
  double activation_bytes = 4;                // of one element handed from op to op

  std::string kv_default;       // "f16"
  std::string weights_default;  // if --weights is not given
  int step_tokens_max = 0;      // scheduler budget: n_batch, max_num_batched_tokens
  int micro_tokens_max = 0;     // of a step computed at a time, one piece after the other: n_ubatch; 0: all
  int sequences_max = 0;
  int block_tokens = 0;
  std::string policy = "vllm";  // a name of sched/policy.h
  std::string older_policy, older_before;  // of versions before this one ("0.14"); empty: they are not different
  MemoryPolicy memory;
  std::vector<Fact> facts;
  std::vector<Source> sources;

  bool gguf() const { return is_gguf(file); }
  // nullptr: the stack has no kernel for the format.
  const Kernels* kernels_of(DType dtype) const {
    const int i = format_kernels[static_cast<std::size_t>(dtype)];
    return i < 0 ? nullptr : &kernels[static_cast<std::size_t>(i)];
  }
};

// name stands for the path in messages. Throws Error::Invalid naming "file:line: key": a missing or
// unknown key, a number without unit, kind or source, an unknown op class, format or arithmetic.
Stack parse_stack(std::string_view toml, std::string_view name);

// The stack as a build runs it: the path asked for (any of "marlin+triton-attn"; unknown names
// change nothing), else those that the version's build number, "b7941" or "(7941)", or its points ("0.8.5",
// "v0.11.0rc1") have by themselves. Versions with points that are old enough schedule as old ones do.
Stack with_path(Stack stack, std::string_view kernel_path, std::string_view version);

// with_path() can read a build or a version from the text.
bool states_version(std::string_view version);

// The numbers that calibrate fits, by their keys in the file ("kernels.bf16.memory_share",
// "price.step_time"), in a fixed order.
struct StackParameter {
  std::string key;
  double* value;
};
std::vector<StackParameter> parameters(Stack& stack);
// Likewise "reach.memory_ratio" ... of a machine file; empty if the file has none.
std::vector<StackParameter> parameters(Machine& machine);

// The stack that usually runs a weights format: "llama.cpp" for the formats of GGUF files and
// mxfp4, "mlx", "ds4" and "exl3" for their own, else "vllm".
std::string_view default_stack(std::string_view weights_name);

// The format to take for a model if none is asked for: that of its published checkpoint, if files of the stack's kind
// come in it, else the stack's default.
std::string usual_weights(const ModelConfig& model, const Stack& stack);

}  // namespace tinderbox
