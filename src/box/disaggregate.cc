#include "box/disaggregate.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"
#include "box/disaggregated.h"
#include "twin/collective.h"
#include "twin/memory_plan.h"

namespace tinderbox {

Disaggregated::Disaggregated(const FleetRole& prefill, const FleetRole& decode, const KvPath& path,
                             const FleetOptions& options, Arrivals& source, Observer* listener)
    : prefill_(prefill),
      decode_(decode),
      path_(path),
      options_(options),
      source_(source),
      listener_(listener),
      prefill_table_(prefill.model),
      decode_table_(decode.model),
      router_(options.routing, prefill.n_boxes, options.seed, options.knee),
      sends_(prefill.n_boxes),
      receives_(decode.n_boxes) {
  CHECK(prefill.n_boxes >= 1 && decode.n_boxes >= 1);
  // What was sent is no prompt to be read: nobody who decodes waits for it.
  Policy policy = decode.fresh.policy();
  policy.prompts_alone = false;
  const Scheduler fresh(decode.fresh.limits(), decode.fresh.kv(), policy);
  for (std::size_t i = 0; i < prefill.n_boxes + decode.n_boxes; ++i) {
    const bool reads = i < prefill.n_boxes;
    observers_.push_back(std::make_unique<BoxObserver>(*this, i, reads));
    boxes_.push_back(std::make_unique<FleetBox>(
        reads ? prefill.model : decode.model, reads ? prefill_table_ : decode_table_,
        reads ? prefill.fresh : fresh, options, body_of(options, i), nullptr,
        observers_.back().get()));
  }
}

void Disaggregated::run(const std::function<void(std::int64_t)>& progress) {
  std::int64_t n_come = 0;
  for (;;) {
    const TimePoint event = events_.empty() ? TimePoint::max() : events_.top().at;
    const TimePoint at = std::min(source_.next(), event);
    // What generates matters to the others only if somebody waits for a place, or for an answer.
    const bool together = listener_ != nullptr || !unplaced_.empty();
    if (advance_last(std::span(std::as_const(boxes_)).first(together ? boxes_.size() : prefill_.n_boxes), at)) continue;
    if (!together) {
      for (std::size_t i = prefill_.n_boxes; i < boxes_.size(); ++i) boxes_[i]->advance(at);
    }
    if (at == TimePoint::max()) break;
    if (event == at) {
      const Event what = events_.top();
      events_.pop();
      handle(what);
      continue;
    }
    for (Command& command : source_.take(at)) {
      send_in(std::get<Request>(std::move(command)), at);
      if (progress) progress(++n_come);
    }
  }
  CHECK(options_.body ||
        (trips_.empty() && unplaced_.empty()));  // a box that is off for good may hold some
}

void Disaggregated::send_in(Request request, TimePoint now) {
  const Limits& limits = decode_.fresh.limits();
  const KvPool& kv = decode_.fresh.kv();
  const std::int32_t n_gen =
      std::max(1, std::min(request.n_gen_max, limits.context_max - request.n_prompt));
  std::vector<BoxView> views;
  for (std::size_t i = 0; i < prefill_.n_boxes && !is_blind(options_.routing); ++i)
    views.push_back(reader(i).view(now));
  const std::size_t to = router_.choose(request, views);
  if (n_gen > 1 && kv.blocks_for(request.n_prompt + n_gen - 1) > kv.n_blocks()) {
    return admitted(request, to, Admission::NeverFits, now);
  }
  if (n_gen > 1) {
    Request onward = request;
    onward.n_imported = onward.n_prompt++;
    onward.n_gen_max = n_gen - 1;
    if (onward.answer_continues) ++onward.contents.back().n_tokens;
    Trip& trip = trips_[request.id];
    trip.all = kv_of_sequence(prefill_.model.footprint(), onward.n_imported);
    CHECK(trip.all > Bytes());
    trip.onward = std::move(onward);
    trip.from = to;
    request.stays = true;
  }
  request.n_gen_max = 1;
  reader(to).take(std::move(request));
}

void Disaggregated::admitted(const Request& request, std::size_t box, Admission admission,
                             TimePoint now) {
  if (admission != Admission::Accepted) trips_.erase(request.id);
  boxes_[box]->recorder().on_admission(request, admission, now);
  if (listener_ != nullptr) listener_->on_admission(request, admission, now);
}

// A step computes KV of the prompt, layer after layer; what the prefix cache had is there from its beginning.
void Disaggregated::reads(SeqId seq, std::int32_t n_past, std::int32_t n_new, TimePoint start, TimePoint end) {
  const auto trip = trips_.find(seq);
  if (!path_.layerwise || trip == trips_.end()) return;
  if (!trip->second.seeks_place) {
    trip->second.seeks_place = true;
    events_.push({.at = start, .what = What::IsBegun, .seq = seq});
  }
  const Footprint& footprint = prefill_.model.footprint();
  const auto rows = [&](std::int32_t n) { return kv_of_sequence(footprint, n) - footprint.state; };
  const std::int64_t n_layers = prefill_.model.twin().model.n_layers;
  const Bytes before = rows(n_past), more = rows(n_past + n_new) - before;
  for (std::int64_t i = 0; i <= n_layers; ++i) {
    const Bytes ready = before + more * (static_cast<double>(i) / static_cast<double>(n_layers));
    events_.push({.at = start + (end - start) * i / n_layers, .what = What::IsReady, .seq = seq, .ready = ready});
  }
}

void Disaggregated::is_read(const TokenEvent& event, std::size_t box, TimePoint now) {
  const auto trip = trips_.find(event.seq);
  if (trip == trips_.end() || cut_short(event.finish)) {
    if (trip != trips_.end()) {
      if (trip->second.has_place) CHECK(generator(trip->second.to).scheduler().unreserve(event.seq));
      if (trip->second.seeks_place) events_.push({.at = now, .what = What::MayFit});
      trips_.erase(trip);
    }
    boxes_[box]->recorder().on_token(event, now);
    return tell(event, now);
  }
  trip->second.so_far = boxes_[box]->recorder().hand_over(event.seq, now);
  events_.push({.at = now, .what = What::IsRead, .seq = event.seq});
}

void Disaggregated::generated(TokenEvent event, std::size_t box, TimePoint now) {
  ++event.n_generated;  // the first one came from elsewhere
  boxes_[box]->recorder().on_token(event, now);
  tell(event, now);
  if (event.finish != FinishReason::None && !unplaced_.empty()) {
    events_.push({.at = now, .what = What::MayFit});
  }
}

DisaggregateResult Disaggregated::result() {
  DisaggregateResult out;
  out.fleet = result_of(boxes_, options_);
  TransferReport& r = out.transfers = report_;
  r.n_prefill = prefill_.n_boxes;
  r.n_decode = decode_.n_boxes;
  for (std::size_t i = 0; i < boxes_.size() && out.fleet.report.duration > Seconds(); ++i) {
    const double busy = out.fleet.boxes[i].busy / out.fleet.report.duration;
    if (i < prefill_.n_boxes) {
      r.prefill_busy += busy / static_cast<double>(prefill_.n_boxes);
    } else {
      r.decode_busy += busy / static_cast<double>(decode_.n_boxes);
    }
  }
  r.layerwise = path_.layerwise;
  if (link_sum_ > Duration()) r.hidden = 1 - to_seconds(link_sum_after_) / to_seconds(link_sum_);
  r.link = on_link_.distribution();
  r.wait = waited_.distribution();
  r.left = left_.distribution();
  return out;
}

Seconds transfer_time(const KvPath& path, Bytes size) {
  return path.bandwidth ? path.link.latency + size / *path.bandwidth : send_time(path.link, size);
}

KvPath kv_path(const TwinModel& twin, std::optional<BytesPerSecond> bandwidth) {
  const auto joins = std::ranges::find_if(twin.machine.links, &Link::joins_boxes);
  if (joins != twin.machine.links.end()) {
    return {.link = link_of_boxes(twin.machine, twin.link), .bandwidth = bandwidth};
  }
  if (bandwidth) return {.link = {}, .bandwidth = bandwidth};
  throw_unsupported(format(
      "{}: no link between boxes has been measured, so KV cannot travel from the one that reads "
      "to the one that generates; say how fast it goes with --kv-bandwidth \"10 Gb/s\", or let "
      "every box do both with --boxes",
      twin.machine.id));
}

DisaggregateResult run_disaggregated(const FleetRole& prefill, const FleetRole& decode,
                                     const KvPath& path, const FleetOptions& options,
                                     Arrivals& source, Observer* listener,
                                     const std::function<void(std::int64_t)>& progress) {
  Disaggregated fleet(prefill, decode, path, options, source, listener);
  fleet.run(progress);
  return fleet.result();
}

}  // namespace tinderbox
