#include "cli/verb_tree.h"

#include <algorithm>

#include <CLI/CLI.hpp>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox::cli {
namespace {

// CLI11 writes what a validator takes behind the type: "INT:INT in [0 - 65535]", "TEXT:{a,b}", "FLOAT:POSITIVE".
void read_type(std::string_view type, OptionFacts& facts) {
  const std::size_t colon = type.find(':');
  const std::string_view kind = type.substr(0, colon), rest = colon == type.npos ? "" : type.substr(colon + 1);
  facts.value = kind == "INT" || kind == "UINT" || kind == "FLOAT" ? "NUMBER" : kind == "TEXT" ? "TEXT" : kind;
  if (rest.starts_with('{') && rest.ends_with('}')) {
    facts.words = split(rest.substr(1, rest.size() - 2), ',');
    std::ranges::sort(facts.words);
    return;
  }
  const std::size_t open = rest.find(" in ["), dash = rest.find(" - ");
  if (open != rest.npos && dash != rest.npos && rest.ends_with(']')) {
    const std::size_t from = open + 5;
    facts.limits = format("{} to {}", rest.substr(from, dash - from), rest.substr(dash + 3, rest.size() - dash - 4));
  } else {
    facts.limits = rest == "POSITIVE" ? "above 0" : rest;
  }
}

OptionFacts facts_of(const CLI::Option& option) {
  OptionFacts facts;
  for (const std::string& name : option.get_snames()) facts.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) facts.names.push_back("--" + name);
  if (facts.names.empty()) facts.names.push_back(option.get_name(true));
  facts.about = option.get_description();
  facts.variable = option.get_envname();
  facts.required = option.get_required();
  if (option.get_items_expected_min() == 0) return facts;
  read_type(option.get_type_name(), facts);
  facts.fallback = option.get_default_str();
  facts.several = option.get_expected_max() > 1;
  facts.separator = option.get_delimiter();
  return facts;
}

void know(OptionFacts& facts, const KnownWords& known, const std::string& path) {
  if (facts.flag() || !facts.words.empty()) return;
  for (const std::string& name : facts.names) {
    for (const std::string& key : {path + " " + name, name}) {
      if (const auto it = known.find(key); it != known.end()) {
        facts.words = it->second;
        return;
      }
    }
  }
}

VerbFacts read_verb(const CLI::App& app, const KnownWords& known, const std::string& path) {
  VerbFacts verb;
  verb.name = app.get_name();
  verb.about = app.get_description();
  verb.footer = app.get_footer();
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;
    OptionFacts facts = facts_of(*option);
    know(facts, known, path);
    (option->get_positional() ? verb.positionals : verb.options).push_back(std::move(facts));
  }
  for (const CLI::App* below : app.get_subcommands(std::function<bool(const CLI::App*)>())) {
    if (below->get_group().empty()) continue;
    verb.verbs.push_back(read_verb(*below, known, path.empty() ? below->get_name() : path + " " + below->get_name()));
  }
  verb.needs_verb = app.get_require_subcommand_min() > 0;
  return verb;
}

}  // namespace

VerbFacts verb_tree(const CLI::App& app, const KnownWords& known) { return read_verb(app, known, ""); }

const VerbFacts& find_verb(const VerbFacts& tree, std::string_view name) {
  const auto it = std::ranges::find(tree.verbs, name, &VerbFacts::name);
  if (it != tree.verbs.end()) return *it;
  std::vector<std::string> names;
  for (const VerbFacts& verb : tree.verbs) names.push_back(verb.name);
  throw_not_found(format("no verb '{}'{}", name, did_you_mean(name, names)));
}

}  // namespace tinderbox::cli
