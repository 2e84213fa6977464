#include "box/validate.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "box/body_answers.h"
#include "box/measurement.h"
#include "box/validate_memory.h"

namespace tinderbox {
namespace {

std::string column_of(const std::string& key) {
  if (key == "stack" || key == "weights" || key == "kv") return key + "_norm";
  return key == "model" ? "base" : key;
}

// Twins and their answers by configuration, made once each.
class Cache {
 public:
  explicit Cache(const TwinCatalogues& catalogues)
      : catalogues_(catalogues), questioner_(catalogues), bodies_(catalogues, questioner_) {}

  Answer answer(const Cells& cells) {
    const Question q = questioner_.question(cells);
    if (q.refused != nullptr) return {.refused = q.refused};
    const std::string key = q.measured->twin_key();
    auto found = twins_.find(key);
    if (found == twins_.end()) {
      found = twins_.emplace(key, questioner_.build(*q.measured)).first;
    }
    const BuiltTwin& twin = found->second;
    if (twin.refused != nullptr) return {.refused = twin.refused};
    return answers_.answer(*twin.model, *q.measured);
  }
  Answer body(const Csv& csv, std::size_t i) { return bodies_.answer(csv, i); }
  Answer memory(const Csv& csv, std::size_t i) {
    const MemoryOutcome outcome = predict_memory(csv, i, catalogues_);
    return {.value = outcome.value_gb, .refused = outcome.refused};
  }

 private:
  const TwinCatalogues& catalogues_;
  Questioner questioner_;
  BodyAnswers bodies_;
  std::map<std::string, BuiltTwin> twins_;
  Answers answers_;
};

Score score_of(const std::vector<const ValidationRow*>& rows) {
  std::vector<Sample> samples;
  for (const ValidationRow* row : rows) {
    if (row->predicted)
      samples.push_back({row->group, row->value, *row->predicted, row->low, row->high});
  }
  return score(samples);
}

ValidationRow row_of(Cache& cache, const Csv& csv, std::size_t i,
                     const std::vector<std::string>& by, std::vector<std::string>& bad) {
  const Cells cells(csv, i);
  ValidationRow row{.id = csv.at(i, "id"), .group = csv.at(i, "group")};
  for (const std::string& key : by) row.key.push_back(csv.at(i, column_of(key)));
  if (!csv.has("value")) csv.at(i, "value");  // says so
  if (auto problem = cells.problem()) {
    row.reason = kBadCell;
    bad.push_back(*std::move(problem));
    return row;
  }
  row.value = *cells.number("value");
  const std::string& spec = cells.text("spec");
  row.speculates = !spec.empty() && spec != "none";
  const std::string& test = cells.text("test");
  const Answer outcome = test == "memory"                            ? cache.memory(csv, i)
                         : test == "power" || test == "temperature" ? cache.body(csv, i)
                                                                     : cache.answer(cells);
  if (outcome.refused != nullptr) {
    row.reason = outcome.refused;
  } else {
    row.predicted = outcome.value;
    row.low = outcome.low;
    row.high = outcome.high;
  }
  return row;
}

// Scores and slices of the rows that speculate, or of the others.
Score score_part(const ValidationReport& report, bool speculates, std::vector<ValidationSlice>& out) {
  std::map<std::vector<std::string>, std::vector<const ValidationRow*>> slices;
  std::vector<const ValidationRow*> all;
  for (const ValidationRow& row : report.rows) {
    if (row.speculates != speculates) continue;
    all.push_back(&row);
    slices[row.key].push_back(&row);
  }
  for (const auto& [key, members] : slices) {
    const Score s = score_of(members);
    if (s.rows > 0) out.push_back({key, static_cast<std::int64_t>(members.size()), s});
  }
  return score_of(all);
}

}  // namespace

ValidationReport validate(const Csv& rows, const TwinCatalogues& catalogues,
                          const std::vector<std::string>& by) {
  ValidationReport report{.by = by};
  Cache cache(catalogues);
  report.rows.reserve(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    report.rows.push_back(row_of(cache, rows, i, by, report.bad));
  }
  for (const ValidationRow& row : report.rows) {
    if (row.predicted) {
      ++report.predicted;
    } else {
      ++report.refused[row.reason];
    }
  }
  if (!report.rows.empty()) {
    report.coverage =
        static_cast<double>(report.predicted) / static_cast<double>(report.rows.size());
  }
  report.macro = score_part(report, false, report.slices);
  report.speculation = score_part(report, true, report.speculation_slices);
  return report;
}

}  // namespace tinderbox
