#include "box/sweep.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include <toml++/toml.h>

#include "base/error.h"
#include "base/text.h"
#include "machine/nesting.h"

namespace tinderbox {
namespace {

constexpr std::size_t kBytesMax = 512 * 1024;
constexpr std::int64_t kSeedsMax = 100'000;
constexpr std::int64_t kDrawSeedMax = std::int64_t{1} << 53;
constexpr std::string_view kSeed = "seed";
const std::vector<std::string> kSections = {"base", "grid", "random", "design"};

// Keys as on the command line; a file may write them as the others here do, with underscores.
std::string spelt(std::string_view key) {
  std::string out(key);
  std::ranges::replace(out, '_', '-');
  return out;
}

class Reader {
 public:
  Reader(std::string_view name, const std::vector<std::string>& keys) : name_(name), keys_(keys) {}

  Sweep read(const toml::table& root) {
    for (const auto& [key, node] : in_order(root)) {
      if (std::ranges::find(kSections, key->str()) == kSections.end()) {
        fail(line_of(*key),
             format("expected a section of [base], [grid], [random], [design]; got '{}'{}",
                    key->str(), did_you_mean(key->str(), kSections)));
      }
      const toml::table* section = node->as_table();
      if (section == nullptr) fail(line_of(*key), format("expected a section, [{}]", key->str()));
      if (key->str() == "base") read_base(*section);
      if (key->str() == "grid") read_grid(*section);
      if (key->str() == "random") read_random(*section, line_of(*key));
      if (key->str() == "design") read_design(*section);
    }
    check_seeds();
    return std::move(sweep_);
  }

 private:
  struct Entry {
    const toml::key* key;
    const toml::node* node;
  };

  // toml++ sorts tables by key.
  static std::vector<Entry> in_order(const toml::table& table) {
    std::vector<Entry> out;
    for (const auto& [key, node] : table) out.push_back({&key, &node});
    std::ranges::stable_sort(out, {}, [](const Entry& e) {
      const auto begin = e.key->source().begin;
      return std::pair(begin.line, begin.column);
    });
    return out;
  }

  static int line_of(const toml::key& key) { return static_cast<int>(key.source().begin.line); }

  [[noreturn]] void fail(int line, std::string_view what) const {
    throw_invalid(format("{}:{}: {}", name_, line, what));
  }

  std::string known_key(const toml::key& key) {
    std::string word = spelt(key.str());
    if (std::ranges::find(keys_, word) == keys_.end()) {
      fail(line_of(key), format("no option '{}'{}; `tinderbox simulate --help` lists them",
                                key.str(), did_you_mean(word, keys_)));
    }
    const auto [where, fresh] = lines_.emplace(word, line_of(key));
    if (!fresh)
      fail(line_of(key), format("'{}' is set in line {} already", key.str(), where->second));
    return word;
  }

  std::string text_of(const toml::node& node, std::string_view key, int line) const {
    if (const auto text = node.value_exact<std::string>()) {
      if (trim(*text).empty()) fail(line, format("{}: expected a text that is not empty", key));
      // An option is one word of a command line, which ends at a zero byte.
      if (text->find('\0') != std::string::npos)
        fail(line, format("{}: a text with a zero byte", key));
      return *text;
    }
    if (const auto whole = node.value_exact<std::int64_t>()) return format("{}", *whole);
    if (const auto real = node.value_exact<double>()) return format("{}", *real);
    if (const auto flag = node.value_exact<bool>()) return *flag ? "true" : "false";
    fail(line, format("{}: expected a number, a text, true or false", key));
  }

  SweepValue value_of(const toml::node& node, std::string_view key, int line) const {
    SweepValue value;
    if (const toml::array* several = node.as_array()) {
      for (const toml::node& one : *several) value.push_back(text_of(one, key, line));
    } else {
      value.push_back(text_of(node, key, line));
    }
    return value;
  }

  std::vector<SweepValue> values_of(const toml::node& node, std::string_view key, int line) const {
    const toml::array* array = node.as_array();
    if (array == nullptr) fail(line, format("{}: expected a list of values, as [1, 2, 4]", key));
    if (array->empty()) fail(line, format("{}: expected at least one value; got []", key));
    if (array->size() > static_cast<std::size_t>(kSweepPointsMax)) too_many();
    std::vector<SweepValue> values;
    for (const toml::node& one : *array) values.push_back(value_of(one, key, line));
    return values;
  }

  void read_base(const toml::table& section) {
    for (const auto& [key, node] : in_order(section)) {
      std::string word = known_key(*key);
      SweepValue value = value_of(*node, key->str(), line_of(*key));
      sweep_.base.push_back({std::move(word), std::move(value), line_of(*key)});
    }
  }

  void read_grid(const toml::table& section) {
    for (const auto& [key, node] : in_order(section)) {
      std::string word = known_key(*key);
      std::vector<SweepValue> values = values_of(*node, key->str(), line_of(*key));
      multiply(static_cast<std::int64_t>(values.size()));
      sweep_.grid.push_back({std::move(word), std::move(values), line_of(*key)});
    }
  }

