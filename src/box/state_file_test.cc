#include "box/state_file.h"

#include <sys/stat.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

namespace fs = std::filesystem;

class StateFileTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = (fs::temp_directory_path() / fs::path("tinderbox-state-XXXXXX")).string();
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path() const { return folder_ + "/state.db"; }
  std::string why_not() const {
    try {
      const StateFile file(folder_, 50);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  }
  std::string folder_;
};

ApiKey key_row(const std::string& secret, const std::string& name) {
  ApiKey row;
  row.hash = sha256(secret);
  row.id = key_id(row.hash);
  row.name = name;
  row.created_unix = 1'700'000'000;
  return row;
}

// The tables as version 1 of the program made them: these texts stay as they are for ever.
constexpr const char* kVersion1 =
    "CREATE TABLE keys(id TEXT PRIMARY KEY, name TEXT NOT NULL, hash BLOB NOT NULL UNIQUE,"
    " priority INTEGER NOT NULL, requests_per_min INTEGER, tokens_per_min INTEGER, manager INTEGER NOT NULL,"
    " created_unix INTEGER NOT NULL, last_used_unix INTEGER, requests INTEGER NOT NULL DEFAULT 0,"
    " prompt_tokens INTEGER NOT NULL DEFAULT 0, generated_tokens INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE settings(name TEXT PRIMARY KEY, value TEXT NOT NULL);"
    "INSERT INTO keys VALUES('0123456789ab', 'old', zeroblob(32), 5, 60, NULL, 1, 1600000000, 1600000001, 7, 8, 9);"
    "INSERT INTO settings VALUES('a', 'b');"
    "PRAGMA application_id = 0x74627374; PRAGMA user_version = 1";
constexpr const char* kVersion2Adds =
    "CREATE TABLE series(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE telemetry(span_s INTEGER, at_unix INTEGER, series INTEGER, value REAL NOT NULL,"
    " PRIMARY KEY(span_s, at_unix, series)) WITHOUT ROWID;"
    "INSERT INTO series VALUES(1, 'wall_w'); INSERT INTO telemetry VALUES(1, 1600000000, 1, 42.5);"
    "PRAGMA user_version = 2";

constexpr DatabaseWords kWords = {.holds = "a test", .when_damaged = "", .when_no_room = ""};

std::string schema(const std::string& path) {
  const Database database(path, kWords, 0);
  Database::Statement statement(database, "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name");
  std::string out;
  while (statement.step()) out += statement.text_at(0) + "\n";
  return out;
}

