// How much each key (a user, an API key) has been served, for fairness between them: the virtual
// token counter of Sheng et al., "Fairness in Serving Large Language Models" (OSDI 2024): a token
// read counts 1, one generated 2; a key that comes back after a pause is lifted to the least of
// those that wait, so that it has saved up nothing. What decodes is charged as it goes, without
// being touched in each step. Owned by the scheduler, used by one thread. Of many keys that have
// nothing here it keeps those that were served most: the others have no debt to speak of.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace tinderbox {

class Service {
 public:
  // Weighted tokens, as of this step of decoding.
  std::int64_t of(std::uint64_t key, std::int64_t step) const;
  void reads(std::uint64_t key, std::int64_t n_tokens) { accounts_[key].charged += n_tokens; }
  void generates(std::uint64_t key, std::int64_t n_tokens) {
    accounts_[key].charged += kGenerated * n_tokens;
  }
  template <typename F>
  void for_each_key(F&& f) const {
    for (const auto& [key, account] : accounts_) f(key);
  }
  // A sequence generates one token in each step from here on, until it stops.
  void begins(std::uint64_t key, std::int64_t step);
  void ends(std::uint64_t key, std::int64_t began, std::int64_t step);
  // A key of which none waits is lifted to this at least.
  void lift(std::uint64_t key, std::int64_t least, std::int64_t step);
  std::size_t n_keys() const { return accounts_.size(); }
  // To be called as requests come: keys come and go for as long as a box runs. waits(key): whether
  // it has requests waiting.
  template <typename F>
  void forget_idle(F&& waits) {
    if (accounts_.size() <= kept_max_) return;
    std::vector<std::pair<std::int64_t, std::uint64_t>> idle;
    for (const auto& [key, account] : accounts_) {
      if (account.n_decoding == 0 && !waits(key)) idle.emplace_back(account.charged, key);
    }
    std::ranges::sort(idle);
    idle.resize(std::min(idle.size(), accounts_.size() - kKept / 2));
    for (const auto& [charged, key] : idle) accounts_.erase(key);
    kept_max_ = std::max(kKept, 2 * accounts_.size());
  }

 private:
  static constexpr std::int64_t kGenerated = 2;
  static constexpr std::size_t kKept = 1024;
  struct Account {
    std::int64_t charged = 0;
    std::int64_t n_decoding = 0, began = 0;  // began: sum over them
  };
  std::map<std::uint64_t, Account> accounts_;
  std::size_t kept_max_ = kKept;  // above what is at work, so that looking for idle ones is rare
};

}  // namespace tinderbox
