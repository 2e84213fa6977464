#include "box/pull_catalogue.h"

#include <algorithm>

#include <toml++/toml.h>

#include "base/error.h"
#include "base/text.h"
#include "box/model_source.h"

namespace tinderbox {
namespace {

constexpr std::size_t kBytesMax = 256 * 1024;

PullEntry read_entry(const toml::table& table, std::string_view where) {
  PullEntry entry;
  for (const auto& [key, node] : table) {
    const std::string at = format("{}:{}: {}", where, node.source().begin.line, std::string_view(key.str()));
    if (key == "size") {
      entry.size = node.value<std::int64_t>();
      if (!entry.size || *entry.size <= 0) throw_invalid(format("{}: expected a number of bytes", at));
      continue;
    }
    const auto text = node.value<std::string>();
    if (!text || text->empty()) throw_invalid(format("{}: expected a text", at));
    if (key == "name") entry.name = *text;
    else if (key == "about") entry.about = *text;
    else if (key == "licence") entry.licence = *text;
    else if (key == "from") entry.from = *text;
    else if (key == "source") entry.source = *text;
    else if (key == "sha256") {
      entry.sha256 = parse_sha256(*text);
      if (!entry.sha256) throw_invalid(format("{}: expected 64 hexadecimal digits", at));
    } else {
      throw_invalid(format("{}: unknown key", at));
    }
  }
  const std::string at = format("{}:{}", where, table.source().begin.line);
  for (const auto& [key, text] : {std::pair{"name", &entry.name}, std::pair{"about", &entry.about},
                                  std::pair{"licence", &entry.licence}, std::pair{"from", &entry.from},
                                  std::pair{"source", &entry.source}}) {
    if (text->empty()) throw_invalid(format("{}: a model without {}", at, key));
  }
  if (!std::holds_alternative<NamedModel>(parse_model_source(entry.name))) {
    throw_invalid(format("{}: '{}' would be read as something else than a name", at, entry.name));
  }
  if (std::holds_alternative<NamedModel>(parse_model_source(entry.from))) {
    throw_invalid(format("{}: '{}' is a name, not a source", at, entry.from));
  }
  return entry;
}

}  // namespace

std::vector<PullEntry> read_pull_catalogue(std::string_view text, std::string_view where) {
  if (text.size() > kBytesMax) throw_too_large(format("{}: more than {} bytes", where, kBytesMax));
  toml::table document;
  try {
    document = toml::parse(text);
  } catch (const toml::parse_error& error) {
    throw_invalid(format("{}:{}: {}", where, error.source().begin.line, error.description()));
  }
  const toml::array* models = document["model"].as_array();
  if (models == nullptr || document.size() != 1)
    throw_invalid(format("{}: expected [[model]] entries, no more", where));
  std::vector<PullEntry> entries;
  for (const toml::node& node : *models) {
    const toml::table* table = node.as_table();
    if (table == nullptr) throw_invalid(format("{}:{}: expected [[model]]", where, node.source().begin.line));
    entries.push_back(read_entry(*table, where));
    if (find_pull(entries, entries.back().name) != &entries.back()) {
      throw_invalid(format("{}:{}: '{}' is there twice", where, table->source().begin.line, entries.back().name));
    }
  }
  return entries;
}

const PullEntry* find_pull(const std::vector<PullEntry>& catalogue, std::string_view name) {
  const auto it = std::ranges::find(catalogue, name, &PullEntry::name);
  return it == catalogue.end() ? nullptr : &*it;
}

}  // namespace tinderbox
