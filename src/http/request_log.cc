#include "http/request_log.h"

#include <cmath>
#include <ctime>

#include "base/text.h"
#include "http/http.h"

namespace tinderbox {
namespace {

constexpr std::size_t kShownMax = 200;  // bytes of what a client chose

// Without blanks and what terminals obey; long ones are cut.
std::string plain(std::string_view text) {
  const bool cut = text.size() > kShownMax;
  std::string out;
  for (const char c :
       to_valid_utf8(text.substr(0, cut ? complete_utf8_prefix(text.substr(0, kShownMax)) : text.size()))) {
    const auto byte = static_cast<unsigned char>(c);
    // C1 controls are two bytes in UTF-8, of which the second is below 0xa0 and the first 0xc2.
    const bool after_c2 = !out.empty() && static_cast<unsigned char>(out.back()) == 0xc2;
    if (after_c2 && byte < 0xa0) {
      out.pop_back();
      out += format("\\u00{:02x}", byte);
    } else if (byte <= 0x20 || byte == 0x7f || c == '"' || c == '\\') {
      out += format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return cut ? out + "..." : out;
}

std::string utc(double at_unix) {
  const auto ms = static_cast<std::int64_t>(std::floor(at_unix * 1000));
  const std::time_t seconds = static_cast<std::time_t>(ms / 1000);
  std::tm t{};
  gmtime_r(&seconds, &t);
  return format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour,
                t.tm_min, t.tm_sec, ms % 1000);
}

}  // namespace

std::string log_text(const RequestRecord& r, bool timed) {
  std::string out = timed ? utc(r.at_unix) + " " : "";
  out += format("{} {} {}", r.status, plain(r.method), plain(r.path));
  if (!r.model.empty()) {
    out += format(" model={} prompt={} generated={}", plain(r.model), r.prompt_tokens, r.generated_tokens);
  }
  if (!std::isnan(r.ttft_s)) out += format(" ttft={:.3f}s", r.ttft_s);
  out += format(" {:.3f}s", r.duration_s);
  for (const auto& [name, value] :
       {std::pair{"key", &r.key_name}, std::pair{"id", &r.id}, std::pair{"trace", &r.trace_id}}) {
    if (!value->empty()) out += format(" {}={}", name, plain(*value));
  }
  return out;
}

std::string log_json(const RequestRecord& r) {
  std::string out = format(R"({{"at_unix":{:.3f},"status":{})", r.at_unix, r.status);
  const auto text = [&](std::string_view name, std::string_view value) {
    if (value.empty()) return;
    out += format(R"(,"{}":)", name);
    append_json_string(out, to_valid_utf8(value.substr(0, kShownMax)));
  };
  text("method", r.method);
  text("path", r.path);
  text("model", r.model);
  if (!r.model.empty()) {
    out += format(R"(,"prompt_tokens":{},"generated_tokens":{})", r.prompt_tokens, r.generated_tokens);
  }
  if (!std::isnan(r.ttft_s)) out += format(R"(,"ttft_s":{:.6f})", r.ttft_s);
  out += format(R"(,"duration_s":{:.6f})", r.duration_s);
  text("key", r.key_name);
  text("id", r.id);
  text("trace_id", r.trace_id);
  return out + "}";
}

}  // namespace tinderbox
