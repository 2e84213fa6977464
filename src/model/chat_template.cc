// The subset: for/else (with if, loop.*), if/elif/else, set (several targets, namespace attributes,
// blocks), macro, call, filter blocks, break, continue, generation, raw; every operator, inline if,
// slices, tests by `is`; the filters of jinja_filters.cc, the tests of jinja_checks.cc, the methods
// and functions of jinja_methods.cc. Outside it: include, import, extends, block, with, do,
// recursive loops, keys that are not text.
#include "model/chat_template.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "model/jinja_eval.h"
#include "model/jinja_parser.h"

namespace tinderbox {
namespace {

using jinja::Runtime;
using jinja::Scope;
using jinja::Value;
using nlohmann::ordered_json;

constexpr int kJsonDepthMax = 64;
constexpr std::size_t kJsonBytesMax = 4u << 20;

Value from_json(Runtime& rt, const ordered_json& json, int depth) {
  if (depth > kJsonDepthMax) {
    throw_too_large(format("template variables: nested more than {} levels deep", kJsonDepthMax));
  }
  rt.step();
  switch (json.type()) {
    case ordered_json::value_t::string:
      return rt.text(json.get_ref<const std::string&>());
    case ordered_json::value_t::boolean:
      return json.get<bool>();
    case ordered_json::value_t::number_float:
      return json.get<double>();
    case ordered_json::value_t::number_integer:
      return json.get<std::int64_t>();
    case ordered_json::value_t::number_unsigned: {
      const auto number = json.get<std::uint64_t>();
      if (number > INT64_MAX) return static_cast<double>(number);
      return static_cast<std::int64_t>(number);
    }
    case ordered_json::value_t::array: {
      jinja::List* list = rt.list();
      for (const ordered_json& item : json) rt.append(*list, from_json(rt, item, depth + 1));
      return list;
    }
    case ordered_json::value_t::object: {
      jinja::Dict* dict = rt.dict();
      for (const auto& [key, item] : json.items()) {
        rt.set(*dict, std::make_shared<const std::string>(key), from_json(rt, item, depth + 1));
      }
      return dict;
    }
    case ordered_json::value_t::null:
    case ordered_json::value_t::binary:
    case ordered_json::value_t::discarded:
      break;
  }
  return jinja::None{};
}

// The variables in `text` laid over those in `variables`.
void add_variables(Runtime& rt, const std::string& text, jinja::Dict& variables) {
  if (text.empty()) return;
  if (text.size() > kJsonBytesMax) {
    throw_too_large(
        format("template variables: {} bytes, more than {} MiB", text.size(), kJsonBytesMax >> 20));
  }
  const ordered_json json = ordered_json::parse(text, nullptr, false);
  if (!json.is_object()) throw_invalid("template variables: expected one JSON object");
  for (const auto& [name, item] : json.items()) {
    rt.set(variables, std::make_shared<const std::string>(name), from_json(rt, item, 0));
  }
}

jinja::List* message_list(Runtime& rt, const std::vector<ChatMessage>& messages) {
  static const auto role_key = std::make_shared<const std::string>("role");
  static const auto content_key = std::make_shared<const std::string>("content");
  jinja::List* list = rt.list();
  for (const ChatMessage& message : messages) {
    jinja::Dict* dict = rt.dict();
    rt.set(*dict, role_key, rt.text(message.role));
    rt.set(*dict, content_key, rt.text(message.content));
    rt.append(*list, dict);
  }
  return list;
}

}  // namespace

struct ChatTemplate::Impl {
  jinja::Program program;
  std::string source;
};

ChatTemplate::ChatTemplate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

ChatTemplate ChatTemplate::parse(std::string_view source) {
  return ChatTemplate(std::make_unique<Impl>(Impl{jinja::parse(source), std::string(source)}));
}

ChatTemplate ChatTemplate::chatml() {
  return parse(
      "{% for message in messages %}"
      "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
      "{% endfor %}"
      "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}");
}

bool ChatTemplate::mentions(std::string_view text) const { return impl_->source.find(text) != std::string::npos; }

std::string ChatTemplate::render(const ChatContext& context) const {
  using jinja::Function;
  Runtime rt(context.now_unix);
  jinja::Dict& variables = *rt.dict();
  const auto define = [&](const char* name, Value value) {
    rt.set(variables, std::make_shared<const std::string>(name), std::move(value));
  };
  define("range", Function::Range);
  define("namespace", Function::Namespace);
  define("dict", Function::Dict);
  define("raise_exception", Function::RaiseException);
  define("strftime_now", Function::StrftimeNow);
  define("messages", message_list(rt, context.messages));
  define("tools", jinja::None{});
  define("documents", jinja::None{});
  define("add_generation_prompt", context.add_generation_prompt);
  define("bos_token", rt.text(context.bos_token));
  define("eos_token", rt.text(context.eos_token));
  add_variables(rt, context.variables_json, variables);

  Scope& globals = *rt.scope(nullptr);
  const std::vector<std::string>& names = impl_->program.names;
  for (std::size_t id = 0; id < names.size(); ++id) {
    const Value* value = rt.find(variables, names[id]);
    if (value) globals.variables.emplace_back(static_cast<int>(id), *value);
  }
  return jinja::run(impl_->program, rt, globals);
}

}  // namespace tinderbox
