// The tokenizer against llama.cpp's ids (tests/golden/tokenizer_tiny.json), a naive merger and its
// own laws.
#include "model/tokenizer.h"

#include <filesystem>
#include <functional>
#include <limits>
#include <map>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/random.h"
#include "base/text.h"
#include "model/gguf_writer.h"
#include "model/tokenizer_vocab.h"

namespace tinderbox {
namespace {

const std::filesystem::path kSource = TINDERBOX_SOURCE_DIR;

Gguf tiny_file() { return Gguf::open(kSource / "data/tiny/tinderbox-tiny.gguf"); }

// A llama-kind vocabulary: <unk>, <s>, </s>, 256 byte tokens, then characters and merges with
// scores.
std::vector<std::byte> spm_file(bool space_prefix = true) {
  std::vector<std::string> tokens = {"<unk>", "<s>", "</s>"};
  std::vector<std::int32_t> types = {2, 3, 3};
  for (int byte = 0; byte < 256; ++byte) {
    tokens.push_back(format("<0x{:02X}>", byte));
    types.push_back(6);
  }
  for (const char* text : {"▁", "a", "b", "c", "é", "ab", "▁a", "bc", "▁ab", "abc", "aa", "aaaa",
                           "▁▁", "中文", "中", "文"}) {
    tokens.emplace_back(text);
    types.push_back(1);
  }
  tokens.emplace_back("[tool]");
  types.push_back(4);
  std::vector<float> scores(tokens.size(), 0.0F);
  for (std::size_t i = 259; i < scores.size(); ++i) scores[i] = -static_cast<float>(i);
  GgufWriter out;
  out.add("tokenizer.ggml.model", "llama");
  out.add("tokenizer.ggml.tokens", tokens);
  out.add("tokenizer.ggml.token_type", types);
  out.add("tokenizer.ggml.scores", scores);
  out.add("tokenizer.ggml.bos_token_id", std::uint32_t{1});
  out.add("tokenizer.ggml.eos_token_id", std::uint32_t{2});
  out.add("tokenizer.ggml.unknown_token_id", std::uint32_t{0});
  out.add("tokenizer.ggml.add_space_prefix", space_prefix);
  return out.bytes();
}

Tokenizer spm(bool space_prefix = true) {
  const std::vector<std::byte> bytes = spm_file(space_prefix);
  return Tokenizer::from_gguf(Gguf::parse(bytes, "spm"));  // keeps nothing of the file
}

std::vector<std::string> pieces(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::string> out;
  for (const TokenId id : tokenizer.encode(text, true, false))
    out.emplace_back(tokenizer.special_piece(id));
  return out;
}

std::string random_text(Random& random, bool valid_utf8) {
  const std::string_view parts[] = {"a",  "b",    "c",          " ",    "  ",    "\n",
                                    "1",  "the ", "box",        "é",    "中文",  "😀",
                                    "'s", "!",    "<|im_end|>", "</s>", "<0x41>"};
  std::string text;
  for (std::int64_t n = random.range(0, 25); n > 0; --n) {
    if (valid_utf8) {
      text += parts[random.range(0, static_cast<std::int64_t>(std::size(parts)) - 1)];
    } else {
      text += static_cast<char>(random.range(0, 255));
    }
  }
  return text;
}

TEST(Tokenizer, GivesLlamaCppsIds) {
  const Tokenizer tokenizer = Tokenizer::from_gguf(tiny_file());
  const auto golden =
      nlohmann::json::parse(read_file(kSource / "tests/golden/tokenizer_tiny.json"));
  ASSERT_GT(golden.size(), 400U);
  for (const auto& entry : golden) {
    const auto text = entry.at("text").get<std::string>();
    EXPECT_EQ(tokenizer.encode(text, true, false), entry.at("ids").get<std::vector<TokenId>>())
        << text;
  }
}

TEST(Tokenizer, DecodesWhatItEncoded) {
  Random random(3, Stream::Test);
  const Tokenizer tokenizers[] = {Tokenizer::from_gguf(tiny_file()), spm(true), spm(false)};
  for (int i = 0; i < 2000; ++i) {
    const std::string text = random_text(random, i % 2 == 0);
    for (const Tokenizer& tokenizer : tokenizers) {
      const std::vector<TokenId> ids = tokenizer.encode(text, false, false);
      ASSERT_EQ(tokenizer.decode(ids), text);
      for (const TokenId id : ids)
        ASSERT_FALSE(tokenizer.is_control(id)) << text;  // plain text stays plain
    }
  }
}

TEST(Tokenizer, PiecesConcatenate) {
  Random random(4, Stream::Test);
  const Tokenizer tokenizer = Tokenizer::from_gguf(tiny_file());
  for (int i = 0; i < 500; ++i) {
    const std::string text = random_text(random, true);
    std::string joined;
    for (const TokenId id : tokenizer.encode(text, true, false))
      joined += tokenizer.special_piece(id);
    ASSERT_EQ(joined, text);
  }
}

TEST(Tokenizer, MergesLikeTheNaiveMethod) {
  const Gguf file = tiny_file();
  const Tokenizer tokenizer = Tokenizer::from_gguf(file);
  std::map<std::pair<std::string, std::string>, std::size_t> ranks;
  const GgufArray& merges = *file.array("tokenizer.ggml.merges");
  for (std::size_t rank = 0; rank < merges.strings.size(); ++rank) {
    const std::vector<std::string> pair = split(merges.strings[rank], ' ');
    ranks.emplace(std::pair(bytes_of_letters(pair[0]), bytes_of_letters(pair[1])), rank);
  }
  Random random(5, Stream::Test);
  for (int i = 0; i < 2000; ++i) {
    std::string word;  // letters only: one word of the pre-tokenizer
    for (std::int64_t n = random.range(1, 30); n > 0; --n)
      word += "theanisorwblcu"[random.range(0, 13)];
    std::vector<std::string> symbols;
    for (const char c : word) symbols.emplace_back(1, c);
    for (;;) {  // merge the leftmost pair of the lowest rank until there is none
      std::size_t best_rank = std::numeric_limits<std::size_t>::max(), best = 0;
      for (std::size_t k = 0; k + 1 < symbols.size(); ++k) {
        const auto found = ranks.find({symbols[k], symbols[k + 1]});
        if (found != ranks.end() && found->second < best_rank) best_rank = found->second, best = k;
      }
      if (best_rank == std::numeric_limits<std::size_t>::max()) break;
      symbols[best] += symbols[best + 1];
      symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    }
    ASSERT_EQ(pieces(tokenizer, word), symbols) << word;
  }
}

TEST(Tokenizer, KnowsTheTinyModelsSpecialTokens) {
  const Tokenizer t = Tokenizer::from_gguf(tiny_file());
  EXPECT_EQ(t.n_vocab(), 512);
  EXPECT_EQ(t.eos(), 2);
  EXPECT_EQ(t.end_tokens(), (std::vector<TokenId>{0, 2}));  // <|endoftext|>, <|im_end|>
  EXPECT_TRUE(t.is_control(1));
  EXPECT_FALSE(t.is_control(100));
  EXPECT_EQ(t.piece(1), "");
  EXPECT_EQ(t.special_piece(1), "<|im_start|>");
  EXPECT_EQ(t.encode("<|im_end|>", true, false), (std::vector<TokenId>{2}));
  EXPECT_GT(t.encode("<|im_end|>", false, false).size(), 4U);
  EXPECT_EQ(t.decode(t.encode("a<|im_end|>b", true, false)), "ab");
  EXPECT_EQ(t.piece(-1), "");
  EXPECT_EQ(t.piece(100000), "");
  EXPECT_FALSE(t.is_control(100000));
}

TEST(Tokenizer, MergesSentencePieceByScore) {
  const Tokenizer t = spm();
  using P = std::vector<std::string>;
  EXPECT_EQ(pieces(t, "abc"),
            (P{" ab", "c"}));  // "ab" before "▁a" before "bc"; then "▁ab" before "abc"
  EXPECT_EQ(pieces(spm(false), "abc"), (P{"abc"}));
  EXPECT_EQ(pieces(t, "é中文"), (P{" ", "é", "中文"}));
  EXPECT_EQ(pieces(t, "x"), (P{" ", "x"}));  // no such token: its byte
  EXPECT_EQ(t.encode("x", true, true), (std::vector<TokenId>{1, 259, 3 + 'x'}));
  EXPECT_EQ(pieces(t, "a</s>b[tool]"), (P{" a", "</s>", " ", "b", "[tool]"}));
  EXPECT_EQ(t.encode("[tool]", false, false),
            t.encode("[tool]", true, false));  // user-defined: always
  EXPECT_EQ(t.encode("", true, true), (std::vector<TokenId>{1}));
  EXPECT_EQ(t.decode({1, 259, 260}), "a");
}

TEST(Tokenizer, PrefersTheLongestSpecialToken) {
  GgufWriter out;
  std::vector<std::string> tokens = {"<a>", "<a><b>", "<b>", "<", "a", "b", ">", "<a"};
  out.add("tokenizer.ggml.model", "gpt2");
  out.add("tokenizer.ggml.pre", "gpt-2");
  out.add("tokenizer.ggml.tokens", tokens);
  out.add("tokenizer.ggml.token_type", std::vector<std::int32_t>{3, 4, 3, 1, 1, 1, 1, 1});
  out.add("tokenizer.ggml.merges", std::vector<std::string>{"< a"});
  const std::vector<std::byte> bytes = out.bytes();
  const Tokenizer t = Tokenizer::from_gguf(Gguf::parse(bytes, "special"));
  EXPECT_EQ(t.encode("<a><b>", true, false), (std::vector<TokenId>{1}));
  EXPECT_EQ(t.encode("<a><b>", false, false), (std::vector<TokenId>{1}));
  EXPECT_EQ(t.encode("<b><a>", true, false), (std::vector<TokenId>{2, 0}));
  EXPECT_EQ(t.encode("<a>", false, false),
            (std::vector<TokenId>{3, 4, 6}));  // "<" and "a>" are two words
}

TEST(Tokenizer, LeavesHarmonysChannelEndOpen) {
  const auto ends = [](const std::vector<std::string>& tokens) {
    GgufWriter out;
    out.add("tokenizer.ggml.model", "gpt2");
    out.add("tokenizer.ggml.pre", "gpt-4o");
    out.add("tokenizer.ggml.tokens", tokens);
    out.add("tokenizer.ggml.token_type", std::vector<std::int32_t>(tokens.size(), 3));
    out.add("tokenizer.ggml.merges", std::vector<std::string>{});
    out.add("tokenizer.ggml.eos_token_id", std::uint32_t{0});
    const std::vector<std::byte> bytes = out.bytes();
    return Tokenizer::from_gguf(Gguf::parse(bytes, "ends")).end_tokens();
  };
  EXPECT_EQ(ends({"<|return|>", "<|call|>", "<|end|>"}), (std::vector<TokenId>{0, 1}));
  EXPECT_EQ(ends({"<|endoftext|>", "<|user|>", "<|end|>"}), (std::vector<TokenId>{0, 2}));
}

// Quadratic merging would need hours.
TEST(Tokenizer, FinishesOnAMegabyteWithoutSpaces) {
  const Tokenizer tokenizers[] = {Tokenizer::from_gguf(tiny_file()), spm()};
  for (const std::string_view unit : {"a", " ", "ab", "<|im_start|", "\xff"}) {
    std::string text;
    while (text.size() < 1000000) text += unit;
    for (const Tokenizer& tokenizer : tokenizers) {
      ASSERT_EQ(tokenizer.decode(tokenizer.encode(text, true, false)), text);
    }
  }
}

TEST(Tokenizer, NamesWhatIsWrongWithAFile) {
  const auto refusal = [](const std::function<void(GgufWriter&)>& fill,
                          Error::Code code) -> std::string {
    GgufWriter out;
    fill(out);
    const std::vector<std::byte> bytes = out.bytes();
    try {
      Tokenizer::from_gguf(Gguf::parse(bytes, "bad.gguf"));
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), code) << e.what();
      return e.what();
    }
    ADD_FAILURE() << "no error";
    return {};
  };
  const auto basic = [](GgufWriter& out, const char* kind, const char* pre) {
    out.add("tokenizer.ggml.model", kind);
    out.add("tokenizer.ggml.pre", pre);
    out.add("tokenizer.ggml.tokens", std::vector<std::string>{"a", "b"});
  };
  const auto contains = [](const std::string& text, std::string_view part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  using Code = Error::Code;
  contains(refusal([](GgufWriter&) {}, Code::Invalid), "tokenizer.ggml.model");
  contains(refusal([&](GgufWriter& out) { basic(out, "bert", "x"); }, Code::Unsupported), "'bert'");
  contains(refusal([&](GgufWriter& out) { basic(out, "gpt2", "odd"); }, Code::Unsupported),
           "'odd'");
  contains(refusal([&](GgufWriter& out) { basic(out, "gpt2", "gpt-2"); }, Code::Invalid), "merges");
  contains(refusal([&](GgufWriter& out) { basic(out, "llama", "x"); }, Code::Invalid), "scores");
  contains(refusal(
               [&](GgufWriter& out) {
                 basic(out, "gpt2", "gpt-2");
                 out.add("tokenizer.ggml.merges", std::vector<std::string>{"ab"});
               },
               Code::Invalid),
           "entry 0");
  contains(refusal(
               [&](GgufWriter& out) {
                 basic(out, "gpt2", "gpt-2");
                 out.add("tokenizer.ggml.token_type", std::vector<std::int32_t>{1});
               },
               Code::Invalid),
           "1 entries for 2 tokens");
  contains(refusal(
               [&](GgufWriter& out) {
                 basic(out, "gpt2", "gpt-2");
                 out.add("tokenizer.ggml.token_type", std::vector<std::int32_t>{1, 7});
               },
               Code::Invalid),
           "says 7 of token 1");
  contains(refusal(
               [&](GgufWriter& out) {
                 basic(out, "gpt2", "gpt-2");
                 out.add("tokenizer.ggml.merges", std::vector<std::string>{});
                 out.add("tokenizer.ggml.eos_token_id", std::uint32_t{2});
               },
               Code::Invalid),
           "eos_token_id is 2");
  contains(refusal(
               [&](GgufWriter& out) {
                 basic(out, "llama", "x");
                 out.add("tokenizer.ggml.scores",
                         std::vector<float>{0.0F, std::numeric_limits<float>::quiet_NaN()});
               },
               Code::Invalid),
           "nan");
}

}  // namespace
}  // namespace tinderbox
