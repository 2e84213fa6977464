#include "sched/decode_group.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace tinderbox {

DecodeGroup::DecodeGroup(std::int32_t block_tokens, bool grows)
    : grows_(grows), takers_(static_cast<std::size_t>(block_tokens)) {}

// A member takes a block in the steps in which the tokens it has computed fill its blocks.
std::size_t DecodeGroup::phase_of(const Sequence& s) const {
  const auto n = static_cast<std::int64_t>(takers_.size());
  const std::int64_t phase = (s.joined - s.n_computed) % n;
  return static_cast<std::size_t>(phase < 0 ? phase + n : phase);
}

void DecodeGroup::join(Sequence& s) {
  CHECK(s.n_computed == s.n_total - 1 && s.n_generated < s.request.n_gen_max);
  s.state = Sequence::State::Decoding;
  s.joined = step_;
  ++n_;
  n_past_ += s.n_computed;
  ++takers_[phase_of(s)];
  ends_.push_back({step_ + s.request.n_gen_max - s.n_generated, &s});
  std::push_heap(ends_.begin(), ends_.end());
}

void DecodeGroup::leave(Sequence& s) {
  const auto it = std::ranges::find(ends_, &s, &End::sequence);
  CHECK(s.state == Sequence::State::Decoding && it != ends_.end());
  if (it == ends_.begin()) {  // it has generated all it may: the usual case
    std::pop_heap(ends_.begin(), ends_.end());
    ends_.pop_back();
  } else {
    ends_.erase(it);
    std::make_heap(ends_.begin(), ends_.end());
  }
  remove(s);
}

void DecodeGroup::remove(Sequence& s) {
  --n_;
  --takers_[phase_of(s)];
  const std::int32_t n = lag(s);
  s.n_total += n;
  s.n_generated += n;
  s.n_computed += n;
  s.joined = step_;
  n_past_ -= s.n_computed;
}

void DecodeGroup::advance(std::int64_t n_steps) {
  CHECK(n_ == 0 || n_steps <= steps_left());
  step_ += n_steps;
  n_past_ += n_steps * n_;
}

Sequence* DecodeGroup::pop_ended() {
  if (ends_.empty() || ends_.front().step > step_) return nullptr;
  Sequence& s = *ends_.front().sequence;
  std::pop_heap(ends_.begin(), ends_.end());
  ends_.pop_back();
  remove(s);
  return &s;
}

std::int64_t DecodeGroup::blocks_needed(std::int64_t n_steps) const {
  if (!grows_) return 0;
  const auto n = static_cast<std::int64_t>(takers_.size());
  std::int64_t blocks = n_steps / n * n_, phase = step_ % n;
  for (std::int64_t left = n_steps % n; left > 0; --left) {
    blocks += takers_[static_cast<std::size_t>(phase)];
    if (++phase == n) phase = 0;
  }
  return blocks;
}

// Whoever takes a block in step k holds it in the n_steps - k that are left, and takes further ones every n steps:
// of those that are so many times, the k-th to the end sum up to an arithmetic series.
std::int64_t DecodeGroup::blocks_needed_sum(std::int64_t n_steps) const {
  if (!grows_) return 0;
  const auto n = static_cast<std::int64_t>(takers_.size());
  const std::int64_t rounds = n_steps / n, rest = n_steps % n, n_phases = std::min(n, n_steps);
  std::int64_t sum = 0, phase = step_ % n;
  for (std::int64_t k = 0; k < n_phases; ++k) {
    const std::int64_t times = rounds + (k < rest ? 1 : 0);
    sum += takers_[static_cast<std::size_t>(phase)] * (times * (n_steps - k) - n * (times * (times - 1) / 2));
    if (++phase == n) phase = 0;
  }
  return sum;
}

std::int64_t DecodeGroup::steps_within(std::int64_t n_blocks, std::int64_t n_steps_max) const {
  CHECK(n_blocks >= 0);
  if (!grows_ || n_ == 0) return n_steps_max;
  const auto n = static_cast<std::int64_t>(takers_.size());
  // Whole rounds, in each of which every member takes one, and of the round that is too much its beginning.
  std::int64_t fits = n_blocks / n_ * n, left = n_blocks % n_;
  for (std::int64_t phase = step_ % n; fits < n_steps_max; ++fits) {
    left -= takers_[static_cast<std::size_t>(phase)];
    if (left < 0) break;
    if (++phase == n) phase = 0;
  }
  return std::min(fits, n_steps_max);
}

void DecodeGroup::move_members(const std::function<Sequence*(const Sequence*)>& moved) {
  for (End& end : ends_) end.sequence = moved(end.sequence);
}

void DecodeGroup::verify(const std::vector<Sequence*>& running) const {
  std::int32_t n = 0;
  std::int64_t n_past = 0;
  std::vector<std::int32_t> takers(takers_.size());
  for (const Sequence* s : running) {
    if (s->state != Sequence::State::Decoding) continue;
    ++n;
    n_past += s->n_computed + lag(*s);
    ++takers[phase_of(*s)];
    const auto end = std::ranges::find(ends_, s, &End::sequence);
    CHECK(end != ends_.end());
    CHECK(end->step - step_ == s->request.n_gen_max - s->n_generated - lag(*s));
  }
  CHECK(n == n_ && n_past == n_past_ && takers == takers_ && std::cmp_equal(n, ends_.size()));
  CHECK(std::is_heap(ends_.begin(), ends_.end()));
}

}  // namespace tinderbox
