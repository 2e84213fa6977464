#include "http/text_api.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "http/echo_box_test.h"

namespace tinderbox {
namespace {

using nlohmann::json;

TEST(Base64, AsTheStandardHasIt) {
  for (const auto& [plain, coded] : {std::pair{"", ""},
                                     {"f", "Zg=="},
                                     {"fo", "Zm8="},
                                     {"foo", "Zm9v"},
                                     {"foob", "Zm9vYg=="},
                                     {"fooba", "Zm9vYmE="},
                                     {"foobar", "Zm9vYmFy"}}) {
    EXPECT_EQ(base64(plain), coded);
  }
}

TEST(TextApi, TokensAndBack) {
  EchoBox box;
  const json tokens = json::parse(box.ask("POST", "/tokenize", R"({"prompt":"ab"})").body);
  EXPECT_EQ(tokens.at("tokens"), json({'a', 'b', kEchoPrompt}));
  EXPECT_EQ(tokens.at("count"), 3);
  const json text = json::parse(box.ask("POST", "/detokenize", R"({"model":"echo","tokens":[97,98]})").body);
  EXPECT_EQ(text.at("prompt"), "ab");
  EXPECT_EQ(box.ask("POST", "/detokenize", R"({"tokens":["x"]})").status, 400);
  EXPECT_EQ(box.ask("POST", "/detokenize", R"({"tokens":[100000]})").status, 400);
  EXPECT_EQ(box.ask("POST", "/tokenize", R"({"model":"other","prompt":"x"})").status, 404);
}

// Without weights there are placeholders: of unit length, the same for the same input.
TEST(TextApi, EmbeddingsAreUnitVectors) {
  EchoBox box;
  const auto embed = [&](const std::string& fields) {
    return json::parse(box.ask("POST", "/v1/embeddings", R"({"model":"echo",)" + fields + "}").body);
  };
  const json reply = embed(R"("input":["one","two","one"])");
  ASSERT_EQ(reply.at("data").size(), 3u);
  EXPECT_EQ(reply.at("data")[0].at("embedding"), reply.at("data")[2].at("embedding"));
  EXPECT_NE(reply.at("data")[0].at("embedding"), reply.at("data")[1].at("embedding"));
  double sum = 0;
  for (const double x : reply.at("data")[1].at("embedding")) sum += x * x;
  EXPECT_NEAR(sum, 1, 1e-5);
  EXPECT_EQ(reply.at("data")[1].at("embedding").size(), 8u);
  EXPECT_EQ(reply.at("usage").at("total_tokens"), 12);
  EXPECT_EQ(embed(R"("input":"one","dimensions":3)").at("data")[0].at("embedding").size(), 3u);
  EXPECT_TRUE(embed(R"("input":"one","encoding_format":"base64")").at("data")[0].at("embedding").is_string());
  for (const char* bad : {R"("input":5)", R"("input":[])", R"("x":1)", R"("input":"x","encoding_format":"hex")",
                          R"("input":"x","dimensions":9)", R"("input":[[]])"}) {
    EXPECT_TRUE(embed(bad).contains("error")) << bad;
  }
}

TEST(Choices, SeveralAnswersToSeveralPrompts) {
  EchoBox box;
  const json reply = json::parse(box.complete(R"("prompt":["abc","de"],"n":2,"echo":true)").body);
  ASSERT_EQ(reply.at("choices").size(), 4u);
  const char* expected[] = {"abcabc", "abcabc", "dede", "dede"};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(reply.at("choices")[i].at("index"), i);
    EXPECT_EQ(reply.at("choices")[i].at("text"), expected[i]);
  }
  EXPECT_EQ(reply.at("usage").at("prompt_tokens"), 7);
  EXPECT_EQ(reply.at("usage").at("completion_tokens"), 2 * 4 + 2 * 3);
  EXPECT_EQ(box.complete(R"("prompt":["a","b"],"n":100)").status, 400);
}

// Every answer of a stream is opened, grows and is closed by itself.
TEST(Choices, AStreamInterleavesThem) {
  EchoBox box;
  const HttpResponse response = box.chat(R"("messages":[{"role":"user","content":"xyz"}],"n":3,"stream":true)");
  std::map<int, std::string> texts;
  std::map<int, int> opened, closed;
  std::size_t at = 0;
  while ((at = response.body.find("data: {", at)) != std::string::npos) {
    const json chunk = json::parse(response.body.substr(at + 6, response.body.find("\n\n", at) - at - 6));
    ++at;
    for (const json& choice : chunk.at("choices")) {
      const int index = choice.at("index");
      opened[index] += choice.at("delta").contains("role");
      closed[index] += !choice.at("finish_reason").is_null();
      texts[index] += choice.at("delta").value("content", "");
    }
  }
  ASSERT_EQ(texts.size(), 3u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(texts[i], "xyz");
    EXPECT_EQ(opened[i], 1);
    EXPECT_EQ(closed[i], 1);
  }
  EXPECT_TRUE(response.body.ends_with("data: [DONE]\n\n"));
}

}  // namespace
}  // namespace tinderbox
