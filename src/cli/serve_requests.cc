#include "cli/serve_requests.h"

#include "base/csv.h"
#include "base/error.h"
#include "base/text.h"
#include "cli/output.h"

namespace tinderbox::cli {
namespace {

constexpr std::size_t kServedRowsMax = 1 << 16;
constexpr Duration kRowWait = std::chrono::seconds(60);
constexpr Duration kRowGather = std::chrono::milliseconds(200);  // many rows in one write when there are many

// The row of a table with one more column.
std::string with_column(std::string row, const std::string& value) {
  row.insert(row.size() - 1, "," + value);
  return row;
}

}  // namespace

ServedRequests::ServedRequests(const std::string& path) : path_(path), file_(path), rows_(kServedRowsMax) {
  file_ << with_column(requests_csv_header(), "model");
  if (!file_.flush()) throw_invalid(format("--requests-out: {} cannot be written", path_));
  thread_ = std::thread([this] { run(); });
}

ServedRequests::~ServedRequests() {
  rows_.close();
  thread_.join();
  if (const std::int64_t n = n_lost_; n > 0) {
    log(format("tinderbox: --requests-out: {} requests are not in {}: it could not be written, or not fast enough", n,
               path_));
  }
}

Observer& ServedRequests::of_model(const std::string& id, Duration request_time) {
  const std::string model = csv_field(id);
  return recorders_.emplace_back(
      request_time, Slo{},
      [this, model](const RequestTimes& times) {
        if (!rows_.push(with_column(requests_csv_row(times), model))) ++n_lost_;
      },
      1, 0);
}

void ServedRequests::run() {
  while (!rows_.over()) {
    const std::vector<std::string> rows = rows_.take(kRowWait, kRowGather);
    std::string text;
    for (const std::string& row : rows) text += row;
    file_ << text;
    if (file_.flush()) continue;
    n_lost_ += std::ssize(rows);
    file_.clear();  // there may be room later
  }
}

}  // namespace tinderbox::cli
