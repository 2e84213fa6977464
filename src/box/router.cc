#include "box/router.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

constexpr std::array<std::string_view, 6> kNames = {"round-robin", "random", "least-loaded",
                                                    "least-kv", "prefix-aware", "power-aware"};
constexpr std::size_t kSeenMax = 1 << 16;
// A box that has a prefix, or the model, is passed by if it has so many requests more than the least loaded one.
constexpr std::int64_t kBusierMost = 16;
// Of the power-aware one. K below the slowdown at which a box counts as slow already, and how slow.
constexpr double kWarm = 5, kWarmSpeed = 0.5;
constexpr double kHealthy = 0.9;   // of the speed of a cool box
constexpr double kSpeedMin = 1e-3;

// By id alone: what begins with more of a content begins with less of it.
std::uint64_t mixed(std::uint64_t chain, const Content& content) {
  chain = (chain ^ content.id) * 0x9E3779B97F4A7C15ULL;
  return chain ^ (chain >> 32);
}

}  // namespace

std::span<const std::string_view> router_names() { return kNames; }

RouterPolicy parse_router(std::string_view name, std::string_view option) {
  const auto found = std::ranges::find(kNames, name);
  if (found != kNames.end()) return static_cast<RouterPolicy>(found - kNames.begin());
  const std::vector<std::string> known(kNames.begin(), kNames.end());
  throw_not_found(format("{}: no router '{}'{}; known are {}", option, name,
                         did_you_mean(name, known), fmt::join(known, ", ")));
}

bool is_blind(RouterPolicy routing) {
  return routing == RouterPolicy::RoundRobin || routing == RouterPolicy::Random;
}

Router::Router(RouterPolicy routing, std::size_t n_boxes, std::uint64_t seed, std::int64_t knee)
    : routing_(routing), n_boxes_(n_boxes), knee_(knee), random_(seed, Stream::Router) {
  CHECK(n_boxes >= 1);
  if (routing == RouterPolicy::PrefixAware) seen_.resize(kSeenMax);
}

bool Router::has_to_have(std::span<const BoxView> boxes) const {
  constexpr std::int64_t kNobody = std::numeric_limits<std::int64_t>::max();
  std::int64_t least = kNobody, least_that_has = kNobody;
  for (const BoxView& box : boxes) {
    least = std::min(least, box.requests);
    if (box.has_model) least_that_has = std::min(least_that_has, box.requests);
  }
  return least_that_has < kNobody && least_that_has <= least + kBusierMost;
}

std::size_t Router::least(std::span<const BoxView> boxes, std::int64_t BoxView::* what) {
  CHECK(boxes.size() == n_boxes_);
  const auto rank = [&](std::size_t i) { return std::pair(comes_second(boxes[i]), boxes[i].*what); };
  std::size_t best = next_ % n_boxes_;
  for (std::size_t k = 1; k < n_boxes_; ++k) {
    const std::size_t i = (next_ + k) % n_boxes_;
    if (rank(i) < rank(best)) best = i;
  }
  next_ = best + 1;
  return best;
}

// A token costs least energy where others are generated already, because they share the reading of the weights, and
// a box that rests draws little. So boxes are filled one after the other, each up to its knee. A box that is slow or
// about to be counts as if it had more requests; one that answers nothing comes last.
std::size_t Router::by_power(std::span<const BoxView> boxes) const {
  CHECK(boxes.size() == n_boxes_);
  const auto load = [&](const BoxView& box) {
    const double speed = box.speed * (box.to_slowdown < kWarm ? kWarmSpeed : 1.0);
    const double seen = static_cast<double>(box.requests + 1) / std::max(speed, kSpeedMin);
    return seen + (box.answers ? 0 : 1e9) + (comes_second(box) ? 1e6 : 0);
  };
  std::size_t fullest = n_boxes_, emptiest = 0;
  for (std::size_t i = 0; i < n_boxes_; ++i) {
    if (load(boxes[i]) < load(boxes[emptiest])) emptiest = i;
    const bool healthy = boxes[i].answers && boxes[i].speed >= kHealthy && boxes[i].to_slowdown >= kWarm;
    if (!healthy || comes_second(boxes[i]) || boxes[i].requests >= knee_) continue;
    if (fullest == n_boxes_ || boxes[i].requests > boxes[fullest].requests) fullest = i;
  }
  return fullest < n_boxes_ ? fullest : emptiest;
}

std::size_t Router::by_prefix(const Request& request, std::span<const BoxView> boxes) {
  // The longest chain that was sent somewhere.
  std::uint64_t chain = static_cast<std::uint64_t>(request.model);  // no model knows what another has read
  const Seen* longest = nullptr;
  std::vector<std::uint64_t> chains;
  for (const Content& content : request.contents) {
    chain = mixed(chain, content);
    chains.push_back(chain);
    const Seen& seen = seen_[chain % kSeenMax];
    if (seen.chain == chain) longest = &seen;
  }
  std::size_t box = least(boxes, &BoxView::requests);
  if (longest != nullptr && !comes_second(boxes[longest->box]) &&
      boxes[longest->box].requests <= boxes[box].requests + kBusierMost) {
    box = longest->box;
  }
  for (const std::uint64_t c : chains) seen_[c % kSeenMax] = {c, box};
  return box;
}

std::size_t Router::choose(const Request& request, std::span<const BoxView> boxes) {
  to_have_ = has_to_have(boxes);
  switch (routing_) {
    case RouterPolicy::RoundRobin:
      return next_++ % n_boxes_;
    case RouterPolicy::Random:
      return std::min(n_boxes_ - 1,
                      static_cast<std::size_t>(random_.uniform() * static_cast<double>(n_boxes_)));
    case RouterPolicy::LeastLoaded:
      return least(boxes, &BoxView::requests);
    case RouterPolicy::LeastKv:
      return least(boxes, &BoxView::kv);
    case RouterPolicy::PrefixAware:
      return by_prefix(request, boxes);
    case RouterPolicy::PowerAware:
      return by_power(boxes);
  }
  CHECK(false);
}

}  // namespace tinderbox
