#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <fstream>
#include <functional>
#include <optional>
#include <thread>

#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "box/body_executor.h"
#include "box/engine_executor.h"
#include "box/loop.h"
#include "box/mailbox.h"
#include "box/outages.h"
#include "box/paced_executor.h"
#include "box/serving_policy.h"
#include "box/twin_executor.h"
#include "cli/commands.h"
#include "cli/loaded_model.h"
#include "cli/output.h"
#include "embedded_grafana.h"
#include "embedded_web.h"
#include "http/http_server.h"
#include "http/metrics.h"
#include "http/openai.h"
#include "http/roster.h"
#include "http/route_table.h"
#include "http/server_pages.h"
#include "twin/memory_plan.h"

namespace tinderbox::cli {

namespace {

constexpr std::int64_t kSequencesDefault = 8;
constexpr std::int64_t kStepTokensDefault = 512;

// Everything behind the API of one served model. Members are built in this order and outlive what
// follows them.
struct Box {
  WallClock clock;
  LoadedModel loaded;                   // empty when weightless
  std::optional<StepModel> step_model;  // with --as and --weightless
  std::optional<EngineExecutor> engine;
  std::optional<TwinExecutor> twin;
  std::optional<BodyExecutor> body;  // of a modelled machine that has one
  Posted<std::shared_ptr<const Body>> shown;
  std::optional<PacedExecutor> paced;
  std::unique_ptr<const TextCodec> codec;
  std::optional<Scheduler> scheduler;
  Executor* executor = nullptr;
  ServedModel served;
  std::string description;
};

// The stack's limits on the modelled machine, unless options say otherwise.
Limits weightless_limits(const StepModel& step_model, const ServeOptions& options) {
  const auto or_else = [](std::int64_t asked, int otherwise) {
    return asked > 0 ? static_cast<std::int32_t>(asked) : otherwise;
  };
  const TwinModel& twin = step_model.twin();
  return {.step_tokens_max = or_else(options.step_tokens_max, twin.stack.step_tokens_max),
          .sequences_max = or_else(options.sequences_max, twin.stack.sequences_max),
          .queue_max = static_cast<std::int32_t>(options.queue_max),
          .context_max = or_else(std::min<std::int64_t>(options.engine.context, twin.model.n_ctx),
                                 twin.model.n_ctx)};
}

// What is safe beside weights, activations and the stack on the modelled machine.
KvPool weightless_pool(const StepModel& step_model, const Limits& limits) {
  const TwinModel& twin = step_model.twin();
  const MemoryPlan plan = plan_memory(twin, step_model.footprint(), limits.context_max, 1);
  const std::int64_t blocks = plan.kv_tokens_max / twin.stack.block_tokens;
  if (blocks < 1) {
    throw_too_large(format(
        "{} in {} leaves no memory for KV on {}: weights take {} of {} safe; choose smaller "
        "weights",
        twin.model.id, twin.weights.name, twin.machine.id, human(plan.weights), human(plan.safe)));
  }
  return {static_cast<std::int32_t>(std::min<std::int64_t>(blocks, 1 << 30)),
          twin.stack.block_tokens};
}

// Faults at a rate are drawn for so long; what nothing ends then lasts for ever.
constexpr double kFaultSeconds = 7 * 86'400.0;

// The pace of the modelled machine, with its heat and faults if it has a body.
Executor& pace_of(Box& box, const ServeOptions& options) {
  const Machine& machine = box.step_model->twin().machine;
  BodyOptionsCli asked = options.body;
  asked.body = machine.body.has_value();
  auto body = body_options_of(asked, machine, to_duration(Seconds(kFaultSeconds)), options.fault_seed);
  if (!body) return *box.twin;
  body->on_window = [&box](const Body& b) { box.shown.post(std::make_shared<const Body>(b)); };
  body->on_window(Body(*machine.body, body->surroundings, body->clock_cap));
  return box.body.emplace(*box.twin, *box.step_model, *body);
}

void build_weightless(Box& box, const Context& context, const ServeOptions& options) {
  TwinOptions twin = options.twin;
  twin.model = options.weightless;
  if (!options.as.empty()) twin.machine = options.as;
  box.step_model.emplace(make_twin(context, twin));
  require_one_replica(box.step_model->twin());
  Limits limits = weightless_limits(*box.step_model, options);
  const KvPool pool = weightless_pool(*box.step_model, limits);
  // No request may be promised more context than the pool holds.
  limits.context_max = static_cast<std::int32_t>(std::min<std::int64_t>(
      limits.context_max, std::int64_t{pool.n_blocks()} * pool.block_tokens()));
  box.codec = std::make_unique<PlaceholderCodec>();
  box.twin.emplace(*box.step_model, Placeholders{.n_ids = box.step_model->twin().model.n_vocab});
  box.executor = &pace_of(box, options);
  box.scheduler.emplace(limits, pool, serving_policy(box.step_model->twin()));
  const TwinModel& t = box.step_model->twin();
  box.served = {.id = t.model.id, .weightless = true, .as = t.machine.id};
  box.description = format("placeholder text at the pace of {} in {} by {} on {}", t.model.id,
                           t.weights.name, t.stack.id, t.machine.id);
}

void build_real(Box& box, const Context& context, const ServeOptions& options) {
  const auto sequences = static_cast<std::int32_t>(options.sequences_max > 0 ? options.sequences_max
                                                                             : kSequencesDefault);
  const auto tokens = static_cast<std::int32_t>(
      options.step_tokens_max > 0 ? options.step_tokens_max : kStepTokensDefault);
  box.loaded = load_model_file(options.engine, sequences, tokens);
  box.loaded.limits.queue_max = static_cast<std::int32_t>(options.queue_max);
  box.codec = std::move(box.loaded.codec);
  box.engine.emplace(*box.loaded.engine, box.clock);
  box.executor = &*box.engine;
  box.scheduler.emplace(box.loaded.limits, box.loaded.kv_pool(), policy_named("cached", "serve"), secret_key());
  box.served = {.id = box.loaded.id(), .as = options.as};
  box.description = "real tokens at this computer's pace";
  if (options.as.empty()) return;
  TwinOptions twin = options.twin;
  twin.machine = options.as;
  twin.model = options.engine.file;
  if (twin.weights.empty()) twin.weights = main_weights_format(*box.loaded.file);
  if (twin.stack.empty()) twin.stack = "llama.cpp";
  box.step_model.emplace(make_twin(context, twin));
  require_one_replica(box.step_model->twin());
  box.twin.emplace(*box.step_model);
  box.paced.emplace(*box.engine, pace_of(box, options));
  box.executor = &*box.paced;
  box.description = format("real tokens at the pace of {} with {}", options.as, twin.stack);
}

std::unique_ptr<Box> build_box(const Context& context, const ServeOptions& options) {
  if (options.engine.file.empty() == options.weightless.empty()) {
    throw_invalid("serve takes either a model file or --weightless MODEL; give one of them");
  }
  auto box = std::make_unique<Box>();
  if (options.weightless.empty()) {
    build_real(*box, context, options);
  } else {
    build_weightless(*box, context, options);
  }
  if (!options.name.empty()) box->served.id = options.name;
  box->served.created_unix = now_unix();
  box->served.context_max = box->scheduler->limits().context_max;
  return box;
}

std::vector<StaticFile> web_files() {
  std::vector<StaticFile> files;
  for (const auto& asset : embedded_web::assets())
    files.push_back({std::string(asset.path), asset.body, ""});
  for (const auto& asset : embedded_grafana::assets())
    files.push_back({"grafana/" + std::string(asset.path), asset.body, ""});
  return files;
}

void write_port(const std::string& path, std::uint16_t port) {
  if (path.empty()) return;
  std::ofstream out(path);
  out << port << "\n";
  if (!out.flush()) throw_invalid(format("{}: cannot write the port", path));
}

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? std::string(name.data()) : std::string("localhost");
}

// Of the modelled machine once it serves: the whole pool is the stack's, however much of it holds something.
MemoryOwners memory_of(const Box& box) {
  const TwinModel& twin = box.step_model->twin();
  const MemoryPlan plan = plan_memory(twin, box.step_model->footprint(), box.scheduler->limits().context_max, 1);
  const KvPool& pool = box.scheduler->kv();
  const Bytes kv = plan.kv_per_token * (static_cast<double>(pool.n_blocks()) * pool.block_tokens());
  const Bytes runtime = plan.runtime + plan.activations;
  return {{"weights", plan.weights}, {"kv", kv}, {"runtime", runtime},
          {"free", std::max(Bytes(0), plan.visible - plan.weights - kv - runtime)}};
}

// What /metrics shows beside the traffic.
std::function<std::vector<Reading>()> readings_of(const Box& box) {
  const Machine* machine = box.step_model ? &box.step_model->twin().machine : nullptr;
  return [&box, machine, memory = machine ? memory_of(box) : MemoryOwners{},
          gpu = machine ? gpu_labels(*machine, host_name()) : GpuLabels{}] {
    std::vector<Reading> all;
    const auto add = [&](std::vector<Reading> some) { all.insert(all.end(), some.begin(), some.end()); };
    std::optional<Sensors> sensors;
    if (box.body) sensors = idle_sensors(*box.shown.get(), box.clock.now());
    if (machine) add(dcgm_readings(*machine, gpu, sensors ? &*sensors : nullptr, &memory));
    if (sensors) add(body_readings(*sensors));
    if (machine) add(memory_readings(memory));
    if (const auto use = read_process_use()) add(process_readings(*use));
    return all;
  };
}

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

}  // namespace

