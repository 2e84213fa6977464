// The keys that open a server, with their limits and their use: those given when it started, and those of its state
// file, as they change. One thread at a time (the server's).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "box/api_key.h"
#include "box/rate_limit.h"
#include "box/state_store.h"

namespace tinderbox {

class KeyBook {
 public:
  struct Entry {
    ApiKey row;
    bool fixed = false;  // given at the start: not to be removed
    RateLimit requests = RateLimit(), tokens = RateLimit();
  };
  using Done = StateStore::Done;

  enum class Needed { IfAny, Always, Never };  // Always: also while there are none
  // store: where keys are kept; nullptr: they live as long as this. It must outlive it.
  KeyBook(StateStore* store, std::vector<ApiKey> fixed, Needed needed = Needed::IfAny);

  // Takes in what has changed in the store.
  void refresh();
  bool required() const { return needed_ == Needed::Always || (needed_ == Needed::IfAny && !entries_.empty()); }
  std::span<const Entry> entries() const { return entries_; }
  // Looks at all of them whichever it is. nullptr: no such key.
  Entry* find(std::string_view secret);
  Entry* by_id(std::string_view id);
  // done may be called from another thread, once refresh() shows the change. Requires that check_api_key passes.
  void add(ApiKey row, Done done);
  void remove(const std::string& id, Done done);
  // The request is over: counts it for its key.
  void count(const RequestRecord& record, TimePoint now);

 private:
  StateStore* store_;
  std::vector<Entry> entries_;
  Needed needed_;
  std::int64_t version_ = 0;
};

}  // namespace tinderbox
