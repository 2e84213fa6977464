#include "twin/stack.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "machine/sourced.h"

namespace tinderbox {
namespace {

// The glossary of stack files.
constexpr std::array kNouns = {
    Noun{"share", Measure::Share},
    Noun{"ratio", Measure::Share},
    Noun{"exponent", Measure::Share},
    Noun{"evenness", Measure::Share},
    Noun{"rows", Measure::Share},  // a fitted number of rows is no whole number
    Noun{"tokens", Measure::Share},
    Noun{"time", Measure::Time},
    Noun{"size", Measure::Size},
};

struct PriceKey {
  std::string_view key;
  double PriceParameters::*value;
  bool is_time;
};
constexpr std::array<PriceKey, 26> kPriceKeys = {{
    {"price.expert_memory_ratio", &PriceParameters::expert_memory_ratio, false},
    {"price.expert_compute_ratio", &PriceParameters::expert_compute_ratio, false},
    {"price.single_head_ratio", &PriceParameters::single_head_ratio, false},
    {"price.short_row_exponent", &PriceParameters::short_row_exponent, false},
    {"price.half_rows", &PriceParameters::half_rows, false},
    {"price.expert_half_rows", &PriceParameters::expert_half_rows, false},
    {"price.routing_evenness", &PriceParameters::routing_evenness, false},
    {"price.attention_memory_share", &PriceParameters::attention_memory_share, false},
    {"price.attention_compute_share", &PriceParameters::attention_compute_share, false},
    {"price.quantised_kv_ratio", &PriceParameters::quantised_kv_ratio, false},
    {"price.attention_width_exponent", &PriceParameters::attention_width_exponent, false},
    {"price.attention_wide_read_exponent", &PriceParameters::attention_wide_read_exponent, false},
    {"price.scan_memory_share", &PriceParameters::scan_memory_share, false},
    {"price.scan_compute_share", &PriceParameters::scan_compute_share, false},
    {"price.vector_memory_share", &PriceParameters::vector_memory_share, false},
    {"price.overlap_ratio", &PriceParameters::overlap_ratio, false},
    {"price.kernel_time", &PriceParameters::kernel_time, true},
    {"price.graph_kernel_time", &PriceParameters::graph_kernel_time, true},
    {"price.eager_kernel_time", &PriceParameters::eager_kernel_time, true},
    {"price.product_time", &PriceParameters::product_time, true},
    {"price.scan_time", &PriceParameters::scan_time, true},
    {"price.step_time", &PriceParameters::step_time, true},
    {"price.sequence_time", &PriceParameters::sequence_time, true},
    {"price.answer_tokens", &PriceParameters::answer_tokens, false},
    {"price.sync_time", &PriceParameters::sync_time, true},
    {"price.request_time", &PriceParameters::request_time, true},
}};

std::string expected_one_of(std::string_view where, std::string_view what,
                            const std::vector<std::string>& known, std::string_view got) {
  return format("{}: expected {} of {}; got '{}'{}", where, what, fmt::join(known, ", "), got,
                did_you_mean(got, known));
}

MathType parse_math(const std::string& text, const std::string& where) {
  std::vector<std::string> known;
  for (int i = 0; i < kMathTypes; ++i) {
    known.emplace_back(math_type_name(static_cast<MathType>(i)));
    if (known.back() == text) return static_cast<MathType>(i);
  }
  throw_invalid(expected_one_of(where, "an arithmetic", known, text));
}

DType parse_weight_dtype(const std::string& text, const std::string& where) {
  std::vector<std::string> known;
  for (int i = 0; i < kWeightDTypes; ++i) {
    known.emplace_back(dtype_info(static_cast<DType>(i)).name);
    if (known.back() == text) return static_cast<DType>(i);
  }
  throw_invalid(expected_one_of(where, "a weights format", known, text));
}

WeightFile parse_weight_file(const std::string& text, const std::string& where) {
  if (text == "gguf") return WeightFile::Gguf;
  if (text == "ollama") return WeightFile::OllamaGguf;
  if (text == "checkpoint") return WeightFile::Checkpoint;
  if (text == "mlx") return WeightFile::Mlx;
  throw_invalid(expected_one_of(where, "a kind of files", {"gguf", "ollama", "checkpoint", "mlx"}, text));
}

std::string parse_usual_parallel(const std::string& text, const std::string& where) {
  if (text == "tp" || text == "pp") return text;
  throw_invalid(expected_one_of(where, "a way to use several boxes", {"tp", "pp"}, text));
}

int kernels_named(const Stack& stack, const std::string& name, const std::string& where) {
  std::vector<std::string> known;
  for (const Kernels& k : stack.kernels) {
    if (k.name == name) return static_cast<int>(&k - stack.kernels.data());
    known.push_back(k.name);
  }
  throw_invalid(expected_one_of(where, "a section of [kernels]", known, name));
}

void read_kernels(SourcedFile& file, Stack& stack) {
  for (const std::string& name : file.children("kernels")) {
    const std::string section = "kernels." + name;
    Kernels& kernels = stack.kernels.emplace_back();
    kernels.name = name;
    kernels.math = parse_math(file.text(section + ".math"), file.where(section + ".math"));
    // Zero would make a step take for ever.
    kernels.memory_share = file.share(section + ".memory_share", 1e-4, 2);
    kernels.compute_share = file.share(section + ".compute_share", 1e-4, 2);
  }
  stack.format_kernels.fill(-1);
  for (const std::string& format_name : file.children("formats")) {
    const std::string key = "formats." + format_name;
    const DType dtype = parse_weight_dtype(format_name, file.where(key));
    stack.format_kernels[static_cast<std::size_t>(dtype)] =
        kernels_named(stack, file.text(key), file.where(key));
  }
}

// "0.8.5", "v0.11.0rc1" -> {0, 8}, {0, 11}: the first two numbers; nothing if it does not begin with two.
std::optional<std::pair<int, int>> points_of(std::string_view version) {
  const std::size_t v = version.starts_with('v') ? 1 : 0;
  const std::size_t point = version.find('.');
  if (point == std::string_view::npos) return std::nullopt;
  std::size_t end = point + 1;
  while (end < version.size() && std::isdigit(static_cast<unsigned char>(version[end])) != 0) ++end;
  const auto major = parse_int(version.substr(v, point - v));
  const auto minor = parse_int(version.substr(point + 1, end - point - 1));
  constexpr std::int64_t kMost = 1'000'000;
  if (!major || !minor || *major < 0 || *major > kMost || *minor > kMost) return std::nullopt;
  return std::pair(static_cast<int>(*major), static_cast<int>(*minor));
}

std::string version_text(SourcedFile& file, const std::string& key) {
  std::string text = file.text(key);
  if (points_of(text)) return text;
  throw_invalid(format("{}: '{}' is no version with points, as \"0.14\"", file.where(key), text));
}

// 0 stands for no limit.
GraphLimits read_graph_limits(SourcedFile& file, const std::string& section) {
  const auto read = [&](const char* key) {
    const int n = static_cast<int>(file.count(section + key, 0, GraphLimits::kNone));
    return n == 0 ? GraphLimits::kNone : n;
  };
  return {.tokens = read(".n_graph_tokens"), .expert_tokens = read(".n_graph_expert_tokens")};
}

void read_paths(SourcedFile& file, Stack& stack) {
  for (const std::string& name : file.children("paths")) {
    KernelPath& path = stack.paths.emplace_back();
    path.name = name;
    std::ranges::replace(path.name, '_', '-');  // section names are words
    for (const std::string& child : file.children("paths." + name)) {
      const std::string key = format("paths.{}.{}", name, child);
      if (child == "n_build_min") {
        path.build_min = static_cast<int>(file.count(key, 1, 1 << 30));
        continue;
      }
      if (child == "since") {
        path.since = version_text(file, key);
        continue;
      }
      if (child == "n_graph_tokens") {
        path.graph_limits = read_graph_limits(file, "paths." + name);
        continue;
      }
      if (child == "n_graph_expert_tokens") continue;  // read with the other
      path.kernels.emplace_back(parse_weight_dtype(child, file.where(key)),
                                kernels_named(stack, file.text(key), file.where(key)));
    }
  }
}

void read_price(SourcedFile& file, Stack& stack) {
  for (const PriceKey& p : kPriceKeys) {
    stack.price.*p.value =
        p.is_time ? file.seconds(p.key).value() : file.share(p.key, 0, 1e6);
  }
  for (int i = 0; i < kOpClasses; ++i) {
    stack.launches[static_cast<std::size_t>(i)] =
        file.count(format("launches.n_{}", op_class_name(static_cast<OpClass>(i))), 0, 1000);
  }
  if (file.has("launches.n_graph_tokens")) stack.graph_limits = read_graph_limits(file, "launches");
  stack.activation_bytes = file.count("launches.n_activation_bytes", 1, 8);
}

void read_intervals(SourcedFile& file, Stack& stack) {
  for (int i = 0; i < kMetrics; ++i) {
    const std::string key = format("interval.{}", metric_name(static_cast<Metric>(i)));
    Interval& interval = stack.intervals[static_cast<std::size_t>(i)];
    interval.low = file.share(key + "_low_ratio", 1e-3, 1);
    interval.high = file.share(key + "_high_ratio", 1, 1e3);
  }
}

void read_scheduler(SourcedFile& file, Stack& stack) {
  stack.policy = file.text("scheduler.policy");
  if (file.has("scheduler.older_policy")) {
    stack.older_policy = file.text("scheduler.older_policy");
    stack.older_before = version_text(file, "scheduler.older_before");
  }
  stack.step_tokens_max = static_cast<int>(file.count("scheduler.n_step_tokens", 1, 1 << 20));
  if (file.has("scheduler.n_micro_tokens")) {
    stack.micro_tokens_max = static_cast<int>(file.count("scheduler.n_micro_tokens", 1, 1 << 20));
  }
  stack.sequences_max = static_cast<int>(file.count("scheduler.n_sequences", 1, 1 << 16));
  stack.block_tokens = static_cast<int>(file.count("scheduler.n_block_tokens", 1, 1 << 16));
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
  checked("weights_default", [&] { weight_format(stack.weights_default, stack.file); });
  checked("kv_default", [&] { kv_format(stack.kv_default); });
}

// "b6989", "eeee367de (6989)" -> 6989; 0 if the text states none.
int build_number(std::string_view version) {
  for (std::size_t i = 0; i + 1 < version.size(); ++i) {
    const bool marked = version[i] == '(' || (version[i] == 'b' && (i == 0 || version[i - 1] == ' '));
    if (!marked) continue;
    int n = 0;
    std::size_t j = i + 1;
    for (; j < version.size() && std::isdigit(static_cast<unsigned char>(version[j])) != 0; ++j) {
      n = std::min(n * 10 + (version[j] - '0'), 100'000'000);
    }
    const bool ends = j == version.size() || version[j] == ')' || version[j] == ' ' || version[j] == '-';
    if (j >= i + 4 && ends) return n;
  }
  return 0;
}

bool names(std::string_view kernel_path, std::string_view name) {
  for (const std::string& part : split(kernel_path, '+')) {
    if (trim(part) == name) return true;
  }
  return false;
}

}  // namespace

std::string_view metric_name(Metric metric) {
  switch (metric) {
    case Metric::Prefill:
      return "prefill";
    case Metric::Decode:
      return "decode";
    case Metric::DecodeBatch:
      return "decode_batch";
    case Metric::Ttft:
      return "ttft";
    case Metric::Serve:
      return "serve";
  }
  std::abort();
}

Stack parse_stack(std::string_view toml, std::string_view name) {
  SourcedFile file(toml, name, kNouns);
  Stack stack;
  stack.id = file.text("id");
  stack.name = file.text("name");
  stack.file = parse_weight_file(file.text("reads"), file.where("reads"));
  if (file.has("like")) stack.like = file.text("like");
  stack.graphs = file.flag("graphs");
  stack.usual_parallel = parse_usual_parallel(file.text("usual_parallel"), file.where("usual_parallel"));
  stack.overlaps_stages = file.flag("overlaps_stages");
  stack.latency_subtracted = file.flag("latency_subtracted");
  stack.kv_default = file.text("kv_default");
  stack.weights_default = file.text("weights_default");
  check_defaults(file, stack);
  read_scheduler(file, stack);
  read_memory(file, stack.memory);
  read_kernels(file, stack);
  read_paths(file, stack);
  read_price(file, stack);
  read_intervals(file, stack);
  file.reject_unread();
  stack.facts = file.facts();
  for (Kernels& kernels : stack.kernels) {
    kernels.fitted = std::ranges::any_of(stack.facts, [&](const Fact& fact) {
      return fact.key.starts_with("kernels." + kernels.name + ".") && fact.fit && fact.fit->n_rows > 0;
    });
  }
  stack.sources = file.sources();
  return stack;
}

bool states_version(std::string_view version) { return build_number(version) > 0 || points_of(version); }

Stack with_path(Stack stack, std::string_view kernel_path, std::string_view version) {
  const int build = build_number(version);
  const auto points = points_of(version);
  const auto take = [&](const KernelPath& path) {
    for (const auto& [dtype, kernels] : path.kernels) {
      stack.format_kernels[static_cast<std::size_t>(dtype)] = kernels;
    }
    if (path.graph_limits) stack.graph_limits = *path.graph_limits;
  };
  const std::vector<KernelPath> paths = stack.paths;
  for (const KernelPath& path : paths) {
    const bool newer = points && !path.since.empty() && *points >= *points_of(path.since);
    if (newer || (path.build_min > 0 && build >= path.build_min)) take(path);
  }
  for (const KernelPath& path : paths) {
    if (names(kernel_path, path.name)) take(path);
  }
  if (points && !stack.older_before.empty() && *points < *points_of(stack.older_before)) {
    stack.policy = stack.older_policy;
  }
  return stack;
}

std::vector<StackParameter> parameters(Stack& stack) {
  std::vector<StackParameter> out;
  for (Kernels& k : stack.kernels) {
    out.push_back({format("kernels.{}.memory_share", k.name), &k.memory_share});
    out.push_back({format("kernels.{}.compute_share", k.name), &k.compute_share});
  }
  for (const PriceKey& p : kPriceKeys) {
    out.push_back({std::string(p.key), &(stack.price.*p.value)});
  }
  return out;
}

std::vector<StackParameter> parameters(Machine& machine) {
  std::vector<StackParameter> out;
  for (const auto& [key, value] : {std::pair{"reach.memory_ratio", &machine.memory_ratio},
                                   std::pair{"reach.compute_ratio", &machine.compute_ratio},
                                   std::pair{"reach.kernel_ratio", &machine.kernel_ratio}}) {
    const bool there = std::ranges::find(machine.facts, key, &Fact::key) != machine.facts.end();
    if (there) out.push_back({key, value});
  }
  return out;
}

std::string usual_weights(const ModelConfig& model, const Stack& stack) {
  const std::string& shipped = model.shipped_weights;
  return !shipped.empty() && exists_as(shipped, stack.file) ? shipped : stack.weights_default;
}

std::string_view default_stack(std::string_view weights_name) {
  const std::string name = lower(weights_name);
  const auto begins = [&](std::string_view prefix, std::size_t at) {
    return name.starts_with(prefix) && name.size() > at && name[at] >= '0' && name[at] <= '9';
  };
  if (name.starts_with("mlx_")) return "mlx";
  if (name.starts_with("ds4_")) return "ds4";
  if (name.starts_with("exl3")) return "exl3";
  const bool gguf = begins("q", 1) || begins("iq", 2) || name.starts_with("ud-") || name == "f16" ||
                    name == "mxfp4";
  return gguf ? "llama.cpp" : "vllm";
}

}  // namespace tinderbox
