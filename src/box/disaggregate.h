// Boxes of two roles: some read prompts, the others generate, and the KV of a prompt travels
// between them.
//
//   prompt    goes to a box that reads, by the router. Its first token is sampled there and given out when the prompt
//             is in, as ever: that is its TTFT
//   place     the box that generates, has room for the whole prompt and has fewest requests (running, waiting or on
//             their way) sets it aside. Whoever has been read first is placed first; until then his KV stays where it
//             was read, so that boxes that read wait when nobody can take what they have
//   transfer  KV and recurrent state of the prompt, whole, once it is in: nothing of it is hidden below the prefill
//             (vLLM's NIXL connector, which pulls). A box sends one at a time and receives one at a time; of those
//             whose both ends are free, the first one that got its place goes. Time is that of one message over the
//             link's measured curve (twin/collective.h), or latency + bytes / bandwidth. Of a model that several
//             machines share, each sends its part over a link of its own
//   layerwise instead (connectors of LMCache, Mooncake and vLLM that save layer by layer): a place is sought when
//             reading begins, and what is computed of a prompt goes at once, while later layers and chunks are
//             computed; a step computes its layers one after the other, in equal time. What is ready when the link is
//             free goes together; the parts of a prompt take the link as long as the whole would, so that its latency
//             counts once. A recurrent state goes last, when it is done
//   decode    with the first token, as soon as all is there; the sender's KV is then free. The first gap between
//             tokens has place and transfer in it, and so has the TPOT
//
// A sequence that is preempted reads its prompt again where it generates. An answer of one token
// goes nowhere. All in one thread: boxes look at one another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "box/fleet.h"
#include "machine/machine.h"

namespace tinderbox {

// How KV goes from box to box.
struct KvPath {
  Link link;  // with a curve between boxes
  std::optional<BytesPerSecond> bandwidth =
      {};  // given: this and the link's latency count, no curve
  bool layerwise = false;
};
Seconds transfer_time(const KvPath& path, Bytes size);
// The link that the model's boxes would share a step over. Throws Error::Unsupported if none has
// been measured and no bandwidth is given.
KvPath kv_path(const TwinModel& twin, std::optional<BytesPerSecond> bandwidth);

// What the boxes of one role are like. Both must outlive the run.
struct FleetRole {
  const StepModel& model;
  const Scheduler& fresh;
  std::size_t n_boxes = 1;
};

struct TransferReport {
  std::size_t n_prefill = 0, n_decode = 0;   // boxes
  double prefill_busy = 0, decode_busy = 0;  // share of the run that they are in a step, on average
  bool layerwise = false;
  std::int64_t n = 0;   // transfers
  Bytes bytes;          // of all
  double hidden = 0;    // share of their time on the way that was before the prompt was in
  Distribution link;    // on the way
  Distribution wait;    // once the prompt is in, not on the way: for a place or for either end of the link
  Distribution left;    // from then until all is there
};

struct DisaggregateResult {
  FleetResult fleet;  // boxes that read first
  TransferReport transfers;
};

// options.n_boxes and n_threads play no part; faults are those of the first boxes that read.
// source: of requests; listener: the same, if what comes depends on answers, else null. A request
// that no box could ever generate for is refused at the door.
DisaggregateResult run_disaggregated(const FleetRole& prefill, const FleetRole& decode,
                                     const KvPath& path, const FleetOptions& options,
                                     Arrivals& source, Observer* listener,
                                     const std::function<void(std::int64_t)>& progress = {});

std::string transfer_table(const TransferReport& report);
nlohmann::ordered_json transfer_json(const TransferReport& report);

}  // namespace tinderbox
