#include "base/csv.h"

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text.h"

namespace tinderbox {

namespace {

// Reads one record starting at `at`; advances at past its line break and line by the breaks it holds.
std::vector<std::string> read_record(std::string_view text, std::size_t& at, std::size_t& line,
                                     std::string_view name) {
  std::vector<std::string> fields(1);
  const std::size_t first_line = line;
  bool quoted = false;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (quoted) {
      if (c == '\n') ++line;
      if (c != '"') {
        fields.back() += c;
      } else if (at + 1 < text.size() && text[at + 1] == '"') {
        fields.back() += '"';
        ++at;
      } else {
        quoted = false;
      }
    } else if (c == '"' && fields.back().empty()) {
      quoted = true;
    } else if (c == ',') {
      fields.emplace_back();
    } else if (c == '\n') {
      ++at;
      ++line;
      return fields;
    } else if (c != '\r') {
      fields.back() += c;
    }
  }
  if (quoted) throw_invalid(format("{}:{}: a quote is opened and never closed", name, first_line));
  return fields;
}

}  // namespace

Csv Csv::load(const std::filesystem::path& path) { return parse(read_file(path), path.string()); }

Csv Csv::parse(std::string_view text, std::string_view name) {
  Csv csv;
  csv.name_ = name;
  std::size_t at = 0, line = 1;
  if (text.empty()) throw_invalid(format("{}: empty; expected a header line", name));
  csv.header_ = read_record(text, at, line, name);
  for (std::size_t i = 0; i < csv.header_.size(); ++i) csv.index_.emplace(csv.header_[i], i);
  while (at < text.size()) {
    const std::size_t row_line = line;
    std::vector<std::string> row = read_record(text, at, line, name);
    if (row.size() == 1 && row[0].empty()) continue;  // blank line
    if (row.size() != csv.header_.size()) {
      throw_invalid(format("{}:{}: expected {} fields as in the header, got {}", name, row_line,
                           csv.header_.size(), row.size()));
    }
    csv.rows_.push_back(std::move(row));
    csv.where_.push_back(format("{}:{}", name, row_line));
  }
  return csv;
}

void Csv::append(const Csv& other) {
  if (other.header_ != header_) {
    throw_invalid(format("{}: its columns differ from those of {}", other.name_, name_));
  }
  rows_.insert(rows_.end(), other.rows_.begin(), other.rows_.end());
  where_.insert(where_.end(), other.where_.begin(), other.where_.end());
}

bool Csv::has(std::string_view column) const { return index_.contains(std::string(column)); }

const std::string& Csv::at(std::size_t row, std::string_view column) const {
  const auto it = index_.find(std::string(column));
  if (it == index_.end()) {
    throw_invalid(format("{}: no column '{}'{}", name_, column, did_you_mean(column, header_)));
  }
  return rows_.at(row)[it->second];
}

std::string Csv::where(std::size_t row) const { return where_.at(row); }

std::string csv_field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

}  // namespace tinderbox
