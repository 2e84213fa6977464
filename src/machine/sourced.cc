#include "machine/sourced.h"

#include <algorithm>
#include <array>
#include <set>

#include <toml++/toml.h>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"
#include "machine/nesting.h"

namespace tinderbox {
namespace {

constexpr std::string_view kFactForm =
    "{ value = \"<number> <unit>\", kind = \"...\", source = \"...\" }";
const std::vector<std::string> kAttributes = {"value", "kind", "source", "note",
                                              "prior", "spread", "error", "rows"};
const std::vector<std::string> kKinds = {"measured", "claimed", "derived", "assumed", "fitted"};

bool bare(std::string_view key) {
  return !key.empty() && std::ranges::all_of(key, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
}

bool plain_word(std::string_view key) {
  return bare(key) && key.find('.') == std::string_view::npos && !(key[0] >= '0' && key[0] <= '9');
}

std::string join(const std::vector<std::string>& path) {
  std::string out;
  for (const std::string& key : path) {
    out += out.empty() ? "" : ".";
    out += bare(key) ? key : format("\"{}\"", key);
  }
  return out;
}

std::string listed(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

int line_of(const toml::node& node) { return static_cast<int>(node.source().begin.line); }

// Collects the entries of one document.
class Walker {
 public:
  Walker(std::string_view name, std::span<const Noun> nouns) : name_(name), nouns_(nouns) {}

  void read_sources(const toml::table& root, std::vector<Source>& sources) {
    const toml::node* node = root.get("sources");
    if (node == nullptr || !node->is_table()) {
      throw_invalid(
          format("{}: sources: expected a table [sources] of KEY = {{ address = \"...\", date = "
                 "\"...\" }}; got none",
                 name_));
    }
    for (const auto& [key, value] : *node->as_table()) {
      const std::string at = format("{}:{}: sources.{}", name_, line_of(value), key.str());
      Source source{std::string(key.str()), string_of(value, "address", at),
                    string_of(value, "date", at)};
      if (value.as_table()->size() != 2) {
        throw_invalid(format("{}: expected only address and date; remove the rest", at));
      }
      known_.insert(source.key);
      sources.push_back(std::move(source));
    }
  }

  void walk(const toml::table& table) {
    for (const auto& [key, node] : table) {
      path_.emplace_back(key.str());
      if (path_.size() > 1 || path_[0] != "sources") visit(node);
      path_.pop_back();
    }
  }

  std::vector<SourcedEntry> take() {
    std::ranges::sort(entries_, [](const SourcedEntry& a, const SourcedEntry& b) {
      return std::pair(a.line, a.column) < std::pair(b.line, b.column);
    });
    return std::move(entries_);
  }

 private:
  // The attribute of a source, a non-empty string.
  std::string string_of(const toml::node& node, std::string_view attribute,
                        std::string_view at) const {
    const toml::table* table = node.as_table();
    const auto text = table == nullptr ? std::nullopt : (*table)[attribute].value<std::string>();
    if (!text || trim(*text).empty()) {
      throw_invalid(format("{}: expected {} = \"...\"; got none", at, attribute));
    }
    return *text;
  }

  void visit(const toml::node& node) {
    SourcedEntry entry;
    entry.key = join(path_);
    entry.line = line_of(node);
    entry.column = static_cast<int>(node.source().begin.column);
    const std::string at = format("{}:{}: {}", name_, entry.line, entry.key);
    if (entry.key.size() > SourcedFile::kKeyBytesMax || path_.size() > SourcedFile::kDepthMax ||
        entries_.size() >= SourcedFile::kEntriesMax) {
      throw_too_large(
          format("{}: expected at most {} keys of {} levels and {} bytes; make the file smaller",
                 at, SourcedFile::kEntriesMax, SourcedFile::kDepthMax, SourcedFile::kKeyBytesMax));
    }
    const toml::table* table = node.as_table();
    const auto is_fact = [&] {
      return table->contains("value") || table->contains("kind") || table->contains("source");
    };
    if (table != nullptr && !is_fact()) {
      check_section(at);
      walk(*table);
      return;
    }
    if (table != nullptr) {
      entry.form = SourcedEntry::Form::Number;
      read_fact(*table, at, entry);
    } else if (const auto text = node.value_exact<std::string>()) {
      entry.form = SourcedEntry::Form::Text;
      entry.fact.text = *text;
    } else if (const auto flag = node.value_exact<bool>()) {
      entry.form = SourcedEntry::Form::Flag;
      entry.flag = *flag;
    } else {
      throw_invalid(format("{}: expected {}; got a bare number, date or list", at, kFactForm));
    }
    entries_.push_back(std::move(entry));
  }

  void check_section(const std::string& at) const {
    if (!plain_word(path_.back())) {
      throw_invalid(format("{}: expected a section named by a word; got a quoted key", at));
    }
  }

  void read_fact(const toml::table& table, const std::string& at, SourcedEntry& entry) {
    for (const auto& [key, value] : table) {
      if (std::ranges::find(kAttributes, key.str()) == kAttributes.end()) {
        throw_invalid(format("{}: expected only {}; got '{}'{}", at, listed(kAttributes), key.str(),
                             did_you_mean(key.str(), kAttributes)));
      }
    }
    const Noun* noun = find_noun(path_, nouns_);
    if (noun == nullptr) unknown_noun(at);
    entry.measure = noun->measure;
    if (!plain_word(path_.back())) split_unit(path_.back(), at);
    read_value(table, at, entry);
    check_plausible(entry.measure, entry.number, at);
    entry.fact.key = entry.key;
    read_provenance(table, at, entry.fact);
    read_fit(table, at, entry);
  }

  // A fitted number states its prior, a text with unit where the value is one, and three plain
  // numbers.
  void read_fit(const toml::table& table, const std::string& at, SourcedEntry& entry) const {
    const bool fitted = entry.fact.kind == FactKind::Fitted;
    for (const std::string_view attribute : {"prior", "spread", "error", "rows"}) {
      if (table.contains(attribute) != fitted) {
        throw_invalid(format("{}: expected prior, spread, error and rows with kind = \"fitted\" and "
                             "only with it; {} is {}",
                             at, attribute, fitted ? "missing" : "there"));
      }
    }
    if (!fitted) return;
    const auto number = [&](std::string_view attribute, double low, double high) {
      const auto value = table[attribute].value<double>();
      if (!value || !(*value >= low && *value <= high)) {
        throw_invalid(format("{}: expected {} = a number from {} to {}", at, attribute, low, high));
      }
      return *value;
    };
    SourcedEntry prior;
    prior.measure = entry.measure;
    read_number(*table.get("prior"), "prior", at, prior);
    check_plausible(prior.measure, prior.number, at);
    if (!(prior.number > 0)) throw_invalid(format("{}: expected a prior above 0", at));
    entry.fact.fit = FitResult{.prior = prior.number,
                         .spread = number("spread", 0, 10),
                         .error = number("error", 0, 100),
                         .n_rows = static_cast<std::int64_t>(number("rows", 0, 1e9))};
  }

  [[noreturn]] void unknown_noun(const std::string& at) const {
    std::vector<std::string> words;
    for (const Noun& noun : nouns_) words.emplace_back(noun.word);
    const std::string& leaf = path_.back();
    throw_invalid(format(
        "{}: expected a key that ends with what it measures ({}, or begins with n_); got "
        "'{}'{}",
        at, listed(words), leaf, did_you_mean(leaf.substr(leaf.find_last_of('_') + 1), words)));
  }

  void read_value(const toml::table& table, const std::string& at, SourcedEntry& entry) const {
    const toml::node* value = table.get("value");
    const std::string example = format("value = {}", measure_example(entry.measure));
    if (value == nullptr) throw_invalid(format("{}: expected {}; got no value", at, example));
    read_number(*value, "value", at, entry);
  }

  void read_number(const toml::node& value, std::string_view attribute, const std::string& at,
                   SourcedEntry& entry) const {
    if (const auto text = value.value_exact<std::string>()) {
      entry.number = parse_measure(entry.measure, *text, at);
      entry.fact.text = *text;
      return;
    }
    const auto integer = value.value_exact<std::int64_t>();
    const auto real = value.value_exact<double>();
    const bool is_count = entry.measure == Measure::Count;
    if (!(is_count || entry.measure == Measure::Share) || (is_count && !integer) ||
        (!integer && !real)) {
      throw_invalid(format("{}: expected {} = {}, the unit inside the string; got no text", at,
                           attribute, measure_example(entry.measure)));
    }
    entry.number = integer ? static_cast<double>(*integer) : *real;
    entry.fact.text = integer ? format("{}", *integer) : format("{}", *real);
  }

  void read_provenance(const toml::table& table, const std::string& at, Fact& fact) const {
    const auto text_of = [&](std::string_view attribute, std::string_view expected) {
      const auto text = table[attribute].value_exact<std::string>();
      if (!text || trim(*text).empty()) {
        throw_invalid(format("{}: expected {} = {}; got none", at, attribute, expected));
      }
      return *text;
    };
    const std::string kind = text_of("kind", "one of measured, claimed, derived, assumed, fitted");
    const auto found = std::ranges::find(kKinds, kind);
    if (found == kKinds.end()) {
      throw_invalid(format("{}: expected kind = one of {}; got '{}'{}", at, listed(kKinds), kind,
                           did_you_mean(kind, kKinds)));
    }
    fact.kind = static_cast<FactKind>(found - kKinds.begin());
    fact.source = text_of("source", "a key of [sources]");
    for (const std::string& part : split(fact.source, ',')) {
      const std::string key(trim(part));
      if (known_.contains(key)) continue;
      throw_invalid(format("{}: expected source = a key of [sources]; got '{}'{}", at, key,
                           did_you_mean(key, {known_.begin(), known_.end()})));
    }
    if (table.contains("note")) fact.note = text_of("note", "\"...\" or no note");
  }

  std::string_view name_;
  std::span<const Noun> nouns_;
  std::set<std::string> known_;  // source keys
  std::vector<std::string> path_;
  std::vector<SourcedEntry> entries_;
};

}  // namespace

std::string_view fact_kind_name(FactKind kind) { return kKinds[static_cast<std::size_t>(kind)]; }

SourcedFile::SourcedFile(std::string_view toml, std::string_view name, std::span<const Noun> nouns)
    : name_(name) {
  if (toml.size() > kBytesMax) {
    throw_too_large(format("{}: expected at most {} bytes; got {}", name, kBytesMax, toml.size()));
  }
  check_nesting(toml, name);
  try {
    const toml::table root = toml::parse(toml, name);
    Walker walker(name, nouns);
    walker.read_sources(root, sources_);
    walker.walk(root);
    entries_ = walker.take();
  } catch (const toml::parse_error& e) {
    throw_invalid(
        format("{}:{}: not valid TOML: {}", name, e.source().begin.line, e.description()));
  }
}

SourcedEntry& SourcedFile::require(std::string_view key, SourcedEntry::Form form,
                                   std::string_view expected) {
  asked_.emplace_back(key);
  const auto found = std::ranges::find(entries_, key, &SourcedEntry::key);
  if (found == entries_.end()) {
    std::vector<std::string> unread;
    for (const SourcedEntry& entry : entries_) {
      if (!entry.read) unread.push_back(entry.key);
    }
    throw_invalid(format("{}: {}: expected {}; got no such key{}", name_, key, expected,
                         did_you_mean(key, unread)));
  }
  if (found->form != form) throw_invalid(format("{}: expected {}", where(key), expected));
  found->read = true;
  return *found;
}

double SourcedFile::number(std::string_view key, Measure measure) {
  const SourcedEntry& entry = require(
      key, SourcedEntry::Form::Number,
      format("{{ value = {}, kind = \"...\", source = \"...\" }}", measure_example(measure)));
  CHECK(entry.measure == measure);
  return entry.number;
}

double SourcedFile::within(std::string_view key, double value, double low, double high) const {
  if (value < low || value > high) {
    throw_invalid(
        format("{}: expected a value from {} to {}; got {}", where(key), low, high, value));
  }
  return value;
}

double SourcedFile::count(std::string_view key, double low, double high) {
  return within(key, number(key, Measure::Count), low, high);
}

double SourcedFile::share(std::string_view key, double low, double high) {
  return within(key, number(key, Measure::Share), low, high);
}

std::string SourcedFile::text(std::string_view key) {
  const std::string text = require(key, SourcedEntry::Form::Text, "plain text, \"...\"").fact.text;
  if (trim(text).empty())
    throw_invalid(format("{}: expected a text that is not empty", where(key)));
  return text;
}

bool SourcedFile::flag(std::string_view key) {
  return require(key, SourcedEntry::Form::Flag, "true or false").flag;
}

bool SourcedFile::has(std::string_view key) {
  asked_.emplace_back(key);
  return std::ranges::find(entries_, key, &SourcedEntry::key) != entries_.end();
}

std::vector<std::string> SourcedFile::children(std::string_view section) const {
  std::vector<std::string> out;
  const std::string prefix = section.empty() ? "" : std::string(section) + ".";
  for (const SourcedEntry& entry : entries_) {
    if (!entry.key.starts_with(prefix)) continue;
    const std::string child =
        entry.key.substr(prefix.size(), entry.key.find('.', prefix.size()) - prefix.size());
    if (std::ranges::find(out, child) == out.end()) out.push_back(child);
  }
  return out;
}

std::string SourcedFile::where(std::string_view key) const {
  const auto found = std::ranges::find(entries_, key, &SourcedEntry::key);
  return found == entries_.end() ? format("{}: {}", name_, key)
                                 : format("{}:{}: {}", name_, found->line, key);
}

void SourcedFile::unknown_key(const SourcedEntry& entry) const {
  throw_invalid(format("{}: expected a known key; got '{}'{}", where(entry.key), entry.key,
                       did_you_mean(entry.key, asked_)));
}

void SourcedFile::reject_unread() const {
  for (const SourcedEntry& entry : entries_) {
    if (!entry.read) unknown_key(entry);
  }
}

void SourcedFile::reject_unread_text() const {
  for (const SourcedEntry& entry : entries_) {
    if (!entry.read && entry.form != SourcedEntry::Form::Number) unknown_key(entry);
  }
}

void SourcedFile::reject_sections_but(const std::vector<std::string>& sections) const {
  for (const SourcedEntry& entry : entries_) {
    const std::string section = entry.key.substr(0, entry.key.find('.'));
    if (section == entry.key && entry.form != SourcedEntry::Form::Number) continue;
    if (section != entry.key && std::ranges::find(sections, section) != sections.end()) continue;
    throw_invalid(format("{}: expected a section of {}; got '{}'{}", where(entry.key),
                         listed(sections), section, did_you_mean(section, sections)));
  }
}

std::vector<Fact> SourcedFile::facts() const {
  std::vector<Fact> out;
  for (const SourcedEntry& entry : entries_) {
    if (entry.form != SourcedEntry::Form::Number) continue;
    out.push_back(entry.fact);
    out.back().number = entry.number;
  }
  return out;
}

}  // namespace tinderbox
