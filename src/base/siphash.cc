#include "base/siphash.h"

#include <bit>
#include <cstring>

namespace tinderbox {
namespace {

// The constants, rotations and numbers of rounds are the paper's.
struct State {
  std::uint64_t v0, v1, v2, v3;

  void round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }
  void add(std::uint64_t word) {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  }
  std::uint64_t finish() {
    for (int i = 0; i < 4; ++i) round();
    return v0 ^ v1 ^ v2 ^ v3;
  }
};

// Little-endian, of at most eight bytes.
std::uint64_t word_of(std::span<const std::byte> bytes) {
  std::uint64_t word = 0;
  if (bytes.size() == sizeof word && std::endian::native == std::endian::little) {
    std::memcpy(&word, bytes.data(), sizeof word);
    return word;
  }
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    word |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
  }
  return word;
}

}  // namespace

SipHash128 siphash128(const SipKey& key, std::span<const std::byte> bytes) {
  State state{key.k0 ^ 0x736f6d6570736575, key.k1 ^ 0x646f72616e646f6d ^ 0xee,
              key.k0 ^ 0x6c7967656e657261, key.k1 ^ 0x7465646279746573};
  const std::uint64_t length = std::uint64_t{bytes.size()} << 56;
  for (; bytes.size() >= 8; bytes = bytes.subspan(8)) state.add(word_of(bytes.first<8>()));
  state.add(word_of(bytes) | length);
  state.v2 ^= 0xee;
  SipHash128 hash;
  hash.low = state.finish();
  state.v1 ^= 0xdd;
  hash.high = state.finish();
  return hash;
}

}  // namespace tinderbox
