// Markdown from values: tables, links and text that stays text, whatever a cell of a CSV holds.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tinderbox {

// Valid UTF-8 on one line that Markdown and HTML show as it is.
std::string markdown_text(std::string_view text);
// A link if the address is http or https without blanks, brackets or parentheses, else the text and
// the address as text.
std::string markdown_link(std::string_view text, std::string_view address);

// Cells are Markdown already. The first n_left columns are left aligned, the others right.
std::string markdown_row(const std::vector<std::string>& cells);
std::string markdown_header(const std::vector<std::string>& cells, std::size_t n_left);

std::string percent(double fraction);         // "5.3 %"
std::string signed_percent(double fraction);  // "+5.3 %"

// The text with `body` between "<!-- name -->" and "<!-- /name -->", each on a line of its own.
// Throws Error::Invalid naming `where` if the two lines are not there, once each and in order.
std::string with_section(const std::string& text, std::string_view name, std::string_view body,
                         std::string_view where);

}  // namespace tinderbox
