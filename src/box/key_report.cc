#include "box/key_report.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/text.h"

namespace tinderbox {
namespace {

// Without those in the middle, if they are many.
template <typename Show>
void show_ends(const std::vector<KeyRow>& rows, Show show) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i < kKeysShown || i + kKeysShown >= rows.size()) show(rows[i]);
  }
}

}  // namespace

KeyTimes::KeyTimes(std::int64_t n_keys)
    : rows_(n_keys > 1 ? static_cast<std::size_t>(n_keys) : 0) {}

void KeyTimes::finished(std::uint64_t key, std::int64_t output_tokens, Duration ttft) {
  if (rows_.empty()) return;
  CHECK(key < rows_.size());
  Row& row = rows_[key];
  ++row.finished;
  row.output_tokens += output_tokens;
  row.ttft.add(ttft);
}

void KeyTimes::merge(const KeyTimes& other) {
  if (rows_.size() < other.rows_.size()) rows_.resize(other.rows_.size());
  for (std::size_t i = 0; i < other.rows_.size(); ++i) {
    rows_[i].finished += other.rows_[i].finished;
    rows_[i].output_tokens += other.rows_[i].output_tokens;
    rows_[i].ttft.merge(other.rows_[i].ttft);
  }
}

std::vector<KeyRow> KeyTimes::rows() const {
  std::vector<KeyRow> out;
  std::int64_t all = 0;
  for (const Row& row : rows_) all += row.output_tokens;
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    const double share =
        all == 0 ? 0 : static_cast<double>(rows_[i].output_tokens) / static_cast<double>(all);
    out.push_back({.key = i,
                   .finished = rows_[i].finished,
                   .output_tokens = rows_[i].output_tokens,
                   .share = share,
                   .ttft = rows_[i].ttft.distribution()});
  }
  std::ranges::stable_sort(out, std::ranges::greater(), &KeyRow::output_tokens);
  return out;
}

std::string key_table(const std::vector<KeyRow>& rows) {
  if (rows.empty()) return "";
  Table table({"key", "finished", "output tokens", "share", "TTFT p50", "p99"});
  show_ends(rows, [&](const KeyRow& row) {
    table.add({format("{}", row.key), format("{}", row.finished), format("{}", row.output_tokens),
               format("{} %", human_number(100 * row.share)), human(row.ttft.p50),
               human(row.ttft.p99)});
  });
  const std::size_t hidden = rows.size() - std::min(rows.size(), 2 * kKeysShown);
  return "\n" + table.str() +
         (hidden == 0 ? "" : format("{} keys between them are not shown\n", hidden));
}

nlohmann::ordered_json key_json(const std::vector<KeyRow>& rows) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  show_ends(rows, [&](const KeyRow& row) {
    out.push_back({{"key", row.key},
                   {"finished", row.finished},
                   {"output_tokens", row.output_tokens},
                   {"share", row.share},
                   {"ttft_s",
                    {{"mean", row.ttft.mean.value()},
                     {"p50", row.ttft.p50.value()},
                     {"p99", row.ttft.p99.value()}}}});
  });
  return out;
}

}  // namespace tinderbox
