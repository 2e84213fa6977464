#include "http/answer_text.h"

#include <algorithm>

#include "base/text.h"

namespace tinderbox {

namespace {

// The length of the longest suffix of text that is a proper prefix of stop.
std::size_t held_back(std::string_view text, std::string_view stop) {
  for (std::size_t n = std::min(text.size(), stop.size() - 1); n > 0; --n) {
    if (text.substr(text.size() - n) == stop.substr(0, n)) return n;
  }
  return 0;
}

}  // namespace

AnswerText::AnswerText(std::vector<std::string> stops) : stops_(std::move(stops)) {}

void AnswerText::push(std::string_view bytes, std::string& out) {
  if (stopped_) return;
  bytes_ += bytes;
  const std::size_t n = complete_utf8_prefix(bytes_);
  pending_ += to_valid_utf8(std::string_view(bytes_).substr(0, n));
  bytes_.erase(0, n);
  release(out);
}

void AnswerText::finish(std::string& out) {
  if (stopped_) return;
  pending_ += to_valid_utf8(bytes_);
  bytes_.clear();
  release(out);
  if (stopped_) return;
  out += pending_;
  pending_.clear();
}

void AnswerText::release(std::string& out) {
  std::size_t start = std::string::npos, end = std::string::npos, keep = 0;
  for (const std::string& stop : stops_) {
    const std::size_t at = pending_.find(stop);
    if (at != std::string::npos) {
      const std::size_t stop_end = at + stop.size();
      if (stop_end < end || (stop_end == end && at < start)) {
        start = at;
        end = stop_end;
      }
    }
    keep = std::max(keep, held_back(pending_, stop));
  }
  stopped_ = start != std::string::npos;
  const std::size_t n = stopped_ ? start : pending_.size() - keep;
  out.append(pending_, 0, n);
  pending_.erase(0, n);
  if (stopped_) pending_.clear();
}

}  // namespace tinderbox
