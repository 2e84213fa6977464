// SHA-256 (FIPS 180-4), by libcrypto: names for contents, and what is kept of a secret in its place.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace tinderbox {

using Sha256 = std::array<std::uint8_t, 32>;

Sha256 sha256(std::string_view bytes);
// Takes the same time wherever they differ.
bool same_secret(const Sha256& a, const Sha256& b);
// 64 lower-case digits.
std::string hex(const Sha256& digest);
// 64 digits of either case; nullopt if they are not.
std::optional<Sha256> parse_sha256(std::string_view digits);

// Of what comes piece by piece.
class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  Sha256Stream(const Sha256Stream&) = delete;
  Sha256Stream& operator=(const Sha256Stream&) = delete;
  void add(std::string_view bytes);
  void restart();
  Sha256 digest() const;  // of all so far; more may follow

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tinderbox
