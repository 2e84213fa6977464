// A whole file, read-only. Owns the mapping; movable, not copyable. If the file shrinks while it is mapped,
// touching the lost pages raises SIGBUS: model files are not to be edited in place.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace tinderbox {

class MappedFile {
 public:
  // Throws Error::NotFound if it cannot be opened, Error::Invalid if it is not a regular file.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// The whole file as text. Throws Error::NotFound, or Error::TooLarge over `limit` bytes.
std::string read_file(const std::filesystem::path& path, std::size_t limit = std::size_t{1} << 30);

}  // namespace tinderbox
