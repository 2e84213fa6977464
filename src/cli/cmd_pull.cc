#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <memory>
#include <optional>
#include <thread>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "box/pull.h"
#include "cli/commands.h"
#include "cli/model_finder.h"
#include "cli/output.h"

namespace tinderbox::cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

volatile std::sig_atomic_t interrupted = 0;

void take_interrupt(int) { interrupted = 1; }

// Ctrl-C ends the fetching in order: what came is kept.
void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = take_interrupt;  // without SA_RESTART: a wait for a lock must end, too
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

std::string text_of_file(const fs::path& path) {
  std::error_code ec;
  return fs::is_regular_file(path, ec) ? std::string(trim(read_file(path.string()))) : "";
}

std::string hub_token(const PullOptions& options) {
  if (!options.token.empty()) return options.token;
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}) {
    if (std::string token = environment_variable(name); !token.empty()) return token;
  }
  const std::string path = environment_variable("HF_TOKEN_PATH"), home = environment_variable("HOME");
  if (!path.empty()) return text_of_file(path);
  const std::string hf_home = environment_variable("HF_HOME"), cache = environment_variable("XDG_CACHE_HOME");
  if (!hf_home.empty()) return text_of_file(fs::path(hf_home) / "token");
  if (cache.starts_with('/')) return text_of_file(fs::path(cache) / "huggingface" / "token");
  return home.empty() ? "" : text_of_file(fs::path(home) / ".cache" / "huggingface" / "token");
}

// The index that pip would use here.
std::string python_index() {
  if (std::string index = environment_variable("PIP_INDEX_URL"); !index.empty()) return index;
  std::vector<fs::path> files;
  if (const std::string file = environment_variable("PIP_CONFIG_FILE"); !file.empty()) files.push_back(file);
  const std::string config = environment_variable("XDG_CONFIG_HOME"), home = environment_variable("HOME");
  if (!config.empty()) files.push_back(fs::path(config) / "pip" / "pip.conf");
  if (!home.empty()) {
    files.push_back(fs::path(home) / ".config" / "pip" / "pip.conf");
    files.push_back(fs::path(home) / ".pip" / "pip.conf");
  }
  files.push_back("/etc/pip.conf");
  for (const fs::path& file : files) {
    if (std::string index = index_of_pip_conf(text_of_file(file)); !index.empty()) return index;
  }
  return "https://pypi.org/simple";
}

