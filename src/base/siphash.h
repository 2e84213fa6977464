// SipHash-2-4 with 128 bits of output (Aumasson and Bernstein, "SipHash: a fast short-input PRF",
// 2012, and their reference code): names for bytes that strangers choose. Without the key nobody
// can find two inputs of one name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tinderbox {

struct SipKey {
  std::uint64_t k0 = 0, k1 = 0;
};

struct SipHash128 {
  std::uint64_t low = 0, high = 0;  // the first eight bytes of the reference's output, and the last
  friend bool operator==(const SipHash128&, const SipHash128&) = default;
};

SipHash128 siphash128(const SipKey& key, std::span<const std::byte> bytes);

}  // namespace tinderbox
