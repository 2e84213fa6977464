#include "box/pool_box.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/check.h"
#include "box/turns.h"

namespace tinderbox {
namespace {

std::vector<ModelPool::Model> memory_of(const PoolContents& contents) {
  std::vector<ModelPool::Model> out;
  for (const PoolMember& m : contents.members) out.push_back(m.memory);
  return out;
}

}  // namespace

PoolBox::PoolBox(const PoolContents& contents, std::span<StepTable> tables, const FleetOptions& options, std::size_t i,
                 Observer* source)
    : contents_(contents),
      pool_(contents.bytes, memory_of(contents), contents.keep_alive),
      seats_(contents.members.size()) {
  CHECK(!seats_.empty() && tables.size() == seats_.size());
  for (std::size_t m = 0; m < seats_.size(); ++m) {
    const PoolMember& member = contents.members[m];
    FleetOptions of_this = options;
    of_this.request_time = to_duration(Seconds(member.model->twin().stack.price.request_time));
    std::vector<BoxWatch*> watches;
    if (options.watch) watches = options.watch(static_cast<std::int64_t>(i), static_cast<std::int64_t>(m));
    seats_[m].box = std::make_unique<FleetBox>(*member.model, tables[m], member.scheduler, of_this,
                                               m == 0 ? body_of(options, i) : std::nullopt, source, nullptr, watches,
                                               m == 0 ? nullptr : body());
  }
}

bool PoolBox::go_on(TimePoint until) {
  if (now_ >= until) return false;
  settle(now_);
  for (Command& command : inbox_.take(now_)) receive(std::get<Request>(std::move(command)));
  if (const std::optional<std::size_t> turn = choose()) {
    work(*turn, until);
    return true;
  }
  const TimePoint at = next();
  if (at >= until) return false;
  pass(at, nullptr);
  return true;
}

// What rests and would be unloaded in time is nobody's concern if nothing else is to come.
TimePoint PoolBox::next() const {
  TimePoint next = inbox_.next();
  bool somebody_waits = false;
  for (const Seat& seat : seats_) {
    if (seat.works) next = std::min(next, seat.box->next());
    somebody_waits = somebody_waits || !seat.waiting.empty();
  }
  if (somebody_waits || next < TimePoint::max()) next = std::min(next, pool_.next());
  return next == TimePoint::max() ? next : std::max(now_, next);
}

void PoolBox::settle(TimePoint now) {
  for (const std::size_t i : pool_.advance(now)) {
    Seat& seat = seats_[i];
    seat.box->scheduler().forget();  // others had its memory
    for (Request& request : std::exchange(seat.waiting, {})) give(seat, std::move(request), now);
  }
}

void PoolBox::receive(Request request) {
  const auto i = static_cast<std::size_t>(request.model);
  if (pool_.want(i, now_)) {
    give(seats_[i], std::move(request), now_);
  } else {
    seats_[i].waiting.push_back(std::move(request));
  }
}

void PoolBox::give(Seat& seat, Request request, TimePoint now) {
  take_part(seats_, seat);
  seat.box->take(now, std::move(request));
}

std::optional<std::size_t> PoolBox::choose() const {
  std::optional<std::size_t> turn;
  for (std::size_t i = 0; i < seats_.size(); ++i) {
    if (!seats_[i].works || seats_[i].box->next() > now_) continue;
    if (!turn || seats_[i].served < seats_[*turn].served) turn = i;
  }
  return turn;
}

void PoolBox::work(std::size_t i, TimePoint until) {
  Seat& seat = seats_[i];
  const bool alone = std::ranges::count(seats_, true, &Seat::works) == 1;
  const TimePoint step = now_ + Duration(1);
  seat.box->resume(now_);
  seat.box->advance_once(alone ? std::max(step, std::min({until, inbox_.next(), pool_.next()})) : step);
  const TimePoint end = std::max(now_, seat.box->now());
  seat.served += end - now_;
  pass(end, &seat);
  if (seat.box->n_requests() > 0) return;
  seat.works = false;
  pool_.rest(i, now_);
}

// What comes while the box answers nothing is not inside.
void PoolBox::pass(TimePoint to, const Seat* worked) {
  for (const Seat& seat : seats_) {
    const bool inside = worked != nullptr && seat.works && &seat != worked;
    if (inside || !seat.waiting.empty()) seat.box->wait(now_, to, inside, std::ssize(seat.waiting));
  }
  now_ = to;
}

BoxView PoolBox::view(TimePoint now, std::int32_t model) {
  settle(std::max(now, now_));  // who has rested long enough by then is gone
  BoxView view = seats_.front().box->view(now);
  view.requests = static_cast<std::int64_t>(inbox_.size());
  view.kv = 0;
  for (std::size_t i = 0; i < seats_.size(); ++i) {
    const KvPool& kv = seats_[i].box->scheduler().kv();
    view.requests += seats_[i].box->n_requests() + std::ssize(seats_[i].waiting);
    view.kv += (kv.n_blocks() - kv.n_free()) * contents_.members[i].kv_block_bytes;
  }
  const auto asked = static_cast<std::size_t>(model);
  const ModelPool::State state = pool_.state(asked);
  view.has_model = state == ModelPool::State::Ready || state == ModelPool::State::Loading ||
                   !seats_[asked].waiting.empty();
  return view;
}

TimePoint PoolBox::now() const {
  TimePoint now{};
  for (const Seat& seat : seats_) now = std::max(now, seat.box->now());
  return now;
}

namespace {

// Blocks of different models are of different sizes.
Report without_blocks(Report report) {
  report.kv_blocks = report.kv_blocks_peak = 0;
  report.mean_kv_share = 0;
  return report;
}

PoolResult result_of(const BoxesOf<PoolBox>& boxes, const PoolContents& contents, const FleetOptions& options) {
  PoolResult out{.fleet = {}, .models = {}, .bytes = contents.bytes};
  const std::size_t n_models = contents.members.size();
  std::vector<Recorder> of_model(n_models, Recorder(options.request_time, options.slo));
  Recorder all(options.request_time, options.slo);
  std::vector<ModelPool::Counters> counters(n_models);
  TimePoint end{};
  for (const auto& box : boxes) end = std::max(end, box->now());
  for (const auto& box : boxes) {
    Recorder of_box(options.request_time, options.slo);
    for (std::size_t m = 0; m < n_models; ++m) {
      of_box.merge(box->recorder(m));
      of_model[m].merge(box->recorder(m));
      const ModelPool::Counters& more = box->pool().counters(m);
      counters[m].loads += more.loads;
      counters[m].evictions += more.evictions;
      counters[m].expiries += more.expiries;
    }
    all.merge(of_box);
    out.fleet.boxes.push_back(without_blocks(of_box.report()));
    out.bytes_peak = std::max(out.bytes_peak, box->pool().bytes_peak());
    if (BodyExecutor* body = box->body()) out.fleet.bodies.push_back(body->report(end));
  }
  out.fleet.report = without_blocks(all.report(std::ssize(boxes)));
  for (std::size_t m = 0; m < n_models; ++m) {
    const PoolMember& member = contents.members[m];
    const TwinModel& twin = member.model->twin();
    out.models.push_back({.model = twin.model.id,
                          .weights = twin.weights.name,
                          .report = of_model[m].report(std::ssize(boxes)),
                          .bytes = member.memory.bytes,
                          .pinned = member.memory.pinned,
                          .counters = counters[m],
                          .load = to_seconds(member.memory.load)});
  }
  return out;
}

}  // namespace

PoolResult run_pool(const PoolContents& contents, const FleetOptions& options, const MakeTraffic& make,
                    const std::function<void(std::int64_t)>& progress) {
  CHECK(options.n_boxes >= 1 && !contents.members.empty());
  Traffic traffic = make();
  ThreadPool threads(n_threads_for(options, traffic));
  const auto n = static_cast<std::size_t>(threads.n_threads());
  std::vector<StepTable> prices;  // of each model
  for (const PoolMember& m : contents.members) prices.emplace_back(*m.model);
  std::vector<std::vector<StepTable>> tables(n, prices);
  BoxesOf<PoolBox> boxes;
  for (std::size_t i = 0; i < options.n_boxes; ++i) {
    boxes.push_back(std::make_unique<PoolBox>(contents, tables[i % n], options, i, traffic.listener));
  }
  run_boxes(boxes, options, std::move(traffic), make, threads, progress);
  return result_of(boxes, contents, options);
}

}  // namespace tinderbox
