// The twin's price of a step: counts of the graph through a roofline per op class. A StepModel is
// bound to machine, stack, model and formats once and then prices steps from their segments; it is
// immutable and any thread may use it. Ops that do the same work in every layer are counted and
// priced once (a property test holds it equal to the walk of the graph).
//
// Several boxes (twin/parallel.h): the box with most to do sets the pace, then they communicate
// (twin/collective.h): tp twice a layer, after the embedding and for the logits; ep beyond tp twice
// a layer of experts; pp once from stage to stage. With s stages, if the stack overlaps them,
//
//   decode    the sequences take turns in m = min(s, sequences) groups: a step of all of them takes
//             as long as one group needs to pass every stage
//   prefill   a chunk that more follow takes a stage's time, 1 / s; one that samples waits for all
//             stages, (m + s - 1) / s of a group's time
//
// and never more than all in one batch. A stack that computes a step in pieces of so many tokens
// (n_ubatch of llama.cpp) reads the weights for each of them.
//
// Of replicas (dp) it prices one, with that one's sequences.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/units.h"
#include "machine/machine.h"
#include "model/graph.h"
#include "twin/memory_plan.h"
#include "twin/price.h"
#include "twin/stack.h"
#include "twin/twin_model.h"
#include "twin/work.h"

namespace tinderbox {

// One op class's share of a step, for --explain.
struct ClassCost {
  OpClass op_class{};
  int n_ops = 0;
  Work work{};
  Seconds time{};                         // of the class, all its ops
  Seconds compute{}, memory{}, launch{};  // what each resource alone would take
  Bound bound = Bound::Launch;            // of the largest of the three
};

struct StepCost {
  Seconds time;                      // including step and sequence overhead
  Seconds overhead;                  // the part of it that is no op and no communication
  Seconds communication{};           // between boxes, with the stack's time to start it
  Bound bound = Bound::Launch;       // of the largest share; overhead counts as launch
  std::vector<ClassCost> classes{};  // empty unless asked for
};

// Adds n such steps; n need not be whole, nor above 0.
void add_scaled(StepCost& sum, const StepCost& step, double n);

class StepModel {
 public:
  // Throws Error::Unsupported if the stack has no kernel for one of the weights, if the model does
  // not split as asked or the machine has no link for it; Error::NotFound for an unknown link.
  explicit StepModel(TwinModel twin);
  // verifies: all new tokens are drafts or being drafted (twin/speculation.h): each of a segment that samples
  // is sampled, and the step is one of decode, whatever their number.
  StepCost price(std::span<const Segment> segments, bool explain = false, bool verifies = false) const;
  // The same model with other numbers in its stack (not other kernels for its formats).
  StepModel with_stack(Stack stack) const;
  StepModel with_machine(Machine machine) const;
  // Speculating as before, but keeping so many drafted tokens a step. Requires a twin that speculates.
  StepModel with_accepted(double accepted) const;
  const TwinModel& twin() const { return twin_; }
  // Of the fullest box.
  const Footprint& footprint() const { return *footprint_; }

 private:
  // An op with its rows as a function of the step, and how many ops are just like it.
  struct Line {
    OpShape shape;  // x_rows and out_rows are left 0
    Rows x, out;
    OpShares shares;  // of the box
    int n_ops = 0;
    bool head() const {
      return x.per_sample > 0 || out.per_sample > 0;
    }  // runs only in steps that sample
  };

  // A step of one group of stages that works on all of `segments` at once. n_routed: tokens of all
  // boxes that divide the sequences between them, whose experts are dealt out over them.
  StepCost price_batch(std::span<const Segment> segments, double n_routed, bool explain,
                       bool verifies) const;
  // Of tokens computed at a time.
  StepCost price_piece(std::span<const Segment> segments, bool explain, bool verifies) const;
  Work work_of(const OpShape& op, const Line& line, StepShape shape, double n_routed) const;
  Seconds communication(double n_tokens, double n_sampled) const;

  TwinModel twin_;
  Link link_;                // between boxes; none if there is one box
  int n_expert_layers_ = 0;  // layers that have experts
  std::shared_ptr<const Footprint> footprint_;
  std::shared_ptr<const std::vector<Line>> lines_;
};

}  // namespace tinderbox
