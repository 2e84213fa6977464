#include "box/api_key.h"

#include <array>

namespace tinderbox {
namespace {

constexpr std::string_view kDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::size_t kLength = 32;
// Bytes from here on would make some digits likelier than others.
constexpr std::size_t kFair = 256 / kDigits.size() * kDigits.size();

}  // namespace

std::string new_api_key(const Entropy& entropy) {
  std::string key = "tb-";
  const std::size_t length = key.size() + kLength;
  while (key.size() < length) {
    std::array<std::uint8_t, 64> bytes{};
    entropy(bytes);
    for (std::size_t i = 0; i < bytes.size() && key.size() < length; ++i) {
      if (bytes[i] < kFair) key += kDigits[bytes[i] % kDigits.size()];
    }
  }
  return key;
}

ApiKey api_key_of(std::string_view secret, std::string name) {
  ApiKey row;
  row.hash = sha256(secret);
  row.id = key_id(row.hash);
  row.name = std::move(name);
  return row;
}

std::uint64_t key_number(const ApiKey& row) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < sizeof number; ++i) number = number << 8 | row.hash[i];
  return number == 0 ? 1 : number;
}

}  // namespace tinderbox
