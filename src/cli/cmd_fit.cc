#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "twin/fit.h"

namespace tinderbox::cli {

namespace {

using Json = nlohmann::ordered_json;

std::string gib(Bytes bytes) { return format("{:.1f}", bytes.value() / kGiB); }

Json phases_json(const MemoryPlan& plan) {
  Json out = Json::array();
  for (const PhaseMemory& p : plan.phases) {
    out.push_back({{"phase", phase_name(p.phase)},
                   {"weights_bytes", p.weights.value()},
                   {"kv_bytes", p.kv.value()},
                   {"activations_bytes", p.activations.value()},
                   {"graphs_bytes", p.graphs.value()},
                   {"runtime_bytes", p.runtime.value()},
                   {"host_bytes", p.host.value()},
                   {"page_cache_bytes", p.page_cache.value()},
                   {"total_bytes", p.total().value()}});
  }
  return out;
}

Json report_json(const TwinModel& twin, const FitOptions& o, const FitReport& r) {
  const MemoryPlan& plan = r.plan;
  const bool pool = twin.stack.memory.pool != PoolRule::None;
  const Bytes limit = plan.fit == Fit::Freezes ? plan.freeze : plan.safe;
  const PhaseMemory* above = plan.total > limit ? &first_above(plan, limit) : nullptr;
  Json out = {{"machine", twin.machine.id},
              {"model", twin.model.id},
              {"weights", twin.weights.name},
              {"kv", dtype_info(twin.kv).name},
              {"stack", twin.stack.id},
              {"context_tokens", o.demand.context},
              {"concurrency", o.demand.concurrency},
              {"verdict", fit_name(plan.fit)},
              {"peak_phase", phase_name(plan.peak)},
              {"phase_above_limit", above == nullptr ? Json() : Json(phase_name(above->phase))},
              {"peak_bytes", plan.total.value()},
              {"safe_bytes", plan.safe.value()},
              {"freeze_bytes", plan.freeze.value()},
              {"visible_bytes", plan.visible.value()},
              {"phases", phases_json(plan)},
              {"kv_bytes", plan.kv.value()},
              {"kv_per_token_bytes", plan.kv_per_token.value()},
              {"context_max_tokens", r.context_max},
              {"concurrency_max", r.concurrency_max},
              {"flags", r.flags}};
  if (pool) {
    out["pool"] = {{"share", plan.share},
                   {"share_needed", r.share_needed},
                   {"pool_bytes", plan.pool.value()},
                   {"n_blocks", plan.pool_blocks},
                   {"block_tokens", plan.block_tokens},
                   {"pool_tokens", plan.pool_tokens}};
  }
  if (r.by_default) {
    out["by_default"] = {{"share", r.by_default->share},
                         {"peak_bytes", r.by_default->total.value()},
                         {"verdict", fit_name(r.by_default->fit)}};
  }
  return out;
}

std::string phases_table(const MemoryPlan& plan, bool explain) {
  if (!explain) {
    Table table({"phase", "in use, GiB", "page cache", "to safe", "to freeze"}, "lrrrr");
    for (const PhaseMemory& p : plan.phases) {
      table.add({std::string(phase_name(p.phase)), gib(p.total()), gib(p.page_cache),
                 gib(plan.safe - p.total()), gib(plan.freeze - p.total())});
    }
    return table.str();
  }
  Table table({"phase", "weights", "KV", "activations", "graphs", "runtime", "host and system",
               "in use, GiB", "page cache"},
              "lrrrrrrrr");
  for (const PhaseMemory& p : plan.phases) {
    table.add({std::string(phase_name(p.phase)), gib(p.weights), gib(p.kv), gib(p.activations),
               gib(p.graphs), gib(p.runtime), gib(p.host), gib(p.total()), gib(p.page_cache)});
  }
  return table.str();
}

// "longest_prefill" as one reads it.
std::string phase_text(Phase phase) {
  std::string text(phase_name(phase));
  std::ranges::replace(text, '_', ' ');
  return text;
}

std::string verdict_text(const MemoryPlan& plan) {
  const std::string name(fit_name(plan.fit));
  if (plan.fit == Fit::Fits) {
    return format("{}: {} GiB below the safe {} at the peak, in {}", name,
                  gib(plan.safe - plan.total), gib(plan.safe), phase_text(plan.peak));
  }
  if (plan.total <= plan.safe) {
    return format("{}: the KV pool is {} GiB short of what was asked for", name,
                  gib(plan.kv - plan.pool));
  }
  const bool freezes = plan.fit == Fit::Freezes;
  const Bytes limit = freezes ? plan.freeze : plan.safe;
  const PhaseMemory& phase = first_above(plan, limit);
  std::string text = format("{}: {} takes {} GiB, {} above the {} {}", name,
                            phase_text(phase.phase), gib(phase.total()),
                            gib(phase.total() - limit), freezes ? "freeze limit" : "safe",
                            gib(limit));
  if (plan.total > phase.total()) text += format("; the peak is {} GiB", gib(plan.total));
  return text;
}

std::string most(std::int64_t n, std::string_view unit) {
  return n > 0 ? format("{}{}", n, unit) : std::string("none");
}

std::string report_text(const TwinModel& twin, const FitOptions& o, const FitReport& r) {
  const MemoryPlan& plan = r.plan;
  std::string out = format("{} in {} by {} on {}\n", twin.model.id, twin.weights.name,
                           twin.stack.name, boxes_text(twin));
  if (twin.parallel.boxes() > 1) out += "what the fullest box holds:\n";
  out += format("{} x {} tokens of {} KV\n\n", o.demand.concurrency, o.demand.context,
                dtype_info(twin.kv).name);
  out += phases_table(plan, o.explain);
  out += format("limits: safe {}, freeze {}, visible {}\n", gib(plan.safe), gib(plan.freeze),
                gib(plan.visible));
  Table table({"", ""}, "ll");
  table.add({"verdict", verdict_text(plan)});
  if (twin.stack.memory.pool != PoolRule::None) {
    table.add({"KV pool", format("{} GiB at a share of {:.2f}: {} blocks of {}, {} tokens",
                                 gib(plan.pool), plan.share, plan.pool_blocks, plan.block_tokens,
                                 plan.pool_tokens)});
    table.add({"KV asked for", format("{} GiB, a share of {:.2f}", gib(plan.kv), r.share_needed)});
  }
  table.add({"largest context", most(r.context_max, format(" tokens for {} at once",
                                                           o.demand.concurrency))});
  table.add({"largest concurrency",
             most(r.concurrency_max, format(" of {} tokens", o.demand.context))});
  if (r.by_default) {
    table.add({"by default", format("a share of {:.2f} takes {} GiB: {}", r.by_default->share,
                                    gib(r.by_default->total), fit_name(r.by_default->fit))});
  }
  if (!r.flags.empty()) table.add({"flags", r.flags});
  return out + table.str();
}

}  // namespace

int cmd_fit(const Context& context, const FitOptions& options) {
  const TwinModel twin = make_twin(context, options.twin);
  FitOptions asked = options;
  constexpr std::int64_t kContextUnsaid = 8192;
  if (asked.demand.context == 0) {
    asked.demand.context = std::min<std::int64_t>(kContextUnsaid, twin.model.n_ctx);
  }
  require_one_replica(twin);
  const FitReport report = fit(twin, footprint_of_box(twin), asked.demand);
  if (options.json) {
    print_json(report_json(twin, asked, report));
  } else {
    print(report_text(twin, asked, report));
  }
  return report.plan.fit == Fit::Fits ? 0 : 1;
}

}  // namespace tinderbox::cli
