// API keys: "tb-" and 32 characters of 62, which are 190 bits of chance. That much cannot be guessed from its SHA-256,
// so no slow hash is needed to keep it safe at rest.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "box/state_file.h"

namespace tinderbox {

// Fills the bytes with what nobody can foresee.
using Entropy = std::function<void(std::span<std::uint8_t>)>;

std::string new_api_key(const Entropy& entropy);
// The row of a secret, with its hash and id; the rest as it is by default.
ApiKey api_key_of(std::string_view secret, std::string name);
// Names the key in the scheduler's books; never 0, which is nobody.
std::uint64_t key_number(const ApiKey& row);

}  // namespace tinderbox
