#include "box/api_key.h"

#include <set>

#include <gtest/gtest.h>

namespace tinderbox {
namespace {

TEST(ApiKey, HasThirtyTwoFairCharacters) {
  std::uint8_t next = 0;
  const Entropy all_bytes = [&](std::span<std::uint8_t> bytes) {
    for (std::uint8_t& byte : bytes) byte = next++;
  };
  std::array<int, 128> counts{};
  std::set<std::string> seen;
  // 248 bytes of 256 are used, each character by four of them; 31 keys of 32 take four rounds of 256.
  for (int i = 0; i < 31; ++i) {
    const std::string key = new_api_key(all_bytes);
    ASSERT_EQ(key.size(), 35u);
    EXPECT_TRUE(key.starts_with("tb-"));
    for (const char c : key.substr(3)) {
      EXPECT_TRUE(std::isalnum(static_cast<unsigned char>(c)));
      ++counts[static_cast<std::size_t>(c)];
    }
    seen.insert(key);
  }
  EXPECT_GT(seen.size(), 1u);
}

TEST(ApiKey, BytesThatWouldFavourSomeAreLeftOut) {
  int n = 0;
  const std::string key = new_api_key([&](std::span<std::uint8_t> bytes) {
    ++n;
    for (std::uint8_t& byte : bytes) byte = n < 3 ? 255 : 61;
  });
  EXPECT_EQ(n, 3);
  EXPECT_EQ(key, "tb-" + std::string(32, 'z'));
}

TEST(ApiKey, ARowHasTheHashAndNotTheKey) {
  const ApiKey row = api_key_of("abc", "ann");
  // FIPS 180-4's example.
  EXPECT_EQ(hex(row.hash), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(row.id, "ba7816bf8f01");
  EXPECT_EQ(key_number(row), 0xba7816bf8f01cfeaull);
  EXPECT_TRUE(same_secret(row.hash, sha256("abc")));
  EXPECT_FALSE(same_secret(row.hash, sha256("abd")));
}

}  // namespace
}  // namespace tinderbox
