// Any bytes, parsed and rendered as a chat template: text or an Error, within the stated bounds.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/error.h"
#include "model/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  tinderbox::ChatContext context;
  context.messages = {{"system", "Be brief."}, {"user", "H\xC3\xA9llo \xF0\x9F\x8E\x89 \xFF"}};
  context.bos_token = "<s>";
  context.eos_token = "</s>";
  context.now_unix = 1'752'148'800;
  context.variables_json = R"({"tools": [{"function": {"name": "f", "parameters": {"type": "object"}}}]})";
  try {
    const auto chat = tinderbox::ChatTemplate::parse(source);
    const std::string text = chat.render(context);
    CHECK(text.size() <= (4u << 20));
    CHECK(chat.render(context) == text);
  } catch (const tinderbox::Error&) {
  }
  return 0;
}
