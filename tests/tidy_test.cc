// Style rules that matter, as tests: the include table of ARCHITECTURE.md section 2, the ban list
// of STYLE.md, and the size limits of files, functions and lines.
#include <algorithm>
#include <filesystem>
#include <map>
#include <regex>
#include <set>

#include <gtest/gtest.h>

#include "base/mapped_file.h"
#include "base/text.h"

namespace tinderbox {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = TINDERBOX_SOURCE_DIR;

// What each layer may include besides itself.
const std::map<std::string, std::set<std::string>> kMayInclude = {
    {"base", {}},
    {"machine", {"base"}},
    {"model", {"base"}},
    {"sched", {"base"}},
    {"twin", {"machine", "model", "base"}},
    {"engine", {"model", "base"}},
    {"box", {"sched", "twin", "engine", "machine", "model", "base"}},
    {"http", {"box", "sched", "model", "base"}},
    {"cli", {"http", "box", "sched", "twin", "engine", "machine", "model", "base"}},
};

bool is_cpp(const fs::path& path) { return path.extension() == ".cc" || path.extension() == ".h"; }
bool is_test(const fs::path& path) { return path.stem().string().ends_with("_test"); }

std::vector<fs::path> cpp_files(const fs::path& folder) {
  std::vector<fs::path> files;
  if (!fs::exists(folder)) return files;
  for (fs::recursive_directory_iterator it(folder), end; it != end; ++it) {
    const auto& entry = *it;
    if (entry.path().filename() == "node_modules") it.disable_recursion_pending();
    if (entry.is_regular_file() && is_cpp(entry.path())) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

std::vector<fs::path> all_cpp_files() {
  std::vector<fs::path> files = cpp_files(kRoot / "src");
  for (const char* folder : {"tests", "bench"}) {
    const auto more = cpp_files(kRoot / folder);
    files.insert(files.end(), more.begin(), more.end());
  }
  return files;
}

std::string shown(const fs::path& path) { return fs::relative(path, kRoot).string(); }

std::string layer_of(const fs::path& path) {
  return fs::relative(path, kRoot / "src").begin()->string();
}

// The text without comments and string contents, line breaks kept.
std::string code_only(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, 2, "//") == 0) {
      while (i < text.size() && text[i] != '\n') ++i;
      out += '\n';
    } else if (text.compare(i, 3, "R\"(") == 0) {
      const std::size_t end = text.find(")\"", i);
      out += std::string(
          static_cast<std::size_t>(std::count(
              text.begin() + static_cast<std::ptrdiff_t>(i),
              text.begin() + static_cast<std::ptrdiff_t>(std::min(end, text.size())), '\n')),
          '\n');
      i = end == std::string::npos ? text.size() : end + 1;
    } else if (text[i] == '"') {
      out += '"';
      for (++i; i < text.size() && text[i] != '"'; ++i) {
        if (text[i] == '\\') ++i;
      }
      out += '"';
    } else if (text[i] == '\'' && i + 2 < text.size() &&
               (i == 0 || !std::isalnum(static_cast<unsigned char>(text[i - 1])))) {
      i += text[i + 1] == '\\' ? 3 : 1;  // also of an escaped quote
      while (i < text.size() && text[i] != '\'') ++i;
      out += "' '";
    } else {
      out += text[i];
    }
  }
  return out;
}

TEST(Tidy, IncludesGoDownTheLayers) {
  const std::regex include(R"re(^\s*#include "([a-z_]+)/)re");
  int n = 0;
  for (const fs::path& path : cpp_files(kRoot / "src")) {
    const std::string layer = layer_of(path);
    ASSERT_TRUE(kMayInclude.contains(layer)) << shown(path) << ": unknown layer";
    for (const std::string& line : split(read_file(path), '\n')) {
      std::smatch match;
      if (!std::regex_search(line, match, include)) continue;
      const std::string used = match[1];
      if (!kMayInclude.contains(used)) continue;  // a library's folder
      ++n;
      EXPECT_TRUE(used == layer || kMayInclude.at(layer).contains(used))
          << shown(path) << ": " << layer << " must not include " << used;
    }
  }
  EXPECT_GT(n, 20) << "the pattern matches nothing";
}

