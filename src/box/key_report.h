// Whose requests they were: a row for each key, of those that finished. Mergeable in any order.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "box/durations.h"

namespace tinderbox {

struct KeyRow {
  std::uint64_t key = 0;
  std::int64_t finished = 0, output_tokens = 0;
  double share = 0;  // of all output tokens
  Distribution ttft = {};
};

class KeyTimes {
 public:
  // Keys from 0 to n_keys - 1; one alone is not worth a row.
  explicit KeyTimes(std::int64_t n_keys);
  void finished(std::uint64_t key, std::int64_t output_tokens, Duration ttft);
  void merge(const KeyTimes& other);
  // By output tokens, most first, then by key.
  std::vector<KeyRow> rows() const;

 private:
  struct Row {
    std::int64_t finished = 0, output_tokens = 0;
    Durations ttft;
  };
  std::vector<Row> rows_;
};

// Of many keys the first and last kKeysShown.
inline constexpr std::size_t kKeysShown = 10;
// An empty line and a table for people; nothing of no rows.
std::string key_table(const std::vector<KeyRow>& rows);
nlohmann::ordered_json key_json(const std::vector<KeyRow>& rows);

}  // namespace tinderbox
