// A context-free grammar over bytes, and where a text stands in it: the set of all ways to go on, as stacks of places
// to return to (a nondeterministic pushdown automaton, as in Earley's and Tomita's parsers). Built once, then
// immutable; any thread may read it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tinderbox {

class Grammar {
 public:
  using Rule = std::int32_t;
  using Bytes = std::array<std::uint64_t, 4>;  // a set of them
  struct Part {
    Rule rule = -1;  // -1: one byte of the set
    Bytes bytes{};
  };
  using Sequence = std::vector<Part>;

  static Part any_of(std::string_view bytes);
  static Part range(unsigned char first, unsigned char last);
  static Part ref(Rule rule) { return {.rule = rule}; }
  static Sequence literal(std::string_view text);

  // A rule that matches nothing until it has alternatives. None may come to itself without a byte before
  // (left recursion). Throws Error::TooLarge beyond the limits.
  Rule add();
  void add(Rule rule, const Sequence& alternative);
  // Afterwards only questions. Throws Error::Invalid if a rule of those in use has no alternative that ends, or comes
  // to itself without a byte.
  void finish(Rule root);

  // All ways to go on; an empty stack: the text may end here. Sorted, no two alike. No stacks: no way.
  using Stack = std::vector<std::int32_t>;
  using State = std::vector<Stack>;
  const State& begin() const { return begin_; }
  State next(const State& state, unsigned char byte) const;
  static bool may_end(const State& state) { return !state.empty() && state.front().empty(); }
  Bytes allowed(const State& state) const;  // as the next byte
  // A text of the fewest bytes.
  const std::string& shortest() const { return shortest_; }

 private:
  struct Item {
    Rule rule = -2;  // -2: the end of an alternative; -1: a byte of the set
    std::int32_t bytes = 0;
  };
  void expand(Stack stack, State& out, int depth) const;
  void find_shortest(Rule root);
  void refuse_left_recursion() const;

  std::vector<std::vector<Sequence>> rules_;
  std::size_t n_parts_ = 0;
  std::vector<Item> items_;                        // all alternatives one after another
  std::vector<std::vector<std::int32_t>> starts_;  // of each rule's alternatives
  std::vector<Bytes> sets_;
  State begin_;
  std::string shortest_;
};

inline bool contains(const Grammar::Bytes& set, unsigned char byte) { return set[byte >> 6] >> (byte & 63) & 1; }

}  // namespace tinderbox
