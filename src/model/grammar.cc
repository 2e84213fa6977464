#include "model/grammar.h"

#include <algorithm>
#include <cstdint>

#include "base/check.h"
#include "base/error.h"

namespace tinderbox {
namespace {

constexpr std::size_t kRulesMax = 1 << 14, kPartsMax = 1 << 18, kStacksMax = 1 << 12;
constexpr int kDepthMax = 1 << 9;  // of rules that begin with rules

void insert(Grammar::Bytes& set, unsigned char byte) { set[byte >> 6] |= std::uint64_t{1} << (byte & 63); }

// Of many bytes one that reads well.
char nice_byte(const Grammar::Bytes& bytes) {
  for (const char c : {'a', '0', ' '}) {
    if (contains(bytes, static_cast<unsigned char>(c))) return c;
  }
  int byte = 0;
  while (!contains(bytes, static_cast<unsigned char>(byte))) ++byte;
  return static_cast<char>(byte);
}

}  // namespace

Grammar::Part Grammar::any_of(std::string_view bytes) {
  Part part;
  for (const char c : bytes) insert(part.bytes, static_cast<unsigned char>(c));
  return part;
}

Grammar::Part Grammar::range(unsigned char first, unsigned char last) {
  Part part;
  for (unsigned b = first; b <= last; ++b) insert(part.bytes, static_cast<unsigned char>(b));
  return part;
}

Grammar::Sequence Grammar::literal(std::string_view text) {
  Sequence out;
  for (const char& c : text) out.push_back(any_of({&c, 1}));
  return out;
}

Grammar::Rule Grammar::add() {
  if (rules_.size() >= kRulesMax) throw_too_large("the grammar has too many rules; ask for a simpler form");
  rules_.emplace_back();
  return static_cast<Rule>(rules_.size() - 1);
}

void Grammar::add(Rule rule, const Sequence& alternative) {
  CHECK(rule >= 0 && static_cast<std::size_t>(rule) < rules_.size() && items_.empty());
  n_parts_ += alternative.size() + 1;
  if (n_parts_ > kPartsMax) throw_too_large("the grammar is too large; ask for a simpler form");
  rules_[static_cast<std::size_t>(rule)].push_back(alternative);
}

void Grammar::finish(Rule root) {
  CHECK(items_.empty());
  for (const auto& alternatives : rules_) {
    starts_.emplace_back();
    for (const Sequence& alternative : alternatives) {
      starts_.back().push_back(static_cast<std::int32_t>(items_.size()));
      for (const Part& part : alternative) {
        Item item{.rule = part.rule};
        if (part.rule < 0) {
          item.bytes = static_cast<std::int32_t>(sets_.size());
          sets_.push_back(part.bytes);
        }
        items_.push_back(item);
      }
      items_.push_back({});
    }
  }
  find_shortest(root);
  refuse_left_recursion();
  rules_.clear();
  for (const std::int32_t start : starts_[static_cast<std::size_t>(root)]) expand({start}, begin_, 0);
  std::ranges::sort(begin_);
  begin_.erase(std::ranges::unique(begin_).begin(), begin_.end());
}

// Goes into rules until a byte is next, or nothing. What is called last is not returned to, so that lists which call
// themselves last need no room.
void Grammar::expand(Stack stack, State& out, int depth) const {
  if (depth > kDepthMax || out.size() >= kStacksMax) return;  // some ways are given up rather than memory
  while (!stack.empty()) {
    const std::int32_t at = stack.back();
    const Item& item = items_[static_cast<std::size_t>(at)];
    if (item.rule == -1) break;
    stack.pop_back();
    if (item.rule == -2) continue;
    if (items_[static_cast<std::size_t>(at) + 1].rule != -2) stack.push_back(at + 1);
    for (const std::int32_t start : starts_[static_cast<std::size_t>(item.rule)]) {
      Stack into = stack;
      into.push_back(start);
      expand(std::move(into), out, depth + 1);
    }
    return;
  }
  out.push_back(std::move(stack));
}

Grammar::State Grammar::next(const State& state, unsigned char byte) const {
  State out;
  for (const Stack& stack : state) {
    if (stack.empty()) continue;
    const Item& item = items_[static_cast<std::size_t>(stack.back())];
    if (!contains(sets_[static_cast<std::size_t>(item.bytes)], byte)) continue;
    Stack after = stack;
    ++after.back();
    expand(std::move(after), out, 0);
  }
  std::ranges::sort(out);
  out.erase(std::ranges::unique(out).begin(), out.end());
  return out;
}

Grammar::Bytes Grammar::allowed(const State& state) const {
  Bytes out{};
  for (const Stack& stack : state) {
    if (stack.empty()) continue;
    const Bytes& set = sets_[static_cast<std::size_t>(items_[static_cast<std::size_t>(stack.back())].bytes)];
    for (std::size_t i = 0; i < out.size(); ++i) out[i] |= set[i];
  }
  return out;
}

// A rule that comes to itself with no byte before would go into itself for ever.
void Grammar::refuse_left_recursion() const {
  std::vector<bool> empty(rules_.size(), false);  // has a text of no bytes
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t r = 0; r < rules_.size(); ++r) {
      if (empty[r]) continue;
      empty[r] = std::ranges::any_of(rules_[r], [&](const Sequence& alternative) {
        return std::ranges::all_of(
            alternative, [&](const Part& p) { return p.rule >= 0 && empty[static_cast<std::size_t>(p.rule)]; });
      });
      changed = changed || empty[r];
    }
  }
  // Those whose beginnings are known to end, in rounds: what is left over goes round.
  std::vector<bool> fine(rules_.size(), false);
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t r = 0; r < rules_.size(); ++r) {
      if (fine[r]) continue;
      fine[r] = std::ranges::all_of(rules_[r], [&](const Sequence& alternative) {
        for (const Part& p : alternative) {
          if (p.rule < 0) return true;
          if (!fine[static_cast<std::size_t>(p.rule)]) return false;
          if (!empty[static_cast<std::size_t>(p.rule)]) return true;
        }
        return true;
      });
      changed = changed || fine[r];
    }
  }
  if (std::ranges::find(fine, false) != fine.end()) throw_invalid("the grammar comes to itself without a byte");
}

