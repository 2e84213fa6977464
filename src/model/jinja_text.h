// Text as Python sees it, on UTF-8 bytes: characters are code points, white space is Unicode's,
// numbers and quoted strings print as repr() and json.dumps() print them. Ill-formed bytes count as
// one character each and pass through unchanged. Pure functions; the callers charge their cost to
// the template's budget.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tinderbox::jinja {

// The bytes of the character that starts at `at`. Requires at < text.size().
std::size_t char_bytes(std::string_view text, std::size_t at);
std::size_t n_chars(std::string_view text);
// Start of the n-th character, or text.size() if there are fewer.
std::size_t char_offset(std::string_view text, std::size_t n);
std::vector<std::string_view> chars(std::string_view text);
void append_utf8(std::string& out, std::uint32_t code_point);

// str.strip family: without a set, white space goes; with one, any of its characters.
struct StripSides {
  bool left = true, right = true;
};
std::string_view strip(std::string_view text, StripSides sides = {},
                       std::optional<std::string_view> set = {});

std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string capitalize(std::string_view text);
// Title case: a word starts after any character that is not a letter (str.title), or only after the
// separators of Jinja's filter (white space and -({[<), so that "it's" stays one word.
enum class TitleRule : std::uint8_t { Method, Filter };
std::string title(std::string_view text, TitleRule rule);

// At most `max` cuts (negative: no limit); from the right if told. Without separator: on runs of
// white space.
std::vector<std::string_view> split_space(std::string_view text, std::int64_t max, bool from_right);
std::vector<std::string_view> split_on(std::string_view text, std::string_view separator,
                                       std::int64_t max, bool from_right);
std::vector<std::string_view> split_lines(std::string_view text);
// At most `max` replacements (negative: all), from the left. An empty `from` matches between
// characters.
std::string replace(std::string_view text, std::string_view from, std::string_view to,
                    std::int64_t max);

std::string repr(std::string_view text);  // 'it''s' with Python's choice of quotes
std::string repr(double number);          // 1.0, 1e+16, nan
std::string json_quote(std::string_view text, bool ensure_ascii);

// strftime in English for UTC seconds: %Y %y %m %d %e %b %B %a %A %H %I %M %S %p %j %% and %-d, %-m
// and so on. nullopt if the format holds another directive or the year is not in 1..9999.
std::optional<std::string> format_utc(std::string_view format, std::int64_t unix_seconds);

}  // namespace tinderbox::jinja
