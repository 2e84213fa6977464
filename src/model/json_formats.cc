#include "model/json_formats.h"

namespace tinderbox {
namespace {

using Sequence = Grammar::Sequence;

Sequence operator+(Sequence a, const Sequence& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Sequence text(std::string_view t) { return Grammar::literal(t); }
Grammar::Part digit(char first = '0', char last = '9') {
  return Grammar::range(static_cast<unsigned char>(first), static_cast<unsigned char>(last));
}

Sequence one_of(Grammar& grammar, const std::vector<Sequence>& alternatives) {
  const Grammar::Rule rule = grammar.add();
  for (const Sequence& s : alternatives) grammar.add(rule, s);
  return {Grammar::ref(rule)};
}

Sequence date(Grammar& g) {
  const Sequence month = one_of(g, {{digit('0', '0'), digit('1', '9')}, {digit('1', '1'), digit('0', '2')}});
  const Sequence day = one_of(
      g, {{digit('0', '0'), digit('1', '9')}, {digit('1', '1'), digit()}, {digit('2', '2'), digit('0', '8')}});
  return Sequence{digit(), digit(), digit(), digit()} + text("-") + month + text("-") + day;
}

Sequence time(Grammar& g) {
  const Sequence hour = one_of(g, {{digit('0', '1'), digit()}, {digit('2', '2'), digit('0', '3')}});
  const Sequence sixty = {digit('0', '5'), digit()};
  return hour + text(":") + sixty + text(":") + sixty + text("Z");
}

Sequence uuid() {
  Sequence out;
  for (const int n : {8, 4, 4, 4, 12}) {
    if (!out.empty()) out = out + text("-");
    for (int i = 0; i < n; ++i) out.push_back(Grammar::any_of("0123456789abcdef"));
  }
  return out;
}

}  // namespace

std::optional<Sequence> json_format(Grammar& grammar, std::string_view name) {
  if (name == "date") return date(grammar);
  if (name == "time") return time(grammar);
  if (name == "date-time") return date(grammar) + text("T") + time(grammar);
  if (name == "uuid") return uuid();
  return std::nullopt;
}

}  // namespace tinderbox
