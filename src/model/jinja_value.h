// The values a template computes with, as Python's, and the budget that bounds a rendering. A
// Runtime owns every container of one rendering and frees them together, so that lists that hold
// themselves cannot leak; all text and container bytes are charged when made and never credited, so
// that time and memory share one bound. One Runtime belongs to one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace tinderbox::jinja {

constexpr std::int64_t kStepsMax = 4'000'000;     // nodes evaluated, items visited
constexpr std::size_t kWorkBytesMax = 64u << 20;  // all text and containers made by one rendering
constexpr std::size_t kOutputBytesMax = 4u << 20;
constexpr std::int64_t kRangeMax = 100'000;  // as Jinja's sandbox
constexpr int kDepthMax = 400;               // nested evaluation, and nesting of values printed

struct Undefined {};
struct None {};
struct List;
struct Dict;
struct Loop;
struct Macro;
struct Method;
struct MacroNode;
struct Scope;
enum class Function : std::uint8_t { Range, Namespace, Dict, RaiseException, StrftimeNow };
using Text = std::shared_ptr<const std::string>;
using Value = std::variant<Undefined, None, bool, std::int64_t, double, Text, List*, Dict*, Loop*,
                           Macro*, Method*, Function>;

struct List {
  std::vector<Value> items;
  bool is_tuple = false;
};

// Insertion order; keys are text only. Look-up is linear: template dictionaries are a handful of
// entries, and the scan is charged.
struct Dict {
  std::vector<std::pair<Text, Value>> items;
  bool is_namespace = false;
};

struct Loop {
  const List* items = nullptr;
  std::size_t index = 0;
};

struct Macro {
  const MacroNode* node = nullptr;
  Scope* scope = nullptr;  // where it was defined
};

struct Method {
  Value self;
  std::string_view name;  // static storage
};

struct Scope {
  Scope* parent = nullptr;
  std::vector<std::pair<int, Value>> variables;  // by interned name
};

// A call's arguments.
struct Args {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

class Runtime {
 public:
  // now_unix: what strftime_now() formats; without it that call ends in Error::Unsupported.
  explicit Runtime(std::optional<std::int64_t> now_unix) : now_unix_(now_unix) {}

  int line = 0;   // of the node under evaluation, for messages
  int depth = 0;  // nested evaluations; see DepthGuard
  std::optional<std::int64_t> now_unix() const { return now_unix_; }

  // Error::Invalid / Unsupported / TooLarge with "chat template, line N: ".
  [[noreturn]] void fail(const std::string& what) const;
  [[noreturn]] void unsupported(const std::string& what) const;
  [[noreturn]] void too_large(const std::string& what) const;

  void step(std::size_t n = 1);
  void charge(std::size_t bytes);

  Value text(std::string bytes);
  Value text(std::string_view bytes) { return text(std::string(bytes)); }
  List* list(std::vector<Value> items = {}, bool is_tuple = false);
  List* texts(const std::vector<std::string_view>& parts);
  Dict* dict();
  Scope* scope(Scope* parent);
  Loop* loop(Loop value);
  Macro* macro(Macro value);
  Method* method(Method value);
  void append(List& list, Value item);
  void set(Dict& dict, const Text& key, Value item);
  // Sets a variable in this scope; reads it from this or the scopes around it, Undefined if it is
  // nowhere.
  void assign(Scope& scope, int name, Value value);
  Value lookup(const Scope& scope, int name);
  // nullptr if absent.
  const Value* find(const Dict& dict, std::string_view key);

 private:
  std::optional<std::int64_t> now_unix_;
  std::int64_t steps_left_ = kStepsMax;
  std::size_t bytes_left_ = kWorkBytesMax;
  std::deque<List> lists_;
  std::deque<Dict> dicts_;
  std::deque<Scope> scopes_;
  std::deque<Loop> loops_;
  std::deque<Macro> macros_;
  std::deque<Method> methods_;
};

// Counts one level of recursion for its lifetime; Error::TooLarge beyond kDepthMax.
class DepthGuard {
 public:
  explicit DepthGuard(Runtime& rt) : rt_(rt) {
    if (rt.depth >= kDepthMax) rt.too_large("nested too deeply");
    ++rt_.depth;
  }
  ~DepthGuard() { --rt_.depth; }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;

 private:
  Runtime& rt_;
};

template <typename T>
bool holds(const Value& value) {
  return std::holds_alternative<T>(value);
}
// nullptr if the value is not text.
const std::string* as_text(const Value& value);
// bool and int, as Python lets a bool stand for 0 or 1.
std::optional<std::int64_t> as_int(const Value& value);
std::optional<double> as_number(const Value& value);
std::string_view type_name(const Value& value);

bool truthy(const Value& value);
bool equal(Runtime& rt, const Value& a, const Value& b);
// Python's <: numbers, text, lists; Error::Invalid for other pairs.
bool less(Runtime& rt, const Value& a, const Value& b);
// What {{ value }} prints.
std::string to_text(Runtime& rt, const Value& value);
// The items a `for` visits: list items, dictionary keys, characters; none if undefined.
// Error::Invalid otherwise.
List* iterate(Runtime& rt, const Value& value);
std::int64_t length(Runtime& rt, const Value& value);

struct JsonStyle {
  bool ensure_ascii = false, sort_keys = false;
  std::optional<std::int64_t> indent;
  std::string item_separator = ", ", key_separator = ": ";
};
std::string to_json(Runtime& rt, const Value& value, const JsonStyle& style);

// The argument called `name` at place `index`, or nullptr; None counts as given.
const Value* argument(const Args& args, std::size_t index, std::string_view name);
// Error::Invalid if there are more positional arguments than names or a named one is not in names.
void check_arguments(Runtime& rt, const Args& args, std::string_view callee,
                     std::initializer_list<std::string_view> names);
const std::string& text_argument(Runtime& rt, const Args& args, std::size_t index,
                                 std::string_view name);
std::int64_t int_argument(Runtime& rt, const Args& args, std::size_t index, std::string_view name,
                          std::int64_t fallback);
bool bool_argument(const Args& args, std::size_t index, std::string_view name);

}  // namespace tinderbox::jinja