// Knuth's generalisation of Dijkstra's algorithm, by rounds: a rule's shortest text is that of the alternative whose
// parts all have one. Lengths first: the texts of all rules would be far more than that of one.
void Grammar::find_shortest(Rule root) {
  struct Best {
    std::size_t length = SIZE_MAX, alternative = 0;
  };
  std::vector<Best> best(rules_.size());
  const auto length_of = [&](const Sequence& alternative) {
    std::size_t length = 0;
    for (const Part& part : alternative) {
      if (part.rule >= 0) {
        const std::size_t inner = best[static_cast<std::size_t>(part.rule)].length;
        if (inner > kPartsMax) return SIZE_MAX;
        length += inner;
      } else if (part.bytes == Bytes{}) {
        return SIZE_MAX;
      } else {
        ++length;
      }
    }
    return length > kPartsMax ? SIZE_MAX : length;
  };
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t r = 0; r < rules_.size(); ++r) {
      for (std::size_t a = 0; a < rules_[r].size(); ++a) {
        const std::size_t length = length_of(rules_[r][a]);
        if (length >= best[r].length) continue;
        best[r] = {.length = length, .alternative = a};
        changed = true;
      }
    }
  }
  if (best[static_cast<std::size_t>(root)].length == SIZE_MAX) throw_invalid("the grammar has no text that ends");
  std::vector<Part> to_come = {ref(root)};
  while (!to_come.empty()) {
    const Part part = to_come.back();
    to_come.pop_back();
    if (part.rule < 0) {
      shortest_ += nice_byte(part.bytes);
      continue;
    }
    const auto rule = static_cast<std::size_t>(part.rule);
    const Sequence& alternative = rules_[rule][best[rule].alternative];
    to_come.insert(to_come.end(), alternative.rbegin(), alternative.rend());
  }
}

}  // namespace tinderbox
