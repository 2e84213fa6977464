// What a chat answer's text is made of: reasoning between <think> and </think>, calls of functions between <tool_call>
// and </tool_call> (the form of Qwen's and Hermes' templates), and what is said. How the text is cut makes no
// difference. An answer that is nothing but {"name": ..., "parameters": ...}, of a function that there is, is a call,
// too (Llama 3's form). Text that only looks like the beginning of a mark is held back until that is known.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tinderbox {

struct ToolCall {
  std::string name;
  std::string arguments;  // a JSON document, as a text
};

struct ChatDelta {
  std::string content, reasoning;
  std::vector<ToolCall> calls;
  bool empty() const { return content.empty() && reasoning.empty() && calls.empty(); }
};

class ChatText {
 public:
  struct Options {
    bool reasons = false;   // marks of reasoning are looked for
    bool thinking = false;  // the prompt has opened them already
    std::vector<std::string> tools = {};  // names of those whose calls are looked for
  };
  explicit ChatText(const Options& options);
  // Appends to `delta` what has become clear.
  void push(std::string_view text, ChatDelta& delta);
  // The answer is over: what was held back is what it is. A call that is not whole is said as text.
  void finish(ChatDelta& delta);
  bool thinking() const { return state_ == State::Reasoning; }

 private:
  enum class State : unsigned char { Begin, Reasoning, Content, Call, Bare };
  bool step(ChatDelta& delta, bool over);
  bool reason(ChatDelta& delta, bool over);
  bool content(ChatDelta& delta, bool over);
  bool call(ChatDelta& delta);
  bool bare_calls(ChatDelta& delta) const;
  void say(std::string_view text, ChatDelta& delta);

  Options options_;
  State state_;
  std::string pending_;
  bool said_ = false;  // some content; blanks before it are left out
  bool no_bare_ = false;  // it has turned out to be none
  std::size_t n_calls_ = 0;
};

// A call as models write it: {"name": ..., "arguments": {...}}, or "parameters" in its place. false: it is none.
bool parse_tool_call(std::string_view text, ToolCall& call);

}  // namespace tinderbox
