// A lock between processes on a file made for it (flock(2), as Hugging Face's clients take it). Given back when this
// ends, or the process does, however that happens. The file stays: removing it would let two hold "the" lock.
#pragma once

#include <filesystem>

namespace tinderbox {

class FileLock {
 public:
  // Makes the file, not its folder. Throws Error::Invalid if it cannot be opened.
  explicit FileLock(const std::filesystem::path& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  bool try_lock();  // false: somebody else holds it
  bool lock();      // waits; false: a signal came first

 private:
  int fd_;
};

}  // namespace tinderbox
