#include "twin/stack.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "machine/sourced.h"
#include "model/weight_format.h"

namespace tinderbox {
namespace {

// The glossary of stack files.
constexpr std::array kNouns = {
    Noun{"share", Measure::Share},
    Noun{"ratio", Measure::Share},
    Noun{"time", Measure::Time},
    Noun{"size", Measure::Size},
};

// Formats a weight can have; the integer types of token ids are none.
std::vector<DType> weight_dtypes() {
  std::vector<DType> out;
  for (int i = 0; i <= static_cast<int>(DType::INT4_G128); ++i)
    out.push_back(static_cast<DType>(i));
  return out;
}

std::string expected_one_of(std::string_view where, std::string_view what,
                            const std::vector<std::string>& known, std::string_view got) {
  std::string list;
  for (const std::string& name : known) list += (list.empty() ? "" : ", ") + name;
  return format("{}: expected {} of {}; got '{}'{}", where, what, list, got,
                did_you_mean(got, known));
}

void read_efficiency(SourcedFile& file, Stack& stack) {
  std::vector<std::string> known;
  for (int i = 0; i < kOpClasses; ++i) {
    const std::string section = format("efficiency.{}", op_class_name(static_cast<OpClass>(i)));
    known.push_back(section.substr(section.find('.') + 1));
    Efficiency& e = stack.efficiency[static_cast<std::size_t>(i)];
    // Zero would make a step take for ever; above 1 the machine file's peak would be wrong.
    e.compute = file.share(section + ".compute_share", 1e-4, 1);
    e.memory = file.share(section + ".memory_share", 1e-4, 1);
    e.launches = file.count(section + ".n_launches", 0, 1000);
  }
  for (const std::string& name : file.children("efficiency")) {
    if (std::ranges::find(known, name) != known.end()) continue;
    throw_invalid(expected_one_of(file.where("efficiency." + name), "an op class", known, name));
  }
}

MathType parse_math(const std::string& text, const std::string& where) {
  std::vector<std::string> known;
  for (int i = 0; i < kMathTypes; ++i) {
    known.emplace_back(math_type_name(static_cast<MathType>(i)));
    if (known.back() == text) return static_cast<MathType>(i);
  }
  throw_invalid(expected_one_of(where, "an arithmetic", known, text));
}

void read_formats(SourcedFile& file, Stack& stack) {
  stack.format_memory.fill(1);
  stack.format_compute.fill(1);
  stack.format_math.fill(MathType::F16);
  for (const DType dtype : weight_dtypes()) {
    const std::string name(dtype_info(dtype).name);
    const auto i = static_cast<std::size_t>(dtype);
    stack.format_math[i] =
        parse_math(file.text("format_math." + name), file.where("format_math." + name));
    const std::string memory = "format_memory_ratio." + name,
                      compute = "format_compute_ratio." + name;
    if (file.has(memory)) stack.format_memory[i] = file.share(memory, 1e-3, 10);
    if (file.has(compute)) stack.format_compute[i] = file.share(compute, 1e-3, 10);
  }
}

void read_scheduler(SourcedFile& file, Stack& stack) {
  stack.step_tokens_max = static_cast<int>(file.count("scheduler.n_step_tokens", 1, 1 << 20));
  stack.sequences_max = static_cast<int>(file.count("scheduler.n_sequences", 1, 1 << 16));
  stack.block_tokens = static_cast<int>(file.count("scheduler.n_block_tokens", 1, 1 << 16));
  stack.step_overhead = file.seconds("scheduler.step_time");
  stack.sequence_overhead = file.seconds("scheduler.sequence_time");
  stack.launch_graph = file.seconds("scheduler.graph_launch_time");
}

PoolRule parse_pool(const std::string& text, const std::string& where) {
  const std::vector<std::string> known = {"none", "of_total", "of_free_at_start",
                                          "of_free_after_load"};
  const auto found = std::ranges::find(known, text);
  if (found == known.end()) throw_invalid(expected_one_of(where, "a pool rule", known, text));
  return static_cast<PoolRule>(found - known.begin());
}

void read_memory(SourcedFile& file, MemoryPolicy& memory) {
  memory.pool = parse_pool(file.text("memory.pool"), file.where("memory.pool"));
  if (memory.pool != PoolRule::None) memory.share = file.share("memory.pool_share", 0.01, 1);
  memory.runtime = file.bytes("memory.runtime_size");
  memory.host = file.bytes("memory.host_size");
  if (file.has("memory.graph_size")) memory.graphs = file.bytes("memory.graph_size");
  memory.activation_size = file.bytes("memory.activation_size").value();
  memory.load_layers = file.count("memory.n_load_layers", 0, 1000);
  memory.logits_of_all = file.flag("memory.logits_of_all_tokens");
  memory.maps_weights = file.flag("memory.maps_weights");
  memory.flags = file.text("memory.flags");
  for (const std::string& format_name : file.children("memory.kv_flags")) {
    memory.kv_flags[format_name] = file.text("memory.kv_flags." + format_name);
  }
}

// The default formats must be ones this version knows.
void check_defaults(SourcedFile& file, const Stack& stack) {
  const auto checked = [&](std::string_view key, const auto& parse) {
    try {
      parse();
    } catch (const Error& error) {
      throw_invalid(format("{}: {}", file.where(key), error.what()));
    }
  };
  checked("weights_default", [&] { weight_format(stack.weights_default, stack.gguf); });
  checked("kv_default", [&] { kv_format(stack.kv_default); });
}

}  // namespace

Stack parse_stack(std::string_view toml, std::string_view name) {
  SourcedFile file(toml, name, kNouns);
  Stack stack;
  stack.id = file.text("id");
  stack.name = file.text("name");
  stack.gguf = file.flag("gguf");
  stack.graphs = file.flag("graphs");
  stack.kv_default = file.text("kv_default");
  stack.weights_default = file.text("weights_default");
  check_defaults(file, stack);
  read_scheduler(file, stack);
  read_memory(file, stack.memory);
  read_efficiency(file, stack);
  read_formats(file, stack);
  file.reject_unread();
  stack.facts = file.facts();
  stack.sources = file.sources();
  return stack;
}

std::string_view default_stack(std::string_view weights_name) {
  const std::string name = lower(weights_name);
  const auto begins = [&](std::string_view prefix, std::size_t at) {
    return name.starts_with(prefix) && name.size() > at && name[at] >= '0' && name[at] <= '9';
  };
  const bool gguf = begins("q", 1) || begins("iq", 2) || begins("ds4_q", 5) ||
                    name.starts_with("ud-") || name == "f16" || name == "mxfp4" ||
                    name.starts_with("mlx_");
  return gguf ? "llama.cpp" : "vllm";
}

}  // namespace tinderbox
