#include "box/state_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

namespace fs = std::filesystem;

constexpr int kApplicationId = 0x74627374;  // "tbst", at offset 68 of the file
constexpr std::size_t kNameBytesMax = 64;
constexpr std::int64_t kRequestsKept = 100'000;
constexpr std::int64_t kRequestsKeptSeconds = 30 * 86'400;
constexpr DatabaseWords kWords = {.holds = "the state of a box",
                                  .when_damaged = "move it away, or start with another --state folder",
                                  .when_no_room = "make room; until then nothing new is kept"};

// What makes a file of version n one of version n + 1. Never changed once released: a new version is a new entry.
constexpr std::array<const char*, StateFile::kVersion> kMigrations = {
    "CREATE TABLE keys(id TEXT PRIMARY KEY, name TEXT NOT NULL, hash BLOB NOT NULL UNIQUE,"
    " priority INTEGER NOT NULL, requests_per_min INTEGER, tokens_per_min INTEGER, manager INTEGER NOT NULL,"
    " created_unix INTEGER NOT NULL, last_used_unix INTEGER, requests INTEGER NOT NULL DEFAULT 0,"
    " prompt_tokens INTEGER NOT NULL DEFAULT 0, generated_tokens INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE settings(name TEXT PRIMARY KEY, value TEXT NOT NULL)",

    "CREATE TABLE series(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE telemetry(span_s INTEGER, at_unix INTEGER, series INTEGER, value REAL NOT NULL,"
    " PRIMARY KEY(span_s, at_unix, series)) WITHOUT ROWID",

    "CREATE TABLE requests(n INTEGER PRIMARY KEY, at_unix REAL NOT NULL, id TEXT NOT NULL, trace_id TEXT NOT NULL,"
    " method TEXT NOT NULL, path TEXT NOT NULL, model TEXT NOT NULL, key TEXT NOT NULL, status INTEGER NOT NULL,"
    " prompt_tokens INTEGER NOT NULL, generated_tokens INTEGER NOT NULL, ttft_s REAL, duration_s REAL NOT NULL);"
    "CREATE INDEX requests_at ON requests(at_unix)"};

std::string marker(const std::string& folder) { return (fs::path(folder) / "keys-are-set").string(); }

// The path of the file in a folder that is there then, and that nobody else may read.
std::string file_in(const std::string& folder) {
  std::error_code ec;
  const bool made = fs::create_directories(folder, ec);
  if (ec && !fs::is_directory(folder)) {
    throw_invalid(
        format("{}: cannot be made ({}); give another --state folder, or --state none", folder, ec.message()));
  }
  if (made) ::chmod(folder.c_str(), S_IRWXU);
  return (fs::path(folder) / "state.db").string();
}

}  // namespace

std::string key_id(const Sha256& hash) { return hex(hash).substr(0, 12); }

void check_api_key(const ApiKey& row) {
  constexpr std::int64_t kLimitMax = 1'000'000'000'000;
  const auto printable = [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; };
  if (row.name.empty() || row.name.size() > kNameBytesMax || !std::ranges::all_of(row.name, printable)) {
    throw_invalid(format("name: a key's name has 1 to {} printable characters; choose another", kNameBytesMax));
  }
  if (std::abs(row.priority) > 1000) throw_invalid("priority: must be -1000 (first) to 1000 (last)");
  for (const auto& [what, limit] :
       {std::pair{"requests_per_min", row.requests_per_min}, std::pair{"tokens_per_min", row.tokens_per_min}}) {
    if (limit && (*limit < 1 || *limit > kLimitMax)) {
      throw_invalid(format("{}: must be 1 to {}; leave it out for no limit", what, kLimitMax));
    }
  }
}

StateFile::StateFile(const std::string& folder, int busy_ms)
    : folder_(folder), database_(file_in(folder), kWords, busy_ms) {
  ::chmod(database_.path().c_str(), S_IRUSR | S_IWUSR);
  migrate();
  database_.run("PRAGMA journal_mode = WAL");
  database_.run("PRAGMA synchronous = NORMAL");
  // In KiB. Rows are written and hardly looked at again: the usual 2 MB would fill with them.
  database_.run("PRAGMA cache_size = -256");
  mark_keys();
}

