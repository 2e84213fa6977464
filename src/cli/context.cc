#include "cli/context.h"

#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <filesystem>

#include "base/error.h"
#include "base/gzip.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "embedded_machines.h"
#include "embedded_measurements.h"
#include "embedded_models.h"
#include "embedded_speculation.h"
#include "embedded_stacks.h"
#include "embedded_trainers.h"
#include "model/gguf.h"
#include "twin/collective.h"

namespace tinderbox::cli {

namespace {

namespace fs = std::filesystem;

template <typename Assets>
Catalogue catalogue_of(std::string kind, const Assets& assets) {
  Catalogue catalogue(std::move(kind));
  for (const auto& asset : assets) {
    catalogue.add(fs::path(asset.path).stem().string(), std::string(asset.body));
  }
  return catalogue;
}

bool is_gguf(const std::string& path) { return fs::path(path).extension() == ".gguf"; }

// The text of `name`: a file if it looks like a path that exists, else the catalogue's entry.
std::string file_or_entry(const Catalogue& catalogue, const std::string& name) {
  if (!catalogue.has(name) && fs::is_regular_file(name)) return read_file(name);
  return catalogue.text(name);
}

// --machine NAME-xN with --parallel: the devices of one box share the model over "peer".
bool share_devices(const Context& context, const TwinOptions& options, TwinModel& twin) {
  const Devices devices = devices_of(context.machines, options.machine);
  if (devices.n == 1 || options.parallel.empty()) return false;
  if (options.nodes.value_or(1) > 1 || !options.link.empty()) {
    throw_unsupported(format("several boxes of {}: give --nodes and --link, or a machine of several devices",
                             options.machine));
  }
  twin.parallel = parallel_of_devices(options.parallel, devices.n);
  twin.machine = machine_of(context.machines, devices.id);
  twin.link = "peer";
  return true;
}

// The stack as its version and kernels run it. What a user names must exist, other than in rows of measurements.
void take_version(const TwinOptions& options, TwinModel& twin) {
  Stack& stack = twin.stack;
  if (!options.stack_version.empty()) {
    if (!states_version(options.stack_version)) {
      throw_invalid(format("--stack-version '{}': expected a build, as b8657, or a version, as 0.23",
                           options.stack_version));
    }
    stack.name += " " + options.stack_version;
  }
  std::vector<std::string> known;
  for (const KernelPath& path : stack.paths) known.push_back(path.name);
  for (const std::string& part : split(options.kernel_path, '+')) {
    const std::string name(trim(part));
    if (options.kernel_path.empty() || std::ranges::find(known, name) != known.end()) continue;
    throw_not_found(format("--kernel-path: {} has no kernels '{}'{}; beside its usual ones it has {}", stack.id, name,
                           did_you_mean(name, known), known.empty() ? "none" : format("{}", fmt::join(known, ", "))));
  }
  stack = with_path(std::move(stack), options.kernel_path, options.stack_version);
  if (!options.ubatch) return;
  if (stack.micro_tokens_max == 0) {
    throw_unsupported(format("--ubatch: {} computes the tokens of a step at once; leave it out", stack.id));
  }
  twin.micro_tokens = static_cast<int>(*options.ubatch);
}

}  // namespace

Context load_context() {
  return {catalogue_of("machine", embedded_machines::assets()),
          catalogue_of("stack", embedded_stacks::assets()),
          catalogue_of("model", embedded_models::assets()),
          embedded_measurements::assets()[0].body,
          embedded_measurements::assets()[1].body,
          embedded_measurements::assets()[2].body,
          catalogue_of("trainer", embedded_trainers::assets()),

          catalogue_of("speculation", embedded_speculation::assets())};
}

std::string unpacked(std::string_view measurements) {
  constexpr std::size_t kBytesMax = 1u << 28;
  return gunzip(measurements, kBytesMax);
}

ModelConfig find_model(const Context& context, const std::string& name) {
  if (name.empty())
    throw_invalid("--model is missing: give a catalogue id (see `tinderbox models`) or a file");
  if (context.models.has(name)) return parse_config(context.models.text(name), name);
  if (fs::is_directory(name)) return load_config(fs::path(name) / "config.json");
  if (fs::is_regular_file(name)) {
    return is_gguf(name) ? config_from_gguf(Gguf::open(name)) : load_config(name);
  }
  return parse_config(context.models.text(name), name);  // throws with the nearest ids
}

Machine find_machine(const Context& context, const std::string& name) {
  if (!context.machines.has(name) && fs::is_regular_file(name)) {
    return parse_machine(read_file(name), name, &context.machines);
  }
  return machine_of(context.machines, name);
}

Stack find_stack(const Context& context, const std::string& name) {
  return parse_stack(file_or_entry(context.stacks, name), name);
}

TwinModel make_twin(const Context& context, const TwinOptions& options) {
  TwinModel twin;
  twin.machine = find_machine(context, options.machine);
  twin.model = find_model(context, options.model);
  const std::string shipped = twin.model.shipped_weights.empty() ? "bf16" : twin.model.shipped_weights;
  const std::string named = options.weights.empty() ? shipped : options.weights;
  twin.stack = find_stack(
      context, options.stack.empty() ? std::string(default_stack(named)) : options.stack);
  take_version(options, twin);
  const std::string weights = options.weights.empty() ? usual_weights(twin.model, twin.stack) : options.weights;
  twin.weights = weight_format(weights, twin.stack.file, kind_of(twin.model));
  require_readable(weights, twin.stack.file, twin.stack.name);
  twin.kv = kv_format(options.kv.empty() ? twin.stack.kv_default : options.kv);
  if (!share_devices(context, options, twin)) {
    twin.parallel = parse_parallel(options.parallel, options.nodes, twin.stack.usual_parallel);
  }
  if (!options.link.empty()) {
    link_of_boxes(twin.machine, options.link);  // also if one box needs none
    twin.link = options.link;
  }
  if (!options.speculation.empty()) {
    const std::string& name = options.speculation;
    if (!context.speculation.has(name) && !fs::is_regular_file(name)) {
      const std::vector<std::string> known = context.speculation.ids();
      throw_not_found(format("no method of speculation '{}'{}; known are {}", name, did_you_mean(name, known),
                             fmt::join(known, ", ")));
    }
    twin.speculation = with_choice(parse_speculation(file_or_entry(context.speculation, name), name),
                                   options.draft_tokens, options.accepted);
  } else if (options.draft_tokens || options.accepted) {
    throw_invalid(format("--draft-tokens and --accepted need --speculation: one of {}",
                         fmt::join(context.speculation.ids(), ", ")));
  }
  return twin;
}

void require_one_replica(const TwinModel& twin) {
  if (twin.parallel.replicas() == 1) return;
  throw_unsupported(format("parallel '{}': replicas are boxes of their own; leave dp{} out and give "
                           "one of them its part of the traffic",
                           twin.parallel.text(), twin.parallel.dp));
}

std::string boxes_text(const TwinModel& twin) {
  const int n = twin.parallel.boxes();
  // Devices of one box likewise.
  return n == 1 ? twin.machine.name
                : format("{} x {} ({})", n, twin.machine.name, twin.parallel.text());
}

std::int64_t now_unix() { return static_cast<std::int64_t>(std::time(nullptr)); }

SipKey secret_key() {
  SipKey key;
  if (getentropy(&key, sizeof key) != 0) {
    throw_unsupported("getentropy: this system gives no entropy, which keeps prompts in the prefix cache apart; use a "
                      "kernel that does");
  }
  return key;
}

}  // namespace tinderbox::cli