int cmd_serve(const Context& context, const ServeOptions& options) {
  // Blocked before any thread starts, so that every thread inherits it and only sigwait below sees
  // them.
  const sigset_t signals = stop_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const std::unique_ptr<Box> box = build_box(context, options);
  std::signal(SIGPIPE, SIG_IGN);

  Mailbox mailbox;
  Metrics metrics({.version = TINDERBOX_VERSION, .as = box->served.as});
  Observer& counts = metrics.of_model(box->served.id, *box->scheduler, {.weightless = box->served.weightless});
  metrics.read_from(readings_of(*box));
  const Roster roster({{.info = box->served, .mailbox = &mailbox, .codec = box->codec.get()}});
  OpenAiApi api(roster, {.version = TINDERBOX_VERSION, .now_unix = now_unix});
  RouteTable routes;
  api.add_to(routes);
  add_server_pages(routes, TINDERBOX_VERSION, metrics, web_files());
  HttpServer server({.address = options.host, .port = static_cast<std::uint16_t>(options.port)},
                    [&routes](const HttpRequest& request, Wake wake) {
                      return routes.handle(request, std::move(wake));
                    });
  write_port(options.port_file, server.port());
  std::optional<Outages> outages;
  std::vector<Observer*> watching = {&counts, &mailbox};
  if (box->body) watching.push_back(&outages.emplace(mailbox, *box->body));
  ObserverList observers(std::move(watching));
  Arrivals& arrivals = outages ? static_cast<Arrivals&>(*outages) : mailbox;
  std::thread box_thread(
      [&] { run_loop(*box->scheduler, *box->executor, arrivals, box->clock, observers); });
  log(format("tinderbox: {}: {}", box->served.id, box->description));
  log(format("tinderbox: http://{}:{}  (Ctrl-C stops)", options.host, server.port()));

  int signal = 0;
  sigwait(&signals, &signal);
  log("tinderbox: stopping when the answers in the making are done; once more stops at once");
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  server.stop();
  mailbox.close();
  box_thread.join();
  return 0;
}

}  // namespace tinderbox::cli
