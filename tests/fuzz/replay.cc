// main() of the fuzz targets in builds without libFuzzer: replays every file of the corpus, then
// seeded mutations of each (flipped bytes, cuts, repeats), so that every build exercises every
// parser the same way.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "base/random.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace tinderbox {
namespace {

constexpr int kMutations = 200;

void feed(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

std::string mutate(std::string input, Random& random) {
  const std::int64_t n = random.range(1, 4);
  for (std::int64_t i = 0; i < n && !input.empty(); ++i) {
    const auto at =
        static_cast<std::size_t>(random.range(0, static_cast<std::int64_t>(input.size()) - 1));
    switch (random.range(0, 3)) {
      case 0:
        input[at] = static_cast<char>(random.range(0, 255));
        break;
      case 1:
        input.resize(at);
        break;
      case 2:
        input.insert(at, input.substr(at, 16));
        break;
      default:
        input.erase(at, static_cast<std::size_t>(random.range(1, 8)));
        break;
    }
  }
  return input;
}

int replay(const std::filesystem::path& corpus) {
  std::vector<std::filesystem::path> files;
  if (std::filesystem::exists(corpus)) {
    for (const auto& entry : std::filesystem::directory_iterator(corpus))
      files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  feed("");
  std::size_t n = 1;
  for (std::size_t f = 0; f < files.size(); ++f) {
    const std::string input = read_file(files[f]);
    feed(input);
    Random random(1, Stream::Test, static_cast<std::uint32_t>(f));
    for (int i = 0; i < kMutations; ++i) feed(mutate(input, random));
    n += kMutations + 1;
  }
  std::printf("%zu inputs replayed\n", n);
  return files.empty() ? 1 : 0;  // a corpus that is gone must not pass
}

}  // namespace
}  // namespace tinderbox

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
    return 2;
  }
  return tinderbox::replay(argv[1]);
}
