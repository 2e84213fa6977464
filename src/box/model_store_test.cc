#include "box/model_store.h"

#include <unistd.h>

#include <fstream>
#include <map>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file_lock.h"

namespace tinderbox {
namespace {

namespace fs = std::filesystem;

Variables variables(std::map<std::string, std::string> values) {
  return [values](const std::string& name) {
    const auto it = values.find(name);
    return it == values.end() ? std::string() : it->second;
  };
}

TEST(ModelPlaces, FollowXdgAndHuggingFace) {
  const ModelPlaces plain = model_places(variables({{"HOME", "/h"}}));
  EXPECT_EQ(plain.store, "/h/.local/share/tinderbox/models");
  EXPECT_EQ(plain.hub, "/h/.cache/huggingface/hub");
  EXPECT_FALSE(plain.offline);
  EXPECT_TRUE(plain.also.empty());
  EXPECT_EQ(model_places(variables({{"HOME", "/h"}, {"XDG_CACHE_HOME", "/c"}})).hub, "/c/huggingface/hub");
  EXPECT_EQ(model_places(variables({{"HOME", "/h"}, {"HF_HOME", "/f"}})).hub, "/f/hub");
  EXPECT_EQ(model_places(variables({{"HF_HOME", "/f"}, {"HF_HUB_CACHE", "/k"}})).hub, "/k");
  EXPECT_EQ(model_places(variables({{"HOME", "/h"}, {"XDG_DATA_HOME", "relative"}})).store, plain.store);
  EXPECT_TRUE(model_places(variables({{"HF_HUB_OFFLINE", "True"}})).offline);
  const ModelPlaces service = model_places(variables({{"STATE_DIRECTORY", "/var/lib/tinderbox:/var/lib/other"}}));
  EXPECT_TRUE(service.store.empty());
  EXPECT_EQ(service.also, (std::vector<fs::path>{"/var/lib/tinderbox/models"}));
}

class ModelStore : public testing::Test {
 protected:
  void SetUp() override {
    std::string path = (fs::temp_directory_path() / "tinderbox-XXXXXX").string();
    ASSERT_NE(::mkdtemp(path.data()), nullptr);
    root_ = path;
    places_.store = root_ / "store";
    places_.hub = root_ / "hub";
  }
  void TearDown() override { fs::remove_all(root_); }
  void write(const fs::path& path, const std::string& text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  std::string resolved(const std::string& text) {
    return resolve_model(text, places_, [](const std::string& name) -> std::string {
             return name == "known"  ? "https://host/known-file.gguf"
                    : name == "hub"  ? "hf:org/repo:M-Q8_0.gguf"
                                     : "";
           }).string();
  }
  fs::path root_;
  ModelPlaces places_;
  const std::string commit_ = std::string(40, 'a');
};

TEST_F(ModelStore, FindsFilesAndNames) {
  write(root_ / "here.gguf", "x");
  write(places_.store / "m.gguf", "x");
  write(places_.store / "known-file.gguf", "x");
  EXPECT_EQ(resolved((root_ / "here.gguf").string()), root_ / "here.gguf");
  EXPECT_EQ(resolved(root_.string()), root_) << "who opens a folder says what it is";
  EXPECT_EQ(resolved("m"), places_.store / "m.gguf");
  EXPECT_EQ(resolved("m.gguf"), places_.store / "m.gguf");
  EXPECT_EQ(resolved("known"), places_.store / "known-file.gguf");
  EXPECT_EQ(resolved("/nonexistent.gguf"), "/nonexistent.gguf");
  EXPECT_THROW(resolved("unknown"), Error);
  EXPECT_THROW(resolved("hub"), Error);
}

TEST_F(ModelStore, FindsWhatHuggingFacesClientsFetched) {
  const fs::path repo = places_.hub / "models--org--repo", snapshot = repo / "snapshots" / commit_;
  write(repo / "blobs" / "e1", "x");
  fs::create_directories(snapshot / "sub");
  fs::create_symlink("../../blobs/e1", snapshot / "M-Q8_0.gguf");
  fs::create_symlink("../../../blobs/e1", snapshot / "sub" / "M-Q4_K_M.gguf");
  EXPECT_THROW(resolved("org/repo"), Error) << "no revision main yet";
  EXPECT_EQ(resolved("org/repo:Q8_0@" + commit_), snapshot / "M-Q8_0.gguf");
  write(repo / "refs" / "main", commit_);
  EXPECT_EQ(resolved("org/repo"), snapshot / "sub" / "M-Q4_K_M.gguf");
  EXPECT_EQ(resolved("hub"), snapshot / "M-Q8_0.gguf");
  EXPECT_THROW(resolved("org/repo:F16"), Error);
  fs::remove(repo / "blobs" / "e1");
  EXPECT_THROW(resolved("org/repo"), Error) << "links without their blob are not there";
  write(repo / "refs" / "main", "../../../../etc");
  EXPECT_THROW(resolved("org/repo"), Error);
}

TEST_F(ModelStore, ALockKeepsOthersOutUntilItIsGivenBack) {
  fs::create_directories(root_);
  FileLock second(root_ / "lock");
  {
    FileLock first(root_ / "lock");
    EXPECT_TRUE(first.try_lock());
    EXPECT_FALSE(second.try_lock());
  }
  EXPECT_TRUE(second.try_lock());
  EXPECT_THROW(FileLock(root_ / "none" / "lock"), Error);
}

}  // namespace
}  // namespace tinderbox
