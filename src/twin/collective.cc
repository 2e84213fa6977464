#include "twin/collective.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"

namespace tinderbox {
namespace {

Seconds at_least_the_fault(const Link& link, Bytes size, Seconds healthy) {
  if (link.state_of.empty()) return healthy;
  return std::max(healthy, link.latency + size / link.bandwidth);
}

// One message of the ring that n boxes form. An all-reduce of k boxes is 2 (k - 1) messages of 1 / k.
Seconds ring_message_time(const Link& link, int n, Bytes size) {
  const bool four = n > 2 && !link.all_reduce_four.empty();
  const Curve& curve = four ? link.all_reduce_four : link.all_reduce;
  const int k = four ? 4 : 2;
  return at_least_the_fault(link, size, curve.at(size * k) / (2.0 * (k - 1)));
}

// Between the devices of a box, `share` of the size over the link of each.
Seconds operation_time(const Link& link, double share, Bytes size) {
  return link.operation_latency + size * share / link.bandwidth;
}

double all_but_own(int n) { return static_cast<double>(n - 1) / n; }

bool joins(const Link& link) { return link.joins_boxes() || link.joins_devices(); }

}  // namespace

const Link& link_of_boxes(const Machine& machine, std::string_view name) {
  if (name.empty()) name = machine.usual_link;
  std::vector<std::string> known;
  for (const Link& link : machine.links) {
    if (!joins(link)) continue;
    if (link.name == name) return link;
    if (link.joins_devices()) continue;
    known.push_back(link.name);
  }
  if (known.empty()) {
    const bool devices = std::ranges::any_of(machine.links, &Link::joins_devices);
    throw_unsupported(format("{}: no link between boxes has been measured; use --nodes 1{}", machine.id,
                             devices ? format(", or several in one box: --machine {}-x2 --parallel tp2",
                                              machine.id)
                                     : ""));
  }
  throw_not_found(format("link '{}': expected one of {}{}", name, fmt::join(known, ", "),
                         did_you_mean(name, known)));
}

Seconds all_reduce_time(const Link& link, int n, Bytes size) {
  CHECK(n >= 2 && joins(link));
  if (link.joins_devices()) {
    return std::min(operation_time(link, n - 1, size),
                    link.operation_latency + operation_time(link, 2 * all_but_own(n), size));
  }
  return ring_message_time(link, n, size / n) * (2.0 * (n - 1));
}

Seconds all_gather_time(const Link& link, int n, Bytes size) {
  CHECK(n >= 2 && joins(link));
  if (link.joins_devices()) return operation_time(link, all_but_own(n), size);
  return ring_message_time(link, n, size / n) * (n - 1);
}

Seconds all_to_all_time(const Link& link, int n, Bytes size) {
  CHECK(n >= 2 && joins(link));
  return send_time(link, size * all_but_own(n));
}

Seconds send_time(const Link& link, Bytes size) {
  CHECK(joins(link));
  if (link.joins_devices()) return operation_time(link, 1, size);
  // Between two boxes a reduction carries as much each way as a message of the same size.
  const Curve& curve = link.send.empty() ? link.all_reduce : link.send;
  return at_least_the_fault(link, size, curve.at(size));
}

}  // namespace tinderbox
