// Who may use a server: options of serve, and the verb keys.
#include "cli/app_arguments.h"

namespace tinderbox::cli {
namespace {

// Also in environments and files, where others cannot see it as they see a command line.
constexpr auto kApiKeyHelp =
    "A key that clients must send, beside those of `tinderbox keys`; may be repeated. Other users of this computer "
    "see "
    "command lines: better is $TINDERBOX_API_KEY or --api-key-file";

void add_state(CLI::App& verb, std::string& state) {
  verb.add_option("--state", state,
                  "Folder for keys, history and the list of requests, or none (default: $STATE_DIRECTORY, "
                  "$XDG_STATE_HOME/tinderbox or ~/.local/state/tinderbox)");
}

}  // namespace

void add_gate(CLI::App& verb, GateOptionsCli& o) {
  verb.add_option("--api-key", o.api_keys, kApiKeyHelp)->allow_extra_args(false);
  verb.add_option("--api-key-file", o.api_key_files, "A file of such keys, one a line; may be repeated")
      ->allow_extra_args(false);
  verb.add_flag("--no-auth", o.no_auth, "No keys, though there are some, or though a network can reach the box");
  verb.add_flag("--open-metrics", o.open_metrics, "/metrics needs no key");
  verb.add_option("--cors-origin", o.cors_origins,
                  "Pages of this origin may use the box, as https://app.example, or * for all; may be repeated")
      ->allow_extra_args(false);
  verb.add_option("--allowed-host", o.allowed_hosts,
                  "A further name by which clients may call the box, as in their Host header; may be repeated")
      ->allow_extra_args(false);
  verb.add_option("--log", o.log, "A line for each request on stderr: text, json or none")
      ->check(CLI::IsMember({"text", "json", "none"}))
      ->capture_default_str();
  add_state(verb, o.state);
}

void add_keys(CLI::App& app, Arguments& a) {
  auto* keys = app.add_subcommand("keys", "API keys of the box: once there is one, every request needs one");
  keys->require_subcommand(1);
  KeysOptionsCli& o = a.keys;
  const auto verb = [&](const char* name, const char* what) {
    auto* v = keys->add_subcommand(name, what);
    add_state(*v, o.state);
    v->callback([&a, name] {
      a.keys.verb = name;
      a.action = [&a] { return cmd_keys(a.keys); };
    });
    return v;
  };
  auto* add = verb("add", "Makes a key and shows it, once");
  add->add_option("name", o.name, "Whose it is")->required();
  add->add_option("--priority", o.priority, "Requests of lower ones go first")
      ->check(CLI::Range(-1000, 1000))
      ->capture_default_str();
  add->add_option("--requests-per-min", o.requests_per_min, "Requests a minute (default: no limit)");
  add->add_option("--tokens-per-min", o.tokens_per_min, "Prompt and generated tokens a minute (default: no limit)");
  add->add_flag("--manager", o.manager, "May manage models, faults and keys; the first key always may");
  add->add_flag("--json", o.json, "One JSON document on stdout");
  auto* list = verb("list", "Lists the keys, with their limits and use");
  list->add_flag("--json", o.json, "One JSON document on stdout");
  verb("revoke", "Takes a key back")->add_option("id", o.id, "As `keys list` shows it")->required();
}

}  // namespace tinderbox::cli
