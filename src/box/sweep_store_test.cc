#include "box/sweep_store.h"

#include <csignal>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "base/csv.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"

namespace tinderbox {
namespace {

namespace fs = std::filesystem;

const std::string kToml =
    "[base]\nmodel = \"m, with a comma\"\n[grid]\nrate = [0.1, 2, 3]\nslo_ttft = [1, 1.5]\n";

Sweep sweep_of(const std::string& toml) {
  return parse_sweep(toml, "s.toml", {"model", "rate", "slo-ttft", "seed"});
}

SweepRow report(std::int64_t point) {
  return {.point = point,
          .report = format(R"({{"finished":{},"ttft_s":{{"p50":{}}},"goodput_per_s":0.1}})",
                           point + 10, 0.1 * static_cast<double>(point))};
}

void add(SweepStore& store, const std::vector<SweepRow>& rows) { store.add(rows); }

class SweepStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) /
              format("sweep-{}", testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  std::string file(const std::string& name) const { return (folder_ / name).string(); }
  SweepStore open(const std::string& name, const Sweep& sweep,
                  const std::string& program = "p 1") const {
    return SweepStore(file(name), sweep, program,
                      [](std::int64_t point) { return format("run {}", point); });
  }
  std::string refusal(const std::string& name, const Sweep& sweep,
                      const std::string& program = "p 1") const {
    try {
      open(name, sweep, program);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  static std::string csv(const SweepStore& store) {
    std::string out;
    store.csv([&](const std::string& text) { out += text; });
    return out;
  }
  fs::path folder_;
  Sweep sweep_ = sweep_of(kToml);
};

TEST_F(SweepStoreTest, RowsComeBackByPointWhateverTheOrder) {
  std::string forwards, backwards;
  {
    SweepStore store = open("a", sweep_);
    for (std::int64_t i = 0; i < 6; ++i) add(store, {report(i)});
    forwards = csv(store);
  }
  SweepStore store = open("b", sweep_);
  const std::vector<SweepRow> rows = {report(5), report(3), report(4)},
                              more = {report(2), report(0), report(1)};
  store.add(rows);
  EXPECT_EQ(store.done(), (std::vector<bool>{false, false, false, true, true, true}));
  store.add(more);
  EXPECT_EQ(csv(store), forwards);
  EXPECT_EQ(csv(open("a", sweep_)), forwards);
  const Csv read = Csv::parse(forwards, "csv");
  ASSERT_EQ(read.size(), 6u);
  EXPECT_EQ(read.at(0, "model"), "m, with a comma");
  EXPECT_EQ(read.at(0, "rate"), "0.1");
  EXPECT_EQ(read.at(3, "slo_ttft"), "1.5");
  EXPECT_EQ(read.at(3, "finished"), "13");
  EXPECT_EQ(read.at(3, "ttft_p50_s"), format("{}", 0.1 * 3));
  EXPECT_EQ(read.at(3, "ttft_p99_s"), "");
  EXPECT_EQ(read.at(5, "command"), "run 5");
}

TEST_F(SweepStoreTest, ErrorsAreRowsAndWhatIsThereStays) {
  SweepStore store = open("a", sweep_);
  const std::vector<SweepRow> rows = {{.point = 1, .error = "does not \"fit\""}, report(2)};
  store.add(rows);
  const std::string before = csv(store);
  add(store, {report(1)});  // of a process that did the same work
  EXPECT_EQ(csv(store), before);
  EXPECT_EQ(store.n_done(), 2);
  EXPECT_EQ(store.n_errors(), 1);
  EXPECT_EQ(Csv::parse(before, "csv").at(0, "error"), "does not \"fit\"");
  const std::string table = store.table(10);
  EXPECT_NE(table.find("point 1: does not"), std::string::npos) << table;
  EXPECT_NE(table.find("200 ms"), std::string::npos) << table;
}

TEST_F(SweepStoreTest, OtherFilesAreRefusedAndUnharmed) {
  {
    SweepStore store = open("a", sweep_);
    add(store, {report(0)});
  }
  EXPECT_NE(
      refusal("a", sweep_of("[base]\nmodel = \"m\"\n[grid]\nrate = [1]")).find("[base] model = m"),
      std::string::npos);
  EXPECT_NE(refusal("a", sweep_of(kToml + "[design]\nseeds = 2")).find("seeds = 2"),
            std::string::npos);
  EXPECT_NE(refusal("a", sweep_, "p 2").find("results of p 1, and this is p 2"), std::string::npos);
  EXPECT_EQ(refusal("a", sweep_of("# a comment\n" + kToml)), "no error");
  const std::string text = "id,rate\n1,2\n" + std::string(500, 'x');
  std::ofstream(file("text")) << text;
  EXPECT_NE(refusal("text", sweep_).find("no file of results"), std::string::npos);
  EXPECT_EQ(read_file(file("text")), text);
  std::ofstream(file("empty")).flush();
  EXPECT_EQ(refusal("empty", sweep_), "no error");
  EXPECT_NE(refusal("nowhere/a", sweep_).find("cannot be opened"), std::string::npos);
  EXPECT_NE(refusal("", sweep_).find("cannot be opened"), std::string::npos);
}

TEST_F(SweepStoreTest, ADamagedFileIsAnError) {
  {
    SweepStore store = open("a", sweep_);
    for (std::int64_t i = 0; i < 6; ++i) add(store, {report(i)});
  }
  const std::string whole = read_file(file("a"));
  for (std::size_t at = 0; at < whole.size(); at += 97) {
    std::string bytes = whole;
    for (std::size_t i = at; i < std::min(bytes.size(), at + 64); ++i)
      bytes[i] = static_cast<char>(0xA5 ^ bytes[i]);
    std::ofstream(file("b"), std::ios::binary) << bytes;
    try {  // whatever it says now, it says without crashing
      SweepStore store = open("b", sweep_);
      csv(store);
      add(store, {report(0)});
    } catch (const Error&) {
    }
  }
}

TEST_F(SweepStoreTest, ShardsMergeIntoOne) {
  SweepStore all = open("all", sweep_), one = open("one", sweep_), two = open("two", sweep_);
  const std::vector<SweepRow> even = {report(0), report(2), report(4)},
                              odd = {report(1), report(3), report(5), report(4)};
  one.add(even);
  two.add(odd);
  EXPECT_EQ(all.merge(file("one")), 3);
  EXPECT_EQ(all.merge(file("two")), 3);
  EXPECT_EQ(all.merge(file("two")), 0);
  EXPECT_EQ(all.merge(file("all")), 0);
  SweepStore whole = open("whole", sweep_);
  for (std::int64_t i = 0; i < 6; ++i) add(whole, {report(i)});
  EXPECT_EQ(csv(all), csv(whole));
  EXPECT_THROW(all.merge(file("nowhere")), Error);
  EXPECT_FALSE(fs::exists(file("nowhere")));
  SweepStore other = open("other", sweep_of(kToml + "[design]\nseeds = 2"));
  EXPECT_THROW(all.merge(file("other")), Error);
  SweepStore odd_one = open("odd", sweep_);
  add(odd_one, {SweepRow{.point = 2, .report = R"({"finished":1})"}});
  try {
    all.merge(file("odd"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("point 2 has another result"), std::string::npos)
        << error.what();
  }
  EXPECT_EQ(csv(all), csv(whole));
}

// The limit of file size stands for a full disk: it refuses the same writes.
TEST_F(SweepStoreTest, AFullDiskIsSaidAndWhatWasKeptStays) {
  const Sweep sweep = sweep_of("[design]\nseeds = 5000");
  SweepStore store = open("a", sweep);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{.rlim_cur = 300'000, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  std::int64_t n_kept = 0;
  std::string said;
  try {
    for (; n_kept < 5000; n_kept += 50) {
      std::vector<SweepRow> rows;
      for (std::int64_t i = 0; i < 50; ++i) rows.push_back(report(n_kept + i));
      store.add(rows);
    }
  } catch (const Error& error) {
    said = error.what();
  }
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_NE(said.find("what was kept before is safe"), std::string::npos) << said;
  EXPECT_GT(n_kept, 100);
  EXPECT_EQ(store.n_done(), n_kept);
  SweepStore again = open("a", sweep);
  EXPECT_EQ(again.n_done(), n_kept);
  add(again, {report(n_kept)});
  EXPECT_EQ(again.n_done(), n_kept + 1);
}

}  // namespace
}  // namespace tinderbox
