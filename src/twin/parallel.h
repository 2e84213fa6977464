// How boxes share one model: what each holds and does. The ways multiply:
//
//   tp  every layer is split by heads, width and vocabulary; two all-reduces a layer
//   pp  layers are dealt out in stages; a step passes through them one after the other
//   ep  experts are dealt out whole; within tp, if it is at most tp (tp2+ep2 is two boxes). Beyond
//       tp the boxes divide the sequences between them outside the experts, tp x dp = ep (ep2, or
//       dp2+ep2, is two boxes): two all-to-alls a layer of experts
//   dp  replicas, each a copy of everything with its own sequences
//
// Work and bytes of an op on the box that has most of it are exact shares of the whole op's; what
// is computed by every box alike (norms of the residual stream, routers, latent rows) is not split.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/graph.h"
#include "twin/work.h"

namespace tinderbox {

inline constexpr int kBoxesMax = 8;

struct Parallel {
  int tp = 1, pp = 1, ep = 1, dp = 1;

  // Boxes that divide the sequences of a step between them, outside the experts.
  int ranks() const { return ep > tp ? ep / tp : 1; }
  int replicas() const { return dp; }
  int boxes() const { return pp * tp * ranks() * dp; }
  std::string text() const;  // "tp2+ep2"; one box: ""
  friend bool operator==(const Parallel&, const Parallel&) = default;
};

// "tp2", "tp2+ep2", "pp4"; empty: all of `boxes` the `usual` way ("tp" or "pp"). boxes: as asked
// for, none: as many as the text needs. Throws Error::Invalid naming what is wrong: a way that is
// none (with the nearest), a degree out of 1 to 8, ways that do not multiply to the boxes.
Parallel parse_parallel(std::string_view text, std::optional<std::int64_t> boxes,
                        std::string_view usual);

// Of n devices in one box, all of which share the model: "tp8", "pp2", or a way without a degree, which
// is all of them. Throws Error::Invalid as above. Requires n >= 2 and a text.
Parallel parallel_of_devices(std::string_view text, std::int64_t n);

// Throws Error::Unsupported naming the number that does not divide: heads, layers or experts.
void check_parallel(const Graph& graph, const Parallel& parallel);

// By what tp and ep split an op or a weight.
enum class Split : std::uint8_t {
  None,     // every box does all of it
  Width,    // heads, columns or vocabulary
  KvHeads,  // at most one box a head; further ones hold copies
  Experts,
};
Split split_of(const Graph& graph, const Op& op);

// Of a whole op, on the box that has most of it. cache: of reads and writes of the KV cache.
struct OpShares {
  double work = 1, cache = 1;
  friend bool operator==(const OpShares&, const OpShares&) = default;
};
// work of Experts is that of their weights; expert_share() is that of a step.
OpShares shares_of(const Graph& graph, const Op& op, const Parallel& parallel);
// Of the distinct experts that a step touches: they are dealt out by chance, so that some box has
// more than its part. Requires 0 < n_touched <= n_experts.
double expert_share(const Parallel& parallel, int n_experts, double n_touched);

Work on_box(const Work& work, const OpShares& shares);

// Of the fullest box, relative to the whole: weights in their formats, KV cache, recurrent state.
struct BoxShares {
  double weights = 1, kv = 1, state = 1;
};
BoxShares box_shares(const Graph& probe, const Parallel& parallel);

}  // namespace tinderbox
