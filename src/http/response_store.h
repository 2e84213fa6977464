// Answers of /v1/responses that later requests may go on from: the newest ones, in memory only, each for the key that
// asked. HTTP thread.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tinderbox {

struct StoredResponse {
  std::string id;
  std::uint64_t key = 0;      // the caller's
  std::string response_json;  // as it was answered
  std::string messages_json;  // the conversation with this answer, as messages of a chat, without instructions
  std::vector<std::pair<std::string, std::string>> items = {};  // of the answer: ids and documents
};

class ResponseStore {
 public:
  static constexpr std::size_t kCountMax = 1024, kBytesMax = 16 << 20;
  explicit ResponseStore(std::size_t bytes_max = kBytesMax) : bytes_max_(bytes_max) {}
  // The oldest ones go where there is no room. One that is larger than all the room is not kept.
  void put(StoredResponse response);
  // nullptr: gone, never there, or another key's. Valid until the next put or erase.
  const StoredResponse* find(std::string_view id, std::uint64_t key) const;
  const std::string* find_item(std::string_view id, std::uint64_t key) const;
  bool erase(std::string_view id, std::uint64_t key);  // false: as above
  std::size_t n_bytes() const { return n_bytes_; }

 private:
  std::deque<StoredResponse> responses_;  // oldest first
  std::size_t bytes_max_, n_bytes_ = 0;
};

}  // namespace tinderbox
