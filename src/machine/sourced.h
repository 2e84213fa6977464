// Reader of data files whose every number says where it comes from:
//   bandwidth = { value = "273 GB/s", kind = "claimed", source = "NVHW", note = "..." }
//   [sources]
//   NVHW = { address = "https://...", date = "2026-06-05" }
// Sections nest; the only bare values are names and switches (text, flag). A key that is no word is
// a point of a curve and must itself be a quantity: [gpu.busy_clock] "38 W" = { value = "2499 MHz",
// ... }. Used by machine.cc and by twin/stack.cc; not part of what either offers.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "machine/machine.h"
#include "machine/measure.h"

namespace tinderbox {

// One key of the file that is no section.
struct SourcedEntry {
  enum class Form : std::uint8_t { Number, Text, Flag };
  Form form = Form::Number;
  std::string key;  // "memory.bandwidth"
  int line = 0, column = 0;
  Measure measure{};
  double number = 0;  // base units
  bool flag = false;
  Fact fact;          // Text: fact.text
  bool read = false;  // asked for by the loader
};

class SourcedFile {
 public:
  // `name` stands for the path in messages. Throws Error::Invalid, "file:line: key: expected ...;
  // got ...", for bad TOML, a number without unit, kind or source, a source that is not listed, a
  // key whose words name no measure, or an attribute that is none; Error::TooLarge over the limits
  // below.
  SourcedFile(std::string_view toml, std::string_view name, std::span<const Noun> nouns);

  static constexpr std::size_t kBytesMax = 512 * 1024;
  static constexpr std::size_t kEntriesMax = 4096;
  static constexpr std::size_t kDepthMax = 6;
  static constexpr std::size_t kKeyBytesMax = 160;

  // Takes what this file does not say from another one; a curve is taken or replaced as a whole. Throws
  // Error::Invalid if both give a source of one key different addresses.
  void inherit(const SourcedFile& parent);

  // Each throws Error::Invalid if the key is missing or has another form. Whoever asks knows the
  // measure from the key's last word: asking for another one is a bug (CHECK).
  double count(std::string_view key, double low, double high);
  double share(std::string_view key, double low, double high);
  double number(std::string_view key, Measure measure);
  Seconds seconds(std::string_view key) { return Seconds(number(key, Measure::Time)); }
  Hertz hertz(std::string_view key) { return Hertz(number(key, Measure::Frequency)); }
  Bytes bytes(std::string_view key) { return Bytes(number(key, Measure::Size)); }
  BytesPerSecond bytes_per_second(std::string_view key) {
    return BytesPerSecond(number(key, Measure::Bandwidth));
  }
  Watts watts(std::string_view key) { return Watts(number(key, Measure::Power)); }
  std::string text(std::string_view key);
  bool flag(std::string_view key);

  // Whether the file has a key that may be missing.
  bool has(std::string_view key);
  // Names of the sections and keys directly below a section, in file order.
  std::vector<std::string> children(std::string_view section) const;
  // "file:line: key", for messages about a key that exists; "file: key" otherwise.
  std::string where(std::string_view key) const;

  // Throws Error::Invalid naming the first key nobody asked for, and the nearest of those somebody
  // did: any such key, or only names and switches.
  void reject_unread() const;
  void reject_unread_text() const;
  // Throws Error::Invalid for a top-level section that is not in the list.
  void reject_sections_but(const std::vector<std::string>& sections) const;

  // All numbers, in file order.
  std::vector<Fact> facts() const;
  const std::vector<Source>& sources() const { return sources_; }

 private:
  SourcedEntry& require(std::string_view key, SourcedEntry::Form form, std::string_view expected);
  double within(std::string_view key, double value, double low, double high) const;
  [[noreturn]] void unknown_key(const SourcedEntry& entry) const;

  std::string name_;
  std::vector<SourcedEntry> entries_;  // in file order
  std::vector<Source> sources_;
  std::vector<std::string> asked_;
};

}  // namespace tinderbox
