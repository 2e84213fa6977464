#include "box/sweep_store.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include <sqlite3.h>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/csv.h"
#include "base/error.h"
#include "base/text.h"
#include "box/sweep_columns.h"

namespace tinderbox {
namespace {

using Json = nlohmann::json;

constexpr int kApplicationId = 0x74627370;  // "tbsp", at offset 68 of the file
constexpr int kBusyMs = 60'000;             // a reader may hold the file for so long

}  // namespace

class SweepStore::Database {
 public:
  // A prepared statement: bind in order (text, integer, number, null), step, read columns.
  class Statement {
   public:
    Statement(const Database& database, const std::string& sql) : database_(database) {
      database_.require(sqlite3_prepare_v2(database_.db_, sql.c_str(), -1, &statement_, nullptr));
    }
    ~Statement() { sqlite3_finalize(statement_); }
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;

    void text(std::string_view text) {
      database_.require(sqlite3_bind_text(statement_, ++bound_, text.data(),
                                          static_cast<int>(text.size()), SQLITE_TRANSIENT));
    }
    void integer(std::int64_t number) {
      database_.require(sqlite3_bind_int64(statement_, ++bound_, number));
    }
    void null() { ++bound_; }
    void number(const Json& number) {
      ++bound_;
      if (number.is_number_integer()) {
        database_.require(sqlite3_bind_int64(statement_, bound_, number.get<std::int64_t>()));
      } else if (number.is_number()) {
        database_.require(sqlite3_bind_double(statement_, bound_, number.get<double>()));
      }
    }
    // Whether there is a row to read.
    bool step() {
      const int code = sqlite3_step(statement_);
      if (code != SQLITE_ROW && code != SQLITE_DONE) database_.fail(code);
      return code == SQLITE_ROW;
    }
    void again() {
      sqlite3_reset(statement_);
      sqlite3_clear_bindings(statement_);
      bound_ = 0;
    }
    bool null_at(int i) const { return sqlite3_column_type(statement_, i) == SQLITE_NULL; }
    std::int64_t integer_at(int i) const { return sqlite3_column_int64(statement_, i); }
    double real_at(int i) const { return sqlite3_column_double(statement_, i); }
    // Of any type; reals in their shortest exact form.
    std::string text_at(int i) const {
      if (sqlite3_column_type(statement_, i) == SQLITE_FLOAT) return format("{}", real_at(i));
      const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, i));
      return text == nullptr
                 ? ""
                 : std::string(text, static_cast<std::size_t>(sqlite3_column_bytes(statement_, i)));
    }

   private:
    const Database& database_;
    sqlite3_stmt* statement_ = nullptr;
    int bound_ = 0;
  };

  // Another file as the schema `other`, for as long as this lives.
  class Attached {
   public:
    Attached(const Database& database, const std::string& path) : database_(database) {
      Statement attach(database, "ATTACH ? AS other");
      attach.text(path);
      attach.step();
    }
    ~Attached() { sqlite3_exec(database_.db_, "DETACH other", nullptr, nullptr, nullptr); }
    Attached(const Attached&) = delete;
    Attached& operator=(const Attached&) = delete;

   private:
    const Database& database_;
  };

  explicit Database(const std::string& path) : path_(path) {
    const int code =
        sqlite3_open_v2(path.c_str(), &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
    if (code != SQLITE_OK) {
      const std::string why = sqlite3_errmsg(db_);
      sqlite3_close(db_);
      throw_invalid(format(
          "{}: cannot be opened for the results of a sweep: {}; check the folder and its rights",
          path, why));
    }
    sqlite3_busy_timeout(db_, kBusyMs);
  }
  ~Database() { sqlite3_close(db_); }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  void run(const std::string& sql) const {
    require(sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr));
  }
  std::int64_t count(const std::string& sql) const {
    Statement statement(*this, sql);
    return statement.step() ? statement.integer_at(0) : 0;
  }
  int changes() const { return sqlite3_changes(db_); }

  // All that body does, or nothing of it.
  template <typename Body>
  void transaction(const Body& body) const {
    run("BEGIN IMMEDIATE");
    try {
      body();
      run("COMMIT");
    } catch (...) {
      sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);  // may have happened by itself
      throw;
    }
  }

  void require(int code) const {
    if (code != SQLITE_OK) fail(code);
  }

  [[noreturn]] void fail(int code) const {
    const int system = sqlite3_system_errno(db_);
    const int detail = sqlite3_extended_errcode(db_);
    std::string what = sqlite3_errmsg(db_);
    if (code == SQLITE_NOTADB) what = "is no file of results of a sweep; give another name";
    if (code == SQLITE_BUSY) what = "is locked by another program; end it, or give another name";
    if (code == SQLITE_CORRUPT) what += "; the file is damaged: delete it and run the sweep again";
    if (code == SQLITE_READONLY || code == SQLITE_CANTOPEN)
      what += "; check the file, its folder and their rights";
    const bool write = detail == SQLITE_IOERR_WRITE || detail == SQLITE_IOERR_FSYNC ||
                       detail == SQLITE_IOERR_TRUNCATE;
    if (code == SQLITE_FULL || write) {
      what = format(
          "cannot be written ({}); what was kept before is safe: make room and run the same "
          "command again",
          code == SQLITE_FULL ? "the disk is full"
          : system != 0       ? std::strerror(system)
                              : "a limit of file size?");
    }
    throw_invalid(format("{}: {}", path_, what));
  }

 private:
  std::string path_;
  sqlite3* db_ = nullptr;
};

SweepStore::SweepStore(const std::string& path, const Sweep& sweep, const std::string& program,
                       std::function<std::string(std::int64_t)> command)
    : path_(path),
      sweep_(sweep),
      command_(std::move(command)),
      database_(std::make_unique<Database>(path)) {
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
        statement.number(report.contains(at) ? report.at(at) : Json());
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
  Database other(path);  // finishes what a killed process left half done
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