StateFile::~StateFile() = default;

void StateFile::migrate() {
  const auto version = [&] { return database_.count("PRAGMA user_version"); };
  const auto check = [&] {
    const bool empty = database_.count("SELECT count(*) FROM sqlite_master") == 0;
    if (!empty && database_.count("PRAGMA application_id") != kApplicationId) {
      throw_invalid(format("{}: is no file of {}; give another --state folder", path(), kWords.holds));
    }
    if (version() > kVersion) {
      throw_invalid(
          format("{}: is of version {}, and this program knows up to {}; use a newer tinderbox, or another "
                 "--state folder",
                 path(), version(), kVersion));
    }
  };
  check();
  if (version() == kVersion) return;
  database_.transaction([&] {
    check();  // another program may have been faster
    for (auto i = static_cast<std::size_t>(version()); i < kMigrations.size(); ++i) database_.run(kMigrations[i]);
    database_.run(format("PRAGMA application_id = {}", kApplicationId));
    database_.run(format("PRAGMA user_version = {}", kVersion));
  });
}

void StateFile::mark_keys() const {
  if (database_.count("SELECT count(*) FROM keys") == 0) {
    std::error_code ignored;
    fs::remove(marker(folder_), ignored);
    return;
  }
  if (fs::exists(marker(folder_))) return;
  std::ofstream out(marker(folder_));
  out << "A box whose state.db cannot be read lets nobody in while this file is here.\n";
  if (!out.flush()) throw_invalid(format("{}: cannot be written; make room, or check its rights", marker(folder_)));
}

bool keys_were_set(const std::string& folder) { return fs::exists(marker(folder)); }

std::vector<ApiKey> StateFile::keys() const {
  Database::Statement statement(
      database_,
      "SELECT id, name, hash, priority, requests_per_min, tokens_per_min, manager, created_unix, last_used_unix,"
      " requests, prompt_tokens, generated_tokens FROM keys ORDER BY created_unix, id");
  std::vector<ApiKey> rows;
  while (statement.step()) {
    ApiKey row{.id = statement.text_at(0),
               .name = statement.text_at(1),
               .priority = static_cast<std::int32_t>(statement.integer_at(3)),
               .requests_per_min = statement.maybe_at(4),
               .tokens_per_min = statement.maybe_at(5),
               .manager = statement.integer_at(6) != 0,
               .created_unix = statement.integer_at(7),
               .last_used_unix = statement.maybe_at(8),
               .requests = statement.integer_at(9),
               .prompt_tokens = statement.integer_at(10),
               .generated_tokens = statement.integer_at(11)};
    const std::string hash = statement.text_at(2);
    if (hash.size() != row.hash.size()) throw_invalid(format("{}: key {} is damaged; revoke it", path(), row.id));
    std::memcpy(row.hash.data(), hash.data(), hash.size());
    rows.push_back(std::move(row));
  }
  return rows;
}

void StateFile::add_key(const ApiKey& row) {
  check_api_key(row);
  if (database_.count("SELECT count(*) FROM keys") >= static_cast<std::int64_t>(kKeysMax)) {
    throw_too_large(format("there are {} keys, which is the most; revoke some that are no longer used", kKeysMax));
  }
  Database::Statement statement(database_,
                                "INSERT INTO keys(id, name, hash, priority, requests_per_min, tokens_per_min, manager,"
                                " created_unix) VALUES(?, ?, ?, ?, ?, ?, ?, ?)");
  statement.text(row.id);
  statement.text(row.name);
  statement.blob({reinterpret_cast<const char*>(row.hash.data()), row.hash.size()});
  statement.integer(row.priority);
  statement.maybe(row.requests_per_min);
  statement.maybe(row.tokens_per_min);
  statement.integer(row.manager ? 1 : 0);
  statement.integer(row.created_unix);
  statement.run();
  mark_keys();
}

