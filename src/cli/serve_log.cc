#include "cli/serve_log.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "base/text.h"
#include "http/request_log.h"

namespace tinderbox::cli {
namespace {

constexpr std::size_t kLinesMax = 1 << 14;
constexpr Duration kWait = std::chrono::seconds(60);
constexpr Duration kGather = std::chrono::milliseconds(50);  // many lines in one write when there are many
constexpr std::string_view kInfo = "<6>";                    // sd-daemon(3)

}  // namespace

ServeLog::ServeLog(LogForm form, bool journal) : form_(form), journal_(journal), lines_(kLinesMax) {
  if (form_ != LogForm::None) thread_ = std::thread([this] { run(); });
}

ServeLog::~ServeLog() {
  lines_.close();
  if (thread_.joinable()) thread_.join();
}

void ServeLog::add(const RequestRecord& record) {
  if (form_ == LogForm::None) return;
  std::string line = journal_ ? std::string(kInfo) : std::string();
  line += form_ == LogForm::Json ? log_json(record) : log_text(record, !journal_);
  line += '\n';
  if (!lines_.push(std::move(line))) ++n_lost_;
}

void ServeLog::run() {
  while (!lines_.over()) {
    std::string text;
    for (const std::string& line : lines_.take(kWait, kGather)) text += line;
    if (const std::int64_t n = n_lost_.exchange(0); n > 0) {
      text += format("{}tinderbox: {} lines of the request log were left out: whoever reads it is too slow\n",
                     journal_ ? "<4>" : "", n);
    }
    std::fwrite(text.data(), 1, text.size(), stderr);
  }
}

bool stderr_is_journal() {
  const char* named = std::getenv("JOURNAL_STREAM");
  struct stat is{};
  if (named == nullptr || ::fstat(STDERR_FILENO, &is) != 0) return false;
  return format("{}:{}", is.st_dev, is.st_ino) == named;
}

}  // namespace tinderbox::cli
