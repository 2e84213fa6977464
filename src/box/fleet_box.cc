#include "box/fleet_box.h"

#include <algorithm>

namespace tinderbox {

std::vector<Command> Inbox::take(TimePoint now) {
  std::vector<Command> out;
  for (; size() > 0 && commands_[n_taken_].at <= now; ++n_taken_) {
    out.push_back(std::move(commands_[n_taken_].command));
  }
  if (n_taken_ >= size()) {  // each is moved once on average
    commands_.erase(commands_.begin(), commands_.begin() + static_cast<std::ptrdiff_t>(n_taken_));
    n_taken_ = 0;
  }
  return out;
}

FleetBox::FleetBox(const StepModel& model, StepTable& table, const Scheduler& fresh,
                   const FleetOptions& options, std::optional<BodyOptions> body, Observer* source,
                   Observer* recording, const std::vector<BoxWatch*>& watches, BodyExecutor* shared)
    : scheduler_(fresh),
      executor_(table, options.by_steps),
      recorder_(options.request_time, options.slo, options.on_finished, options.n_keys, options.exact_max),
      observers_([&] {
        if (shared != nullptr) {
          body_ = shared;
          steps_ = &shared->also(executor_, model);
        } else if (body) {
          body->on_window = tell_body(std::move(body->on_window), watches);
          body_ = &own_body_.emplace(executor_, model, *std::move(body));
          steps_ = body_;
        }
        if (body_ != nullptr) outages_.emplace(inbox_, *body_, scheduler_);
        return observers(source, recording, watches);
      }()),
      loop_(scheduler_, *steps_, outages_ ? static_cast<Arrivals&>(*outages_) : inbox_, clock_, observers_) {}

std::vector<Observer*> FleetBox::observers(Observer* source, Observer* recording,
                                           const std::vector<BoxWatch*>& watches) {
  std::vector<Observer*> list = {recording != nullptr ? recording : &recorder_};
  list.insert(list.end(), watches.begin(), watches.end());
  if (outages_) list.push_back(&*outages_);
  if (source != nullptr) list.push_back(source);
  return list;
}

TimePoint FleetBox::next() const {
  if (!stalled_) return loop_.next();
  const TimePoint next =
      std::min(outages_ ? outages_->next() : inbox_.next(), scheduler_.next_deadline());
  return next == TimePoint::max() ? next : std::max(loop_.now(), next);
}

std::int64_t FleetBox::n_requests() const {
  return scheduler_.n_running() + scheduler_.n_waiting() + scheduler_.n_reserved() +
         static_cast<std::int64_t>(inbox_.size()) + loop_.n_held();
}

BoxView FleetBox::view(TimePoint now, std::int32_t) {
  const KvPool& kv = scheduler_.kv();
  BoxView view{.requests = n_requests(), .kv = kv.n_blocks() - kv.n_free()};
  if (body_ == nullptr) return view;
  const BodyExecutor::Vitals vitals = body_->vitals(now);
  view.speed = vitals.speed;
  view.to_slowdown = vitals.to_slowdown.value();
  view.answers = vitals.answers;
  return view;
}

void FleetBox::wait(TimePoint from, TimePoint to, bool inside, std::int64_t n_held) {
  const KvPool& kv = scheduler_.kv();
  Inside all{.waiting = n_held, .kv_blocks_all = kv.n_blocks()};
  if (inside) {
    all.running = scheduler_.n_running();
    all.waiting += n_requests() - all.running;
    all.kv_blocks = kv.n_blocks() - kv.n_free();
  }
  observers_.on_wait(from, to, all);
}

FleetResult result_of(const FleetBoxes& boxes, const FleetOptions& options) {
  FleetResult out;
  Recorder all(options.request_time, options.slo);
  TimePoint end{};
  for (const auto& box : boxes) end = std::max(end, box->now());
  for (const auto& box : boxes) {
    all.merge(box->recorder());
    out.boxes.push_back(box->recorder().report());
    if (BodyExecutor* body = box->body()) out.bodies.push_back(body->report(end));
  }
  out.report = all.report(std::ssize(boxes));
  return out;
}

}  // namespace tinderbox
