#include "box/sweep.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include <toml++/toml.h>

#include "base/check.h"
#include "base/error.h"
#include "base/random.h"
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

SweepValue drawn(const SweepDraw& draw, Random& random) {
  if (!draw.choices.empty()) {
    const auto n = static_cast<std::int64_t>(draw.choices.size());
    return draw.choices[static_cast<std::size_t>(random.range(0, n - 1))];
  }
  if (draw.whole && !draw.log) {
    return {format("{}", random.range(static_cast<std::int64_t>(draw.low),
                                      static_cast<std::int64_t>(draw.high)))};
  }
  const double u = random.uniform();
  // A whole number k has the part of the logarithm from k to k + 1.
  const double high = draw.whole ? draw.high + 1 : draw.high;
  const double value =
      draw.log ? std::exp(std::log(draw.low) + u * (std::log(high) - std::log(draw.low)))
               : draw.low + u * (high - draw.low);
  if (draw.whole)
    return {format("{}",
                   static_cast<std::int64_t>(std::clamp(std::floor(value), draw.low, draw.high)))};
  const std::optional<double> rounded = parse_double(format("{:.6g}", value));
  CHECK(rounded);
  return {format("{}", std::clamp(*rounded, draw.low, draw.high))};
}

std::uint64_t first_seed(const Sweep& sweep) {
  const auto base = std::ranges::find(sweep.base, kSeed, &SweepSetting::key);
  return base == sweep.base.end()
             ? 0
             : static_cast<std::uint64_t>(parse_int(base->value.at(0)).value());
}

// Of any two different values the texts differ.
std::string quoted(const SweepValue& value) {
  std::vector<std::string> texts;
  for (const std::string& text : value) {
    const bool plain = text.find_first_of(" ,+[]\"\\\n") == std::string::npos;
    std::string escaped;
    for (const char c : text)
      escaped += c == '"' || c == '\\' ? format("\\{}", c) : c == '\n' ? "\\n" : std::string(1, c);
    texts.push_back(plain ? text : format("\"{}\"", escaped));
  }
  return value.size() == 1 ? texts[0] : format("[{}]", fmt::join(texts, " + "));
}

std::string list_of(const std::vector<SweepValue>& values) {
  std::vector<std::string> texts;
  for (const SweepValue& value : values) texts.push_back(quoted(value));
  return format("[{}]", fmt::join(texts, ", "));
}

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

std::int64_t n_points(const Sweep& sweep) {
  std::int64_t n = sweep.draws * sweep.seeds;
  for (const SweepAxis& axis : sweep.grid) n *= static_cast<std::int64_t>(axis.values.size());
  return n;
}

std::vector<SweepSetting> settings_of(const Sweep& sweep, std::int64_t point) {
  CHECK(point >= 0 && point < n_points(sweep));
  const std::int64_t seed = point % sweep.seeds;
  const std::int64_t draw = point / sweep.seeds % sweep.draws;
  std::int64_t cell = point / sweep.seeds / sweep.draws;
  std::vector<SweepSetting> out;
  for (const SweepSetting& setting : sweep.base) {
    if (sweep.seeds == 1 || setting.key != kSeed) out.push_back(setting);
  }
  const std::size_t first = out.size();
  for (std::size_t i = sweep.grid.size(); i-- > 0;) {
    const SweepAxis& axis = sweep.grid[i];
    const auto n = static_cast<std::int64_t>(axis.values.size());
    out.push_back({axis.key, axis.values[static_cast<std::size_t>(cell % n)], axis.line});
    cell /= n;
  }
  std::reverse(out.begin() + static_cast<std::ptrdiff_t>(first), out.end());
  Random random(sweep.draw_seed, Stream::Sweep, static_cast<std::uint32_t>(draw));
  for (const SweepDraw& d : sweep.random) out.push_back({d.key, drawn(d, random), d.line});
  if (sweep.seeds > 1) {
    out.push_back({std::string(kSeed),
                   {format("{}", first_seed(sweep) + static_cast<std::uint64_t>(seed))},
                   0});
  }
  return out;
}

std::vector<std::string> varied_keys(const Sweep& sweep) {
  std::vector<std::string> keys;
  for (const SweepAxis& axis : sweep.grid) keys.push_back(axis.key);
  for (const SweepDraw& draw : sweep.random) keys.push_back(draw.key);
  if (sweep.seeds > 1) keys.emplace_back(kSeed);
  return keys;
}

std::vector<std::string> all_keys(const Sweep& sweep) {
  std::vector<std::string> keys;
  for (const SweepSetting& setting : settings_of(sweep, 0)) keys.push_back(setting.key);
  return keys;
}

std::string design_of(const Sweep& sweep) {
  std::string out;
  for (const SweepSetting& s : sweep.base)
    out += format("[base] {} = {}\n", s.key, quoted(s.value));
  for (const SweepAxis& axis : sweep.grid)
    out += format("[grid] {} = {}\n", axis.key, list_of(axis.values));
  for (const SweepDraw& d : sweep.random) {
    out += d.choices.empty() ? format("[random] {} = {} to {}{}{}\n", d.key, d.low, d.high,
                                      d.log ? " log" : "", d.whole ? " whole" : "")
                             : format("[random] {} = {}\n", d.key, list_of(d.choices));
  }
  if (!sweep.random.empty())
    out += format("[random] points = {}\n[random] seed = {}\n", sweep.draws, sweep.draw_seed);
  return out + format("[design] seeds = {}\n", sweep.seeds);
}

Shard parse_shard(std::string_view text, std::string_view option) {
  const std::vector<std::string> parts = split(text, '/');
  const auto index = parts.size() == 2 ? parse_int(parts[0]) : std::nullopt;
  const auto n = parts.size() == 2 ? parse_int(parts[1]) : std::nullopt;
  if (!index || !n || *n < 1 || *n > kSweepPointsMax || *index < 1 || *index > *n) {
    throw_invalid(format("{}: expected I/N, part I of N, as 1/8 to 8/8; got '{}'", option, text));
  }
  return {*index - 1, *n};
}

}  // namespace tinderbox
