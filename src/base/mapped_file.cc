#include "base/mapped_file.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {

MappedFile::MappedFile(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    throw_not_found(format("{}: cannot open: {}; check the path", path.string(), std::strerror(errno)));
  }
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd);
    throw_invalid(format("{}: not a regular file; give the path of a file", path.string()));
  }
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ > 0) {
    void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapped == MAP_FAILED) {
      const int code = errno;
      ::close(fd);
      throw_invalid(format("{}: cannot map {} bytes: {}", path.string(), size_, std::strerror(code)));
    }
    data_ = static_cast<const std::byte*>(mapped);
  }
  ::close(fd);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

std::string read_file(const std::filesystem::path& path, std::size_t limit) {
  std::error_code none;
  if (std::filesystem::is_directory(path, none)) {
    throw_invalid(format("{}: is a folder; give the path of a file", path.string()));
  }
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) throw_not_found(format("{}: cannot open; check the path", path.string()));
  const auto end = in.tellg();
  if (end < 0) throw_invalid(format("{}: not a regular file; give the path of a file", path.string()));
  const auto size = static_cast<std::size_t>(end);
  if (size > limit) {
    throw_too_large(format("{}: {} bytes, the limit is {}", path.string(), size, limit));
  }
  std::string text(size, '\0');
  in.seekg(0);
  in.read(text.data(), static_cast<std::streamsize>(size));
  if (static_cast<std::size_t>(in.gcount()) != size) {
    throw_invalid(format("{}: could not be read whole", path.string()));
  }
  return text;
}

}  // namespace tinderbox