TEST_F(StateFileTest, KeepsEverythingAcrossOpenings) {
  {
    StateFile file(folder_);
    ApiKey row = key_row("tb-1", "ann");
    row.priority = -2;
    row.tokens_per_min = 1000;
    file.add_key(row);
    file.set("a", "1");
    file.set("a", "2");
    file.add(HistoryRow{.span_s = 10, .at_unix = 100, .values = {{"x", 1.5}, {"y", -2}}});
    file.add(HistoryRow{.span_s = 10, .at_unix = 100, .values = {{"x", 2.5}}});
    RequestRecord record{.at_unix = 1'700'000'100.5, .id = "r", .method = "POST", .path = "/v1/completions"};
    record.key_id = row.id;
    record.key_name = row.name;
    record.status = 200;
    record.prompt_tokens = 3;
    record.generated_tokens = 4;
    record.metered = true;
    file.add(record);
    file.count_usage(record);
  }
  StateFile file(folder_);
  const std::vector<ApiKey> keys = file.keys();
  ASSERT_EQ(keys.size(), 1u);
  EXPECT_EQ(keys[0].hash, sha256("tb-1"));
  EXPECT_EQ(keys[0].id, key_id(sha256("tb-1")));
  EXPECT_EQ(keys[0].priority, -2);
  EXPECT_EQ(keys[0].requests_per_min, std::nullopt);
  EXPECT_EQ(keys[0].tokens_per_min, 1000);
  EXPECT_EQ(keys[0].requests, 1);
  EXPECT_EQ(keys[0].prompt_tokens, 3);
  EXPECT_EQ(keys[0].generated_tokens, 4);
  EXPECT_EQ(keys[0].last_used_unix, 1'700'000'100);
  EXPECT_EQ(file.setting("a"), "2");
  EXPECT_EQ(file.setting("b"), std::nullopt);
  EXPECT_EQ(file.n_requests(), 1);
  ASSERT_EQ(file.history(10).size(), 1u);
  EXPECT_EQ(file.history(10)[0].values, (std::vector<std::pair<std::string, double>>{{"x", 2.5}, {"y", -2}}));
  EXPECT_TRUE(file.remove_key(keys[0].id));
  EXPECT_FALSE(file.remove_key(keys[0].id));
}

TEST_F(StateFileTest, NobodyElseMayReadItAndKeysAreNotInIt) {
  {
    StateFile file(folder_);
    file.add_key(key_row("tb-secretsecretsecret", "ann"));
  }
  struct stat is{};
  ASSERT_EQ(::stat(path().c_str(), &is), 0);
  EXPECT_EQ(is.st_mode & 0777, 0600u);
  for (const auto& entry : fs::directory_iterator(folder_)) {
    std::ifstream in(entry.path());
    const std::string bytes((std::istreambuf_iterator<char>(in)), {});
    EXPECT_EQ(bytes.find("tb-secret"), std::string::npos) << entry.path();
  }
}

TEST_F(StateFileTest, OldFilesAreBroughtUpToDate) {
  const std::string other = folder_ + "/fresh";
  {
    const StateFile fresh(other);
  }
  for (const bool second : {false, true}) {
    fs::remove(path());
    {
      const Database old(path(), kWords, 0);
      old.run(kVersion1);
      if (second) old.run(kVersion2Adds);
    }
    StateFile file(folder_);
    ASSERT_EQ(file.keys().size(), 1u);
    EXPECT_EQ(file.keys()[0].name, "old");
    EXPECT_EQ(file.keys()[0].requests_per_min, 60);
    EXPECT_EQ(file.keys()[0].generated_tokens, 9);
    EXPECT_EQ(file.setting("a"), "b");
    EXPECT_EQ(file.history(1).size(), second ? 1u : 0u);
    file.add(RequestRecord{.at_unix = 1, .id = "r"});
    EXPECT_EQ(file.n_requests(), 1);
    EXPECT_EQ(schema(path()), schema(other + "/state.db"));
  }
}

TEST_F(StateFileTest, FilesOfOthersAreRefusedAndLeftAsTheyAre) {
  {
    const Database newer(path(), kWords, 0);
    newer.run("CREATE TABLE t(x); PRAGMA application_id = 0x74627374; PRAGMA user_version = 99");
  }
  EXPECT_NE(why_not().find("version 99"), std::string::npos) << why_not();
  fs::remove(path());
  {
    const Database other(path(), kWords, 0);
    other.run("CREATE TABLE t(x)");
  }
  EXPECT_NE(why_not().find("is no file of the state of a box"), std::string::npos) << why_not();
  fs::remove(path());
  std::ofstream(path()) << std::string(5000, 'x');
  EXPECT_NE(why_not().find("is no file of the state of a box"), std::string::npos) << why_not();
  EXPECT_EQ(fs::file_size(path()), 5000u);
}

TEST_F(StateFileTest, SaysWhatIsWrongWithFolderAndLock) {
  {
    const StateFile file(folder_);
  }
  {
    const Database holder(path(), kWords, 0);
    holder.run("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
    EXPECT_NE(why_not().find("is locked by another program"), std::string::npos) << why_not();
  }
  std::ofstream(folder_ + "/file") << "x";
  folder_ += "/file";
  EXPECT_NE(why_not().find("give another --state folder"), std::string::npos) << why_not();
  folder_ = fs::path(folder_).parent_path().string();
}

TEST_F(StateFileTest, RemembersOutsideTheDatabaseWhetherKeysAreSet) {
  StateFile file(folder_);
  EXPECT_FALSE(keys_were_set(folder_));
  const ApiKey row = key_row("tb-1", "ann");
  file.add_key(row);
  EXPECT_TRUE(keys_were_set(folder_));
  file.remove_key(row.id);
  EXPECT_FALSE(keys_were_set(folder_));
}

TEST_F(StateFileTest, PrunesWhatIsOlderThanItKeeps) {
  StateFile file(folder_);
  constexpr std::int64_t kNow = 1'700'000'000;
  for (const std::int64_t age : {10, 4000, 30'000}) {
    for (const int span : {1, 10, 60}) {
      file.add(HistoryRow{.span_s = span, .at_unix = kNow - age, .values = {{"x", 1}}});
    }
    file.add(RequestRecord{.at_unix = static_cast<double>(kNow - age * 100), .id = "r"});
  }
  file.prune(kNow);
  EXPECT_EQ(file.history(1).size(), 1u);
  EXPECT_EQ(file.history(10).size(), 2u);
  EXPECT_EQ(file.history(60).size(), 3u);
  EXPECT_EQ(file.n_requests(), 2);
}

TEST_F(StateFileTest, KeysOutOfRangeAreRefusedByName) {
  StateFile file(folder_);
  const auto refused = [&](auto change) {
    ApiKey row = key_row("tb-1", "ann");
    change(row);
    try {
      file.add_key(row);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_TRUE(refused([](ApiKey& r) { r.name = ""; }).starts_with("name:"));
  EXPECT_TRUE(refused([](ApiKey& r) { r.name = "a\nb"; }).starts_with("name:"));
  EXPECT_TRUE(refused([](ApiKey& r) { r.name = std::string(65, 'a'); }).starts_with("name:"));
  EXPECT_TRUE(refused([](ApiKey& r) { r.priority = 2000; }).starts_with("priority:"));
  EXPECT_TRUE(refused([](ApiKey& r) { r.requests_per_min = 0; }).starts_with("requests_per_min:"));
  EXPECT_TRUE(refused([](ApiKey& r) { r.tokens_per_min = -1; }).starts_with("tokens_per_min:"));
  EXPECT_TRUE(file.keys().empty());
}

}  // namespace
}  // namespace tinderbox
