// Files in a ZIP archive, as Python's wheels are: its directory, and one member unpacked. By minizip; stays in
// unzip.cc.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace tinderbox {

struct ZipMember {
  std::string name;
  std::int64_t size = 0;  // unpacked
};
// Throws Error::Invalid if it is no archive.
std::vector<ZipMember> zip_members(const std::filesystem::path& archive);
// sink: each piece, in order; false ends it, and so does unzip, with false. Throws Error::NotFound if there is no such
// member, Error::Invalid if it is damaged.
bool unzip(const std::filesystem::path& archive, const std::string& member,
           const std::function<bool(std::string_view)>& sink);

}  // namespace tinderbox
