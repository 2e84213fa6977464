#include "model/json_numbers.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "base/check.h"
#include "base/text.h"

namespace tinderbox {
namespace {

using Rule = Grammar::Rule;
using Sequence = Grammar::Sequence;

Grammar::Part digit(char first = '0', char last = '9') {
  return Grammar::range(static_cast<unsigned char>(first), static_cast<unsigned char>(last));
}

// What is so far from zero.
struct Magnitudes {
  std::uint64_t low = 0;
  std::optional<std::uint64_t> high = {};
};
std::uint64_t magnitude(std::int64_t x) {
  return x < 0 ? std::uint64_t{0} - static_cast<std::uint64_t>(x) : static_cast<std::uint64_t>(x);
}

class Numbers {
 public:
  explicit Numbers(Grammar& grammar) : g_(grammar), any_(grammar.add()), fraction_(grammar.add()) {
    g_.add(any_, {});
    g_.add(any_, {digit(), Grammar::ref(any_)});
    g_.add(fraction_, {});
    g_.add(fraction_, {Grammar::any_of("."), digit(), Grammar::ref(any_)});
  }

  // The integers of the range, each followed by `after`.
  void add(Rule rule, const Sequence& before, const Magnitudes& m, const Sequence& after) {
    const std::string low = format("{}", m.low);
    const std::string high = m.high ? format("{}", *m.high) : std::string(low.size(), '9');
    for (std::size_t n = low.size(); n <= high.size(); ++n) {
      const std::string from = n == low.size() ? low : "1" + std::string(n - 1, '0');
      const std::string to = n == high.size() ? high : std::string(n, '9');
      between(rule, before, from, to, after);
    }
    if (m.high) return;
    Sequence longer = before;
    longer.push_back(digit('1', '9'));
    longer.insert(longer.end(), low.size(), digit());
    longer.push_back(Grammar::ref(any_));
    longer.insert(longer.end(), after.begin(), after.end());
    g_.add(rule, longer);
  }

  // The numbers of the range, with or without a fraction; no sign is looked at.
  void add_fractions(Rule rule, const Sequence& before, const NumberBound& low, const NumberBound* high) {
    const auto add_whole = [&](std::uint64_t from, std::optional<std::uint64_t> to, Rule fraction) {
      add(rule, before, {from, to}, {Grammar::ref(fraction)});
    };
    if (high != nullptr && low.whole == high->whole) return add_whole(low.whole, low.whole, fractions(&low, high));
    add_whole(low.whole, low.whole, fractions(&low, nullptr));
    if (high == nullptr) return add_whole(low.whole + 1, std::nullopt, fraction_);
    if (high->whole - low.whole > 1) add_whole(low.whole + 1, high->whole - 1, fraction_);
    add_whole(high->whole, high->whole, fractions(nullptr, high));
  }

 private:
  // from <= to, as long as each other.
  void between(Rule rule, Sequence before, const std::string& from, const std::string& to,
               const Sequence& after) {
    std::size_t same = 0;
    while (same < from.size() && from[same] == to[same])
      before.push_back(digit(from[same], from[same])), ++same;
    const std::string a = from.substr(same), b = to.substr(same);
    if (a.empty()) return end(rule, before, 0, after);
    const bool whole_low = a.find_first_not_of('0', 1) == a.npos,
               whole_high = b.find_first_not_of('9', 1) == b.npos;
    const char first = whole_low ? a[0] : static_cast<char>(a[0] + 1);
    const char last = whole_high ? b[0] : static_cast<char>(b[0] - 1);
    const auto with = [&](char c) {
      Sequence more = before;
      more.push_back(digit(c, c));
      return more;
    };
    if (!whole_low) between(rule, with(a[0]), a.substr(1), std::string(a.size() - 1, '9'), after);
    if (first <= last) {
      Sequence more = before;
      more.push_back(digit(first, last));
      end(rule, more, a.size() - 1, after);
    }
    if (!whole_high) between(rule, with(b[0]), std::string(b.size() - 1, '0'), b.substr(1), after);
  }
  void end(Rule rule, Sequence all, std::size_t n_digits, const Sequence& after) {
    all.insert(all.end(), n_digits, digit());
    all.insert(all.end(), after.begin(), after.end());
    g_.add(rule, all);
  }

