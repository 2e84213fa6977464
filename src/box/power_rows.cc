#include "box/power_rows.h"

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

using std::chrono::minutes;

// Long enough for all but the case, which the GPU hardly feels.
constexpr Duration kWarmUp = minutes(20);

// The same row as a question about speed, which has the same loads.
Csv as_speed(const Csv& csv, std::size_t row) {
  std::string header, line;
  const bool lengths = !csv.at(row, "prompt_tokens").empty();
  for (const std::string& column : csv.header()) {
    const std::string comma = header.empty() ? "" : ",";
    header += comma + csv_field(column);
    const std::string text = column == "test"     ? (lengths ? "serve" : "decode")
                             : column == "metric" ? "tok_per_s"
                                                  : csv.at(row, column);
    line += comma + csv_field(text);
  }
  return Csv::parse(header + "\n" + line + "\n", csv.where(row));
}

}  // namespace

LoadedRow loaded_row(Questioner& questioner, const Csv& csv, std::size_t row) {
  LoadedRow out;
  const Csv speed = as_speed(csv, row);
  const Cells cells(speed, 0);
  if (cells.problem()) {
    out.refused = kBadCell;
    return out;
  }
  if (!cells.has("concurrency")) {
    out.refused = "missing column";  // a peak, or a load of another kind
    return out;
  }
  const Question question = questioner.question(cells);
  if (question.refused != nullptr) {
    out.refused = question.refused;
    return out;
  }
  BuiltTwin twin = questioner.build(*question.measured);
  if (twin.refused != nullptr) {
    out.refused = twin.refused;
    return out;
  }
  try {
    out.point = question.measured->point;
    out.prediction = predict(*twin.model, out.point, true);
    out.phases = phase_loads(*twin.model, out.point, out.prediction);
    out.model = std::move(twin.model);
  } catch (const Error& error) {
    out.refused = error.what();
  }
  return out;
}

PowerRows read_power_rows(const Csv& csv, const TwinCatalogues& catalogues) {
  PowerRows out;
  Questioner questioner(catalogues);
  for (std::size_t row = 0; row < csv.size(); ++row) {
    if (csv.at(row, "test") != "power" || csv.at(row, "metric") != "power_w" ||
        csv.at(row, "reading") != "gpu-smi" || !csv.at(row, "exclude_reason").empty()) {
      continue;
    }
    const auto measured = parse_double(csv.at(row, "value"));
    LoadedRow loaded = loaded_row(questioner, csv, row);
    if (!measured || *measured <= 0) loaded.refused = kBadCell;
    if (!loaded.refused.empty()) {
      out.refused.emplace_back(row, std::move(loaded.refused));
      continue;
    }
    out.rows.push_back({.index = row,
                        .model = csv.at(row, "base"),
                        .source = csv.at(row, "source"),
                        .measured = *measured,
                        .phases = loaded.phases});
  }
  return out;
}

Watts steady_smi(Body body, const PhaseLoads& phases) {
  body.set_load(mixed(phases));
  body.advance(kWarmUp);
  Watts sum{};
  for (const auto& [load, share] : {std::pair{&phases.prefill, phases.prefill_share},
                                    std::pair{&phases.decode, phases.decode_share}}) {
    if (share <= 0) continue;
    body.set_load(*load);
    sum += smi_power(body.facts(), body.state().rails[index_of(Rail::Gpu)]) * share;
  }
  return sum;
}

}  // namespace tinderbox
