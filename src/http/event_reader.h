// Server-sent events out of bytes as they come, for answers that are told in other words.
#pragma once

#include <string>
#include <string_view>

namespace tinderbox {

class EventReader {
 public:
  // Calls event(data) for each "data: ..." that is complete now, until it returns false; then nothing more is read.
  template <typename Event>
  void take(std::string_view bytes, const Event& event) {
    constexpr std::string_view kData = "data: ", kEnd = "\n\n";
    unread_ += bytes;
    std::size_t begin = 0;
    for (std::size_t end; !over_ && (end = unread_.find(kEnd, begin)) != std::string::npos; begin = end + kEnd.size()) {
      const std::string_view one = std::string_view(unread_).substr(begin, end - begin);
      if (one.starts_with(kData)) over_ = !event(one.substr(kData.size()));
    }
    unread_.erase(0, begin);
  }

 private:
  std::string unread_;
  bool over_ = false;
};

}  // namespace tinderbox
