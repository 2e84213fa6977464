#include "http/text_codec.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "base/error.h"

namespace tinderbox {
namespace {

constexpr std::int64_t kMany = 1 << 20;

TokenizerCodec tiny_codec() {
  const auto path = std::filesystem::path(TINDERBOX_SOURCE_DIR) / "data/tiny/tinderbox-tiny.gguf";
  return {Tokenizer::from_gguf(Gguf::open(path)), ChatTemplate::chatml()};
}

std::string text_of(const TokenizerCodec& codec, const EncodedPrompt& prompt) {
  std::string out;
  for (const TokenId id : prompt.tokens) out += codec.piece(id, 0);
  return out;
}

TEST(TokenizerCodec, CountsWhatItEncodes) {
  const TokenizerCodec codec = tiny_codec();
  for (const char* text : {"Hello, world!", "a", "\xC3\xA9\xF0\x9F\x98\x80", "\xFF"}) {
    const EncodedPrompt prompt = codec.encode_text(text, kMany);
    EXPECT_EQ(prompt.n_tokens, static_cast<std::int64_t>(prompt.tokens.size()));
    EXPECT_NE(text_of(codec, prompt).find(text), std::string::npos) << text;
    EXPECT_EQ(codec.encode_ids(prompt.tokens).tokens, prompt.tokens);
  }
}

TEST(TokenizerCodec, AnEmptyPromptHasOneToken) {
  const EncodedPrompt prompt = tiny_codec().encode_text("", kMany);
  EXPECT_EQ(prompt.tokens.size(), 1u);
}

TEST(TokenizerCodec, ChatGoesThroughTheTemplate) {
  const TokenizerCodec codec = tiny_codec();
  const EncodedPrompt one = codec.encode_chat({{"user", "hi"}}, kMany);
  const EncodedPrompt two = codec.encode_chat({{"system", "be brief"}, {"user", "hi"}}, kMany);
  EXPECT_GT(one.n_tokens, codec.encode_text("hi", kMany).n_tokens);
  EXPECT_GT(two.n_tokens, one.n_tokens);
  EXPECT_NE(text_of(codec, two).find("be brief"), std::string::npos);
}

TEST(TokenizerCodec, WhatCannotFitIsNotTokenised) {
  const TokenizerCodec codec = tiny_codec();
  const EncodedPrompt prompt = codec.encode_text(std::string(1 << 22, 'x'), 8);
  EXPECT_TRUE(prompt.tokens.empty());
  EXPECT_GT(prompt.n_tokens, 8);
  EXPECT_GT(codec.encode_chat({{"user", std::string(1 << 23, 'x')}}, 8).n_tokens, 8);
  // Law: the early count is a lower bound, so nothing that fits is turned away.
  const std::string text = "The quick brown fox jumps over the lazy dog.";
  const std::int64_t n = codec.encode_text(text, kMany).n_tokens;
  EXPECT_EQ(codec.encode_text(text, n).n_tokens, n);
}

TEST(TokenizerCodec, IdsOutsideTheVocabulary) {
  const TokenizerCodec codec = tiny_codec();
  EXPECT_THROW(codec.encode_ids({0, -1}), Error);
  EXPECT_THROW(codec.encode_ids({1 << 30}), Error);
}

TEST(PlaceholderCodec, CountsFourBytesAToken) {
  const PlaceholderCodec codec;
  EXPECT_EQ(codec.encode_text("", kMany).n_tokens, 1);
  EXPECT_EQ(codec.encode_text("abcd", kMany).n_tokens, 1);
  EXPECT_EQ(codec.encode_text("abcde", kMany).n_tokens, 2);
  EXPECT_EQ(codec.encode_chat({{"user", "abcd"}, {"user", "abcd"}}, kMany).n_tokens, 4);
  EXPECT_EQ(codec.encode_ids({5, 6, 7}).n_tokens, 3);
  EXPECT_TRUE(codec.encode_ids({5, 6, 7}).tokens.empty());
  EXPECT_THROW(codec.encode_ids({-1}), Error);
}

TEST(PlaceholderCodec, SaysWhatItIs) {
  const PlaceholderCodec codec;
  std::string answer;
  for (std::int64_t i = 0; i < 6; ++i) answer += codec.piece(0, i);
  EXPECT_TRUE(answer.starts_with("[weightless placeholder text] ")) << answer;
  EXPECT_EQ(answer, "[weightless placeholder text] ipsum dolor sit amet consectetur ");
  EXPECT_FALSE(codec.piece(-1, 3).empty());
}

}  // namespace
}  // namespace tinderbox