  void read_random(const toml::table& section, int line) {
    for (const auto& [key, node] : in_order(section)) {
      if (key->str() == "points") {
        sweep_.draws = whole(*node, *key, 1, kSweepPointsMax);
        multiply(sweep_.draws);
      } else if (key->str() == kSeed) {
        sweep_.draw_seed = static_cast<std::uint64_t>(whole(*node, *key, 0, kDrawSeedMax));
      } else {
        sweep_.random.push_back(draw_of(*node, *key));
      }
    }
    if (sweep_.random.empty())
      fail(line, "[random]: expected what is drawn, as rate = { low = 1, high = 8 }");
    if (!section.contains("points")) fail(line, "[random]: expected points = how many are drawn");
  }

  SweepDraw draw_of(const toml::node& node, const toml::key& key) {
    SweepDraw draw{.key = known_key(key), .choices = {}, .line = line_of(key)};
    if (node.is_array()) {
      draw.choices = values_of(node, key.str(), draw.line);
      return draw;
    }
    const toml::table* range = node.as_table();
    if (range == nullptr) {
      fail(draw.line,
           format("{}: expected {{ low = a, high = b }} or a list of choices", key.str()));
    }
    for (const auto& [word, value] : *range) {
      if (word != "low" && word != "high" && word != "log") {
        fail(draw.line,
             format("{}: expected only low, high and log; got '{}'", key.str(), word.str()));
      }
    }
    const auto low = (*range)["low"].value<double>(), high = (*range)["high"].value<double>();
    if (!low || !high || !std::isfinite(*low) || !std::isfinite(*high) || *low > *high) {
      fail(draw.line,
           format("{}: expected low and high, two numbers, low at most high", key.str()));
    }
    draw.low = *low;
    draw.high = *high;
    draw.whole = (*range)["low"].is_integer() && (*range)["high"].is_integer();
    if (range->contains("log")) {
      const auto log = (*range)["log"].value_exact<bool>();
      if (!log) fail(draw.line, format("{}: expected log = true or false", key.str()));
      draw.log = *log;
    }
    if (draw.log && draw.low <= 0)
      fail(draw.line, format("{}: with log = true low must be above 0", key.str()));
    constexpr double kExact = 1e15;  // whole numbers beyond are not all doubles
    if (draw.whole && (draw.low < -kExact || draw.high > kExact)) {
      fail(draw.line, format("{}: expected whole numbers within 1e15", key.str()));
    }
    return draw;
  }

  void read_design(const toml::table& section) {
    for (const auto& [key, node] : in_order(section)) {
      if (key->str() != "seeds") {
        fail(line_of(*key), format("[design]: expected seeds = how many; got '{}'{}", key->str(),
                                   did_you_mean(key->str(), {"seeds"})));
      }
      sweep_.seeds = whole(*node, *key, 1, kSeedsMax);
      multiply(sweep_.seeds);
    }
  }

  std::int64_t whole(const toml::node& node, const toml::key& key, std::int64_t low,
                     std::int64_t high) const {
    const auto number = node.value_exact<std::int64_t>();
    if (!number || *number < low || *number > high) {
      fail(line_of(key), format("{}: expected a whole number from {} to {}", key.str(), low, high));
    }
    return *number;
  }

  [[noreturn]] void too_many() const {
    throw_too_large(format("{}: more than {} points; split the sweep into several files", name_,
                           kSweepPointsMax));
  }

  void multiply(std::int64_t n) {
    n_ *= n;  // both at most kSweepPointsMax
    if (n_ > kSweepPointsMax) too_many();
  }

  void check_seeds() const {
    if (sweep_.grid.empty() && sweep_.random.empty() && sweep_.seeds == 1) {
      throw_invalid(format("{}: nothing varies; give [grid], [random] or [design] seeds", name_));
    }
    const auto at = lines_.find(std::string(kSeed));
    if (sweep_.seeds == 1 || at == lines_.end()) return;
    const auto base = std::ranges::find(sweep_.base, kSeed, &SweepSetting::key);
    if (base == sweep_.base.end())
      fail(at->second, "seed: varies here and by [design] seeds; leave one out");
    const auto first = base->value.size() == 1 ? parse_int(base->value[0]) : std::nullopt;
    if (!first || *first < 0 || *first > kDrawSeedMax) {
      fail(at->second,
           format("seed: expected a whole number from 0 to {}, the first of [design] seeds",
                  kDrawSeedMax));
    }
  }

  std::string_view name_;
  const std::vector<std::string>& keys_;
  std::map<std::string, int> lines_;  // of the keys that were set
  std::int64_t n_ = 1;
  Sweep sweep_;
};

}  // namespace

Sweep parse_sweep(std::string_view toml, std::string_view name,
                  const std::vector<std::string>& keys) {
  if (toml.size() > kBytesMax) {
    throw_too_large(format("{}: expected at most {} bytes; got {}", name, kBytesMax, toml.size()));
  }
  check_nesting(toml, name);
  try {
    const toml::table root = toml::parse(toml, name);
    Sweep sweep = Reader(name, keys).read(root);
    sweep.name = name;
    sweep.text = toml;
    return sweep;
  } catch (const toml::parse_error& e) {
    throw_invalid(
        format("{}:{}: not valid TOML: {}", name, e.source().begin.line, e.description()));
  }
}

}  // namespace tinderbox
