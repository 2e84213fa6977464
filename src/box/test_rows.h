// For tests: rows of measurement files, and the data folder's catalogues.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/text.h"
#include "box/measurement.h"

namespace tinderbox::testing {

inline const std::string kData = std::string(TINDERBOX_SOURCE_DIR) + "/data/";

struct Catalogues {
  Catalogue machines = Catalogue::from_folder("machine", kData + "machines", ".toml");
  Catalogue stacks = Catalogue::from_folder("stack", kData + "stacks", ".toml");
  Catalogue models = Catalogue::from_folder("model", kData + "models", ".json");
  TwinCatalogues resources() const { return {machines, stacks, models}; }
};

// Read once.
inline const Catalogues& known() {
  static const Catalogues catalogues;
  return catalogues;
}

using RowText = std::map<std::string, std::string>;  // column -> cell

inline RowText with(RowText row, const RowText& changes) {
  for (const auto& [column, cell] : changes) row[column] = cell;
  return row;
}

// A row of a decode test that can be predicted, with changes.
inline RowText decode_row(const RowText& changes = {}) {
  return with({{"id", "r"},
               {"group", "g"},
               {"source", "s"},
               {"value", "50"},
               {"machine", "dgx-spark"},
               {"nodes", "1"},
               {"stack_norm", "llama.cpp"},
               {"base", "llama-3.1-8b"},
               {"weights_norm", "q4_k_m"},
               {"test", "decode"},
               {"metric", "tok_per_s"},
               {"gen_tokens", "32"},
               {"depth", "0"},
               {"ctx_start", "0"},
               {"concurrency", "1"},
               {"spec", "none"}},
              changes);
}
inline RowText prefill_row(const RowText& changes = {}) {
  return with(decode_row({{"test", "prefill"}, {"prompt_tokens", "2048"}, {"gen_tokens", ""}}),
              changes);
}

inline RowText serve_row(const RowText& changes = {}) {
  return with(prefill_row({{"test", "serve"},
                           {"metric", "ttft_ms"},
                           {"gen_tokens", "128"},
                           {"concurrency", "8"},
                           {"stack_norm", "vllm"},
                           {"weights_norm", "fp8"}}),
              changes);
}

// With every column that a row has.
inline Csv csv_of(const std::vector<RowText>& rows) {
  RowText columns = decode_row();
  for (const RowText& row : rows) columns.insert(row.begin(), row.end());
  std::vector<std::string> names;
  for (const auto& [column, cell] : columns) names.push_back(column);
  std::string text = format("{}\n", fmt::join(names, ","));
  for (const RowText& row : rows) {
    std::vector<std::string> cells;
    for (const std::string& column : names) {
      cells.push_back(row.contains(column) ? csv_field(row.at(column)) : "");
    }
    text += format("{}\n", fmt::join(cells, ","));
  }
  return Csv::parse(text, "test.csv");
}

}  // namespace tinderbox::testing