TEST(Tidy, LibrariesLinkOnlyWhatTheirRowNames) {
  const std::regex link(R"(tinderbox_([a-z]+))");
  for (const auto& [layer, allowed] : kMayInclude) {
    const fs::path path = kRoot / "src" / layer / "CMakeLists.txt";
    if (!fs::exists(path)) continue;
    const std::string text = read_file(path);
    for (std::sregex_iterator it(text.begin(), text.end(), link), end; it != end; ++it) {
      const std::string used = (*it)[1];
      if (!kMayInclude.contains(used)) continue;
      EXPECT_TRUE(used == layer || allowed.contains(used)) << shown(path) << " links " << used;
    }
  }
}

struct Ban {
  std::string pattern, instead;
  std::vector<std::string> allowed_in;  // path prefixes below src/
  bool tests_too = false;
};

const std::vector<Ban> kBans = {
    {R"(_clock::now)",
     "a TimePoint parameter; only base/clock.cc reads a clock",
     {"base/clock.cc"}},
    {R"(\bgettimeofday|\bclock_gettime)", "a TimePoint parameter", {}},
    {R"(\bstd::time\(|[^_.>:a-z]time\((NULL|nullptr|0)\))",
     "a parameter injected by main()",
     {"cli/"}},
    {R"(random_device)", "Random(seed, Stream::...)", {}, true},
    {R"(\brand\(|\bsrand\()", "Random(seed, Stream::...)", {}, true},
    {R"(mt19937|_distribution<|_distribution\()",
     "base/random.h: results must not depend on the library",
     {},
     true},
    {R"(\bgetenv\()", "an option parsed in cli", {"cli/"}},
    {R"(\bnew\s+[A-Za-z_:]+\s*[({\[;])", "std::make_unique or a container", {"base/wrap_new"}},
    {R"(\bdelete\s+[a-z_]|\bdelete\[\])", "an owner object", {}},
    {R"(std::mutex|std::condition_variable|std::shared_mutex)",
     "posting to the box thread (box/mailbox.h)",
     {"box/mailbox"}},
    {R"(#include <iostream>)", "base/text.h, and printing in cli only", {}, true},
    {R"(#include <regex>)", "a hand-written scanner", {}},
    {R"(\bstod\(|\bstoi\(|\batoi\(|\batof\(|\bstrtod\()",
     "parse_double and parse_int of base/text.h",
     {}},
    {R"(using namespace std)", "qualified names", {}, true},
};

TEST(Tidy, BannedWords) {
  for (const fs::path& path : all_cpp_files()) {
    const bool test = is_test(path) || !shown(path).starts_with("src/");
    const std::string below = test ? "" : fs::relative(path, kRoot / "src").string();
    const std::string code = code_only(read_file(path));
    for (const Ban& ban : kBans) {
      if (test && !ban.tests_too) continue;
      if (path.filename() == "tidy_test.cc") continue;
      if (std::ranges::any_of(ban.allowed_in, [&](const auto& p) { return below.starts_with(p); }))
        continue;
      std::smatch match;
      EXPECT_FALSE(std::regex_search(code, match, std::regex(ban.pattern)))
          << shown(path) << ": '" << match.str() << "': use " << ban.instead;
    }
  }
}

// Only these libraries' headers are fenced, so that each stays replaceable and its compile cost is
// paid once.
TEST(Tidy, FencedHeaders) {
  const std::map<std::string, std::vector<std::string>> fences = {
      {"boost/", {"http/http_server.cc", "http/http_connection.h", "http/http_client.cc", "twin/step_table.h"}},
      {"boost/asio", {"http/http_server.cc", "http/http_connection.h", "http/http_client.cc"}},
      {"boost/beast", {"http/http_server.cc", "http/http_connection.h", "http/http_client.cc"}},
      {"CLI/", {"cli/"}},
      {"hwy/", {"engine/"}},
      {"immintrin.h", {"engine/kernels/"}},
      {"toml++/", {"machine/", "twin/stack", "box/diagnosis", "box/sweep.cc", "box/pull_catalogue.cc"}},
      {"sqlite3.h", {"box/database.cc"}},
      {"openssl/", {"base/sha256.cc"}},
      {"curl/", {"box/web.cc"}},
      {"minizip/", {"box/unzip.cc"}},
      {"zlib.h", {"base/gzip.cc"}},
      {"mpi.h", {"cli/sweep_mpi.cc"}},
      {"prometheus/", {"http/metrics"}},
      {"Random123/", {"base/random.cc"}},
  };
  for (const fs::path& path : cpp_files(kRoot / "src")) {
    if (is_test(path)) continue;
    const std::string below = fs::relative(path, kRoot / "src").string();
    for (const std::string& line : split(read_file(path), '\n')) {
      for (const auto& [header, allowed] : fences) {
        if (!line.starts_with("#include <" + header)) continue;
        EXPECT_TRUE(
            std::ranges::any_of(allowed, [&](const auto& p) { return below.starts_with(p); }))
            << shown(path) << " includes " << header;
      }
      if (path.extension() == ".h") {
        EXPECT_FALSE(line.starts_with("#include <nlohmann/json.hpp>"))
            << shown(path)
            << ": nlohmann/json.hpp costs seconds a file; include it in .cc, json_fwd.hpp in "
               "headers";
      }
    }
  }
}

