#include "cli/serve_gate.h"

#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "cli/context.h"
#include "cli/output.h"
#include "cli/state_folder.h"
#include "http/box_history.h"
#include "http/box_keys.h"

namespace tinderbox::cli {
namespace {

constexpr std::size_t kKeyBytesMin = 8, kKeyBytesMax = 256;

LogForm form_of(const std::string& name) {
  return name == "json" ? LogForm::Json : name == "none" ? LogForm::None : LogForm::Text;
}

// source: what to name instead of the key, which must not be shown.
ApiKey given_key(std::string_view secret, const std::string& source) {
  const auto visible = [](char c) { return c > ' ' && c < 0x7f; };
  if (secret.size() < kKeyBytesMin || secret.size() > kKeyBytesMax || !std::ranges::all_of(secret, visible)) {
    throw_invalid(format("{}: a key has {} to {} visible ASCII characters; `openssl rand -hex 16` makes a good one",
                         source, kKeyBytesMin, kKeyBytesMax));
  }
  ApiKey row = api_key_of(secret, source);
  row.manager = true;
  row.created_unix = now_unix();
  return row;
}

bool is_loopback_address(const std::string& host) { return is_loopback_name(host_name(host)); }

}  // namespace

void system_entropy(std::span<std::uint8_t> bytes) {
  if (getentropy(bytes.data(), bytes.size()) != 0) {
    throw_unsupported("getentropy: this system gives no entropy, which keys are made of; use a kernel that does");
  }
}

double precise_now_unix() {
  std::timespec now{};
  std::timespec_get(&now, TIME_UTC);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

ServeGate::ServeGate(const GateOptionsCli& options, const std::string& host, RouteTable& routes)
    : log_(form_of(options.log), stderr_is_journal()) {
  open_state(options);
  const bool loopback = is_loopback_address(host);
  using Needed = KeyBook::Needed;
  const Needed needed = options.no_auth ? Needed::Never : loopback ? Needed::IfAny : Needed::Always;
  given_ = given_keys(options);
  keys_.emplace(store_.get(), given_, needed);
  if (needed == Needed::Always && keys_->entries().empty()) {
    throw_invalid(
        format("--host {}: everybody who reaches that address could use the box, because it has no keys; make "
               "one with `tinderbox keys add NAME`, give --api-key-file FILE, or say --no-auth",
               host));
  }
  if (options.no_auth) keys_unreadable_.clear();
  if (!loopback && options.no_auth) {
    log(format("tinderbox: warning: everybody who reaches {} may use and change this box (--no-auth)", host));
  }
  gate_.emplace(routes, *keys_,
                GateOptions{.loopback = loopback,
                            .allowed_hosts = options.allowed_hosts,
                            .cors_origins = options.cors_origins,
                            .keys_unreadable = keys_unreadable_,
                            .now_unix = precise_now_unix,
                            .now = [this] { return clock_.now(); },
                            .ended =
                                [this](const RequestRecord& record) {
                                  log_.add(record);
                                  if (store_ && record.metered) store_->add(record);
                                }});
  add_key_routes(routes, *keys_, {.entropy = system_entropy, .now_unix = now_unix});
  add_history_route(routes, history_, precise_now_unix);
}

std::vector<ApiKey> ServeGate::given_keys(const GateOptionsCli& options) const {
  std::vector<ApiKey> rows;
  for (const std::string& key : options.api_keys) rows.push_back(given_key(key, "--api-key"));
  for (const std::string& path : options.api_key_files) {
    const std::size_t n_before = rows.size();
    for (const std::string& line : split(read_file(path), '\n')) {
      if (!trim(line).empty()) rows.push_back(given_key(trim(line), "--api-key-file"));
    }
    if (rows.size() == n_before) throw_invalid(format("{}: has no key; write one a line", path));
  }
  const char* variable = std::getenv("TINDERBOX_API_KEY");
  if (variable != nullptr && *variable != '\0') rows.push_back(given_key(variable, "TINDERBOX_API_KEY"));
  if (options.no_auth && !rows.empty()) {
    throw_invalid(
        "--no-auth: there is a key, too (--api-key, --api-key-file or TINDERBOX_API_KEY); choose one of them");
  }
  return rows;
}

void ServeGate::open_state(const GateOptionsCli& options) {
  const std::string folder = state_folder(options.state);
  if (folder.empty()) return;
  try {
    auto file = std::make_unique<StateFile>(folder);
    store_ = std::make_unique<StateStore>(std::move(file), folder, precise_now_unix,
                                          [](std::string_view line) { log(format("tinderbox: {}", line)); });
  } catch (const Error& e) {
    log(format("tinderbox: {}", e.what()));
    const bool keys = keys_were_set(folder);
    log(format("tinderbox: goes on without that: no history, requests and usage are kept{}",
               keys ? "; keys were set, and nobody is let in with one of them until they can be read" : ""));
    if (keys) keys_unreadable_ = e.what();
    return;
  }
  history_.with([&](History& history) {
    history = History([store = store_.get()](HistoryRow row) { store->add(std::move(row)); });
    history.restore(store_->history());
  });
}

std::string ServeGate::key_name(std::uint64_t number) const {
  if (number == 0) return "";
  for (const ApiKey& key : given_) {
    if (key_number(key) == number) return key.name;
  }
  if (!store_) return "";
  const std::shared_ptr<const KeyTable> table = store_->keys();
  const auto at = std::ranges::find(table->rows, number, key_number);
  return at == table->rows.end() ? "" : at->name;
}

HttpHandler ServeGate::handler() {
  return [this](const HttpRequest& request, Wake wake) { return gate_->handle(request, std::move(wake)); };
}

void ServeGate::sample(History::Sample sample) {
  history_.with([&](History& history) { history.append(precise_now_unix(), sample); });
}

}  // namespace tinderbox::cli
