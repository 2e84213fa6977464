// Time of the operations by which boxes work on one step together, from the link's measured curves
// (machine.h). Sizes are the bytes that each box holds before.
//
//   all-reduce of two boxes   the measured curve T2
//   among n boxes, a ring     2 (n - 1) messages of size / n one after another
//   a message of the ring     T4(4 m) / 6 by the curve of four boxes, else T2(2 m) / 2
//   a faulty link             no message faster than latency + bytes / bandwidth
//
// (Rings: Patarasuk and Yuan 2009.) What a stack adds to each operation is its price.sync_time.
//
// The devices of one box reach each other at once over the link "peer", with operation_latency L and
// bandwidth B; nothing is to be added:
//
//   all-reduce of n devices   the faster of one shot, L + (n - 1) size / B, in which each reads all others,
//                             and two, 2 L + 2 (n - 1) / n size / B
//   others                    L + (n - 1) / n size / B; from one to another L + size / B
#pragma once

#include <string_view>

#include "base/units.h"
#include "machine/machine.h"

namespace tinderbox {

// The link between boxes, or "peer": by name, or the usual one if the name is empty. Throws Error::NotFound
// with the names that join boxes and the nearest, Error::Unsupported if the machine has none.
const Link& link_of_boxes(const Machine& machine, std::string_view name);

// All require n >= 2 boxes or devices and a link that joins them.
Seconds all_reduce_time(const Link& link, int n, Bytes size);
// size: of the whole that everyone has at the end.
Seconds all_gather_time(const Link& link, int n, Bytes size);
// Each box sends 1 / n of what it holds to every other.
Seconds all_to_all_time(const Link& link, int n, Bytes size);
Seconds send_time(const Link& link, Bytes size);

}  // namespace tinderbox
