#include "http/trace_context.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "base/text.h"

namespace tinderbox {

namespace {

// Lower case only, as the standard has it; not all zeros.
bool is_id(std::string_view hex) {
  const auto digit = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  return std::ranges::all_of(hex, digit) && hex.find_first_not_of('0') != std::string_view::npos;
}

}  // namespace

std::optional<TraceContext> parse_traceparent(std::string_view header) {
  // 00-TRACE-PARENT-FLAGS; later versions may say more after it.
  constexpr std::size_t kLength = 55;
  if (header.size() < kLength || header[2] != '-' || header[35] != '-' || header[52] != '-')
    return std::nullopt;
  const std::string_view version = header.substr(0, 2), trace = header.substr(3, 32),
                         parent = header.substr(36, 16), flags = header.substr(53, 2);
  const bool exact = version == "00" ? header.size() == kLength
                                     : header.size() == kLength || header[kLength] == '-';
  // Leading digits make zeros of versions and flags valid.
  if (!exact || !is_id("1" + std::string(version)) || version == "ff" ||
      !is_id("1" + std::string(flags))) {
    return std::nullopt;
  }
  if (!is_id(trace) || !is_id(parent)) return std::nullopt;
  const char last = flags[1];
  const int bits = last <= '9' ? last - '0' : last - 'a' + 10;
  return TraceContext{
      .trace_id = std::string(trace), .parent_id = std::string(parent), .sampled = (bits & 1) != 0};
}

std::string traceparent(const TraceContext& context) {
  return format("00-{}-{}-{}", context.trace_id, context.parent_id, context.sampled ? "01" : "00");
}

TraceContext trace_of(std::string_view header, const SipKey& key, std::uint64_t n) {
  const auto hash = [&](std::uint64_t what) {
    const std::array words = {n, what};
    SipHash128 id = siphash128(key, std::as_bytes(std::span(words)));
    id.low |= 1;  // no id is all zeros
    return id;
  };
  TraceContext context;
  if (auto caller = parse_traceparent(header)) {
    context = std::move(*caller);
  } else {
    const SipHash128 trace = hash(0);
    context.trace_id = format("{:016x}{:016x}", trace.high, trace.low);
  }
  context.parent_id = format("{:016x}", hash(1).low);
  return context;
}

bool is_request_id(std::string_view id) {
  constexpr std::size_t kMax = 128;
  const auto plain = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '_' || c == ':' || c == '-';
  };
  return !id.empty() && id.size() <= kMax && std::ranges::all_of(id, plain);
}

}  // namespace tinderbox