std::string certificates() {
  for (const char* name : {"SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "PIP_CERT"}) {
    if (std::string file = environment_variable(name); !file.empty()) return file;
  }
  return "";
}

// A bar on a terminal; elsewhere a line for every tenth.
class PullProgress {
 public:
  explicit PullProgress(std::string name) : name_(std::move(name)), terminal_(isatty(STDERR_FILENO) == 1) {}
  void at(std::int64_t done, std::int64_t total) {
    if (!bar_) bar_.emplace(name_);
    bar_->at(done, total);
    if (terminal_ || total <= 0) return;
    const auto tenth = done * 10 / total;
    if (tenth == tenth_) return;
    if (tenth_ >= 0) {
      log(format("tinderbox: {}: {} % of {}", name_, tenth * 10, human(Bytes(static_cast<double>(total)))));
    }
    tenth_ = tenth;
  }
  void end() { bar_.reset(); }

 private:
  std::string name_;
  bool terminal_;
  std::int64_t tenth_ = -1;
  std::optional<Progress> bar_;
};

std::string size_text(const std::optional<std::int64_t>& size) {
  return size ? human(Bytes(static_cast<double>(*size))) : "?";
}

bool is_here(const std::string& name) {
  try {
    return !find_model_file(name).empty();
  } catch (const Error&) {
    return false;
  }
}

int list_models(const PullOptions& options) {
  Json document = Json::array();
  Table table({"name", "here", "size", "licence", "from"}, "llrll");
  for (const PullEntry& entry : pull_catalogue()) {
    const bool here = is_here(entry.name);
    Json row = {{"name", entry.name}, {"about", entry.about}, {"here", here}, {"licence", entry.licence},
                {"from", entry.from}, {"size_bytes", nullptr}, {"sha256", nullptr}};
    if (entry.size) row["size_bytes"] = *entry.size;
    if (entry.sha256) row["sha256"] = hex(*entry.sha256);
    document.push_back(std::move(row));
    table.add({entry.name, here ? "yes" : "no", size_text(entry.size), entry.licence, entry.from});
  }
  if (options.json) print_json(document);
  else print(table.str());
  return 0;
}

struct Wanted {
  ModelSource source;
  std::optional<Sha256> sha256{};
  std::optional<std::int64_t> size{};
};

Wanted wanted(const PullOptions& options) {
  if (options.model.empty()) throw_invalid("pull: which model? `tinderbox pull --list` names some");
  Wanted w{.source = parse_model_source(options.model)};
  std::error_code ec;
  if (!std::holds_alternative<ModelFile>(w.source) && fs::is_regular_file(options.model, ec)) {
    w.source = ModelFile{options.model};
  }
  if (const auto* named = std::get_if<NamedModel>(&w.source)) {
    const std::vector<PullEntry> catalogue = pull_catalogue();
    const PullEntry* entry = find_pull(catalogue, named->name);
    if (entry == nullptr) {
      std::vector<std::string> names;
      for (const PullEntry& known : catalogue) names.push_back(known.name);
      throw_not_found(format("{}: no model of that name{}; `tinderbox pull --list` names them, or write hf:ORG/REPO",
                             named->name, did_you_mean(named->name, names)));
    }
    w = {.source = parse_model_source(entry->from), .sha256 = entry->sha256, .size = entry->size};
  }
  if (!options.sha256.empty()) {
    const auto given = parse_sha256(options.sha256);
    if (!given) throw_invalid(format("--sha256 {}: expected 64 hexadecimal digits", options.sha256));
    if (w.sha256 && *w.sha256 != *given) throw_invalid("--sha256: the catalogue has another one for this model");
    w.sha256 = given;
  }
  return w;
}

Json plan_document(const PullPlan& plan) {
  Json out = {{"from", plan.from}, {"path", plan.path.string()}, {"size_bytes", nullptr}, {"have_bytes", plan.have},
              {"here", plan.here}, {"sha256", nullptr}};
  if (plan.size) out["size_bytes"] = *plan.size;
  if (plan.sha256) out["sha256"] = hex(*plan.sha256);
  return out;
}

int show_plan(const PullPlan& plan, bool json) {
  if (json) {
    print_json(plan_document(plan));
    return 0;
  }
  print(format("from    {}\nto      {}\nsize    {}{}\n", plan.from, plan.path.string(), size_text(plan.size),
               plan.here ? ", here already"
               : plan.have > 0 ? format(", {} here already", human(Bytes(static_cast<double>(plan.have))))
                               : std::string()));
  return 0;
}

int stopped(const PullPlan& plan) {
  log(format("tinderbox: {}: stopped; what came is kept, and the same command goes on from there", plan.from));
  const int signal = SIGINT;
  std::signal(signal, SIG_DFL);
  std::raise(signal);  // so that a shell knows
  return 1;
}

}  // namespace

int cmd_pull(const PullOptions& options) {
  if (options.list) return list_models(options);
  const Wanted w = wanted(options);
  catch_interrupts();
  std::unique_ptr<Web> web;
  PullAccess access{.places = model_places(environment_variable), .hub = {}, .index = python_index(), .web = {}};
  access.web = [&web]() -> Web& {
    if (!web) {
      web = std::make_unique<Web>(WebOptions{.agent = "tinderbox/" TINDERBOX_VERSION, .ca_file = certificates(),
                                             .stop = [] { return interrupted != 0; }});
    }
    return *web;
  };
  if (!options.store.empty()) access.places.store = options.store;
  if (std::string endpoint = environment_variable("HF_ENDPOINT"); !endpoint.empty()) {
    while (endpoint.ends_with('/')) endpoint.pop_back();
    access.hub.endpoint = endpoint;
  }
  access.hub.token = hub_token(options);
  std::optional<PullProgress> progress;
  DownloadHooks hooks{.progress =
                          [&](std::int64_t done, std::int64_t total) {
                            if (progress) progress->at(done, total);
                          },
                      .note = [](const std::string& text) { log("tinderbox: " + text); },
                      .wait =
                          [](Seconds pause) {
                            const WallClock clock;
                            for (const TimePoint end = clock.now() + to_duration(pause);
                                 clock.now() < end && !interrupted;) {
                              std::this_thread::sleep_for(std::chrono::milliseconds(50));
                            }
                          },
                      .stop = [] { return interrupted != 0; },
                      .tries = options.tries};
  const PullPlan plan = plan_pull(access, w.source, w.sha256, w.size, hooks);
  if (options.dry_run) return show_plan(plan, options.json);
  if (interrupted != 0) return stopped(plan);
  progress.emplace(plan.path.filename().string());
  const Pulled pulled = pull(access, plan, hooks);
  progress->end();
  if (!pulled.whole) return stopped(plan);
  if (options.json) {
    Json out = {{"from", plan.from}, {"path", pulled.path.string()}, {"size_bytes", pulled.bytes},
                {"here", plan.here}, {"sha256", nullptr}};
    if (pulled.sha256) out["sha256"] = hex(*pulled.sha256);
    print_json(out);
  } else {
    print(pulled.path.string() + "\n");
  }
  return 0;
}

}  // namespace tinderbox::cli
