// Models by name: what data/pull/catalogue.toml says of where they really are.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/sha256.h"

namespace tinderbox {

struct PullEntry {
  std::string name, about, licence, from, source;  // from: a model source; source: how this is known
  std::optional<std::int64_t> size{};              // bytes
  std::optional<Sha256> sha256{};
};

// Throws Error::Invalid, "where:line: ...", for what is no catalogue; Error::TooLarge over 256 KiB.
std::vector<PullEntry> read_pull_catalogue(std::string_view toml, std::string_view where);
// nullptr: none of that name.
const PullEntry* find_pull(const std::vector<PullEntry>& catalogue, std::string_view name);

}  // namespace tinderbox
