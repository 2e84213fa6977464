#include "model/jinja_text.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>

#include "base/text.h"

namespace tinderbox::jinja {
namespace {

struct Decoded {
  std::int32_t code = -1;  // -1: ill-formed
  std::size_t bytes = 1;
};

Decoded decode(std::string_view text, std::size_t at) {
  const auto first = static_cast<unsigned char>(text[at]);
  if (first < 0x80) return {first, 1};
  utf8proc_int32_t code = -1;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at);
  const auto left = static_cast<utf8proc_ssize_t>(std::min<std::size_t>(text.size() - at, 4));
  const utf8proc_ssize_t n = utf8proc_iterate(bytes, left, &code);
  if (n <= 0) return {};
  return {code, static_cast<std::size_t>(n)};
}

// str.isspace() of Python 3, which is also what strip() and split() take away.
bool is_space(std::int32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

bool is_cased(std::int32_t c) {
  if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  const utf8proc_category_t category = utf8proc_category(c);
  return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
         category == UTF8PROC_CATEGORY_LT;
}

std::string map_case(std::string_view text, utf8proc_int32_t (*map)(utf8proc_int32_t)) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Decoded d = decode(text, at);
    if (d.code < 0) {
      out += text[at];
    } else {
      append_utf8(out, static_cast<std::uint32_t>(map(d.code)));
    }
    at += d.bytes;
  }
  return out;
}

// Start of the last character before `end`.
std::size_t previous(std::string_view text, std::size_t end) {
  for (std::size_t back = 1; back <= 4 && back <= end; ++back) {
    const Decoded d = decode(text, end - back);
    if (d.code >= 0 && d.bytes == back) return end - back;
  }
  return end - 1;
}

// A moment taken apart into what strftime's directives print.
struct UtcTime {
  explicit UtcTime(std::int64_t unix_seconds)
      : day(std::chrono::floor<std::chrono::days>(
            std::chrono::sys_seconds{std::chrono::seconds{unix_seconds}})),
        date(day),
        second(unix_seconds - day.time_since_epoch().count() * 86'400) {}

  std::string_view month_name() const {
    constexpr std::array<std::string_view, 12> kNames = {
        "January", "February", "March",     "April",   "May",      "June",
        "July",    "August",   "September", "October", "November", "December"};
    return kNames[static_cast<unsigned>(date.month()) - 1];
  }
  std::string_view day_name() const {
    constexpr std::array<std::string_view, 7> kNames = {
        "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
    return kNames[std::chrono::weekday{day}.c_encoding()];
  }

  // nullopt if it is not one of those in the header.
  std::optional<std::string> directive(char letter, bool pad) const {
    const auto number = [&](std::int64_t n, int width) {
      return format("{:0{}}", n, pad ? width : 1);
    };
    const int year = static_cast<int>(date.year());
    const std::int64_t hour = second / 3600;
    switch (letter) {
      case 'Y':
        return number(year, 4);
      case 'y':
        return number(year % 100, 2);
      case 'm':
        return number(static_cast<unsigned>(date.month()), 2);
      case 'd':
        return number(static_cast<unsigned>(date.day()), 2);
      case 'e':
        return format("{:2}", static_cast<unsigned>(date.day()));
      case 'j':
        return number((day - std::chrono::sys_days{date.year() / 1 / 1}).count() + 1, 3);
      case 'H':
        return number(hour, 2);
      case 'I':
        return number((hour + 11) % 12 + 1, 2);
      case 'M':
        return number(second / 60 % 60, 2);
      case 'S':
        return number(second % 60, 2);
      case 'p':
        return hour < 12 ? "AM" : "PM";
      case 'B':
        return std::string(month_name());
      case 'b':
        return std::string(month_name().substr(0, 3));
      case 'A':
        return std::string(day_name());
      case 'a':
        return std::string(day_name().substr(0, 3));
      case '%':
        return "%";
      default:
        return std::nullopt;
    }
  }

  std::chrono::sys_days day;
  std::chrono::year_month_day date;
  std::int64_t second;  // of the day
};

}  // namespace

std::size_t char_bytes(std::string_view text, std::size_t at) { return decode(text, at).bytes; }

std::size_t n_chars(std::string_view text) {
  std::size_t n = 0;
  for (std::size_t at = 0; at < text.size(); ++n) at += char_bytes(text, at);
  return n;
}

std::size_t char_offset(std::string_view text, std::size_t n) {
  std::size_t at = 0;
  for (; n > 0 && at < text.size(); --n) at += char_bytes(text, at);
  return at;
}

std::vector<std::string_view> chars(std::string_view text) {
  std::vector<std::string_view> out;
  for (std::size_t at = 0; at < text.size(); at += out.back().size()) {
    out.push_back(text.substr(at, char_bytes(text, at)));
  }
  return out;
}

void append_utf8(std::string& out, std::uint32_t code_point) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const auto n = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code_point), bytes.data());
  out.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(n));
}

