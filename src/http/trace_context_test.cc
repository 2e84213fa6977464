#include "http/trace_context.h"

#include <gtest/gtest.h>

namespace tinderbox {
namespace {

constexpr const char* kCaller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(TraceContext, TheCallersTraceGoesOn) {
  const auto read = parse_traceparent(kCaller);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(read->parent_id, "00f067aa0ba902b7");
  EXPECT_TRUE(read->sampled);
  EXPECT_EQ(traceparent(*read), kCaller);
  const TraceContext ours = trace_of(kCaller, {1, 1}, 2);
  EXPECT_EQ(ours.trace_id, read->trace_id);
  EXPECT_NE(ours.parent_id, read->parent_id) << "a span of its own";
  EXPECT_FALSE(
      parse_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")->sampled);
  EXPECT_TRUE(parse_traceparent("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"))
      << "a later version";
}

TEST(TraceContext, WhatIsMalformedIsAsIfThereWereNone) {
  const std::string good = kCaller;
  for (std::size_t n = 0; n < good.size(); ++n)
    EXPECT_FALSE(parse_traceparent(good.substr(0, n))) << n;
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = 'X';
    EXPECT_FALSE(parse_traceparent(bad)) << bad;
  }
  EXPECT_FALSE(parse_traceparent(good + "-more")) << "version 00 has no more";
  EXPECT_FALSE(parse_traceparent("ff" + good.substr(2)));
  EXPECT_FALSE(parse_traceparent("00-00000000000000000000000000000000-00f067aa0ba902b7-01"));
  EXPECT_FALSE(parse_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"));
}

TEST(TraceContext, NewOnesAreWellFormedAndDiffer) {
  const TraceContext one = trace_of("", {7, 7}, 1), two = trace_of("nonsense", {7, 7}, 2);
  EXPECT_EQ(traceparent(*parse_traceparent(traceparent(one))), traceparent(one));
  EXPECT_NE(one.trace_id, two.trace_id);
  EXPECT_NE(one.parent_id, two.parent_id);
  EXPECT_EQ(trace_of("", {7, 7}, 1).trace_id, one.trace_id) << "the same key, the same ids";
}

TEST(RequestId, IsKeptIfItCanStandInAHeader) {
  for (const char* yes : {"a", "req-1", "3f1c:9_x.Y", "0c9e7cb7-9a0b-4b58-9b8c-1e3f5a7b9d11"})
    EXPECT_TRUE(is_request_id(yes));
  for (const char* no : {"", "a b", "a\r\nx: y", "\xC3\xA9", "a\"b"})
    EXPECT_FALSE(is_request_id(no)) << no;
  EXPECT_TRUE(is_request_id(std::string(128, 'a')));
  EXPECT_FALSE(is_request_id(std::string(129, 'a')));
}

}  // namespace
}  // namespace tinderbox
