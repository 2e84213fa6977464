#include "http/response_store.h"

#include <algorithm>

namespace tinderbox {
namespace {

std::size_t bytes_of(const StoredResponse& r) {
  std::size_t n = sizeof(r) + r.id.size() + r.response_json.size() + r.messages_json.size();
  for (const auto& [id, item] : r.items) n += sizeof(id) + sizeof(item) + id.size() + item.size();
  return n;
}

}  // namespace

void ResponseStore::put(StoredResponse response) {
  const std::size_t n = bytes_of(response);
  if (n > bytes_max_) return;
  while (!responses_.empty() && (n_bytes_ + n > bytes_max_ || responses_.size() >= kCountMax)) {
    n_bytes_ -= bytes_of(responses_.front());
    responses_.pop_front();
  }
  n_bytes_ += n;
  responses_.push_back(std::move(response));
}

const StoredResponse* ResponseStore::find(std::string_view id, std::uint64_t key) const {
  const auto at = std::ranges::find_if(responses_, [&](const auto& r) { return r.key == key && r.id == id; });
  return at == responses_.end() ? nullptr : &*at;
}

const std::string* ResponseStore::find_item(std::string_view id, std::uint64_t key) const {
  for (const StoredResponse& response : responses_) {
    if (response.key != key) continue;
    for (const auto& [item, document] : response.items) {
      if (item == id) return &document;
    }
  }
  return nullptr;
}

bool ResponseStore::erase(std::string_view id, std::uint64_t key) {
  const auto at = std::ranges::find_if(responses_, [&](const auto& r) { return r.key == key && r.id == id; });
  if (at == responses_.end()) return false;
  n_bytes_ -= bytes_of(*at);
  responses_.erase(at);
  return true;
}

}  // namespace tinderbox
