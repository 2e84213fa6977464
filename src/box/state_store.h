// The state file behind a thread of its own: what is to be kept is posted and written within half a second, so that a
// process that is killed loses no more; nobody waits for a disk. If the file cannot be written, or another server
// holds it, that is told once, the box goes on, and writing is tried again.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <variant>
#include <vector>

#include "box/mailbox.h"
#include "box/mailbox_queue.h"
#include "box/state_file.h"

namespace tinderbox {

// The keys as they are in the file now; another version after each change, whoever made it.
struct KeyTable {
  std::int64_t version = 0;
  std::vector<ApiKey> rows;
};

class StateStore {
 public:
  using Done = std::function<void(const std::string& error)>;  // "": it is on disk
  // now_unix: called from the thread. tell: a sentence for the operator, from the thread or the constructor.
  StateStore(std::unique_ptr<StateFile> file, const std::string& folder, std::function<double()> now_unix,
             std::function<void(std::string_view)> tell);
  ~StateStore();  // writes what was posted
  StateStore(const StateStore&) = delete;
  StateStore& operator=(const StateStore&) = delete;

  // Any thread; never waits. Lost if 64 Ki others are waiting.
  void add(RequestRecord record);
  void add(HistoryRow row);
  void set(std::string name, std::string value);
  // done is called from the thread, after keys() shows it. A key that is not there to be removed is no error.
  void add_key(ApiKey row, Done done);
  void remove_key(std::string id, Done done);
  std::shared_ptr<const KeyTable> keys() const { return table_.get(); }
  // As it was when the store was opened; empty if another server holds it.
  std::vector<HistoryRow> history() const { return history_; }
  // Why nothing can be kept now; "": all is well.
  std::string trouble() const { return trouble_.get(); }

 private:
  struct Setting {
    std::string name, value;
  };
  struct KeyChange {
    ApiKey row;  // to be added; else only its id, to be removed
    bool add = true;
    Done done;
  };
  using Command = std::variant<RequestRecord, HistoryRow, Setting, KeyChange>;

  void run();
  void write(std::vector<Command> batch);
  void change_keys(std::vector<KeyChange>& changes);
  void post_keys();
  void look_for_others();
  void failed(const std::string& why);

  std::unique_ptr<StateFile> file_;
  std::function<double()> now_unix_;
  std::function<void(std::string_view)> tell_;
  int lock_ = -1;  // of the folder; -1: another server has it, and only keys are written
  std::vector<HistoryRow> history_;
  BoundedQueue<Command> queue_;
  Posted<std::shared_ptr<const KeyTable>> table_;
  Posted<std::string> trouble_;
  // Of the thread.
  std::vector<Command> unwritten_;
  std::int64_t n_lost_ = 0, others_version_ = 0;
  double pruned_unix_ = 0;
  std::thread thread_;
};

}  // namespace tinderbox
