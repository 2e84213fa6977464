// How a serving stack uses a machine: per op class the share of compute peak and bandwidth it
// reaches and what a launch costs; per weights format the arithmetic it runs; its scheduling limits
// and memory policy. One TOML file each; every number has kind and source, as in machine files.
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

namespace tinderbox {

struct Efficiency {
  double compute = 1;   // share of the math type's peak at clock_heavy
  double memory = 1;    // share of the machine's peak bandwidth
  double launches = 1;  // kernels an op of this class costs
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
  bool gguf = false;    // reads GGUF files
  bool graphs = false;  // replays captured graphs in decode: a launch costs launch_graph instead of
                        // the machine's kernel_launch
  Seconds launch_graph;
  Seconds step_overhead;      // host time of a step that the device waits for
  Seconds sequence_overhead;  // ditto for each sequence of the step
  std::array<Efficiency, kOpClasses> efficiency{};
  // Multiplies Efficiency::memory of weight-reading classes by weight format (mxfp4 0.63, ...); 1
  // if absent.
  std::array<double, 32> format_memory{};  // by DType
  // Likewise Efficiency::compute of products with such a weight.
  std::array<double, 32> format_compute{};  // by DType
  // Arithmetic of products with a weight of this format.
  std::array<MathType, 32> format_math{};  // by DType

  std::string kv_default;       // "f16"
  std::string weights_default;  // if --weights is not given
  int step_tokens_max = 0;      // scheduler budget: ubatch or max_num_batched_tokens
  int sequences_max = 0;
  int block_tokens = 0;
  MemoryPolicy memory;
  std::vector<Fact> facts;
  std::vector<Source> sources;
};

// name stands for the path in messages. Throws Error::Invalid naming "file:line: key": a missing or
// unknown key, a number without unit, kind or source, an unknown op class, format or arithmetic.
Stack parse_stack(std::string_view toml, std::string_view name);

// The stack that usually runs a weights format: "llama.cpp" for the formats of GGUF files and
// mxfp4, else "vllm".
std::string_view default_stack(std::string_view weights_name);

}  // namespace tinderbox