std::string_view strip(std::string_view text, StripSides sides,
                       std::optional<std::string_view> set) {
  const auto goes = [&](std::size_t at) {
    const Decoded d = decode(text, at);
    if (!set) return is_space(d.code);
    const std::string_view one = text.substr(at, d.bytes);
    for (std::size_t i = 0; i < set->size(); i += char_bytes(*set, i)) {
      if (set->substr(i, char_bytes(*set, i)) == one) return true;
    }
    return false;
  };
  if (sides.left) {
    std::size_t at = 0;
    while (at < text.size() && goes(at)) at += char_bytes(text, at);
    text.remove_prefix(at);
  }
  if (sides.right) {
    while (!text.empty() && goes(previous(text, text.size()))) {
      text = text.substr(0, previous(text, text.size()));
    }
  }
  return text;
}

std::string upper(std::string_view text) {
  // The one letter in common use whose capital is two letters.
  return map_case(replace(text, "\u00DF", "SS", -1), utf8proc_toupper);
}
std::string lower(std::string_view text) { return map_case(text, utf8proc_tolower); }

std::string capitalize(std::string_view text) {
  const std::size_t first = char_offset(text, 1);
  return upper(text.substr(0, first)) + lower(text.substr(first));
}

std::string title(std::string_view text, TitleRule rule) {
  std::string out;
  bool inside = false;
  for (std::size_t at = 0; at < text.size();) {
    const Decoded d = decode(text, at);
    const std::string_view one = text.substr(at, d.bytes);
    if (rule == TitleRule::Method) {
      out += is_cased(d.code) ? (inside ? lower(one) : upper(one)) : std::string(one);
      inside = is_cased(d.code);
    } else if (is_space(d.code) || std::string_view("-({[<").find(one) != std::string_view::npos) {
      out += one;
      inside = false;
    } else {
      out += inside ? lower(one) : upper(one);
      inside = true;
    }
    at += d.bytes;
  }
  return out;
}

std::vector<std::string_view> split_space(std::string_view text, std::int64_t max,
                                          bool from_right) {
  std::vector<std::string_view> parts;
  const StripSides near{.left = !from_right, .right = from_right};
  for (text = strip(text, near); !text.empty(); text = strip(text, near)) {
    if (max >= 0 && static_cast<std::int64_t>(parts.size()) == max) {
      parts.push_back(text);
      break;
    }
    std::size_t cut = from_right ? text.size() : 0;
    if (from_right) {
      while (cut > 0 && !is_space(decode(text, previous(text, cut)).code))
        cut = previous(text, cut);
      parts.push_back(text.substr(cut));
      text = text.substr(0, cut);
    } else {
      while (cut < text.size() && !is_space(decode(text, cut).code)) cut += char_bytes(text, cut);
      parts.push_back(text.substr(0, cut));
      text.remove_prefix(cut);
    }
  }
  if (from_right) std::ranges::reverse(parts);
  return parts;
}

