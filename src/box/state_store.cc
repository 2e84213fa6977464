#include "box/state_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iterator>

#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

constexpr std::size_t kCommandsMax = 1 << 16;
constexpr std::size_t kUnwrittenMax = 10'000;  // kept while the file cannot be written
constexpr Duration kGather = std::chrono::milliseconds(400);
constexpr Duration kLook = std::chrono::seconds(1);  // for changes by other programs
constexpr double kPruneEvery = 60;                   // s

int lock_folder(const std::string& folder) {
  const std::string path = (std::filesystem::path(folder) / "lock").string();
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (fd < 0) return -1;
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  ::close(fd);
  return -1;
}

}  // namespace

StateStore::StateStore(std::unique_ptr<StateFile> file, const std::string& folder, std::function<double()> now_unix,
                       std::function<void(std::string_view)> tell)
    : file_(std::move(file)),
      now_unix_(std::move(now_unix)),
      tell_(std::move(tell)),
      lock_(lock_folder(folder)),
      queue_(kCommandsMax) {
  if (lock_ < 0) {
    trouble_.post("another server keeps its state in the same folder");
    tell_(
        format("{}: another server keeps its state there; this one has its keys, but keeps no history and no "
               "requests: give it another --state folder",
               folder));
  } else {
    for (const HistorySpan& span : kHistorySpans) {
      std::vector<HistoryRow> rows = file_->history(span.span_s);
      std::ranges::move(rows, std::back_inserter(history_));
    }
  }
  others_version_ = file_->others_version();
  post_keys();
  thread_ = std::thread([this] { run(); });
}

StateStore::~StateStore() {
  queue_.close();
  thread_.join();
  if (lock_ >= 0) ::close(lock_);
}

void StateStore::add(RequestRecord record) { queue_.push(std::move(record)); }

void StateStore::add(HistoryRow row) { queue_.push(std::move(row)); }

void StateStore::set(std::string name, std::string value) { queue_.push(Setting{std::move(name), std::move(value)}); }

void StateStore::add_key(ApiKey row, Done done) {
  if (queue_.push(KeyChange{std::move(row), true, done})) return queue_.hurry();
  done("the box is too busy to keep a key; try again");
}

void StateStore::remove_key(std::string id, Done done) {
  ApiKey row;
  row.id = std::move(id);
  if (queue_.push(KeyChange{std::move(row), false, done})) return queue_.hurry();
  done("the box is too busy to remove a key; try again");
}

void StateStore::run() {
  do {
    std::vector<Command> batch = queue_.take(kLook, kGather);
    std::vector<KeyChange> changes;
    for (Command& command : batch) {
      if (auto* change = std::get_if<KeyChange>(&command)) changes.push_back(std::move(*change));
    }
    std::erase_if(batch, [](const Command& c) { return std::holds_alternative<KeyChange>(c); });
    if (!changes.empty()) change_keys(changes);
    write(std::move(batch));
    look_for_others();
  } while (!queue_.over());
}

void StateStore::change_keys(std::vector<KeyChange>& changes) {
  for (const KeyChange& change : changes) {
    std::string error;
    try {
      file_->transaction([&] {
        if (change.add) {
          file_->add_key(change.row);
        } else {
          file_->remove_key(change.row.id);
        }
      });
      post_keys();
    } catch (const Error& e) {
      error = e.what();
    }
    change.done(error);
  }
}

void StateStore::post_keys() {
  const auto before = table_.get();
  table_.post(std::make_shared<const KeyTable>(KeyTable{before ? before->version + 1 : 1, file_->keys()}));
}

void StateStore::look_for_others() {
  try {
    const std::int64_t version = file_->others_version();
    if (version == others_version_) return;
    others_version_ = version;
    post_keys();
  } catch (const Error& e) {
    failed(e.what());
  }
}

void StateStore::write(std::vector<Command> batch) {
  if (lock_ < 0) {
    std::erase_if(batch, [](const Command& c) { return !std::holds_alternative<RequestRecord>(c); });
  }
  std::ranges::move(batch, std::back_inserter(unwritten_));
  if (unwritten_.empty()) return;
  try {
    file_->transaction([&] {
      for (const Command& command : unwritten_) {
        if (const auto* record = std::get_if<RequestRecord>(&command)) {
          if (lock_ >= 0) file_->add(*record);
          file_->count_usage(*record);
        } else if (const auto* row = std::get_if<HistoryRow>(&command)) {
          file_->add(*row);
        } else if (const auto* setting = std::get_if<Setting>(&command)) {
          file_->set(setting->name, setting->value);
        }
      }
      if (const double now = now_unix_(); now - pruned_unix_ >= kPruneEvery || now < pruned_unix_) {
        file_->prune(static_cast<std::int64_t>(now));
        pruned_unix_ = now;
      }
    });
    unwritten_.clear();
  } catch (const Error& e) {
    return failed(e.what());
  }
  if (lock_ < 0 || trouble_.get().empty()) return;
  trouble_.post("");
  tell_(format("{}: is kept again{}", file_->path(), n_lost_ == 0 ? "" : format("; {} records were lost", n_lost_)));
  n_lost_ = 0;
}

void StateStore::failed(const std::string& why) {
  const std::size_t n_over = unwritten_.size() - std::min(unwritten_.size(), kUnwrittenMax);
  unwritten_.erase(unwritten_.begin(), unwritten_.begin() + static_cast<std::ptrdiff_t>(n_over));
  n_lost_ += static_cast<std::int64_t>(n_over);
  if (trouble_.get().empty()) tell_(format("{}; the box goes on, and tries again", why));
  trouble_.post(why);
}

}  // namespace tinderbox
