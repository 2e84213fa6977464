#include "model/json_rules.h"

#include <algorithm>

namespace tinderbox {

using namespace sequences;
using Part = Grammar::Part;
using Rule = Grammar::Rule;
using Sequence = Grammar::Sequence;

Rule JsonRules::once(Rule& rule, auto fill) {
  if (rule < 0) {
    rule = g_.add();
    fill(rule);
  }
  return rule;
}

Rule JsonRules::one_of(const std::vector<Sequence>& alternatives) {
  const Rule rule = g_.add();
  for (const Sequence& s : alternatives) g_.add(rule, s);
  return rule;
}

Rule JsonRules::blank() {
  return once(blank_, [&](Rule r) {
    g_.add(r, {});
    g_.add(r, text(" "));
  });
}

Rule JsonRules::string() {
  return once(string_, [&](Rule r) {
    const Rule rest = g_.add();
    g_.add(rest, text("\""));
    g_.add(rest, ref(character()) + ref(rest));
    g_.add(r, text("\"") + ref(rest));
  });
}

Rule JsonRules::character() {
  return once(character_, [&](Rule r) {
    Part plain = Grammar::range(0x20, 0x7E);
    for (const unsigned c : {0x22U, 0x5CU})
      plain.bytes[c >> 6] &= ~(std::uint64_t{1} << (c & 63));  // '"' and '\\'
    const Part tail = Grammar::range(0x80, 0xBF);
    g_.add(r, {plain});
    g_.add(r, {Grammar::range(0xC2, 0xDF), tail});
    g_.add(r, {Grammar::range(0xE0, 0xE0), Grammar::range(0xA0, 0xBF), tail});
    g_.add(r, {Grammar::range(0xE1, 0xEC), tail, tail});
    g_.add(r, {Grammar::range(0xED, 0xED), Grammar::range(0x80, 0x9F), tail});
    g_.add(r, {Grammar::range(0xEE, 0xEF), tail, tail});
    g_.add(r, {Grammar::range(0xF0, 0xF0), Grammar::range(0x90, 0xBF), tail, tail});
    g_.add(r, {Grammar::range(0xF1, 0xF3), tail, tail, tail});
    g_.add(r, {Grammar::range(0xF4, 0xF4), Grammar::range(0x80, 0x8F), tail, tail});
    g_.add(r, text("\\") + Sequence{Grammar::any_of("\"\\/bfnrt")});
    // No surrogates: half of a pair is no text.
    const Part hex = Grammar::any_of("0123456789abcdefABCDEF");
    g_.add(r, text("\\u") + Sequence{Grammar::any_of("0123456789abcefABCEF"), hex, hex, hex});
  });
}

Rule JsonRules::digits() {
  return once(digits_, [&](Rule r) {
    const Part digit = Grammar::range('0', '9');
    g_.add(r, {digit});
    g_.add(r, Sequence{digit} + ref(r));
  });
}

Rule JsonRules::integer() {
  return once(integer_, [&](Rule r) {
    const Rule plain = one_of({text("0"),
                               {Grammar::range('1', '9')},
                               Sequence{Grammar::range('1', '9')} + ref(digits())});
    g_.add(r, ref(plain));
    g_.add(r, text("-") + ref(plain));
  });
}

Rule JsonRules::number() {
  return once(number_, [&](Rule r) {
    const Rule sign = one_of({{}, text("-"), text("+")});
    const Rule fraction = one_of({{}, text(".") + ref(digits())});
    const Rule exponent =
        one_of({{},
                Sequence{Grammar::any_of("eE")} + ref(sign) + Sequence{Grammar::range('0', '9')},
                Sequence{Grammar::any_of("eE")} + ref(sign) +
                    Sequence{Grammar::range('1', '2'), Grammar::range('0', '9')}});
    g_.add(r, ref(integer()) + ref(fraction) + ref(exponent));
  });
}

Rule JsonRules::any_value() {
  if (value_ >= 0) return value_;
  value_ = g_.add();
  for (const char* word : {"null", "true", "false"}) g_.add(value_, text(word));
  g_.add(value_, ref(number()));
  g_.add(value_, ref(string()));
  g_.add(value_, ref(any_object()));
  g_.add(value_, ref(list({}, value_, 0, -1)));
  return value_;
}

Rule JsonRules::any_object() {
  if (object_ >= 0) return object_;
  object_ = g_.add();
  const Rule value = any_value();
  const Rule member = one_of({ref(string()) + text(":") + ref(blank()) + ref(value)});
  const Rule rest = g_.add();
  g_.add(rest, text("}"));
  g_.add(rest, text(",") + ref(blank()) + ref(member) + ref(rest));
  g_.add(object_, text("{}"));
  g_.add(object_, text("{") + ref(member) + ref(rest));
  return object_;
}

Rule JsonRules::list(const std::vector<Rule>& first, Rule more, std::int64_t n_min,
                     std::int64_t n_max) {
  const auto n_first = std::ssize(first);
  n_min = std::max<std::int64_t>(n_min, 0);
  // after[i]: i items are there. From the end, where it goes round or stops.
  const std::int64_t last = n_max >= 0 ? n_max : std::max<std::int64_t>({n_min, n_first, 1});
  Rule after = g_.add();
  g_.add(after, text("]"));
  if (n_max < 0) g_.add(after, text(",") + ref(blank()) + ref(more) + ref(after));
  for (std::int64_t i = last - 1; i >= 0; --i) {
    const Rule item = i < n_first ? first[static_cast<std::size_t>(i)] : more;
    const Rule here = g_.add();
    if (i >= n_min) g_.add(here, text("]"));
    if (item >= 0)
      g_.add(here, (i == 0 ? Sequence{} : text(",") + ref(blank())) + ref(item) + ref(after));
    after = here;
  }
  return one_of({text("[") + ref(after)});
}

}  // namespace tinderbox