TEST(Tidy, FilesAreShort) {
  for (const fs::path& path : all_cpp_files()) {
    const std::string text = read_file(path);
    const auto lines = std::ranges::count(text, '\n');
    EXPECT_LE(lines, 600) << shown(path);
    if (!is_test(path) && shown(path).starts_with("src/")) {
      EXPECT_LE(lines, 400) << shown(path);
    }
  }
}

TEST(Tidy, LinesAreShortAndClean) {
  for (const fs::path& path : all_cpp_files()) {
    int number = 0;
    for (const std::string& line : split(read_file(path), '\n')) {
      ++number;
      std::size_t width = 0;
      for (const char c : line) width += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1u : 0u;
      EXPECT_LE(width, 120u) << shown(path) << ":" << number;
      EXPECT_EQ(line.find('\t'), std::string::npos) << shown(path) << ":" << number << ": tab";
      EXPECT_FALSE(line.ends_with(' ')) << shown(path) << ":" << number << ": trailing blank";
    }
  }
}

// A function body starts at a line that begins at column 0 to 2, ends with "{" and holds a
// parenthesis; it ends at the brace that closes it.
TEST(Tidy, FunctionsAreShort) {
  for (const fs::path& path : cpp_files(kRoot / "src")) {
    const std::vector<std::string> lines = split(code_only(read_file(path)), '\n');
    const std::regex head(
        R"(^ {0,2}[A-Za-z~\[].*\).*\{\s*$|^ {4,}.*\)( const)?( noexcept)?( override)? \{\s*$)");
    const std::regex skip(
        R"(^\s*(namespace|class|struct|enum|if|for|while|switch|else|do|\}|TEST|return|case))");
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (!std::regex_search(lines[i], head) || std::regex_search(lines[i], skip)) continue;
      int depth = 0;
      std::size_t j = i;
      for (; j < lines.size(); ++j) {
        depth +=
            static_cast<int>(std::ranges::count(lines[j], '{') - std::ranges::count(lines[j], '}'));
        if (depth <= 0) break;
      }
      EXPECT_LE(j - i + 1, 70u) << shown(path) << ":" << i + 1;
    }
  }
}

TEST(Tidy, NoLooseEnds) {
  const std::regex loose(
      "\\bTO"
      "DO\\b|\\bFIX"
      "ME\\b|\\bXX"
      "X\\b");
  for (const fs::path& path : all_cpp_files()) {
    EXPECT_FALSE(std::regex_search(read_file(path), loose)) << shown(path);
  }
}

TEST(Tidy, EveryHeaderSaysWhatItIs) {
  for (const fs::path& path : cpp_files(kRoot / "src")) {
    if (path.extension() != ".h") continue;
    const std::string text = read_file(path);
    EXPECT_TRUE(text.starts_with("// ")) << shown(path) << ": begin with one sentence";
    EXPECT_NE(text.find("#pragma once"), std::string::npos) << shown(path);
  }
}

TEST(Tidy, EverySourceIsBuilt) {
  for (const fs::path& path : cpp_files(kRoot / "src")) {
    if (path.extension() != ".cc") continue;
    const fs::path layer = kRoot / "src" / layer_of(path);
    const std::string name = fs::relative(path, layer).string();
    EXPECT_NE(read_file(layer / "CMakeLists.txt").find(name), std::string::npos)
        << shown(path) << " stands in no CMakeLists.txt";
  }
}

}  // namespace
}  // namespace tinderbox
