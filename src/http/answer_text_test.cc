#include "http/answer_text.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "base/text.h"

namespace tinderbox {
namespace {

// By the definition: reads byte by byte and stops at the first position where some stop string has
// just ended.
std::string oracle(const std::string& bytes, const std::vector<std::string>& stops) {
  const std::string text = to_valid_utf8(bytes);
  for (std::size_t end = 0; end <= text.size(); ++end) {
    std::size_t longest = 0;
    for (const std::string& stop : stops) {
      if (std::string_view(text).substr(0, end).ends_with(stop))
        longest = std::max(longest, stop.size());
    }
    if (longest > 0) return text.substr(0, end - longest);
  }
  return text;
}

TEST(AnswerText, HoldsBackAnUnfinishedCharacter) {
  AnswerText text;
  std::string out;
  text.push("a\xF0\x9F", out);
  EXPECT_EQ(out, "a");
  text.push("\x98\x80", out);
  EXPECT_EQ(out, "a\xF0\x9F\x98\x80");
  text.push("\xE2\x82", out);
  text.finish(out);
  EXPECT_EQ(out, "a\xF0\x9F\x98\x80\xEF\xBF\xBD");
}

TEST(AnswerText, HoldsBackWhatMayBecomeAStopString) {
  AnswerText text({"\n\nUser:"});
  std::string out;
  text.push("Hi.\n", out);
  EXPECT_EQ(out, "Hi.");
  text.push("\nUs", out);
  EXPECT_EQ(out, "Hi.");
  text.push("ual", out);  // it did not
  EXPECT_EQ(out, "Hi.\n\nUsual");
  text.push("\n\nUser", out);
  EXPECT_FALSE(text.stopped());
  text.push(": more", out);
  EXPECT_TRUE(text.stopped());
  EXPECT_EQ(out, "Hi.\n\nUsual");
  text.push("never shown", out);
  text.finish(out);
  EXPECT_EQ(out, "Hi.\n\nUsual");
}

TEST(AnswerText, ShowsAHeldBackStartAtTheEnd) {
  AnswerText text({"END"});
  std::string out;
  text.push("the EN", out);
  EXPECT_EQ(out, "the ");
  text.finish(out);
  EXPECT_EQ(out, "the EN");
  EXPECT_FALSE(text.stopped());
}

// Law: the shown text depends on the bytes alone, not on how they are cut into tokens, and is
// well-formed.
TEST(AnswerTextLaw, EqualsTheOracleForEveryCut) {
  const std::vector<std::string> letters = {
      "a", "b", "a", "b", "\n", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
  int n_stopped = 0;
  for (std::uint32_t seed = 0; seed < 3000; ++seed) {
    Random random(seed, Stream::Test);
    const auto word = [&](std::int64_t n_max) {
      std::string out;
      for (std::int64_t i = random.range(1, n_max); i > 0; --i)
        out += letters[static_cast<std::size_t>(random.range(0, 7))];
      return out;
    };
    std::string bytes = word(24);
    if (seed % 4 == 0)
      bytes[static_cast<std::size_t>(
          random.range(0, static_cast<std::int64_t>(bytes.size()) - 1))] = '\xE2';
    std::vector<std::string> stops;
    for (std::int64_t i = random.range(0, 3); i > 0; --i) stops.push_back(word(4));
    AnswerText text(stops);
    std::string out;
    for (std::size_t at = 0; at < bytes.size();) {
      const auto n = static_cast<std::size_t>(random.range(0, 5));
      std::string delta;
      text.push(std::string_view(bytes).substr(at, n), delta);
      EXPECT_EQ(to_valid_utf8(delta), delta) << "seed " << seed;
      out += delta;
      at += n;
    }
    text.finish(out);
    ASSERT_EQ(out, oracle(bytes, stops)) << "seed " << seed;
    n_stopped += text.stopped() ? 1 : 0;
  }
  EXPECT_GT(n_stopped, 500) << "the law must be tried on both sides";
}

}  // namespace
}  // namespace tinderbox
