#include "machine/nesting.h"

#include <string>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

constexpr int kNestingMax = 16;

}  // namespace

void check_nesting(std::string_view toml, std::string_view name) {
  int line = 1, open = 0, dots = 0;
  for (std::size_t i = 0; i < toml.size(); ++i) {
    const char c = toml[i];
    if (c == '"' || c == '\'') {
      const bool triple = toml.substr(i, 3) == std::string(3, c);
      const std::string end(triple ? 3 : 1, c);
      for (i += end.size(); i < toml.size() && toml.substr(i, end.size()) != end; ++i) {
        if (toml[i] == '\n') ++line;
        if (!triple && toml[i] == '\n') break;
        if (c == '"' && toml[i] == '\\') ++i;
      }
      i += end.size() - 1;
      continue;
    }
    if (c == '#') {
      while (i + 1 < toml.size() && toml[i + 1] != '\n') ++i;
    } else if (c == '\n') {
      ++line;
      dots = 0;
    } else if (c == '.') {
      ++dots;
    } else if (c == '=' || c == ',') {
      dots = 0;
    } else if (c == '[' || c == '{') {
      ++open;
    } else if ((c == ']' || c == '}') && open > 0) {
      --open;
    }
    if (open > kNestingMax || dots > kNestingMax) {
      throw_invalid(format("{}:{}: expected at most {} levels of nesting; make the file flatter",
                           name, line, kNestingMax));
    }
  }
}

}  // namespace tinderbox
