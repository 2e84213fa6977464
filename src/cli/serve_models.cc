#include "cli/serve_models.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "base/error.h"
#include "base/text.h"
#include "box/engine_executor.h"
#include "box/paced_executor.h"
#include "box/pool_memory.h"
#include "box/serving_policy.h"
#include "twin/memory_plan.h"

namespace tinderbox::cli {
namespace {

constexpr std::int64_t kSequencesDefault = 8;
constexpr std::int64_t kStepTokensDefault = 512;
constexpr double kShareOfFree = 0.9;  // of this computer's free memory that models may take
// Faults at a rate are drawn for so long; what nothing ends then lasts for ever.
constexpr double kFaultSeconds = 7 * 86'400.0;

std::int64_t tokens_of(const KvPool& kv) { return std::int64_t{kv.n_blocks()} * kv.block_tokens(); }

// The stack's limits on the modelled machine, unless options say otherwise.
Limits weightless_limits(const StepModel& step_model, const ServeOptions& options) {
  const auto or_else = [](std::int64_t asked, int otherwise) {
    return asked > 0 ? static_cast<std::int32_t>(asked) : otherwise;
  };
  const TwinModel& twin = step_model.twin();
  return {.step_tokens_max = or_else(options.step_tokens_max, twin.stack.step_tokens_max),
          .sequences_max = or_else(options.sequences_max, twin.stack.sequences_max),
          .queue_max = static_cast<std::int32_t>(options.queue_max),
          .context_max = or_else(std::min<std::int64_t>(options.engine.context, twin.model.n_ctx), twin.model.n_ctx)};
}

std::string machines_of(const TwinModel& t) {
  const int n = t.parallel.boxes() / t.machine.n_devices;
  return n <= 1 ? t.machine.id : format("{} x {} ({})", n, t.machine.id, t.parallel.text());
}

ServeModel weightless_model(const Context& context, const ServeOptions& options, const std::string& name) {
  TwinOptions twin = options.twin;
  twin.model = name;
  if (!options.as.empty()) twin.machine = options.as;
  ServeModel out;
  out.step_model = std::make_shared<const StepModel>(make_twin(context, twin));
  const TwinModel& t = out.step_model->twin();
  require_one_replica(t);
  out.limits = weightless_limits(*out.step_model, options);
  out.codec = std::make_unique<PlaceholderCodec>();
  out.policy = serving_policy(t);
  out.policy.fair = options.fair;
  out.info = {
      .id = t.model.id, .weightless = true, .as = t.machine.id, .weights = t.weights.name, .d_model = t.model.d_model};
  out.description = format("placeholder text at the pace of {} in {} by {} on {}", t.model.id, t.weights.name,
                           t.stack.id, machines_of(t));
  return out;
}

ServeModel real_model(const Context& context, const ServeOptions& options, const std::string& path) {
  const auto sequences =
      static_cast<std::int32_t>(options.sequences_max > 0 ? options.sequences_max : kSequencesDefault);
  const auto tokens =
      static_cast<std::int32_t>(options.step_tokens_max > 0 ? options.step_tokens_max : kStepTokensDefault);
  EngineOptionsCli engine = options.engine;
  engine.file = path;
  ServeModel out;
  out.file = std::make_shared<LoadedModel>(open_model_file(engine, sequences, tokens));
  LoadedModel& file = *out.file;
  file.limits.queue_max = static_cast<std::int32_t>(options.queue_max);
  out.limits = file.limits;
  out.kv = file.kv_pool();
  out.codec = std::move(file.codec);
  out.policy = policy_named("cached", "serve");
  out.policy.fair = options.fair;
  const std::string format_name = main_weights_format(*file.file);
  double bytes = 0;
  for (const TensorView& tensor : file.file->tensors()) bytes += static_cast<double>(tensor.data.size());
  const ModelConfig config = config_from_gguf(*file.file);
  out.info = {.id = file.id(),
              .as = options.as,
              .weights = format_name,
              .bytes = static_cast<std::int64_t>(bytes),
              .d_model = config.d_model};
  out.weights = Bytes(bytes);
  out.kv_size = kv_bytes(config, DType::F16, tokens_of(*out.kv));
  out.description = "real tokens at this computer's pace";
  if (options.as.empty()) return out;
  TwinOptions twin = options.twin;
  twin.machine = options.as;
  twin.model = path;
  if (twin.weights.empty()) twin.weights = format_name;
  if (twin.stack.empty()) twin.stack = "llama.cpp";
  out.step_model = std::make_shared<const StepModel>(make_twin(context, twin));
  require_one_replica(out.step_model->twin());
  out.description = format("real tokens at the pace of {} with {}", options.as, twin.stack);
  return out;
}

[[noreturn]] void too_large(const ServeModel& model, std::int64_t needed, std::int64_t room) {
  const TwinModel& t = model.step_model->twin();
  const auto text = [](std::int64_t bytes) { return human(Bytes(static_cast<double>(bytes))); };
  throw_too_large(format(
      "{} in {} needs {} on {}, which holds {} safely for models: the real machine would freeze. Choose smaller "
      "--weights or a smaller --context, unpin others, spread it with --nodes 2, or see it freeze with --freeze; "
      "`tinderbox fit --model {} --weights {} --machine {}` explains",
      t.model.id, t.weights.name, text(needed), t.machine.id, text(room), t.model.id, t.weights.name, t.machine.id));
}

// KV of models without weights, and what each takes of the modelled machine's memory.
void share_machine(ServeModels& all, const ServeOptions& options) {
  std::vector<std::shared_ptr<const StepModel>> steps;
  std::vector<MemoryNeed> needs;
  for (const ServeModel& m : all.models) {
    steps.push_back(m.step_model);
    needs.push_back(memory_need(*m.step_model, m.limits.context_max, m.limits.sequences_max));
  }
  const Bytes room = memory_room(steps);
  all.bytes = static_cast<std::int64_t>(room.value());
  all.host = all.machine->memory_safe - room;
  std::vector<std::int64_t> kv = share_kv(needs, room);
  if (all.models.size() == 1) {  // all that is safe beside the rest
    const MemoryPlan plan = plan_memory(steps[0]->twin(), steps[0]->footprint(), all.models[0].limits.context_max, 1);
    kv[0] = plan.kv_tokens_max;
  }
  for (std::size_t i = 0; i < all.models.size(); ++i) {
    ServeModel& m = all.models[i];
    const TwinModel& twin = m.step_model->twin();
    if (!m.kv) {
      const std::int64_t blocks = kv[i] / twin.stack.block_tokens;
      const bool fits = blocks >= 1;
      if (!fits && !options.freeze) too_large(m, needs[i].bytes_with(twin.stack.block_tokens), all.bytes);
      if (!fits) {
        all.too_large = format("{} in {} needs more than {} holds", m.info.id, m.info.weights, twin.machine.id);
      }
      m.kv = KvPool(static_cast<std::int32_t>(std::clamp<std::int64_t>(blocks, 1, 1 << 30)), twin.stack.block_tokens);
      // No request may be promised more context than the pool holds.
      m.limits.context_max = static_cast<std::int32_t>(std::min<std::int64_t>(m.limits.context_max, tokens_of(*m.kv)));
    }
    m.kv_size = needs[i].kv_of(tokens_of(*m.kv));
    m.weights = m.step_model->footprint().weights;
    m.memory.bytes = needs[i].bytes_with(tokens_of(*m.kv));
    if (m.memory.bytes > all.bytes) {
      if (all.models.size() > 1 && !options.freeze) too_large(m, m.memory.bytes, all.bytes);
      m.memory.bytes = all.bytes;  // a single one may have all that there is
    }
    const BytesPerSecond rate = options.load_rate.empty() ? all.machine->storage_read
                                                          : parse_bytes_per_second(options.load_rate, "--load-rate");
    // The first ones are there; whoever comes later takes the time that the machine's drive needs.
    if (rate > BytesPerSecond(0)) m.memory.load = to_duration(m.weights / rate);
  }
}

// /proc/meminfo in bytes; 0: not told.
double meminfo(const std::string& field) {
  std::ifstream in("/proc/meminfo");
  std::string key;
  double kib = 0;
  for (std::string unit; in >> key >> kib; std::getline(in, unit)) {
    if (key == field + ":") return kib * 1024;
  }
  return 0;
}

void share_computer(ServeModels& all) {
  all.bytes = static_cast<std::int64_t>(kShareOfFree * meminfo("MemAvailable"));
  for (ServeModel& m : all.models) {
    m.memory.bytes = static_cast<std::int64_t>((m.weights + m.kv_size).value());
    if (all.models.size() == 1) all.bytes = std::max(all.bytes, m.memory.bytes);  // the engine says if it cannot
    if (m.memory.bytes > all.bytes) {
      throw_too_large(format("{} needs {} for weights and KV, and {} are free here; choose a smaller --context",
                             m.info.id, human(Bytes(static_cast<double>(m.memory.bytes))),
                             human(Bytes(static_cast<double>(all.bytes)))));
    }
  }
}

void pin(ServeModels& all, const ServeOptions& options) {
  std::int64_t pinned = 0;
  for (const std::string& name : options.pins) {
    const auto found = std::ranges::find(all.models, name, [](const ServeModel& m) { return m.info.id; });
    if (found == all.models.end()) throw_invalid(format("--pin {}: no model of this server has that name", name));
    found->memory.pinned = true;
    pinned += found->memory.bytes;
  }
  for (const ServeModel& m : all.models) {
    const std::int64_t needed = pinned + (m.memory.pinned ? 0 : m.memory.bytes);
    if (needed <= all.bytes) continue;
    throw_too_large(format("--pin: {} does not fit beside the pinned models: {} of {}; pin fewer", m.info.id,
                           human(Bytes(static_cast<double>(needed))), human(Bytes(static_cast<double>(all.bytes)))));
  }
}

// The pace of the modelled machine, with its heat and faults if it has a body: one for all models.
void pace(ServeModels& all, const ServeOptions& options) {
  BodyOptionsCli asked = options.body;
  asked.body = all.machine->body.has_value();
  auto body = body_options_of(asked, *all.machine, to_duration(Seconds(kFaultSeconds)), options.fault_seed);
  if (options.freeze && !body) {
    throw_unsupported(format("--freeze: {} has no [body.*] in its file, so nothing can take it away", all.machine->id));
  }
  if (body) {
    body->on_window = [&all](const Body& b) { all.shown.post(std::make_shared<const Body>(b)); };
    body->on_window(Body(*all.machine->body, body->surroundings, body->clock_cap));
  }
  for (ServeModel& m : all.models) {
    if (m.file) {
      m.twin = std::make_unique<TwinExecutor>(*m.step_model);
    } else {
      m.twin = std::make_unique<TwinExecutor>(*m.step_model, Placeholders{.n_ids = m.step_model->twin().model.n_vocab});
    }
    m.timing = m.twin.get();
    m.request_time = to_duration(Seconds(m.step_model->twin().stack.price.request_time));
    if (!body) continue;
    if (!all.body) {
      all.body = std::make_unique<BodyExecutor>(*m.twin, *m.step_model, *body);
      m.timing = all.body.get();
    } else {
      m.timing = &all.body->also(*m.twin, *m.step_model);
    }
  }
}

void name_them(ServeModels& all, const ServeOptions& options) {
  if (!options.name.empty()) {
    if (all.models.size() > 1) throw_invalid("--name names one model, and there are several; leave it out");
    all.models[0].info.id = options.name;
  }
  for (std::size_t i = 0; i < all.models.size(); ++i) {
    ServeModel& m = all.models[i];
    m.info.created_unix = now_unix();
    m.info.context_max = m.limits.context_max;
    for (std::size_t k = 0; k < i; ++k) {
      if (all.models[k].info.id == m.info.id)
        throw_invalid(format("two models have the name {}; rename a file", m.info.id));
    }
  }
}

}  // namespace

std::unique_ptr<ServeModels> serve_models(const Context& context, const ServeOptions& options) {
  if (options.files.empty() == options.weightless.empty()) {
    throw_invalid("serve takes either model files or --weightless MODEL; give one of them");
  }
  auto all = std::make_unique<ServeModels>();
  for (const std::string& file : options.files) all->models.push_back(real_model(context, options, file));
  for (const std::string& name : options.weightless) {
    all->models.push_back(weightless_model(context, options, name));
  }
  name_them(*all, options);
  if (all->models[0].step_model) {
    all->machine = all->models[0].step_model->twin().machine;
    share_machine(*all, options);
    pace(*all, options);
    if (options.no_pace) all->clock = std::make_unique<LeapingClock>();
  } else {
    if (options.no_pace) throw_invalid("--no-pace is about a modelled machine; name one with --as");
    if (options.freeze) throw_invalid("--freeze is about a modelled machine; name one with --as");
    share_computer(*all);
  }
  pin(*all, options);
  for (ServeModel& m : all->models) m.info.context_max = m.limits.context_max;
  return all;
}

std::vector<ServedMember> members_of(ServeModels& models, const std::vector<Observer*>& observers) {
  struct Run {
    std::unique_ptr<Engine> engine;
    std::optional<EngineExecutor> tokens;
    std::optional<PacedExecutor> paced;
  };
  std::vector<ServedMember> out;
  for (std::size_t i = 0; i < models.models.size(); ++i) {
    ServeModel& m = models.models[i];
    ServedMember member{.id = m.info.id,
                        .scheduler = Scheduler(m.limits, *m.kv, m.policy, m.file ? secret_key() : SipKey{}),
                        .memory = m.memory,
                        .load = {},
                        .request_time = m.request_time,
                        .observer = observers.empty() ? nullptr : observers[i]};
    if (!m.file) {
      member.load = [&m] { return LoadedExecutor{.owner = {}, .executor = m.timing}; };
    } else {
      member.load = [&m, &models] {
        auto run = std::make_shared<Run>();
        run->engine = std::make_unique<Engine>(m.file->file, m.file->engine_options);
        run->tokens.emplace(*run->engine, *models.clock);
        Executor* executor = &*run->tokens;
        if (m.timing != nullptr) executor = &run->paced.emplace(*run->tokens, *m.timing);
        return LoadedExecutor{.owner = run, .executor = executor};
      };
    }
    out.push_back(std::move(member));
  }
  return out;
}

}  // namespace tinderbox::cli
