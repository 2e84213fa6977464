#include "model/pretokenizer.h"

#include <string>

#include <gtest/gtest.h>

#include "base/random.h"

namespace tinderbox {
namespace {

using Words = std::vector<std::string_view>;
constexpr PreTokenizer kAll[] = {PreTokenizer::Gpt2,  PreTokenizer::Smollm, PreTokenizer::Llama3,
                                 PreTokenizer::Qwen2, PreTokenizer::O200k,  PreTokenizer::Tekken};

// Each expectation is worked out by hand from the regular expressions in pretokenizer.cc.
TEST(PreTokenizer, FollowsItsExpression) {
  EXPECT_EQ(split_words("I'm 42  years!\n\n x", PreTokenizer::Gpt2),
            (Words{"I", "'m", " 42", " ", " years", "!", "\n\n", " x"}));
  EXPECT_EQ(split_words("I'M a 12 b", PreTokenizer::Smollm),
            (Words{"I", "'", "M", " a", " ", "1", "2", " b"}));
  EXPECT_EQ(split_words("I'M 12345\n\n\n x(y", PreTokenizer::Llama3),
            (Words{"I", "'M", " ", "123", "45", "\n\n\n", " x", "(y"}));
  EXPECT_EQ(split_words("a 12!\n\tb", PreTokenizer::Qwen2),
            (Words{"a", " ", "1", "2", "!\n", "\tb"}));
  EXPECT_EQ(split_words("HTTPServer don'T a/b ABC 1234", PreTokenizer::O200k),
            (Words{"HTTPServer", " don'T", " a", "/b", " ABC", " ", "123", "4"}));
  EXPECT_EQ(split_words("don't 12 //\n", PreTokenizer::Tekken),
            (Words{"don", "'t", " ", "1", "2", " //\n"}));
  EXPECT_EQ(split_words("camelCase", PreTokenizer::O200k), (Words{"camel", "Case"}));
  EXPECT_EQ(split_words("  \n  x", PreTokenizer::Llama3), (Words{"  \n", " ", " x"}));
  EXPECT_EQ(split_words("  \n  x", PreTokenizer::Gpt2), (Words{"  \n ", " x"}));
  EXPECT_EQ(split_words("x   ", PreTokenizer::Gpt2), (Words{"x", "   "}));
  EXPECT_EQ(split_words("", PreTokenizer::Gpt2), Words{});
}

TEST(PreTokenizer, KnowsUnicodeClasses) {
  EXPECT_EQ(split_words("für Ωmega", PreTokenizer::Gpt2), (Words{"für", " Ωmega"}));
  EXPECT_EQ(split_words("中文１２", PreTokenizer::Qwen2), (Words{"中文", "１", "２"}));
  EXPECT_EQ(split_words("a\u00a0b\u3000c", PreTokenizer::Gpt2),
            (Words{"a", "\u00a0", "b", "\u3000", "c"}));
  // A combining accent is a symbol to Llama 3 and part of the word to o200k.
  EXPECT_EQ(split_words("e\u0301x", PreTokenizer::Llama3), (Words{"e", "\u0301x"}));
  EXPECT_EQ(split_words("e\u0301x", PreTokenizer::O200k), (Words{"e\u0301x"}));
  EXPECT_EQ(split_words("a\xff\xc0z", PreTokenizer::Gpt2), (Words{"a", "\xff\xc0", "z"}));
}

TEST(PreTokenizer, LosesNothing) {
  Random random(2, Stream::Test);
  const std::string_view pieces[] = {
      "a",  "B", " ",  "\n", "\r",     "1",      "'",      "s",  "LL",   "!",        "/",
      "\t", "é", "中", "ª",  "\u0301", "\u00a0", "\u2028", "😀", "\xff", "\xe2\x96", "Ⅷ"};
  for (int i = 0; i < 3000; ++i) {
    std::string text;
    for (std::int64_t n = random.range(0, 30); n > 0; --n) {
      text += pieces[random.range(0, static_cast<std::int64_t>(std::size(pieces)) - 1)];
    }
    for (const PreTokenizer kind : kAll) {
      std::string joined;
      for (const std::string_view word : split_words(text, kind)) {
        EXPECT_FALSE(word.empty());
        joined += word;
      }
      ASSERT_EQ(joined, text);
    }
  }
}

// A rule that looks back over a run for every word would need minutes for each of these.
TEST(PreTokenizer, IsLinear) {
  for (const std::string_view unit :
       {"a", "A", " ", "\n", "\n ", "1", "!", "'", "ª", "Aª", "\xff", "a ", "\u0301"}) {
    std::string text;
    while (text.size() < 300000) text += unit;
    for (const PreTokenizer kind : kAll) {
      std::size_t total = 0;
      for (const std::string_view word : split_words(text + "x", kind)) total += word.size();
      EXPECT_EQ(total, text.size() + 1);
    }
  }
}

TEST(PreTokenizer, IsFoundByName) {
  EXPECT_EQ(pretokenizer("smollm"), PreTokenizer::Smollm);
  EXPECT_EQ(pretokenizer("llama-bpe"), PreTokenizer::Llama3);
  EXPECT_EQ(pretokenizer("gpt-4o"), PreTokenizer::O200k);
  EXPECT_EQ(pretokenizer("default"), PreTokenizer::Gpt2);
  EXPECT_EQ(pretokenizer("no-such"), std::nullopt);
  EXPECT_EQ(pretokenizer(""), std::nullopt);
}

}  // namespace
}  // namespace tinderbox
