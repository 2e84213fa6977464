// Who a request is to those who follow it through several programs: its own id (X-Request-Id) and the trace that it is
// part of (W3C Trace Context, https://www.w3.org/TR/trace-context/, as OpenTelemetry's clients send it).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/siphash.h"

namespace tinderbox {

struct TraceContext {
  std::string trace_id;   // 32 hexadecimal digits
  std::string parent_id;  // 16: of the caller's span
  bool sampled = true;
};

// The value of a traceparent header; nothing if it is malformed, which is as if there were none.
std::optional<TraceContext> parse_traceparent(std::string_view header);
std::string traceparent(const TraceContext& context);

// A new trace, or the caller's one goes on, with a span of ours. The ids are of (key, n).
TraceContext trace_of(std::string_view header, const SipKey& key, std::uint64_t n);

// A caller's own request id is kept if it can stand in a header and a log: up to 128 letters, digits and . _ : -
bool is_request_id(std::string_view id);

}  // namespace tinderbox
