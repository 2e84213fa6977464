// One SQLite file: prepared statements, transactions, and error messages that say what to do. One thread at a time.
// SQLite's own header stays inside database.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace tinderbox {

// What messages call a file and suggest.
struct DatabaseWords {
  std::string_view holds;         // "results of a sweep"
  std::string_view when_damaged;  // what to do then: "delete it and run the sweep again"
  std::string_view when_no_room;  // "make room and run the same command again"
};

class Database {
 public:
  // A prepared statement: bind in order (text, integer, number, null), step, read columns.
  class Statement {
   public:
    Statement(const Database& database, const std::string& sql);
    ~Statement();
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;

    void text(std::string_view text);
    void blob(std::string_view bytes);
    void integer(std::int64_t number);
    void real(double number);  // not a number: null
    void null();
    void maybe(const std::optional<std::int64_t>& number);
    // Whether there is a row to read.
    bool step();
    void again();
    // Binds nothing, or what was bound before: runs to the end, ready for the next row.
    void run();

    bool null_at(int i) const;
    std::int64_t integer_at(int i) const;
    double real_at(int i) const;
    std::optional<std::int64_t> maybe_at(int i) const;
    // Of any type; reals in their shortest exact form.
    std::string text_at(int i) const;

   private:
    const Database& database_;
    sqlite3_stmt* statement_ = nullptr;
    int bound_ = 0;
  };

  // Another file as the schema `other`, for as long as this lives.
  class Attached {
   public:
    Attached(const Database& database, const std::string& path);
    ~Attached();
    Attached(const Attached&) = delete;
    Attached& operator=(const Attached&) = delete;

   private:
    const Database& database_;
  };

  // Opens or makes the file; others may hold it for busy_ms. words must outlive this. Throws Error::Invalid.
  Database(const std::string& path, const DatabaseWords& words, int busy_ms);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  void run(const std::string& sql) const;
  std::int64_t count(const std::string& sql) const;
  int changes() const;
  const std::string& path() const { return path_; }

  // All that body does, or nothing of it.
  template <typename Body>
  void transaction(const Body& body) const {
    run("BEGIN IMMEDIATE");
    try {
      body();
      run("COMMIT");
    } catch (...) {
      roll_back();
      throw;
    }
  }

 private:
  void require(int code) const;
  [[noreturn]] void fail(int code) const;
  void roll_back() const;

  std::string path_;
  const DatabaseWords& words_;
  sqlite3* db_ = nullptr;
};

}  // namespace tinderbox
