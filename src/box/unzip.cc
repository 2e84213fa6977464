#include "box/unzip.h"

#include <minizip/unzip.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

constexpr std::size_t kMembersMax = 100'000;
constexpr int kCaseSensitive = 1;

using Archive = std::unique_ptr<void, int (*)(unzFile)>;

Archive open(const std::filesystem::path& path) {
  Archive archive(unzOpen64(path.c_str()), unzClose);
  if (!archive) throw_invalid(format("{}: not a ZIP archive", path.string()));
  return archive;
}

}  // namespace

std::vector<ZipMember> zip_members(const std::filesystem::path& path) {
  const Archive archive = open(path);
  std::vector<ZipMember> members;
  for (int at = unzGoToFirstFile(archive.get()); at == UNZ_OK; at = unzGoToNextFile(archive.get())) {
    unz_file_info64 info{};
    std::array<char, 4096> name{};
    if (unzGetCurrentFileInfo64(archive.get(), &info, name.data(), name.size() - 1, nullptr, 0, nullptr, 0) != UNZ_OK) {
      throw_invalid(format("{}: the archive's directory is damaged", path.string()));
    }
    if (members.size() == kMembersMax) throw_too_large(format("{}: more than {} files", path.string(), kMembersMax));
    members.push_back({.name = name.data(), .size = static_cast<std::int64_t>(info.uncompressed_size)});
  }
  return members;
}

bool unzip(const std::filesystem::path& path, const std::string& member,
           const std::function<bool(std::string_view)>& sink) {
  const Archive archive = open(path);
  if (unzLocateFile(archive.get(), member.c_str(), kCaseSensitive) != UNZ_OK) {
    throw_not_found(format("{}: has no member {}", path.string(), member));
  }
  if (unzOpenCurrentFile(archive.get()) != UNZ_OK) {
    throw_invalid(format("{}: {} is packed in a way that is not known", path.string(), member));
  }
  std::string piece(1 << 20, '\0');
  for (int n = 0; (n = unzReadCurrentFile(archive.get(), piece.data(), static_cast<unsigned>(piece.size()))) != 0;) {
    if (n < 0) throw_invalid(format("{}: {} is damaged", path.string(), member));
    if (!sink({piece.data(), static_cast<std::size_t>(n)})) return false;
  }
  if (unzCloseCurrentFile(archive.get()) != UNZ_OK) {
    throw_invalid(format("{}: {} has another checksum than the archive says", path.string(), member));
  }
  return true;
}

}  // namespace tinderbox
