// Which of several boxes takes a request: a policy is a name and a small function. Of boxes that hold several models
// and are looked at, one that has the request's model, or is loading it, comes before those that would have to load it,
// unless the emptiest of all has far fewer requests.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "sched/request.h"

namespace tinderbox {

enum class RouterPolicy : std::uint8_t { RoundRobin, Random, LeastLoaded, LeastKv, PrefixAware, PowerAware };
std::span<const std::string_view> router_names();  // "round-robin", ...
// Throws Error::NotFound with the nearest name; option names it in the message.
RouterPolicy parse_router(std::string_view name, std::string_view option);
// Takes no look at the boxes, which then run by themselves.
bool is_blind(RouterPolicy routing);

// What a router sees of a box.
struct BoxView {
  std::int64_t requests = 0;  // running and waiting
  std::int64_t kv = 0;        // in use, in a unit that all boxes share
  bool has_model = true;      // that is asked for
  // Of boxes with a body.
  double speed = 1;         // over that of a healthy cool one
  double to_slowdown = 100;  // K that its hottest zone is below where clocks are lowered
  bool answers = true;
};

class Router {
 public:
  // Requires n_boxes >= 1. knee: requests up to which PowerAware fills a box before it wakes another.
  Router(RouterPolicy routing, std::size_t n_boxes, std::uint64_t seed, std::int64_t knee = 1);
  // boxes: as many as there are; empty for a blind policy. Equal ones take turns.
  std::size_t choose(const Request& request, std::span<const BoxView> boxes);

 private:
  bool has_to_have(std::span<const BoxView> boxes) const;
  bool comes_second(const BoxView& box) const { return to_have_ && !box.has_model; }
  std::size_t least(std::span<const BoxView> boxes, std::int64_t BoxView::* what);
  std::size_t by_power(std::span<const BoxView> boxes) const;
  std::size_t by_prefix(const Request& request, std::span<const BoxView> boxes);

  RouterPolicy routing_;
  std::size_t n_boxes_, next_ = 0;
  std::int64_t knee_;
  bool to_have_ = false;  // the box that is chosen is one that has the model
  Random random_;
  // Where the contents that requests began with were last sent, by a hash of their chain. A bounded
  // table: what it forgets costs a hit, not an answer.
  struct Seen {
    std::uint64_t chain = 0;
    std::size_t box = 0;
  };
  std::vector<Seen> seen_;
};

}  // namespace tinderbox