std::vector<std::string_view> split_on(std::string_view text, std::string_view separator,
                                       std::int64_t max, bool from_right) {
  std::vector<std::string_view> parts;
  while (max < 0 || static_cast<std::int64_t>(parts.size()) < max) {
    const std::size_t at = from_right ? text.rfind(separator) : text.find(separator);
    if (at == std::string_view::npos) break;
    const std::string_view before = text.substr(0, at);
    const std::string_view after = text.substr(at + separator.size());
    parts.push_back(from_right ? after : before);
    text = from_right ? before : after;
  }
  parts.push_back(text);
  if (from_right) std::ranges::reverse(parts);
  return parts;
}

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of("\n\r"), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end);
    if (!text.empty()) text.remove_prefix(text.starts_with("\r\n") ? 2 : 1);
  }
  return lines;
}

std::string replace(std::string_view text, std::string_view from, std::string_view to,
                    std::int64_t max) {
  std::string out;
  std::size_t at = 0;
  for (std::int64_t n = 0; max < 0 || n < max; ++n) {
    if (from.empty()) {
      out += to;
      if (at == text.size()) return out;
      const std::size_t bytes = char_bytes(text, at);
      out += text.substr(at, bytes);
      at += bytes;
      continue;
    }
    const std::size_t hit = text.find(from, at);
    if (hit == std::string_view::npos) break;
    out += text.substr(at, hit - at);
    out += to;
    at = hit + from.size();
  }
  out += text.substr(at);
  return out;
}

std::string repr(std::string_view text) {
  const bool doubles =
      text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
  const char quote = doubles ? '"' : '\'';
  std::string out(1, quote);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == quote || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7F) {
      out += format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out + quote;
}

std::string repr(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
  std::array<char, 40> buffer{};
  // Shortest digits that read back equal; Python writes an exponent below 1e-4 and from 1e16 on.
  const double size = std::fabs(number);
  const bool exponent = size != 0 && (size < 1e-4 || size >= 1e16);
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), number,
                    exponent ? std::chars_format::scientific : std::chars_format::fixed);
  std::string out(buffer.data(), end.ptr);
  if (!exponent && out.find('.') == std::string::npos) out += ".0";
  return out;
}

std::string json_quote(std::string_view text, bool ensure_ascii) {
  std::string out = "\"";
  for (std::size_t at = 0; at < text.size();) {
    const Decoded d = decode(text, at);
    const char c = text[at];
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (constexpr std::string_view raw = "\n\r\t\b\f"; raw.find(c) != raw.npos) {
      out += '\\';
      out += std::string_view("nrtbf")[raw.find(c)];
    } else if (d.code >= 0 && (d.code < 0x20 || (ensure_ascii && d.code >= 0x7F))) {
      const auto code = static_cast<std::uint32_t>(d.code);
      if (code == 0x7F) {
        out += c;
      } else if (code < 0x10000) {
        out += format("\\u{:04x}", code);
      } else {
        out += format("\\u{:04x}\\u{:04x}", 0xD7C0 + (code >> 10), 0xDC00 + (code & 0x3FF));
      }
    } else {
      out += text.substr(at, d.bytes);
    }
    at += d.bytes;
  }
  return out + '"';
}

std::optional<std::string> format_utc(std::string_view pattern, std::int64_t unix_seconds) {
  constexpr std::int64_t kYear1 = -62'135'596'800, kYear10000 = 253'402'300'800;
  if (unix_seconds < kYear1 || unix_seconds >= kYear10000) return std::nullopt;
  const UtcTime time(unix_seconds);
  std::string out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '%') {
      out += pattern[i];
      continue;
    }
    const bool pad = !pattern.substr(i + 1).starts_with('-');
    i += pad ? 1 : 2;
    const auto piece = i < pattern.size() ? time.directive(pattern[i], pad) : std::nullopt;
    if (!piece) return std::nullopt;
    out += *piece;
  }
  return out;
}

}  // namespace tinderbox::jinja