  // What may follow a whole number that is that of a bound: nothing, or a point and digits. Digits are compared from
  // the first one on: a state is how many there were, and of which bounds they are the beginning.
  struct Bounds {
    const NumberBound* low;
    const NumberBound* high;
    std::map<std::tuple<std::size_t, bool, bool>, Rule> states{};
  };
  static char digit_of(const NumberBound& bound, std::size_t i) {
    return i < bound.fraction.size() ? bound.fraction[i] : '0';
  }
  static bool ends(const Bounds& b, std::size_t i, bool at_low, bool at_high) {
    return (!at_low || (i >= b.low->fraction.size() && !b.low->open)) &&
           (!at_high || i < b.high->fraction.size() || !b.high->open);
  }
  Rule fractions(const NumberBound* low, const NumberBound* high) {
    Bounds b{.low = low, .high = high};
    const Rule rule = g_.add();
    if (ends(b, 0, low != nullptr, high != nullptr)) g_.add(rule, {});
    add_digits(rule, Grammar::literal("."), b, 0, low != nullptr, high != nullptr);
    return rule;
  }
  // The digit at i, and what may follow it.
  void add_digits(Rule rule, const Sequence& before, Bounds& b, std::size_t i, bool at_low, bool at_high) {
    const char least = at_low ? digit_of(*b.low, i) : '0', most = at_high ? digit_of(*b.high, i) : '9';
    for (char c = least; c <= most; ++c) {
      Sequence all = before;
      all.push_back(digit(c, c));
      all.push_back(Grammar::ref(after(b, i + 1, at_low && c == least, at_high && c == most)));
      g_.add(rule, all);
    }
  }
  Rule after(Bounds& b, std::size_t i, bool at_low, bool at_high) {
    if (!at_low && !at_high) return any_;
    const auto length = [](const NumberBound* bound) { return bound == nullptr ? 0 : bound->fraction.size(); };
    i = std::min(i, std::max(length(b.low), length(b.high)));  // from there on both have zeros
    const auto [state, is_new] = b.states.try_emplace({i, at_low, at_high}, Rule{});
    if (!is_new) return state->second;
    const Rule rule = state->second = g_.add();
    if (ends(b, i, at_low, at_high)) g_.add(rule, {});
    add_digits(rule, {}, b, i, at_low, at_high);
    return rule;
  }

  Grammar& g_;
  Rule any_, fraction_;
};

// Calls add(sign, magnitudes) for what of the range is below zero, and for the rest.
void by_sign(std::optional<std::int64_t> low, std::optional<std::int64_t> high, auto add) {
  CHECK(!low || !high || *low <= *high);
  if (!low || *low < 0) {
    Magnitudes m{.low = 1};
    if (high && *high < 0) m.low = magnitude(*high);
    if (low) m.high = magnitude(*low);
    add(Grammar::literal("-"), m);
  }
  if (!high || *high >= 0) {
    Magnitudes m{.low = low && *low > 0 ? magnitude(*low) : 0};
    if (high) m.high = magnitude(*high);
    add(Sequence{}, m);
  }
}

}  // namespace

Rule add_json_integers(Grammar& grammar, std::optional<std::int64_t> low,
                       std::optional<std::int64_t> high) {
  Numbers numbers(grammar);
  const Rule rule = grammar.add();
  by_sign(low, high, [&](const Sequence& sign, const Magnitudes& m) { numbers.add(rule, sign, m, {}); });
  return rule;
}

NumberBound number_bound(double x, bool open) {
  CHECK(std::abs(x) <= 1e15);
  std::array<char, 400> text{};  // a double has at most 324 digits after the point
  const auto end = std::to_chars(text.data(), text.data() + text.size(), std::abs(x), std::chars_format::fixed).ptr;
  NumberBound bound{.negative = x < 0, .open = open};
  const auto point = std::find(text.data(), end, '.');
  std::from_chars(text.data(), point, bound.whole);
  if (point != end) bound.fraction.assign(point + 1, end);
  return bound;
}

// What is below zero, by how far it is from there, and the rest.
Rule add_json_numbers(Grammar& grammar, const std::optional<NumberBound>& low, const std::optional<NumberBound>& high) {
  Numbers numbers(grammar);
  const Rule rule = grammar.add();
  const NumberBound zero;
  const bool low_is_below = !low || low->negative;
  const bool high_is_below = high && (high->negative || high->is_zero());
  if (low_is_below) {
    numbers.add_fractions(rule, Grammar::literal("-"), high_is_below ? *high : zero, low ? &*low : nullptr);
  }
  if (!high_is_below || (high->is_zero() && !high->open)) {
    numbers.add_fractions(rule, {}, low_is_below ? zero : *low, high ? &*high : nullptr);
  }
  return rule;
}

}  // namespace tinderbox
