// What an answer must be like, as a grammar: JSON, of a schema, or calls of functions, or text in which a call, once
// begun, is one of the functions with arguments of its schema.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "http/chat_tools.h"
#include "model/grammar.h"

namespace tinderbox {

struct AnswerForm {
  enum class Kind : unsigned char { Text, Object, Schema } kind = Kind::Text;
  std::string schema_json = {};
};

// The field response_format: {"type":"json_schema","json_schema":{"name":..., "schema":..., "strict":...}}; a bare
// schema is taken for one. Throws RequestError.
AnswerForm parse_response_format(const nlohmann::json& body, std::string_view body_text);

// How a model writes calls, as its chat template tells it.
enum class CallForm : unsigned char {
  Tagged,  // <tool_call>{"name": ..., "arguments": ...}</tool_call>, as Hermes, Qwen and many others
  Bare,    // {"name": ..., "parameters": ...} and nothing else, as Llama 3
};

// null: anything goes. Throws RequestError naming what a schema has that cannot be enforced; of functions that may be
// called, and are not strict, it is then any object. thinks_first: the prompt has opened reasoning, which comes to its
// end before.
std::shared_ptr<const Grammar> answer_grammar(const AnswerForm& form, const Tools& tools, CallForm calls,
                                              bool thinks_first = false);

}  // namespace tinderbox