bool StateFile::remove_key(const std::string& id) {
  Database::Statement statement(database_, "DELETE FROM keys WHERE id = ?");
  statement.text(id);
  statement.run();
  const bool removed = database_.changes() > 0;
  mark_keys();
  return removed;
}

std::optional<std::string> StateFile::setting(const std::string& name) const {
  Database::Statement statement(database_, "SELECT value FROM settings WHERE name = ?");
  statement.text(name);
  return statement.step() ? std::optional(statement.text_at(0)) : std::nullopt;
}

void StateFile::set(const std::string& name, const std::string& value) {
  Database::Statement statement(database_, "INSERT OR REPLACE INTO settings(name, value) VALUES(?, ?)");
  statement.text(name);
  statement.text(value);
  statement.run();
}

void StateFile::add(const RequestRecord& r) {
  Database::Statement row(
      database_,
      "INSERT INTO requests(at_unix, id, trace_id, method, path, model, key, status, prompt_tokens,"
      " generated_tokens, ttft_s, duration_s) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  row.real(r.at_unix);
  for (const std::string* text : {&r.id, &r.trace_id, &r.method, &r.path, &r.model, &r.key_name}) row.text(*text);
  for (const std::int64_t n : {std::int64_t{r.status}, r.prompt_tokens, r.generated_tokens}) row.integer(n);
  row.real(r.ttft_s);
  row.real(r.duration_s);
  row.run();
}

void StateFile::count_usage(const RequestRecord& r) {
  if (!r.metered || r.key_id.empty()) return;
  Database::Statement used(database_,
                           "UPDATE keys SET requests = requests + 1, prompt_tokens = prompt_tokens + ?,"
                           " generated_tokens = generated_tokens + ?, last_used_unix = ? WHERE id = ?");
  used.integer(r.prompt_tokens);
  used.integer(r.generated_tokens);
  used.integer(static_cast<std::int64_t>(r.at_unix));
  used.text(r.key_id);
  used.run();
}

std::int64_t StateFile::n_requests() const { return database_.count("SELECT count(*) FROM requests"); }

void StateFile::add(const HistoryRow& row) {
  Database::Statement name(database_, "INSERT OR IGNORE INTO series(name) VALUES(?)");
  Database::Statement value(database_,
                            "INSERT OR REPLACE INTO telemetry(span_s, at_unix, series, value)"
                            " SELECT ?, ?, id, ? FROM series WHERE name = ?");
  for (const auto& [series, number] : row.values) {
    name.text(series);
    name.run();
    value.integer(row.span_s);
    value.integer(row.at_unix);
    value.real(number);
    value.text(series);
    value.run();
  }
}

std::vector<HistoryRow> StateFile::history(int span_s) const {
  Database::Statement statement(database_,
                                "SELECT at_unix, name, value FROM telemetry JOIN series ON series.id = series"
                                " WHERE span_s = ? ORDER BY at_unix");
  statement.integer(span_s);
  std::vector<HistoryRow> rows;
  while (statement.step()) {
    const std::int64_t at = statement.integer_at(0);
    if (rows.empty() || rows.back().at_unix != at) rows.push_back({.span_s = span_s, .at_unix = at, .values = {}});
    rows.back().values.emplace_back(statement.text_at(1), statement.real_at(2));
  }
  return rows;
}

void StateFile::prune(std::int64_t now_unix) {
  for (const HistorySpan& span : kHistorySpans) {
    Database::Statement statement(database_, "DELETE FROM telemetry WHERE span_s = ? AND at_unix <= ?");
    statement.integer(span.span_s);
    statement.integer(now_unix - span.kept_s);
    statement.run();
  }
  Database::Statement requests(database_,
                               "DELETE FROM requests WHERE at_unix < ? OR n <= (SELECT max(n) FROM requests) - ?");
  requests.integer(now_unix - kRequestsKeptSeconds);
  requests.integer(kRequestsKept);
  requests.run();
}

std::int64_t StateFile::others_version() const { return database_.count("PRAGMA data_version"); }

}  // namespace tinderbox
