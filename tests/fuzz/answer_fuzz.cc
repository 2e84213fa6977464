// Arbitrary bytes as what a model said: reasoning, calls and text come out the same however it is
// cut, and events that are written of it are read back the same however those are cut. The first
// byte says where.
#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/text.h"
#include "http/answer_writer.h"
#include "http/chat_text.h"
#include "http/event_reader.h"

namespace tinderbox {
namespace {

const ChatText::Options kOptions{.reasons = true, .thinking = false, .tools = {"a", "get_weather"}};

ChatDelta all_of(std::string_view text, std::size_t piece) {
  ChatText reader(kOptions);
  ChatDelta delta;
  for (std::size_t at = 0; at < text.size(); at += piece)
    reader.push(text.substr(at, piece), delta);
  reader.finish(delta);
  return delta;
}

bool same(const ChatDelta& a, const ChatDelta& b) {
  if (a.content != b.content || a.reasoning != b.reasoning || a.calls.size() != b.calls.size())
    return false;
  for (std::size_t i = 0; i < a.calls.size(); ++i) {
    if (a.calls[i].name != b.calls[i].name || a.calls[i].arguments != b.calls[i].arguments)
      return false;
  }
  return true;
}

void check_events(std::string_view text, std::size_t piece) {
  const AnswerWriter writer(
      {.endpoint = Endpoint::Chat, .id = "chatcmpl-1", .model = "m", .system_fingerprint = "t"},
      true);
  std::string events;
  writer.open(events, 0);
  for (std::size_t at = 0; at < text.size(); at += piece)
    writer.text(events, 0, to_valid_utf8(text.substr(at, piece)), {});
  writer.close(events, 0, "stop");
  writer.end(events, {.prompt_tokens = 1, .completion_tokens = 2});
  std::string said, expected;
  for (std::size_t at = 0; at < text.size(); at += piece)
    expected += to_valid_utf8(text.substr(at, piece));
  bool done = false;
  EventReader reader;
  for (std::size_t at = 0; at < events.size(); at += piece) {
    reader.take(std::string_view(events).substr(at, piece), [&](std::string_view data) {
      CHECK(!done);
      done = data == "[DONE]";
      if (done) return false;
      const nlohmann::json chunk = nlohmann::json::parse(data);
      for (const auto& choice : chunk.at("choices"))
        said += choice.at("delta").value("content", "");
      return true;
    });
  }
  CHECK(done && said == expected);
}

void one(std::string_view input) {
  if (input.empty()) return;
  const std::size_t piece = 1 + static_cast<unsigned char>(input[0]) % 16;
  input.remove_prefix(1);
  CHECK(same(all_of(input, piece), all_of(input, input.size() + 1)));
  check_events(input, piece);
}

}  // namespace
}  // namespace tinderbox

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tinderbox::one({reinterpret_cast<const char*>(data), size});
  return 0;
}
