// Predicts a row of measured memory (metric memory_gb, 1e9 bytes) from its configuration. What was
// read (MemoryReading) and the share
// that a stack was told to take have no column of their own, so they are looked for in the words of
// `locator` and `notes`; no other number of those is used. A row is refused with a reason, never
// guessed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/csv.h"
#include "box/measurement.h"

namespace tinderbox {

// The words of a row say what was read.
enum class MemoryReading : std::uint8_t {
  InUse,      // of the whole box
  Free,       // of the whole box
  Weights,    // of one rank
  KvPool,     // of one rank
  Process,    // of the device, by the engine
  Container,  // what the control group counts: host memory and page cache, not the device's
};

// By the words of a row's description, lower or upper case.
MemoryReading memory_reading(std::string_view locator, std::string_view notes);
// "util 0.85", "gpu-memory-utilization 0.90": the first share named; nullopt if none.
std::optional<double> memory_share(std::string_view text);

struct MemoryOutcome {
  double value_gb = 0;
  const char* refused = nullptr;  // a stable reason; nullptr: predicted
};

// Throws Error::Invalid if a number in the row does not parse or the catalogue is broken.
MemoryOutcome predict_memory(const Csv& csv, std::size_t row, const TwinCatalogues& resources);

}  // namespace tinderbox
