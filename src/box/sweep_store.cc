#include "box/sweep_store.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/csv.h"
#include "base/error.h"
#include "base/text.h"
#include "box/database.h"
#include "box/sweep_columns.h"

namespace tinderbox {
namespace {

using Json = nlohmann::json;

constexpr int kApplicationId = 0x74627370;  // "tbsp", at offset 68 of the file
constexpr int kBusyMs = 60'000;             // a reader may hold the file for so long
constexpr DatabaseWords kWords = {.holds = "results of a sweep",
                                  .when_damaged = "delete it and run the sweep again",
                                  .when_no_room = "make room and run the same command again"};

void bind_number(Database::Statement& statement, const Json& number) {
  if (number.is_number_integer()) {
    statement.integer(number.get<std::int64_t>());
  } else if (number.is_number()) {
    statement.real(number.get<double>());
  } else {
    statement.null();
  }
}

}  // namespace

SweepStore::SweepStore(const std::string& path, const Sweep& sweep, const std::string& program,
                       std::function<std::string(std::int64_t)> command)
    : path_(path),
      sweep_(sweep),
      command_(std::move(command)),
      database_(std::make_unique<Database>(path, kWords, kBusyMs)) {
  database_->transaction([&] {
    if (database_->count("SELECT count(*) FROM sqlite_master") == 0) {
      make(program);
    } else {
      check(path, "main", program);
    }
  });
}

SweepStore::~SweepStore() = default;

void SweepStore::make(const std::string& program) {
  database_->run(format("PRAGMA application_id = {}", kApplicationId));
  database_->run("CREATE TABLE sweep(key TEXT PRIMARY KEY, value TEXT)");
  database_->run(sweep_schema(sweep_));
  const std::pair<std::string_view, std::string> facts[] = {
      {"design", design_of(sweep_)},
      {"program", program},
      {"file", sweep_.text},
      {"points", format("{}", n_points(sweep_))}};
  for (const auto& [key, value] : facts) {
    Database::Statement statement(*database_, "INSERT INTO sweep VALUES(?, ?)");
    statement.text(key);
    statement.text(value);
    statement.step();
  }
}

void SweepStore::check(const std::string& path, const std::string& schema,
                       const std::string& program) const {
  if (database_->count(format("PRAGMA {}.application_id", schema)) != kApplicationId) {
    throw_invalid(format("{}: is no file of results of a sweep; give another name", path));
  }
  const auto fact = [&](std::string_view key) {
    Database::Statement statement(*database_,
                                  format("SELECT value FROM {}.sweep WHERE key = ?", schema));
    statement.text(key);
    return statement.step() ? statement.text_at(0) : std::string();
  };
  const std::string design = fact("design");
  if (design != design_of(sweep_)) {
    throw_invalid(format("{}: holds results of another design: {}; give another name", path,
                         design_difference(design_of(sweep_), design)));
  }
  if (fact("program") != program) {
    throw_invalid(format("{}: holds results of {}, and this is {}; give another name", path,
                         fact("program"), program));
  }
}

std::vector<bool> SweepStore::done() const {
  std::vector<bool> done(static_cast<std::size_t>(n_points(sweep_)));
  Database::Statement statement(*database_, "SELECT point FROM points");
  while (statement.step()) {
    const auto point = static_cast<std::size_t>(statement.integer_at(0));
    if (point < done.size()) done[point] = true;
  }
  return done;
}

std::int64_t SweepStore::n_done() const { return database_->count("SELECT count(*) FROM points"); }
std::int64_t SweepStore::n_errors() const {
  return database_->count("SELECT count(*) FROM points WHERE error IS NOT NULL");
}

void SweepStore::add(std::span<const SweepRow> rows) {
  const std::vector<std::string> columns = sweep_columns(sweep_);
  std::string marks = "?";
  for (std::size_t i = 0; i < columns.size(); ++i) marks += ", ?";
  database_->transaction([&] {
    Database::Statement statement(*database_,
                                  format("INSERT OR IGNORE INTO points({}, report) VALUES({})",
                                         quoted_columns(columns), marks));
    for (const SweepRow& row : rows) {
      statement.again();
      statement.integer(row.point);
      for (const SweepSetting& s : settings_of(sweep_, row.point)) {
        statement.text(format("{}", fmt::join(s.value, " ")));
      }
      const bool ran = row.error.empty();
      CHECK(ran != row.report.empty());
      ran ? statement.null() : statement.text(row.error);
      const Json report = ran ? Json::parse(row.report) : Json();
      for (const SweepFigure& figure : sweep_figures()) {
        const Json::json_pointer at{std::string(figure.at)};
        bind_number(statement, report.contains(at) ? report.at(at) : Json());
      }
      statement.text(command_(row.point));
      ran ? statement.text(row.report) : statement.null();
      statement.step();
    }
  });
}

std::int64_t SweepStore::merge(const std::string& path) {
  if (!std::filesystem::is_regular_file(path)) {
    throw_not_found(format("{}: no such file; --merge takes files that sweeps wrote", path));
  }
  if (std::filesystem::equivalent(path, path_)) return 0;
  Database other(path, kWords, kBusyMs);  // finishes what a killed process left half done
  other.count("SELECT count(*) FROM sqlite_master");
  const Database::Attached attached(*database_, path);
  std::int64_t n_new = 0;
  check(path, "other", [&] {
    Database::Statement program(*database_, "SELECT value FROM main.sweep WHERE key = 'program'");
    return program.step() ? program.text_at(0) : std::string();
  }());
  database_->transaction([&] {
    Database::Statement differs(
        *database_,
        "SELECT a.point FROM main.points a JOIN other.points b USING(point) WHERE a.report "
        "IS NOT b.report OR a.error IS NOT b.error ORDER BY 1 LIMIT 1");
    if (differs.step()) {
      throw_invalid(format(
          "{}: point {} has another result than in {}; one of them read other model, trace or "
          "machine files",
          path, differs.integer_at(0), path_));
    }
    database_->run("INSERT OR IGNORE INTO main.points SELECT * FROM other.points");
    n_new = database_->changes();
  });
  return n_new;
}

void SweepStore::csv(const std::function<void(const std::string&)>& write) const {
  const std::vector<std::string> columns = sweep_columns(sweep_);
  write(format("{}\n", fmt::join(columns, ",")));
  Database::Statement statement(
      *database_, format("SELECT {} FROM points ORDER BY point", quoted_columns(columns)));
  while (statement.step()) {
    std::string line;
    for (int i = 0; i < static_cast<int>(columns.size()); ++i) {
      line += (i == 0 ? "" : ",") + csv_field(statement.text_at(i));
    }
    write(line + "\n");
  }
}

std::string SweepStore::table(std::int64_t n_rows) const {
  constexpr std::size_t kErrorShown = 60;
  std::vector<std::string> keys = varied_keys(sweep_), header = {"point"};
  header.insert(header.end(), keys.begin(), keys.end());
  for (const char* word : {"TTFT p50", "p99", "TPOT p50", "p99", "tokens/s"})
    header.emplace_back(word);
  const bool goodput = database_->count("SELECT count(goodput_per_s) FROM points") > 0;
  if (goodput) header.emplace_back("goodput/s");
  Table table(header);
  std::ranges::transform(keys, keys.begin(), sweep_column);
  keys.insert(keys.begin(), "point");
  Database::Statement statement(
      *database_,
      format("SELECT {}, ttft_p50_s, ttft_p99_s, tpot_p50_s, tpot_p99_s, output_tokens_per_s, "
             "goodput_per_s, error FROM points ORDER BY point LIMIT {}",
             quoted_columns(keys), n_rows));
  std::string errors;
  while (statement.step()) {
    std::vector<std::string> row;
    int i = 0;
    for (; i < static_cast<int>(keys.size()); ++i) row.push_back(statement.text_at(i));
    for (int k = 0; k < 4; ++k, ++i)
      row.push_back(statement.null_at(i) ? "-" : human(Seconds(statement.real_at(i))));
    for (int k = 0; k < (goodput ? 2 : 1); ++k) {
      row.push_back(statement.null_at(i + k) ? "-" : human_number(statement.real_at(i + k)));
    }
    const std::string error = statement.text_at(i + 2);
    if (!error.empty())
      errors += format("point {}: {}{}\n", row[0], error.substr(0, kErrorShown),
                       error.size() > kErrorShown ? "..." : "");
    table.add(row);
  }
  return table.str() + (errors.empty() ? "" : "\n" + errors);
}

}  // namespace tinderbox
