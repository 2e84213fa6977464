// Arbitrary text as a JSON Schema: what it compiles to writes JSON and nothing else. The shortest
// text, and one that is drawn byte by byte, must parse.
#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/error.h"
#include "base/random.h"
#include "model/grammar.h"
#include "model/json_schema.h"

namespace tinderbox {
namespace {

constexpr int kBytesMax = 400;

bool accepts(const Grammar& grammar, std::string_view text) {
  Grammar::State state = grammar.begin();
  for (const char c : text) {
    state = grammar.next(state, static_cast<unsigned char>(c));
    if (state.empty()) return false;
  }
  return Grammar::may_end(state);
}

void draw(const Grammar& grammar, std::uint64_t seed) {
  Random random(seed, Stream::Test);
  std::string text;
  Grammar::State state = grammar.begin();
  while (text.size() < kBytesMax) {
    if (Grammar::may_end(state) && random.uniform() < 0.2) break;
    const Grammar::Bytes allowed = grammar.allowed(state);
    std::string bytes;
    for (int b = 0; b < 256; ++b) {
      if (contains(allowed, static_cast<unsigned char>(b))) bytes += static_cast<char>(b);
    }
    if (bytes.empty()) break;  // nothing but the end
    const char byte = bytes[static_cast<std::size_t>(random.range(0, std::ssize(bytes) - 1))];
    text += byte;
    state = grammar.next(state, static_cast<unsigned char>(byte));
    CHECK(!state.empty());
  }
  if (!Grammar::may_end(state)) return;
  CHECK(nlohmann::json::accept(text));
}

void one(std::string_view schema) {
  Grammar grammar;
  try {
    grammar.finish(add_json_schema(grammar, schema));
  } catch (const Error&) {
    return;
  }
  CHECK(nlohmann::json::accept(grammar.shortest()));
  CHECK(accepts(grammar, grammar.shortest()));
  draw(grammar, std::hash<std::string_view>{}(schema));
}

}  // namespace
}  // namespace tinderbox

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tinderbox::one({reinterpret_cast<const char*>(data), size});
  return 0;
}
