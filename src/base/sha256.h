// SHA-256 (FIPS 180-4), by libcrypto: names for contents, and what is kept of a secret in its place.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace tinderbox {

using Sha256 = std::array<std::uint8_t, 32>;

Sha256 sha256(std::string_view bytes);
// Takes the same time wherever they differ.
bool same_secret(const Sha256& a, const Sha256& b);
// 64 lower-case digits.
std::string hex(const Sha256& digest);

}  // namespace tinderbox
