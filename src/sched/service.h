// How much each key (a user, an API key) has been served, for fairness between them: the virtual
// token counter of Sheng et al., "Fairness in Serving Large Language Models" (OSDI 2024): a token
// read counts 1, one generated 2; a key that comes back after a pause is lifted to the least of
// those that wait, so that it has saved up nothing. What decodes is charged as it goes, without
// being touched in each step. Owned by the scheduler, used by one thread. Keeps a counter for every
// key it has seen.
#pragma once

#include <cstdint>
#include <map>

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

 private:
  static constexpr std::int64_t kGenerated = 2;
  struct Account {
    std::int64_t charged = 0;
    std::int64_t n_decoding = 0, began = 0;  // began: sum over them
  };
  std::map<std::uint64_t, Account> accounts_;
};

}  // namespace tinderbox
