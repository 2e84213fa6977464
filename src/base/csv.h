// RFC 4180 comma-separated values: quoted fields, doubled quotes, line breaks inside quotes.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tinderbox {

class Csv {
 public:
  // Throws Error::NotFound if the file cannot be read, Error::Invalid naming file and line if a row has
  // another number of fields than the header, or a quote is not closed.
  static Csv load(const std::filesystem::path& path);
  static Csv parse(std::string_view text, std::string_view name);

  // Adds the rows of a file with the same header; throws Error::Invalid naming both otherwise.
  void append(const Csv& other);

  const std::vector<std::string>& header() const { return header_; }
  std::size_t size() const { return rows_.size(); }
  bool has(std::string_view column) const;
  // The cell of a row; throws Error::Invalid naming the file if there is no such column.
  const std::string& at(std::size_t row, std::string_view column) const;
  // "file:line" of a row, for messages.
  std::string where(std::size_t row) const;

 private:
  std::string name_;
  std::vector<std::string> header_;
  std::unordered_map<std::string, std::size_t> index_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<std::string> where_;  // "file:line" where each row begins
};

// One field, quoted if it must be.
std::string csv_field(std::string_view text);

}  // namespace tinderbox
