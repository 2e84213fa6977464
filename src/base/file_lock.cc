#include "base/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {

FileLock::FileLock(const std::filesystem::path& path)
    : fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
  if (fd_ < 0) throw_invalid(format("{}: cannot open the lock ({})", path.string(), std::strerror(errno)));
}

FileLock::~FileLock() { ::close(fd_); }

bool FileLock::try_lock() { return ::flock(fd_, LOCK_EX | LOCK_NB) == 0; }
bool FileLock::lock() { return ::flock(fd_, LOCK_EX) == 0; }

}  // namespace tinderbox
