#include "box/diagnosis.h"

#include <algorithm>
#include <cmath>

#include <toml++/toml.h>

#include "base/error.h"
#include "base/quantile.h"
#include "base/text.h"

namespace tinderbox {
namespace {

// "The prediction is bound by memory; experts take 61 % of the step."
std::string binding(const PublishedRow& row, const Csv& csv, const TwinCatalogues& catalogues) {
  if (row.kind == RowKind::Memory) return "A plan of memory, not of time.";
  Questioner questioner(catalogues);
  const Question question = questioner.question(Cells(csv, row.index));
  if (!question.measured) return "Of a kind that calibration does not read.";
  const Measured& measured = *question.measured;
  if (measured.open_loop) return "Simulated under load, so errors of prefill and decode add up.";
  const BuiltTwin twin = questioner.build(measured);
  if (!twin.model) return "Of a kind that calibration does not read.";
  const Prediction prediction = predict(*twin.model, measured.point, true);
  const bool reads = measured.reading == Reading::PrefillRate || measured.reading == Reading::Ttft;
  const StepCost& step = reads ? prediction.prefill_step : prediction.decode_step;
  std::string text = format("The {} is bound by {}", reads ? "prefill" : "decode step",
                            bound_name(step.bound));
  if (!step.classes.empty() && step.time.value() > 0) {
    const auto largest = std::ranges::max_element(step.classes, {}, &ClassCost::time);
    text += format("; {} takes {:.0f} % of its time, bound by {}",
                   op_class_name(largest->op_class),
                   100 * largest->time.value() / step.time.value(), bound_name(largest->bound));
  }
  return text + ".";
}

// "the other 4 groups of this source: 6.1 %".
std::string neighbours(const RowList& all, const PublishedRow& row, FitOf fit,
                       std::string PublishedRow::*what, std::string_view name) {
  RowList some;
  for (const PublishedRow* other : all) {
    if (other->*what == row.*what && other->group != row.group && other->predicted)
      some.push_back(other);
  }
  if (some.empty()) return format("no other group of this {}", name);
  const Score s = score(some, fit);
  return format("the other {} group{} of this {}: {:.1f} %", s.groups, s.groups == 1 ? "" : "s",
                name, 100 * s.median_ape);
}

}  // namespace

std::vector<Diagnosis> parse_diagnoses(std::string_view toml, std::string_view name) {
  std::vector<Diagnosis> out;
  try {
    const toml::table file = toml::parse(toml, name);
    for (const auto& [key, node] : file) {
      const auto fail = [&](const toml::node& at, std::string_view what) {
        throw_invalid(format("{}:{}: {}", name, at.source().begin.line, what));
      };
      if (key.str() != "diagnosis" || !node.is_array())
        fail(node, "expected only [[diagnosis]] tables");
      for (const toml::node& entry : *node.as_array()) {
        const toml::table* table = entry.as_table();
        if (table == nullptr) fail(entry, "expected only [[diagnosis]] tables");
        const auto group = (*table)["group"].value<std::string>();
        const auto text = (*table)["text"].value<std::string>();
        if (!group || !text || group->empty() || text->empty() || table->size() != 2)
          fail(entry, "a diagnosis has a `group`, a `text` and nothing else");
        out.push_back({*group, *text});
      }
    }
  } catch (const toml::parse_error& error) {
    throw_invalid(format("{}:{}: {}", name, error.source().begin.line, error.description()));
  }
  return out;
}

const Diagnosis* find_diagnosis(const std::vector<Diagnosis>& diagnoses, std::string_view group) {
  const Diagnosis* best = nullptr;
  for (const Diagnosis& d : diagnoses) {
    if (group.starts_with(d.group) && (best == nullptr || d.group.size() > best->group.size()))
      best = &d;
  }
  return best;
}

std::vector<BadGroup> worst_groups(const RowList& rows, FitOf fit, std::size_t n) {
  std::vector<BadGroup> groups;
  for (auto& [id, members] : slices_of(rows, [](const PublishedRow& row) { return row.group; })) {
    RowList some = members;
    std::erase_if(some, [](const PublishedRow* row) { return !row->predicted; });
    if (some.empty()) continue;
    const auto error = [&](const PublishedRow* row) { return std::abs(row->sample(fit).error()); };
    std::ranges::stable_sort(some, {}, error);
    groups.push_back({.row = some[some.size() / 2],
                      .error = score(some, fit).median_ape,
                      .n_rows = static_cast<std::int64_t>(some.size())});
  }
  std::ranges::stable_sort(groups, std::greater<>(), &BadGroup::error);
  if (groups.size() > n) groups.resize(n);
  return groups;
}

std::string neutral_diagnosis(const PublishedRow& row, const Csv& csv,
                              const TwinCatalogues& catalogues, const RowList& all, FitOf fit) {
  return format("{} Median errors elsewhere: {}, {}.", binding(row, csv, catalogues),
                neighbours(all, row, fit, &PublishedRow::source, "source"),
                neighbours(all, row, fit, &PublishedRow::model, "model"));
}

}  // namespace tinderbox
