// What a download decides; that it does so with real servers is tests/e2e/pull.mjs.
#include "box/download.h"

#include <unistd.h>

#include <fstream>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/mapped_file.h"
#include "box/hub.h"
#include "box/pull_catalogue.h"
#include "box/python_index.h"
#include "box/unzip.h"

namespace tinderbox {
namespace {

WebReply reply(int status, std::map<std::string, std::string> headers = {}) {
  return {.status = status, .url = "https://host/x", .headers = std::move(headers)};
}

TEST(Download, JoinsOnlyWhatBelongsTogether) {
  EXPECT_EQ(continuation_of(reply(206, {{"content-range", "bytes 10-19/20"}}), 10), Continuation::Append);
  EXPECT_EQ(continuation_of(reply(206, {{"content-range", "bytes 9-19/20"}}), 10), Continuation::Wrong);
  EXPECT_EQ(continuation_of(reply(206), 10), Continuation::Wrong);
  EXPECT_EQ(continuation_of(reply(206, {{"content-range", "bytes 0-19/20"}}), 0), Continuation::Wrong) << "not asked";
  EXPECT_EQ(continuation_of(reply(200), 10), Continuation::Restart);
  for (const int status : {204, 301, 401, 403, 404, 416, 500, 503}) {
    EXPECT_EQ(continuation_of(reply(status), 10), Continuation::Refused) << status;
  }
}

TEST(Download, ReadsContentRange) {
  EXPECT_EQ(parse_content_range("bytes 5-9/10")->first, 5);
  EXPECT_EQ(parse_content_range("bytes 5-9/10")->size, 10);
  EXPECT_EQ(parse_content_range("bytes 5-9/*")->size, std::nullopt);
  for (const char* text :
       {"", "bytes */10", "bytes 9-5/10", "bytes 5-9/9", "bytes -1-9/10", "bytes 5-9", "items 5-9/10", "bytes 5-9/x"}) {
    EXPECT_FALSE(parse_content_range(text)) << text;
  }
}

TEST(Download, AWeakTagIsNoProofOfSameness) {
  EXPECT_EQ(validator_of(reply(200, {{"etag", "\"a\""}, {"last-modified", "d"}})), "\"a\"");
  EXPECT_EQ(validator_of(reply(200, {{"etag", "W/\"a\""}, {"last-modified", "d"}})), "d");
  EXPECT_EQ(validator_of(reply(200, {{"etag", "W/\"a\""}})), "");
}

TEST(Download, WaitsLongerEachTimeUnlessTold) {
  EXPECT_EQ(backoff(0, "").value(), 0.5);
  EXPECT_EQ(backoff(3, "").value(), 4);
  EXPECT_EQ(backoff(60, "").value(), 30);
  EXPECT_EQ(backoff(0, "7").value(), 7);
  EXPECT_EQ(backoff(0, "0").value(), 0);
  EXPECT_EQ(backoff(0, "86400").value(), 60) << "nobody waits a day";
  EXPECT_TRUE(is_passing(503) && is_passing(429) && !is_passing(404) && !is_passing(403));
}

TEST(Download, NotesSurviveAndForeignOnesDoNotReachHeaders) {
  const PartNote note{.url = "https://host/\"x", .validator = "\"tag\""};
  const auto back = parse_part_note(to_json(note));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->url + back->validator, note.url + note.validator);
  for (const char* text : {"", "[]", "{}", R"({"url":1,"validator":""})", R"({"url":"a","validator":"b\r\nX: y"})"}) {
    EXPECT_FALSE(parse_part_note(text)) << text;
  }
}

TEST(Download, SaysHowMuchRoomIsMissing) {
  EXPECT_NO_THROW(check_disk_space("/tmp", 1));
  try {
    check_disk_space("/tmp", std::int64_t{1} << 60);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Error::Code::TooLarge);
    EXPECT_NE(std::string(error.what()).find("are needed"), std::string::npos) << error.what();
  }
}

TEST(Hub, TagsThatNameFiles) {
  EXPECT_EQ(clean_etag("\"abc-1\""), "abc-1");
  EXPECT_EQ(clean_etag("W/\"abc\""), "abc");
  for (const char* text : {"\"../x\"", "\"a/b\"", "\"a.b\"", "a b"}) EXPECT_EQ(clean_etag(text), "") << text;
  EXPECT_EQ(clean_etag(std::string(200, 'a')), "");
}

TEST(Hub, ReadsItsList) {
  EXPECT_EQ(parse_hub_files(R"({"siblings":[{"rfilename":"a"},{"rfilename":"b/c.gguf"},{"x":1},3]})", "x"),
            (std::vector<std::string>{"a", "b/c.gguf"}));
  for (const char* text : {"", "[]", "{}", R"({"siblings":3})"})
    EXPECT_THROW(parse_hub_files(text, "x"), Error) << text;
}

