// A row of published measurements as a question to the twin: which twin, at which operating point,
// and which of its answers the row's value is. Read from the configuration columns only
// (data/measurements/README.md says what each means); shared by validate and calibrate.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/catalogue.h"
#include "base/csv.h"
#include "box/simulate.h"
#include "twin/predict.h"

namespace tinderbox {

// Why a row with a cell that does not parse is refused.
inline constexpr const char* kBadCell = "bad cell";
// Nor can a run with requests that come when they come say every metric.
inline constexpr const char* kMetric = "unsupported test or metric";

struct TwinCatalogues {
  const Catalogue& machines;
  const Catalogue& stacks;
  const Catalogue& models;
  const Catalogue* trainers = nullptr;     // of rows about training; none: those are refused
  const Catalogue* speculation = nullptr;  // of rows that speculate; none: ditto
};

// One row by column; an empty or absent cell means: not stated.
class Cells {
 public:
  Cells(const Csv& csv, std::size_t row) : csv_(&csv), row_(row) {}

  const std::string& text(std::string_view column) const;
  bool has(std::string_view column) const { return !text(column).empty(); }
  // Throws Error::Invalid with the problem below if the cell is no number that the column can hold.
  // Requires a column of numbers.
  std::optional<double> number(std::string_view column) const;
  std::optional<std::int64_t> count(std::string_view column) const;  // to the nearest whole number

  // The first cell of the row that is no number where one must be, in words: "rows.csv:7: row 'id':
  // column depth has 'few', not a number from 0 to 16777216". None: number() and count() never throw.
  std::optional<std::string> problem() const;

 private:
  std::optional<std::string> problem(std::string_view column) const;
  const Csv* csv_;
  std::size_t row_;
};

// What the value of a row is of a prediction.
enum class Reading : std::uint8_t {
  PrefillRate,        // prompt tokens of all streams over the time until the last prompt is read
  Ttft,               // mean, s
  TtftP50, TtftP95,   // s
  DecodeRate,         // all streams
  DecodeStreamRate,   // 1 / TPOT
  Tpot,               // mean, s
  OutputRate,         // output tokens of the whole run over its time
  OutputStreamRate,
  TotalRate,          // prompt and output tokens
  RequestRate,
};

struct Measured {
  // The twin.
  std::string machine, stack, model, weights, weights_note, kv, kernel_path, version;
  std::optional<std::int64_t> ubatch{};   // tokens computed at a time, by programs that cut steps in pieces
  std::optional<double> checkpoint_gb{};  // size of the file of weights
  Parallel parallel{};    // of boxes; of the devices of one box if `device` is set
  std::string device{};   // "rtx-3090" of "rtx-3090-x2", several of which share the model
  std::string spec{};                // method of speculative decoding; empty: none
  std::optional<double> accepted{};  // drafted tokens that a step kept, if the source says
  // The load: streams that start at once, or requests that come when they come.
  Point point;
  std::optional<SimulateOptions> open_loop{};
  // As many streams as fit (twin/concurrency.h), in place of the point's: the source fed the box until it
  // gave no more.
  bool saturated = false;
  bool alone = false;  // decode after the prompts, which are in the cache already
  bool server_clock = false;  // the server's own rate: n tokens over the time of n - 1
  // A length of prompts or a number of requests that the source does not state, where it matters little: such rows
  // are predicted, and do not calibrate.
  bool presumed = false;
  Reading reading{};
  double scale = 1;  // from base units to the row's: 1000 for ms

  std::string twin_key() const;  // equal for rows of the same twin
  std::string load_key() const;  // equal for rows whose loads are the same
};

Metric metric_of(const Measured& measured);

// One of the two is set.
struct Question {
  std::optional<Measured> measured{};
  const char* refused = nullptr;
};
struct BuiltTwin {
  std::optional<StepModel> model{};
  const char* refused = nullptr;
};

// Reads rows; parses each machine and stack file once.
class Questioner {
 public:
  explicit Questioner(const TwinCatalogues& catalogues) : catalogues_(catalogues) {}
  // Throws Error::Invalid for a cell that does not parse: if the row has a problem.
  Question question(const Cells& cells);
  BuiltTwin build(const Measured& measured);
  const Stack& stack(const std::string& id);
  const Machine& machine(const std::string& id);

 private:
  Speculation speculation_of(const Measured& measured) const;
  const char* read_boxes(const Cells& cells, Measured& measured);  // why it cannot, or nullptr

  const TwinCatalogues& catalogues_;
  std::map<std::string, Stack> stacks_;
  std::map<std::string, Machine> machines_;
};

// The twin's answer in the row's unit, or why there is none: one of few stable texts, so that
// reports compare.
struct Answer {
  double value = 0, low = 0, high = 0;  // nine in ten measurements lie between the two
  const char* refused = nullptr;
};

// In base units. Requires a measured load that is not open loop.
double read_off(const Prediction& prediction, const Measured& measured, const Stack& stack);

// Predictions by load, made once each: rows of one load differ in what they read off. Not shared
// between threads.
class Answers {
 public:
  Answer answer(const StepModel& model, const Measured& measured);

 private:
  std::map<std::string, Prediction> predictions_;
  std::map<std::string, Report> reports_;
};

}  // namespace tinderbox
