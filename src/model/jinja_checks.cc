#include <algorithm>
#include <array>

#include "base/text.h"
#include "model/jinja_eval.h"
#include "model/jinja_filters.h"
#include "model/jinja_text.h"

namespace tinderbox::jinja {
namespace {

const Value& other(Runtime& rt, const Args& args) {
  if (args.positional.size() != 1) rt.fail("this test takes one value to compare with");
  return args.positional[0];
}

std::int64_t remainder(Runtime& rt, const Value& value, const Value& divisor) {
  const auto a = as_int(value), b = as_int(divisor);
  if (!a || !b) rt.fail(format("this test takes ints, not {}", type_name(a ? divisor : value)));
  return *as_int(binary(rt, ExprKind::Modulo, *a, *b));
}

bool is_dict(const Value& value) {
  const auto* dict = std::get_if<Dict*>(&value);
  return dict && !(*dict)->is_namespace;
}

bool is_iterable(const Value& value) {
  return as_text(value) || holds<List*>(value) || is_dict(value) || holds<Undefined>(value);
}

bool same_case(Runtime& rt, const Value& value, bool want_upper) {
  const std::string text = to_text(rt, value);
  const std::string up = upper(text), low = lower(text);
  return up != low && text == (want_upper ? up : low);
}

// Identity for containers, equality of the same type for the rest.
bool same_as(Runtime& rt, const Value& a, const Value& b) {
  if (a.index() != b.index()) return false;
  if (const auto* list = std::get_if<List*>(&a)) return *list == std::get<List*>(b);
  if (const auto* dict = std::get_if<Dict*>(&a)) return *dict == std::get<Dict*>(b);
  return equal(rt, a, b);
}

using T = std::pair<std::string_view, TestFn>;
constexpr std::array kTests = {
    T{"boolean", [](Runtime&, const Value& v, const Args&) { return holds<bool>(v); }},
    T{"callable",
      [](Runtime&, const Value& v, const Args&) {
        return holds<Macro*>(v) || holds<Method*>(v) || holds<Function>(v);
      }},
    T{"defined", [](Runtime&, const Value& v, const Args&) { return !holds<Undefined>(v); }},
    T{"divisibleby", [](Runtime& rt, const Value& v,
                        const Args& a) { return remainder(rt, v, other(rt, a)) == 0; }},
    T{"eq", [](Runtime& rt, const Value& v, const Args& a) { return equal(rt, v, other(rt, a)); }},
    T{"equalto",
      [](Runtime& rt, const Value& v, const Args& a) { return equal(rt, v, other(rt, a)); }},
    T{"even", [](Runtime& rt, const Value& v,
                 const Args&) { return remainder(rt, v, std::int64_t{2}) == 0; }},
    T{"false", [](Runtime&, const Value& v, const Args&) { return holds<bool>(v) && !truthy(v); }},
    T{"float", [](Runtime&, const Value& v, const Args&) { return holds<double>(v); }},
    T{"ge", [](Runtime& rt, const Value& v, const Args& a) { return !less(rt, v, other(rt, a)); }},
    T{"gt", [](Runtime& rt, const Value& v, const Args& a) { return less(rt, other(rt, a), v); }},
    T{"in",
      [](Runtime& rt, const Value& v, const Args& a) { return contains(rt, other(rt, a), v); }},
    T{"integer", [](Runtime&, const Value& v, const Args&) { return holds<std::int64_t>(v); }},
    T{"iterable", [](Runtime&, const Value& v, const Args&) { return is_iterable(v); }},
    T{"le", [](Runtime& rt, const Value& v, const Args& a) { return !less(rt, other(rt, a), v); }},
    T{"lower", [](Runtime& rt, const Value& v, const Args&) { return same_case(rt, v, false); }},
    T{"lt", [](Runtime& rt, const Value& v, const Args& a) { return less(rt, v, other(rt, a)); }},
    T{"mapping", [](Runtime&, const Value& v, const Args&) { return is_dict(v); }},
    T{"ne", [](Runtime& rt, const Value& v, const Args& a) { return !equal(rt, v, other(rt, a)); }},
    T{"none", [](Runtime&, const Value& v, const Args&) { return holds<None>(v); }},
    T{"number", [](Runtime&, const Value& v, const Args&) { return as_number(v).has_value(); }},
    T{"odd", [](Runtime& rt, const Value& v,
                const Args&) { return remainder(rt, v, std::int64_t{2}) == 1; }},
    T{"sameas",
      [](Runtime& rt, const Value& v, const Args& a) { return same_as(rt, v, other(rt, a)); }},
    T{"sequence", [](Runtime&, const Value& v, const Args&) { return is_iterable(v); }},
    T{"string", [](Runtime&, const Value& v, const Args&) { return as_text(v) != nullptr; }},
    T{"true", [](Runtime&, const Value& v, const Args&) { return holds<bool>(v) && truthy(v); }},
    T{"undefined", [](Runtime&, const Value& v, const Args&) { return holds<Undefined>(v); }},
    T{"upper", [](Runtime& rt, const Value& v, const Args&) { return same_case(rt, v, true); }},
};

}  // namespace

TestFn find_test(std::string_view name) {
  const auto found = std::ranges::find(kTests, name, &T::first);
  return found == kTests.end() ? nullptr : found->second;
}

}  // namespace tinderbox::jinja