TEST(PythonIndex, PagesInBothForms) {
  const std::string sum(64, 'a');
  const std::string json =
      R"({"files":[{"filename":"p-1-py3-none-any.whl","url":"../../f/p.whl","hashes":{"sha256":")" + sum +
      R"("},"size":3}, 7]})";
  const auto from_json = parse_index_page(json, "application/vnd.pypi.simple.v1+json", "https://h/root/simple/p/");
  ASSERT_EQ(from_json.size(), 1u);
  EXPECT_EQ(from_json[0].url, "https://h/root/f/p.whl");
  EXPECT_EQ(from_json[0].size, 3);
  const std::string html =
      "<a data-x='1' href=\"/f/p.whl?a=1&amp;b=2#sha256=" + sum + "\">p-1-py3-none-any.whl</a>\n<a href='q'>q</a>";
  const auto from_html = parse_index_page(html, "text/html", "https://h/simple/p/");
  ASSERT_EQ(from_html.size(), 2u);
  EXPECT_EQ(from_html[0].url, "https://h/f/p.whl?a=1&b=2");
  EXPECT_EQ(from_html[0].name, "p-1-py3-none-any.whl");
  EXPECT_TRUE(from_html[0].sha256 && from_html[0].sha256 == from_json[0].sha256);
  EXPECT_EQ(from_html[1].url, "https://h/simple/p/q");
  EXPECT_THROW(parse_index_page("{}", "application/json", "https://h/p/"), Error);
  EXPECT_THROW(parse_index_page("<a href='../../../../x'>y</a>", "text/html", "https://h/p/"), Error);
}

TEST(PythonIndex, TheWheelThatRunsAnywhere) {
  const auto file = [](const char* name) { return IndexFile{.name = name, .url = name}; };
  const std::vector<IndexFile> files = {file("a_b-1.0.tar.gz"), file("a_b-1.0-cp311-cp311-linux_x86_64.whl"),
                                        file("a_b-1.0-py3-none-any.whl"), file("a_b-1.1-py3-none-any.whl")};
  EXPECT_EQ(choose_wheel(files, {.package = "A-B", .version = "1.0", .member = ""}).name, "a_b-1.0-py3-none-any.whl");
  EXPECT_THROW(choose_wheel(files, {.package = "A-B", .version = "2", .member = ""}), Error);
  EXPECT_EQ(normalized_package("A__b.-C"), "a-b-c");
  EXPECT_EQ(index_of_pip_conf("# x\n[global]\ntimeout = 3\nindex-url = https://mirror/simple \n"),
            "https://mirror/simple");
  EXPECT_EQ(index_of_pip_conf("[freeze]\nindex-url = https://mirror/simple\n"), "");
}

TEST(PullCatalogue, TheOneThatIsBuiltIn) {
  const std::string path = TINDERBOX_SOURCE_DIR "/data/pull/catalogue.toml";
  const auto entries = read_pull_catalogue(read_file(path), path);
  ASSERT_GT(entries.size(), 5u);
  const PullEntry* smallest = find_pull(entries, "smollm2-135m-instruct");
  ASSERT_NE(smallest, nullptr);
  EXPECT_TRUE(smallest->sha256 && smallest->size);
  EXPECT_EQ(find_pull(entries, "none"), nullptr);
}

TEST(PullCatalogue, RefusesWithTheLine) {
  const std::string good = "[[model]]\nname = 'a'\nabout = 'b'\nlicence = 'c'\nsource = 'd'\n";
  EXPECT_EQ(read_pull_catalogue(good + "from = 'org/repo'\n", "x").size(), 1u);
  for (const std::string& text :
       {good, good + "from = 'other-name'\n", good + "from = 'org/repo'\nsize = -1\n",
        good + "from = 'org/repo'\nsha256 = 'x'\n", good + "from = 'org/repo'\ncolour = 'red'\n",
        std::string("model = 3\n"), std::string("x = [\n"), std::string(),
        good + "from = 'org/repo'\n" + good + "from = 'org/repo'\n"}) {
    try {
      read_pull_catalogue(text, "x.toml");
      FAIL() << text;
    } catch (const Error& error) {
      EXPECT_TRUE(std::string(error.what()).starts_with("x.toml")) << error.what();
    }
  }
}

TEST(Unzip, RefusesWhatIsNone) {
  std::string path = "/tmp/tinderbox-XXXXXX";
  const int fd = ::mkstemp(path.data());
  ASSERT_GE(fd, 0);
  ::close(fd);
  EXPECT_THROW(zip_members(path), Error);
  // "a" with the content "hello", stored; then with one byte of it changed.
  std::string zip("PK\x03\x04\x0a\0\0\0\0\0\0\0\0\0\x86\xa6\x10\x36\x05\0\0\0\x05\0\0\0\x01\0\0\0ahello", 36);
  zip += std::string(
      "PK\x01\x02\x0a\0\x0a\0\0\0\0\0\0\0\0\0\x86\xa6\x10\x36\x05\0\0\0\x05\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0"
      "\0\0\0\0\0\0a",
      47);
  zip += std::string("PK\x05\x06\0\0\0\0\x01\0\x01\0\x2f\0\0\0\x24\0\0\0\0\0", 22);
  std::ofstream(path, std::ios::binary) << zip;
  ASSERT_EQ(zip_members(path).size(), 1u);
  EXPECT_EQ(zip_members(path)[0].size, 5);
  std::string got;
  EXPECT_TRUE(unzip(path, "a", [&](std::string_view piece) { return got += piece, true; }));
  EXPECT_EQ(got, "hello");
  EXPECT_FALSE(unzip(path, "a", [](std::string_view) { return false; }));
  EXPECT_THROW(unzip(path, "b", [](std::string_view) { return true; }), Error);
  zip[31] = 'j';
  std::ofstream(path, std::ios::binary) << zip;
  EXPECT_THROW(unzip(path, "a", [](std::string_view) { return true; }), Error);
  ::unlink(path.c_str());
}

}  // namespace
}  // namespace tinderbox
