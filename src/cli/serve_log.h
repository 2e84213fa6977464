// The request log on stderr: lines are handed over and written by a thread of its own, so that a terminal or pipe that
// is slow holds up nobody. If it is too slow, lines are left out, and that is said.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

#include "box/mailbox_queue.h"
#include "box/state_file.h"

namespace tinderbox::cli {

enum class LogForm { None, Text, Json };

class ServeLog {
 public:
  // journal: lines get their level in front, and no time: the journal has it.
  ServeLog(LogForm form, bool journal);
  ~ServeLog();  // writes what is left
  ServeLog(const ServeLog&) = delete;
  ServeLog& operator=(const ServeLog&) = delete;
  void add(const RequestRecord& record);  // any thread

 private:
  void run();

  const LogForm form_;
  const bool journal_;
  BoundedQueue<std::string> lines_;
  std::atomic<std::int64_t> n_lost_{0};
  std::thread thread_;
};

// Whether stderr is the systemd journal ($JOURNAL_STREAM names its device and inode).
bool stderr_is_journal();

}  // namespace tinderbox::cli
