#include "http/request_log.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace tinderbox {
namespace {

RequestRecord example() {
  RequestRecord r;
  r.at_unix = 1769860800.1234;
  r.id = "req-1";
  r.method = "POST";
  r.path = "/v1/completions";
  r.model = "m";
  r.key_name = "ann";
  r.status = 200;
  r.prompt_tokens = 3;
  r.generated_tokens = 4;
  r.ttft_s = 0.12;
  r.duration_s = 1.5;
  return r;
}

TEST(RequestLog, ALineSaysWhatItTook) {
  EXPECT_EQ(
      log_text(example(), true),
      "2026-01-31T12:00:00.123Z 200 POST /v1/completions model=m prompt=3 generated=4 ttft=0.120s 1.500s key=ann "
      "id=req-1");
  RequestRecord look;
  look.method = "GET";
  look.path = "/health";
  look.status = 200;
  EXPECT_EQ(log_text(look, false), "200 GET /health 0.000s");
  EXPECT_EQ(log_json(look), R"({"at_unix":0.000,"status":200,"method":"GET","path":"/health","duration_s":0.000000})");
}

TEST(RequestLog, WhatClientsChooseCannotBreakALineOrATerminal) {
  RequestRecord r = example();
  r.path = "/a b\nc\x1b[31m\"\\\xff\xc2\x9b" + std::string(5000, 'x');
  r.id = "i\r\nj";
  const std::string line = log_text(r, true);
  for (const char c : line) EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  EXPECT_EQ(line.find("\xc2\x9b"), std::string::npos);
  EXPECT_LT(line.size(), 600u);
  const auto json = nlohmann::json::parse(log_json(r));
  EXPECT_EQ(json["id"], "i\r\nj");
  EXPECT_EQ(json["generated_tokens"], 4);
  EXPECT_EQ(log_json(r).find('\n'), std::string::npos);
}

}  // namespace
}  // namespace tinderbox
