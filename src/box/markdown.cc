#include "box/markdown.h"

#include <cctype>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {

std::string markdown_text(std::string_view text) {
  std::string out;
  const std::string valid = to_valid_utf8(text);
  const auto is_word = [&](std::size_t i) {
    return i < valid.size() && std::isalnum(static_cast<unsigned char>(valid[i])) != 0;
  };
  for (std::size_t i = 0; i < valid.size(); ++i) {
    const char c = valid[i];
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      out += ' ';
    } else {
      // Within a word an underline is itself: "tok_per_s".
      const bool plain_underline = c == '_' && i > 0 && is_word(i - 1) && is_word(i + 1);
      if (std::string_view("\\`*_[]|~#!$").find(c) != std::string_view::npos && !plain_underline)
        out += '\\';
      out += c;
    }
  }
  return out;
}

std::string markdown_link(std::string_view text, std::string_view address) {
  const bool is_web = address.starts_with("https://") || address.starts_with("http://");
  bool plain = is_web;
  for (const char c : address) {
    const auto u = static_cast<unsigned char>(c);
    plain = plain && u > 0x20 && u < 0x7F &&
            std::string_view("<>()[]\\`|\"").find(c) == std::string_view::npos;
  }
  if (plain) return format("[{}]({})", markdown_text(text), address);
  return format("{}: {}", markdown_text(text), markdown_text(address));
}

std::string markdown_row(const std::vector<std::string>& cells) {
  std::string line = "|";
  for (const std::string& cell : cells) line += " " + cell + " |";
  return line + "\n";
}

std::string markdown_header(const std::vector<std::string>& cells, std::size_t n_left) {
  std::string out = markdown_row(cells) + "|";
  for (std::size_t i = 0; i < cells.size(); ++i) out += i < n_left ? " --- |" : " ---: |";
  return out + "\n";
}

std::string percent(double fraction) { return format("{:.1f} %", 100 * fraction); }
std::string signed_percent(double fraction) { return format("{:+.1f} %", 100 * fraction); }

std::string with_section(const std::string& text, std::string_view name, std::string_view body,
                         std::string_view where) {
  const std::string open = format("<!-- {} -->\n", name), close = format("<!-- /{} -->\n", name);
  const std::size_t begin = text.find(open), end = text.find(close);
  if (begin == std::string::npos || end == std::string::npos || end < begin ||
      text.find(open, begin + 1) != std::string::npos ||
      text.find(close, end + 1) != std::string::npos) {
    throw_invalid(format("{}: expected one line '<!-- {} -->' and, below it, one '<!-- /{} -->'",
                         where, name, name));
  }
  const std::size_t from = begin + open.size();
  return text.substr(0, from) + std::string(body) + text.substr(end);
}

}  // namespace tinderbox
