// The text files of one kind of data (machines, stacks, models): embedded in the binary, or a folder. A value;
// main() builds one of each and hands it down.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace tinderbox {

class Catalogue {
 public:
  explicit Catalogue(std::string kind) : kind_(std::move(kind)) {}
  // Every file of the folder with this extension (".toml"); the id is the stem. Throws Error::NotFound.
  static Catalogue from_folder(std::string kind, const std::filesystem::path& folder,
                               std::string_view extension);

  void add(std::string id, std::string text);
  std::vector<std::string> ids() const;  // sorted
  bool has(std::string_view id) const;
  // Throws Error::NotFound with the nearest ids.
  const std::string& text(std::string_view id) const;

 private:
  std::string kind_;  // "machine", for messages
  std::map<std::string, std::string, std::less<>> texts_;
};

}  // namespace tinderbox
