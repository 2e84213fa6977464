#include "box/database.h"

#include <cmath>
#include <cstring>

#include <sqlite3.h>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {

Database::Statement::Statement(const Database& database, const std::string& sql) : database_(database) {
  database_.require(sqlite3_prepare_v2(database_.db_, sql.c_str(), -1, &statement_, nullptr));
}

Database::Statement::~Statement() { sqlite3_finalize(statement_); }

void Database::Statement::text(std::string_view text) {
  database_.require(
      sqlite3_bind_text(statement_, ++bound_, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT));
}

void Database::Statement::blob(std::string_view bytes) {
  database_.require(
      sqlite3_bind_blob(statement_, ++bound_, bytes.data(), static_cast<int>(bytes.size()), SQLITE_TRANSIENT));
}

void Database::Statement::integer(std::int64_t number) {
  database_.require(sqlite3_bind_int64(statement_, ++bound_, number));
}

void Database::Statement::real(double number) {
  if (std::isnan(number)) return null();
  database_.require(sqlite3_bind_double(statement_, ++bound_, number));
}

void Database::Statement::null() { ++bound_; }

void Database::Statement::maybe(const std::optional<std::int64_t>& number) { number ? integer(*number) : null(); }

bool Database::Statement::step() {
  const int code = sqlite3_step(statement_);
  if (code != SQLITE_ROW && code != SQLITE_DONE) database_.fail(code);
  return code == SQLITE_ROW;
}

void Database::Statement::again() {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
  bound_ = 0;
}

void Database::Statement::run() {
  while (step()) {
  }
  again();
}

bool Database::Statement::null_at(int i) const { return sqlite3_column_type(statement_, i) == SQLITE_NULL; }
std::int64_t Database::Statement::integer_at(int i) const { return sqlite3_column_int64(statement_, i); }

double Database::Statement::real_at(int i) const {
  return null_at(i) ? std::nan("") : sqlite3_column_double(statement_, i);
}

std::optional<std::int64_t> Database::Statement::maybe_at(int i) const {
  return null_at(i) ? std::nullopt : std::optional(integer_at(i));
}

std::string Database::Statement::text_at(int i) const {
  if (sqlite3_column_type(statement_, i) == SQLITE_FLOAT) return format("{}", real_at(i));
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_blob(statement_, i));
  return text == nullptr ? "" : std::string(text, static_cast<std::size_t>(sqlite3_column_bytes(statement_, i)));
}

Database::Attached::Attached(const Database& database, const std::string& path) : database_(database) {
  Statement attach(database, "ATTACH ? AS other");
  attach.text(path);
  attach.step();
}

Database::Attached::~Attached() { sqlite3_exec(database_.db_, "DETACH other", nullptr, nullptr, nullptr); }

Database::Database(const std::string& path, const DatabaseWords& words, int busy_ms) : path_(path), words_(words) {
  const int code = sqlite3_open_v2(path.c_str(), &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  if (code != SQLITE_OK) {
    const std::string why = sqlite3_errmsg(db_);
    sqlite3_close(db_);
    throw_invalid(format("{}: cannot be opened for {}: {}; check the folder and its rights", path, words_.holds, why));
  }
  sqlite3_busy_timeout(db_, busy_ms);
}

Database::~Database() { sqlite3_close(db_); }

void Database::run(const std::string& sql) const {
  require(sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr));
}

std::int64_t Database::count(const std::string& sql) const {
  Statement statement(*this, sql);
  return statement.step() ? statement.integer_at(0) : 0;
}

int Database::changes() const { return sqlite3_changes(db_); }

void Database::require(int code) const {
  if (code != SQLITE_OK) fail(code);
}

void Database::roll_back() const {
  sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);  // may have happened by itself
}

void Database::fail(int code) const {
  const int system = sqlite3_system_errno(db_);
  const int detail = sqlite3_extended_errcode(db_);
  std::string what = sqlite3_errmsg(db_);
  if (code == SQLITE_NOTADB) what = format("is no file of {}; give another name", words_.holds);
  if (code == SQLITE_BUSY) what = "is locked by another program; end it, or give another name";
  if (code == SQLITE_CORRUPT) what += format("; the file is damaged: {}", words_.when_damaged);
  if (code == SQLITE_READONLY || code == SQLITE_CANTOPEN) what += "; check the file, its folder and their rights";
  const bool write = detail == SQLITE_IOERR_WRITE || detail == SQLITE_IOERR_FSYNC || detail == SQLITE_IOERR_TRUNCATE;
  if (code == SQLITE_FULL || write) {
    what = format("cannot be written ({}); what was kept before is safe: {}",
                  code == SQLITE_FULL ? "the disk is full"
                  : system != 0       ? std::strerror(system)
                                      : "a limit of file size?",
                  words_.when_no_room);
  }
  throw_invalid(format("{}: {}", path_, what));
}

}  // namespace tinderbox
