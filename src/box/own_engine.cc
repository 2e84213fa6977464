#include "box/own_engine.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"
#include "twin/predict.h"

namespace tinderbox {
namespace {

constexpr auto kCsvHeader =
    "model,weights,test,predicted_tok_per_s,low_tok_per_s,high_tok_per_s,measured_tok_per_s,cpu,n_cores,date\n";

std::string rate(double tok_per_s) { return human_number(tok_per_s, 3); }

std::string interval_text(const OwnEngineRow& row) {
  return row.low && row.high ? format("{} to {}", rate(*row.low), rate(*row.high)) : "none";
}

std::string held_text(const OwnEngineRow& row) {
  const auto held = row.held();
  return !held ? "-" : *held ? "yes" : "no";
}

std::vector<std::string> cells(const OwnEngineRow& row) {
  return {row.model,           row.weights,        row.test,
          rate(row.predicted), interval_text(row), rate(row.measured),
          format("{:+.1f} %", 100 * row.error()), held_text(row)};
}

const std::vector<std::string> kColumns = {"model",    "weights",  "test",  "predicted tok/s",
                                           "interval", "measured", "error", "held"};

double mean_error(const OwnEngineResult& result) {
  double sum = 0;
  for (const OwnEngineRow& row : result.rows) sum += std::abs(row.error());
  return sum / static_cast<double>(std::max<std::size_t>(1, result.rows.size()));
}

std::string summary(const OwnEngineResult& result) {
  std::int64_t stated = 0, held = 0;
  for (const OwnEngineRow& row : result.rows) {
    if (!row.held()) continue;
    ++stated;
    held += *row.held() ? 1 : 0;
  }
  std::string out = format("Mean absolute error {:.1f} % over {} rows", 100 * mean_error(result), result.rows.size());
  if (stated > 0) out += format("; the interval held in {} of {}", held, stated);
  return out + ".\n";
}

std::string optional_number(const std::optional<double>& value) {
  return value ? human_number(*value, 5) : "";
}

}  // namespace

OwnEngineRow predict_bench(const StepModel& model, std::int64_t prompt, std::int64_t gen) {
  CHECK((prompt > 0) != (gen > 0));
  const Point point{.prompt = prompt, .gen = gen};
  const Prediction p = predict(model, point);
  const Interval interval = interval_of(model.twin(), prompt > 0 ? Metric::Prefill : Metric::Decode, point);
  OwnEngineRow row;
  row.test = prompt > 0 ? format("pp{}", prompt) : format("tg{}", gen);
  row.predicted = prompt > 0 ? p.prefill_tok_per_s : p.decode_tok_per_s;
  row.low = row.predicted * interval.low;
  row.high = row.predicted * interval.high;
  return row;
}

std::string own_engine_table(const OwnEngineResult& result) {
  Table table(kColumns, "lllrrrrr");
  for (const OwnEngineRow& row : result.rows) table.add(cells(row));
  return table.str() + summary(result);
}

std::string own_engine_markdown(const OwnEngineResult& result) {
  std::string out = "## Our own engine\n\n";
  out += format("`tinderbox bench` on {} cores of {}, {}, beside what the twin predicts from `tinderbox probe` on the "
                "same computer (`./dev bench twin`; the best of several runs of each). {}\n",
                result.n_cores, result.cpu, result.date, summary(result));
  const auto line = [](const std::vector<std::string>& row) {
    return format("| {} |\n", fmt::join(row, " | "));
  };
  out += line(kColumns) + "|---|---|---|---:|---:|---:|---:|---:|\n";
  for (const OwnEngineRow& row : result.rows) out += line(cells(row));
  return out;
}

std::string own_engine_csv(const OwnEngineResult& result) {
  std::string out = kCsvHeader;
  for (const OwnEngineRow& row : result.rows) {
    const std::array<std::string, 10> fields = {csv_field(row.model),
                                                csv_field(row.weights),
                                                csv_field(row.test),
                                                human_number(row.predicted, 5),
                                                optional_number(row.low),
                                                optional_number(row.high),
                                                human_number(row.measured, 5),
                                                csv_field(result.cpu),
                                                format("{}", result.n_cores),
                                                csv_field(result.date)};
    out += format("{}\n", fmt::join(fields, ","));
  }
  return out;
}

OwnEngineResult read_own_engine(const Csv& csv) {
  if (csv.size() == 0) throw_invalid("own-engine.csv: no row; run ./dev bench twin --write");
  const auto number = [&](std::size_t row, std::string_view column) {
    const auto value = parse_double(csv.at(row, column));
    if (!value || *value <= 0) {
      throw_invalid(format("own-engine.csv: row {}: {}: expected a number above 0; got '{}'", row + 1, column,
                           csv.at(row, column)));
    }
    return *value;
  };
  const auto maybe = [&](std::size_t row, std::string_view column) {
    return csv.at(row, column).empty() ? std::nullopt : std::optional(number(row, column));
  };
  OwnEngineResult result{.cpu = csv.at(0, "cpu"),
                         .date = csv.at(0, "date"),
                         .n_cores = static_cast<std::int64_t>(number(0, "n_cores"))};
  for (std::size_t i = 0; i < csv.size(); ++i) {
    result.rows.push_back({.model = csv.at(i, "model"),
                           .weights = csv.at(i, "weights"),
                           .test = csv.at(i, "test"),
                           .predicted = number(i, "predicted_tok_per_s"),
                           .measured = number(i, "measured_tok_per_s"),
                           .low = maybe(i, "low_tok_per_s"),
                           .high = maybe(i, "high_tok_per_s")});
  }
  return result;
}

}  // namespace tinderbox
