// What every JSON document is made of, as rules of a grammar; each made when it is first asked for.
#pragma once

#include <string_view>
#include <vector>

#include "model/grammar.h"

namespace tinderbox {

// Sequences as one writes them down.
namespace sequences {
inline Grammar::Sequence operator+(Grammar::Sequence a, const Grammar::Sequence& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
inline Grammar::Sequence text(std::string_view t) { return Grammar::literal(t); }
inline Grammar::Sequence ref(Grammar::Rule rule) { return {Grammar::ref(rule)}; }
}  // namespace sequences

class JsonRules {
 public:
  using Rule = Grammar::Rule;
  explicit JsonRules(Grammar& grammar) : g_(grammar) {}

  Rule any_value();
  Rule any_object();
  Rule blank();      // nothing, or a blank
  Rule character();  // of a string: UTF-8 but for controls, '"' and '\\', or an escape
  Rule string();
  Rule integer();
  Rule number();
  Rule one_of(const std::vector<Grammar::Sequence>& alternatives);
  // '[' items ']': item after item, at least n_min, at most n_max (below 0: any number).
  Rule list(const std::vector<Rule>& first, Rule more, std::int64_t n_min, std::int64_t n_max);

 protected:
  Grammar& g_;

 private:
  Rule digits();
  Rule once(Rule& rule, auto fill);

  Rule blank_ = -1, character_ = -1, string_ = -1, digits_ = -1, integer_ = -1, number_ = -1,
       value_ = -1, object_ = -1;
};

}  // namespace tinderbox
