// Turns of the models of one box on its device: whoever has had least of its time goes next.
#pragma once

#include <algorithm>
#include <optional>

#include "base/clock.h"

namespace tinderbox {

// One of `seats` has something to do. A seat has works, and served: the device's time that it has had, on the scale
// on which turns are compared. Nobody saves up turns while there is nothing to do.
template <typename Seats, typename Seat>
void take_part(const Seats& seats, Seat& seat) {
  if (!seat.works) {
    std::optional<Duration> least;
    for (const Seat& s : seats) {
      if (s.works) least = std::min(least.value_or(s.served), s.served);
    }
    seat.served = std::max(seat.served, least.value_or(seat.served));
  }
  seat.works = true;
}

}  // namespace tinderbox
