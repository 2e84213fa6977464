// What a box keeps across restarts, in one SQLite file of its state directory: keys, settings, history, requests.
// One thread at a time; several programs may have it open (`tinderbox keys` beside `tinderbox serve`).
//
// Every commit survives the end of the process at any moment (WAL); a loss of power may take the last commits, never
// the file. A file of an older version is brought up to date when it is opened.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/sha256.h"
#include "box/database.h"
#include "box/history.h"

namespace tinderbox {

// One who may ask. The key itself is nowhere kept.
struct ApiKey {
  std::string id;    // key_id(hash)
  std::string name;  // chosen by people; need not be the only one
  Sha256 hash{};     // of the key
  std::int32_t priority = 0;
  std::optional<std::int64_t> requests_per_min = {}, tokens_per_min = {};
  bool manager = false;
  std::int64_t created_unix = 0;
  std::optional<std::int64_t> last_used_unix = {};
  std::int64_t requests = 0, prompt_tokens = 0, generated_tokens = 0;
};

// Names a key without telling it: the first 12 digits of its hash.
std::string key_id(const Sha256& hash);
inline constexpr std::size_t kKeysMax = 1000;
// Throws Error::Invalid naming what is out of range.
void check_api_key(const ApiKey& row);

// One request that is over, without its contents.
struct RequestRecord {
  double at_unix = 0;  // when it came
  std::string id = {}, trace_id = {}, method = {}, path = {}, model = {};
  std::string key_id = {}, key_name = {};  // empty: anonymous
  int status = 0;                          // 499: the client went away first
  std::int64_t prompt_tokens = 0, generated_tokens = 0;
  double ttft_s = std::numeric_limits<double>::quiet_NaN();  // there was no first token
  double duration_s = 0;
  bool metered = false;  // work that counts for its key, not a look at the box
};

class StateFile {
 public:
  static constexpr int kVersion = 3;
  // Opens or makes folder/state.db, and the folder. Throws Error::Invalid: no rights, no database, locked for longer
  // than busy_ms, damaged, of a newer version.
  explicit StateFile(const std::string& folder, int busy_ms = 2000);
  ~StateFile();
  StateFile(const StateFile&) = delete;
  StateFile& operator=(const StateFile&) = delete;

  // The members below throw Error::Invalid if the file cannot be read or written.
  std::vector<ApiKey> keys() const;
  void add_key(const ApiKey& row);
  bool remove_key(const std::string& id);  // false: there is none
  std::optional<std::string> setting(const std::string& name) const;
  void set(const std::string& name, const std::string& value);
  void add(const RequestRecord& record);
  // For its key, if it is metered.
  void count_usage(const RequestRecord& record);
  std::int64_t n_requests() const;
  // In place of what was there of that span and time.
  void add(const HistoryRow& row);
  // Oldest first.
  std::vector<HistoryRow> history(int span_s) const;
  // Drops what is older than is kept.
  void prune(std::int64_t now_unix);
  // Another one when another program has changed the file.
  std::int64_t others_version() const;
  template <typename Body>
  void transaction(const Body& body) const {
    database_.transaction(body);
  }
  const std::string& path() const { return database_.path(); }

 private:
  void migrate();
  void mark_keys() const;

  std::string folder_;
  Database database_;
};

// Whether keys have been set in the folder, as far as can be told without its database: so that a box whose database
// cannot be read does not take everybody in.
bool keys_were_set(const std::string& folder);

}  // namespace tinderbox
