#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "box/api_key.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "cli/output.h"
#include "cli/serve_gate.h"
#include "cli/state_folder.h"

namespace tinderbox::cli {
namespace {

std::string limit(const std::optional<std::int64_t>& per_min) { return per_min ? format("{}", *per_min) : "-"; }

nlohmann::ordered_json object(const ApiKey& row) {
  const auto or_null = [](const std::optional<std::int64_t>& v) {
    return v ? nlohmann::ordered_json(*v) : nlohmann::ordered_json();
  };
  return {{"id", row.id},
          {"name", row.name},
          {"priority", row.priority},
          {"requests_per_min", or_null(row.requests_per_min)},
          {"tokens_per_min", or_null(row.tokens_per_min)},
          {"created_unix", row.created_unix},
          {"last_used_unix", or_null(row.last_used_unix)},
          {"requests", row.requests},
          {"prompt_tokens", row.prompt_tokens},
          {"generated_tokens", row.generated_tokens},
          {"manager", row.manager}};
}

int add(StateFile& file, const KeysOptionsCli& o) {
  const std::string secret = new_api_key(system_entropy);
  ApiKey row = api_key_of(secret, o.name);
  row.priority = o.priority;
  row.requests_per_min = o.requests_per_min;
  row.tokens_per_min = o.tokens_per_min;
  row.created_unix = now_unix();
  file.transaction([&] {
    row.manager = o.manager || file.keys().empty();
    file.add_key(row);
  });
  if (o.json) {
    auto document = object(row);
    document["key"] = secret;
    print_json(document);
    return 0;
  }
  print(secret + "\n");
  log(format("tinderbox: the key {} of '{}'{}; it is shown only now, and needed from now on", row.id, row.name,
             row.manager ? ", which may manage the box" : ""));
  return 0;
}

int list(const StateFile& file, const KeysOptionsCli& o) {
  const std::vector<ApiKey> rows = file.keys();
  if (o.json) {
    auto document = nlohmann::ordered_json{{"keys", nlohmann::ordered_json::array()}};
    for (const ApiKey& row : rows) document["keys"].push_back(object(row));
    print_json(document);
    return 0;
  }
  if (rows.empty()) {
    log(format("tinderbox: {}: has no keys; `tinderbox keys add NAME` makes one", file.path()));
    return 0;
  }
  Table table({"id", "name", "priority", "requests/min", "tokens/min", "manager", "requests", "prompt", "generated"},
              "llrrrlrrr");
  for (const ApiKey& row : rows) {
    table.add({row.id, row.name, format("{}", row.priority), limit(row.requests_per_min), limit(row.tokens_per_min),
               row.manager ? "yes" : "no", format("{}", row.requests), format("{}", row.prompt_tokens),
               format("{}", row.generated_tokens)});
  }
  print(table.str());
  return 0;
}

int revoke(StateFile& file, const KeysOptionsCli& o) {
  bool removed = false;
  file.transaction([&] { removed = file.remove_key(o.id); });
  if (!removed)
    throw_not_found(format("there is no key '{}' in {}; `tinderbox keys list` shows them", o.id, file.path()));
  log(format("tinderbox: the key {} is revoked; a running server refuses it within two seconds", o.id));
  return 0;
}

}  // namespace

int cmd_keys(const KeysOptionsCli& options) {
  const std::string folder = state_folder(options.state);
  if (folder.empty()) throw_invalid("keys are kept in a state folder, and there is none; give --state DIR");
  StateFile file(folder);
  if (options.verb == "add") return add(file, options);
  return options.verb == "list" ? list(file, options) : revoke(file, options);
}

}  // namespace tinderbox::cli
