#include "base/sha256.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "base/text.h"

namespace tinderbox {

Sha256 sha256(std::string_view bytes) {
  Sha256 digest;
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest.data());
  return digest;
}

bool same_secret(const Sha256& a, const Sha256& b) { return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0; }

std::string hex(const Sha256& digest) {
  std::string out;
  for (const std::uint8_t byte : digest) out += format("{:02x}", byte);
  return out;
}

}  // namespace tinderbox
