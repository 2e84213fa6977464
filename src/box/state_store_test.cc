#include "box/state_store.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <semaphore>
#include <thread>

#include <gtest/gtest.h>

#include "base/error.h"

namespace tinderbox {
namespace {

namespace fs = std::filesystem;

class StateStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = (fs::temp_directory_path() / fs::path("tinderbox-store-XXXXXX")).string();
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::unique_ptr<StateStore> store() {
    return std::make_unique<StateStore>(
        std::make_unique<StateFile>(folder_, 50), folder_, [] { return 1'700'000'000.0; },
        [this](std::string_view line) { told_.with([&](std::string& all) { all += std::string(line) + "\n"; }); });
  }
  std::string told() {
    return told_.with([](const std::string& all) { return all; });
  }
  // "" or the error, once the change is done.
  static std::string add(StateStore& store, ApiKey row) {
    std::binary_semaphore done(0);
    std::string error;
    store.add_key(std::move(row), [&](const std::string& e) {
      error = e;
      done.release();
    });
    done.acquire();
    return error;
  }
  template <typename Condition>
  static bool soon(const Condition& condition) {
    for (int i = 0; i < 1000; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }

  std::string folder_;
  Guarded<std::string> told_;
};

ApiKey key_row(const std::string& secret) {
  ApiKey row;
  row.hash = sha256(secret);
  row.id = key_id(row.hash);
  row.name = secret;
  return row;
}

TEST_F(StateStoreTest, WritesWhatIsPostedByItself) {
  const auto s = store();
  s->add(HistoryRow{.span_s = 1, .at_unix = 1'699'999'999, .values = {{"x", 1}}});
  s->add(RequestRecord{.at_unix = 1'700'000'000, .id = "r"});
  const StateFile reader(folder_);
  EXPECT_TRUE(soon([&] { return reader.n_requests() == 1 && reader.history(1).size() == 1; }));
  EXPECT_EQ(told(), "");
}

TEST_F(StateStoreTest, ClosingWritesTheRest) {
  {
    const auto s = store();
    for (int i = 0; i < 1000; ++i) s->add(RequestRecord{.at_unix = 1'700'000'000, .id = "r"});
  }
  EXPECT_EQ(StateFile(folder_).n_requests(), 1000);
  store()->set("a", "b");
  EXPECT_EQ(StateFile(folder_).setting("a"), "b");
}

TEST_F(StateStoreTest, AKeyIsThereOnceItIsDone) {
  const auto s = store();
  EXPECT_EQ(add(*s, key_row("a")), "");
  ASSERT_EQ(s->keys()->rows.size(), 1u);
  EXPECT_EQ(StateFile(folder_).keys().size(), 1u);
  ApiKey bad = key_row("b");
  bad.name = "";
  EXPECT_NE(add(*s, bad).find("name"), std::string::npos);
  EXPECT_NE(add(*s, key_row("a")), "");  // twice
  std::binary_semaphore done(0);
  s->remove_key(key_row("a").id, [&](const std::string&) { done.release(); });
  done.acquire();
  EXPECT_TRUE(s->keys()->rows.empty());
}

TEST_F(StateStoreTest, SeesKeysThatOthersChange) {
  const auto s = store();
  StateFile other(folder_);
  other.add_key(key_row("a"));
  EXPECT_TRUE(soon([&] { return s->keys()->rows.size() == 1; }));
  other.remove_key(key_row("a").id);
  EXPECT_TRUE(soon([&] { return s->keys()->rows.empty(); }));
}

TEST_F(StateStoreTest, ASecondServerKeepsKeysOnly) {
  const auto first = store();
  ASSERT_EQ(add(*first, key_row("a")), "");
  {
    const auto second = store();
    EXPECT_NE(told().find("another server"), std::string::npos);
    EXPECT_NE(second->trouble(), "");
    EXPECT_EQ(second->keys()->rows.size(), 1u);
    RequestRecord record{.at_unix = 1'700'000'000, .id = "r", .key_id = key_row("a").id, .prompt_tokens = 5};
    record.metered = true;
    second->add(record);
    second->add(HistoryRow{.span_s = 1, .at_unix = 1'700'000'000, .values = {{"x", 1}}});
  }
  const StateFile reader(folder_);
  EXPECT_EQ(reader.n_requests(), 0);
  EXPECT_TRUE(reader.history(1).empty());
  EXPECT_EQ(reader.keys()[0].prompt_tokens, 5);
}

TEST_F(StateStoreTest, TellsOnceWhenItCannotWriteAndGoesOnWhenItCan) {
  const auto s = store();
  {
    StateFile blocker(folder_);
    try {
      blocker.transaction([&] {
        s->add(RequestRecord{.at_unix = 1'700'000'000, .id = "r"});
        EXPECT_TRUE(soon([&] { return !s->trouble().empty(); }));
        EXPECT_NE(s->trouble().find("locked"), std::string::npos) << s->trouble();
        throw_invalid("roll back");
      });
    } catch (const Error&) {
    }
  }
  EXPECT_TRUE(soon([&] { return s->trouble().empty(); }));
  EXPECT_EQ(StateFile(folder_).n_requests(), 1);
  const std::string lines = told();
  EXPECT_EQ(std::ranges::count(lines, '\n'), 2) << lines;
  EXPECT_NE(lines.find("is kept again"), std::string::npos) << lines;
}

}  // namespace
}  // namespace tinderbox
