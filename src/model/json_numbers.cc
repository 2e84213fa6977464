#include "model/json_numbers.h"

#include <algorithm>
#include <string>
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
  explicit Numbers(Grammar& grammar)
      : g_(grammar), any_(grammar.add()), fraction_(grammar.add()), zeros_(grammar.add()) {
    const Rule tail = g_.add();
    g_.add(any_, {});
    g_.add(any_, {digit(), Grammar::ref(any_)});
    g_.add(fraction_, {});
    g_.add(fraction_, {Grammar::any_of("."), digit(), Grammar::ref(any_)});
    g_.add(tail, {});
    g_.add(tail, {digit('0', '0'), Grammar::ref(tail)});
    g_.add(zeros_, {});
    g_.add(zeros_, {Grammar::any_of("."), digit('0', '0'), Grammar::ref(tail)});
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

  // Those below the highest, with or without a fraction; the highest itself.
  void add_fractions(Rule rule, const Sequence& before, const Magnitudes& m) {
    if (!m.high) return add(rule, before, m, {Grammar::ref(fraction_)});
    if (*m.high > m.low) add(rule, before, {m.low, *m.high - 1}, {Grammar::ref(fraction_)});
    add(rule, before, {*m.high, *m.high}, {Grammar::ref(zeros_)});
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

  Grammar& g_;
  Rule any_, fraction_, zeros_;
};

// Calls add(sign, magnitudes) for what of the range is below zero, and for the rest.
void by_sign(std::optional<std::int64_t> low, std::optional<std::int64_t> high,
             std::uint64_t least_below, auto add) {
  CHECK(!low || !high || *low <= *high);
  if (!low || *low < 0) {
    Magnitudes m{.low = least_below};
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
  by_sign(low, high, 1,
          [&](const Sequence& sign, const Magnitudes& m) { numbers.add(rule, sign, m, {}); });
  return rule;
}

Rule add_json_numbers(Grammar& grammar, std::optional<std::int64_t> low,
                      std::optional<std::int64_t> high) {
  Numbers numbers(grammar);
  const Rule rule = grammar.add();
  by_sign(low, high, 0,
          [&](const Sequence& sign, const Magnitudes& m) { numbers.add_fractions(rule, sign, m); });
  return rule;
}

}  // namespace tinderbox
