#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <fstream>
#include <functional>
#include <optional>
#include <thread>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/serve_gate.h"
#include "cli/serve_models.h"
#include "cli/serve_requests.h"
#include "cli/serve_ticker.h"
#include "cli/service.h"
#include "cli/what_if.h"
#include "embedded_grafana.h"
#include "embedded_web.h"
#include "http/box_api.h"
#include "http/http_server.h"
#include "http/metrics.h"
#include "http/ollama.h"
#include "http/openai.h"
#include "http/roster.h"
#include "http/route_table.h"
#include "http/server_pages.h"
#include "http/responses_api.h"
#include "http/text_api.h"
#include "model/weight_format.h"

namespace tinderbox::cli {

namespace {

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

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

// What the page's choosers offer.
std::string catalogue_json(const Context& context) {
  nlohmann::ordered_json out;
  for (const auto& [key, catalogue] : {std::pair{"machines", &context.machines},
                                       std::pair{"models", &context.models},
                                       std::pair{"stacks", &context.stacks}}) {
    out[key] = nlohmann::ordered_json::array();
    for (const std::string& id : catalogue->ids()) out[key].push_back({{"id", id}});
  }
  out["weights"] = weight_format_names();
  return out.dump();
}

Roster roster_of(ServeModels& models, ServingBox& box) {
  std::vector<ModelDoor> doors;
  for (std::size_t i = 0; i < models.models.size(); ++i) {
    const ServeModel& m = models.models[i];
    doors.push_back({.info = m.info, .mailbox = &box.mailbox(i), .codec = m.codec.get()});
  }
  return Roster(std::move(doors));
}

BoxFacts facts_of(const ServeModels& models, const ServeOptions& options) {
  BoxFacts facts{.version = TINDERBOX_VERSION, .as = models.models[0].info.as, .machine_name = {}};
  facts.freeze = options.freeze;
  facts.weightless = models.models[0].info.weightless;
  if (models.machine) facts.machine_name = models.machine->name;
  if (models.models[0].step_model) facts.nodes = models.models[0].step_model->twin().parallel.boxes();
  if (models.body) facts.ambient_c = surroundings_of(options.body.surroundings).room.degrees();
  return facts;
}

// A machine whose memory does not hold what it was asked to hold stops answering (--freeze).
void freeze(ServeModels& models, ServingBox& box) {
  for (const Fault& fault : faults_of(*models.machine)) {
    if (fault.name != "memory-exhaustion") continue;
    box.post([&models, &box, fault] {
      models.body->inject({.begin = box.now(), .end = TimePoint::max(), .fault = fault});
    });
    log(format("tinderbox: {}: the box freezes, as the real one would; power-cycle it with DELETE /box/faults/{}",
               models.too_large, fault.name));
    return;
  }
  throw_unsupported(format("--freeze: the file of {} has no fault memory-exhaustion", models.machine->id));
}

// What /metrics tells beside the traffic, at each scrape.
void read_gauges(Metrics& metrics, const ServeModels& models, const Posted<MemoryUse>& use_of_memory) {
  std::vector<GpuLabels> gpus;  // boxes that share a model are alike in all but their names
  int n_boxes = 0;
  if (models.machine) {
    n_boxes = std::max(1, models.models[0].step_model->twin().parallel.boxes() / models.machine->n_devices);
  }
  for (int i = 1; i <= n_boxes; ++i) {
    gpus.push_back(gpu_labels(*models.machine, n_boxes == 1 ? host_name() : format("{}-{}", host_name(), i)));
  }
  metrics.read_from([&models, &use_of_memory, gpus] {
    std::vector<GaugeReading> all;
    const auto add = [&](std::vector<GaugeReading> some) { all.insert(all.end(), some.begin(), some.end()); };
    const MemoryUse m = use_of_memory.get();
    const MemoryOwners memory = {{"weights", Bytes(m.weights)},
                                 {"kv", Bytes(m.kv)},
                                 {"runtime", Bytes(m.runtime)},
                                 {"page_cache", Bytes(m.page_cache)},
                                 {"free", Bytes(m.free())}};
    std::optional<Sensors> sensors;
    if (models.body) sensors = idle_sensors(*models.shown.get(), models.clock->now());
    for (const GpuLabels& gpu : gpus) add(dcgm_readings(*models.machine, gpu, sensors ? &*sensors : nullptr, &memory));
    if (!gpus.empty()) {
      add({{.name = "tinderbox_boxes",
            .help = "Boxes behind this address; sensors, memory and energies are those of each; modelled",
            .labels = {},
            .value = static_cast<double>(gpus.size())}});
    }
    if (sensors) add(body_readings(*sensors));
    add(memory_readings(memory));
    if (const auto use = read_process_use()) add(process_readings(*use));
    return all;
  });
}

void show_loaded(Metrics& metrics, const ServeModels& models, const BoxStatus& box) {
  for (std::size_t i = 0; i < box.models.size(); ++i) {
    const ModelPool::State state = box.models[i].state;
    metrics.show_loaded(models.models[i].info.id,
                        state == ModelPool::State::Ready || state == ModelPool::State::Closed);
  }
}

// A socket handed over is where the box is, also for those who judge whether a network can reach it.
ServeOptions where_it_listens(ServeOptions options, const Service& service) {
  if (service.listener()) options.host = service.listener()->address;
  return options;
}

ServerOptions server_options(const ServeOptions& options, const Service& service) {
  return {.address = options.host,
          .port = static_cast<std::uint16_t>(options.port),
          .listen_fd = service.listener() ? service.listener()->fd : -1,
          .trace_key = secret_key()};
}

// What each model's traffic is told to: /metrics, and the file of --requests-out, if there is one.
void observe_models(ServingBox& box, const ServeModels& models, Metrics& metrics, ServedRequests* served) {
  for (std::size_t i = 0; i < box.size(); ++i) {
    const ServedModel& info = models.models[i].info;
    const Duration request_time = models.models[i].request_time;
    box.observe(i, metrics.of_model(info.id, box.scheduler(i),
                                    {.weightless = info.weightless, .request_time = request_time}));
    if (served != nullptr) box.observe(i, served->of_model(info.id, request_time));
  }
}

}  // namespace

int cmd_serve(const Context& context, const ServeOptions& given) {
  const Service service;
  const ServeOptions options = where_it_listens(given, service);
  // Blocked before any thread starts, so that every thread inherits it and only sigwait below sees
  // them.
  const sigset_t signals = stop_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const std::unique_ptr<ServeModels> models = serve_models(context, options);
  // A client that has gone, and a file that may not grow, are errors of who writes, not the end of the box.
  for (const int each : {SIGPIPE, SIGXFSZ}) std::signal(each, SIG_IGN);

  Metrics metrics({.version = TINDERBOX_VERSION, .as = models->models[0].info.as});
  std::optional<ServedRequests> served;
  if (!options.requests_out.empty()) served.emplace(options.requests_out);
  ServingBox box(members_of(*models, {}),
                 {.bytes = models->bytes,
                  .keep_alive = options.keep_alive ? to_duration(Seconds(*options.keep_alive)) : Duration::max()},
                 *models->clock);
  observe_models(box, *models, metrics, served ? &*served : nullptr);
  if (models->body) box.embody(*models->body);
  const Roster roster = roster_of(*models, box);
  OpenAiApi api(roster, {.version = TINDERBOX_VERSION, .now_unix = now_unix});
  ResponsesApi responses(now_unix);
  TextApi text_api(roster);
  Broadcast state;
  BoxApi box_api(box, models->body.get(), roster, state,
                 {.faults = models->body ? faults_of(*models->machine) : std::vector<Fault>(),
                  .catalogue = catalogue_json(context),
                  .ask = ask_verb});
  RouteTable routes;
  api.add_to(routes);
  responses.add_to(routes);
  text_api.add_to(routes);
  box_api.add_to(routes);
  OllamaApi ollama(roster, {.version = TINDERBOX_VERSION, .now_unix = precise_now_unix,
                            .now = [&clock = *models->clock] { return clock.now(); }});
  ollama.add_to(routes);
  add_server_pages(routes, TINDERBOX_VERSION, metrics, web_files(), options.gate.open_metrics);
  ServeGate gate(options.gate, options.host, routes);
  HttpServer server(server_options(options, service), gate.handler());
  Posted<MemoryUse> memory;
  read_gauges(metrics, *models, memory);
  box.load_first();
  if (!models->too_large.empty()) freeze(*models, box);
  std::thread box_thread([&] { box.run(); });
  std::optional<Ticker> ticker(std::in_place, *models, box, roster, facts_of(*models, options), state,
                               [&gate](std::uint64_t key) { return gate.key_name(key); },
                               [&memory, &gate, &service, &metrics, &models](const BoxMoment& now) {
                                 service.alive();
                                 show_loaded(metrics, *models, now.box);
                                 memory.post(now.memory);
                                 gate.sample(state_sample(now));
                               });
  write_port(options.port_file, server.port());
  for (const ServeModel& m : models->models) log(format("tinderbox: {}: {}", m.info.id, m.description));
  log(format("tinderbox: http://{}:{}  (Ctrl-C stops)", options.host, server.port()));
  service.ready(format("http://{}:{}", options.host, server.port()));

  int signal = 0;
  sigwait(&signals, &signal);
  service.stopping();
  log("tinderbox: stopping when the answers in the making are done; once more stops at once");
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  ticker.reset();
  server.stop();
  box.close();
  box_thread.join();
  return 0;
}

}  // namespace tinderbox::cli
