// serve --requests-out: a row for each request that the box answered, by the box's clock, as `simulate --requests-out`
// writes it and `simulate --trace` reads it. Rows are handed over and written by a thread of its own, so that a slow
// disk holds up nobody; no text of a request is kept.
#pragma once

#include <atomic>
#include <cstdint>
#include <fstream>
#include <list>
#include <string>
#include <thread>

#include "box/mailbox_queue.h"
#include "box/report.h"

namespace tinderbox::cli {

class ServedRequests {
 public:
  // Throws Error::Invalid if the file cannot be opened.
  explicit ServedRequests(const std::string& path);
  // Writes what is left, and says what could not be written. Whoever tells the observers must have ended.
  ~ServedRequests();
  ServedRequests(const ServedRequests&) = delete;
  ServedRequests& operator=(const ServedRequests&) = delete;

  // Sees one model's requests; lives as long as this.
  Observer& of_model(const std::string& id, Duration request_time);

 private:
  void run();

  const std::string path_;
  std::ofstream file_;
  std::list<Recorder> recorders_;  // do not move
  BoundedQueue<std::string> rows_;
  std::atomic<std::int64_t> n_lost_{0};
  std::thread thread_;
};

}  // namespace tinderbox::cli
