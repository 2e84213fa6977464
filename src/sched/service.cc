#include "sched/service.h"

namespace tinderbox {

std::int64_t Service::of(std::uint64_t key, std::int64_t step) const {
  const auto it = accounts_.find(key);
  if (it == accounts_.end()) return 0;
  const Account& a = it->second;
  return a.charged + kGenerated * (a.n_decoding * step - a.began);
}

void Service::begins(std::uint64_t key, std::int64_t step) {
  Account& a = accounts_[key];
  ++a.n_decoding;
  a.began += step;
}

void Service::ends(std::uint64_t key, std::int64_t began, std::int64_t step) {
  Account& a = accounts_[key];
  --a.n_decoding;
  a.began -= began;
  a.charged += kGenerated * (step - began);
}

void Service::lift(std::uint64_t key, std::int64_t least, std::int64_t step) {
  const std::int64_t n_missing = least - of(key, step);
  if (n_missing > 0) accounts_[key].charged += n_missing;
}

}  // namespace tinderbox
