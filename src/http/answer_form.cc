#include "http/answer_form.h"

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/text.h"
#include "http/route_table.h"
#include "model/json_schema.h"

namespace tinderbox {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kTag = "<tool_call>";

[[noreturn]] void refuse(std::string message, const std::string& param, std::string_view code) {
  throw RequestError(400, std::move(message), param, std::string(code));
}

Grammar::Sequence operator+(Grammar::Sequence a, const Grammar::Sequence& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Grammar::Rule arguments_of(Grammar& grammar, const Json& function, bool must) {
  const Json parameters = function.value("parameters", Json());
  if (!parameters.is_object()) return add_json_object(grammar);
  try {
    return add_json_schema(grammar, parameters.dump());
  } catch (const Error& e) {
    if (must || function.value("strict", Json()) == Json(true)) {
      refuse(format("tools: {}: {}", function["name"].get<std::string>(), e.what()), "tools", "invalid_json_schema");
    }
  }
  return add_json_object(grammar);
}

// One call of any of the functions, without a tag before it.
Grammar::Rule add_call(Grammar& grammar, const Tools& tools, CallForm form) {
  const Grammar::Rule blank = grammar.add(), call = grammar.add();
  grammar.add(blank, {});
  grammar.add(blank, Grammar::literal("\n"));
  for (const Json& function : Json::parse(tools.callable_json)) {
    const Grammar::Part arguments = Grammar::ref(arguments_of(grammar, function, tools.must_call));
    const std::string name = R"({"name": )" + function["name"].dump();
    if (form == CallForm::Bare) {
      grammar.add(call, Grammar::literal(name + R"(, "parameters": )") + Grammar::Sequence{arguments} +
                            Grammar::literal("}"));
    } else {
      grammar.add(call, Grammar::Sequence{Grammar::ref(blank)} + Grammar::literal(name + R"(, "arguments": )") +
                            Grammar::Sequence{arguments} + Grammar::literal("}") +
                            Grammar::Sequence{Grammar::ref(blank)} + Grammar::literal("</tool_call>"));
    }
  }
  return call;
}

// One call, or several.
Grammar::Rule add_calls(Grammar& grammar, const Tools& tools, CallForm form, bool several) {
  const Grammar::Rule calls = grammar.add();
  const Grammar::Sequence one = (form == CallForm::Tagged ? Grammar::literal(kTag) : Grammar::Sequence{}) +
                                Grammar::Sequence{Grammar::ref(add_call(grammar, tools, form))};
  grammar.add(calls, one);
  if (several) grammar.add(calls, one + Grammar::literal("\n") + Grammar::Sequence{Grammar::ref(calls)});
  return calls;
}

// Any text up to a mark, and what comes after it; it may end before if `may_end`. It follows how much of the mark has
// come, as Knuth, Morris and Pratt search: the mark's first byte stands nowhere else in it, so that any other byte
// begins anew. after: of the rule itself, so that it may come again.
template <typename After>
Grammar::Rule add_until(Grammar& grammar, std::string_view mark, bool may_end, const After& after) {
  CHECK(mark.rfind(mark.front()) == 0);
  std::vector<Grammar::Rule> come;
  for (std::size_t k = 0; k < mark.size(); ++k) come.push_back(grammar.add());
  for (std::size_t k = 0; k < mark.size(); ++k) {
    if (may_end) grammar.add(come[k], {});
    Grammar::Part other = Grammar::range(0, 255);
    for (const char c : {mark[k], mark[0]}) {
      const auto byte = static_cast<unsigned char>(c);
      other.bytes[byte >> 6] &= ~(std::uint64_t{1} << (byte & 63));
    }
    grammar.add(come[k], {other, Grammar::ref(come[0])});
    if (k > 0) grammar.add(come[k], {Grammar::any_of(mark.substr(0, 1)), Grammar::ref(come[1])});
    const Grammar::Sequence next = {Grammar::any_of(mark.substr(k, 1))};
    grammar.add(come[k], next + (k + 1 < mark.size() ? Grammar::Sequence{Grammar::ref(come[k + 1])} : after(come[0])));
  }
  return come[0];
}

// Any text, but after a tag a call; then again any text, or nothing.
Grammar::Rule add_text_with_calls(Grammar& grammar, const Tools& tools) {
  const Grammar::Rule call = add_call(grammar, tools, CallForm::Tagged), end = grammar.add();
  grammar.add(end, {});
  grammar.add(end, Grammar::literal("\n"));
  return add_until(grammar, kTag, true, [&](Grammar::Rule text) -> Grammar::Sequence {
    return {Grammar::ref(call), Grammar::ref(tools.parallel.value_or(true) ? text : end)};
  });
}

Grammar::Rule add_json(Grammar& grammar, const AnswerForm& form) {
  if (form.kind == AnswerForm::Kind::Object) return add_json_object(grammar);
  try {
    return add_json_schema(grammar, form.schema_json);
  } catch (const Error& e) {
    refuse(format("response_format: {}", e.what()), "response_format", "invalid_json_schema");
  }
}

}  // namespace

AnswerForm parse_response_format(const nlohmann::json& body, std::string_view body_text) {
  const auto wanted = body.find("response_format");
  if (wanted == body.end() || wanted->is_null()) return {};
  if (!wanted->is_object()) {
    refuse(format("response_format: expected an object, got {}", wanted->type_name()), "response_format",
           "invalid_type");
  }
  const auto type_field = wanted->value("type", nlohmann::json("text"));
  if (!type_field.is_string())
    refuse("response_format.type: expected a string", "response_format.type", "invalid_type");
  const auto type = type_field.get<std::string>();
  if (type == "text") return {};
  if (type == "json_object") return {.kind = AnswerForm::Kind::Object};
  if (type != "json_schema") {
    refuse(format("response_format.type: '{}' is not supported; send text, json_object or json_schema",
                  to_valid_utf8(type)),
           "response_format", "unsupported_value");
  }
  if (!wanted->value("json_schema", nlohmann::json()).is_object()) {
    refuse("response_format.json_schema is missing; send {name, schema}", "response_format",
           "missing_required_parameter");
  }
  // Read anew: properties come in the order in which they were sent.
  const Json sent = Json::parse(body_text).at("response_format").at("json_schema");
  const Json schema = sent.value("schema", Json());
  return {.kind = AnswerForm::Kind::Schema, .schema_json = (schema.is_null() ? sent : schema).dump()};
}

std::shared_ptr<const Grammar> answer_grammar(const AnswerForm& form, const Tools& tools, CallForm calls,
                                              bool thinks_first) {
  const bool json = form.kind != AnswerForm::Kind::Text;
  if (!json && !tools.any()) return nullptr;
  if (!json && !tools.must_call && calls == CallForm::Bare) return nullptr;  // no tag tells where a call begins
  auto grammar = std::make_shared<Grammar>();
  const char* param = json ? "response_format" : "tools";
  try {
    Grammar::Rule root = 0;
    if (tools.must_call) {
      root = add_calls(*grammar, tools, calls, tools.parallel.value_or(false));
    } else if (!json) {
      root = add_text_with_calls(*grammar, tools);
    } else if (!tools.any()) {
      root = add_json(*grammar, form);
    } else {
      root = grammar->add();
      grammar->add(root, {Grammar::ref(add_json(*grammar, form))});
      grammar->add(root, {Grammar::ref(add_calls(*grammar, tools, calls, tools.parallel.value_or(true)))});
    }
    if (thinks_first && (json || tools.must_call)) {
      const Grammar::Rule answer = root, blanks = grammar->add();
      grammar->add(blanks, {});
      grammar->add(blanks, {Grammar::any_of("\n"), Grammar::ref(blanks)});
      root = add_until(*grammar, "</think>", false, [&](Grammar::Rule) -> Grammar::Sequence {
        return {Grammar::ref(blanks), Grammar::ref(answer)};
      });
    }
    grammar->finish(root);
  } catch (const RequestError&) {
    throw;
  } catch (const Error& e) {
    refuse(format("{}: {}", param, e.what()), param, "invalid_json_schema");
  }
  return grammar;
}

}  // namespace tinderbox
