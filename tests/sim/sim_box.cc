#include "sim_box.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/mapped_file.h"
#include "box/engine_executor.h"
#include "box/mailbox.h"
#include "box/outages.h"
#include "box/paced_executor.h"
#include "box/test_engine.h"
#include "box/twin_executor.h"
#include "http/metrics.h"
#include "http/openai.h"
#include "http/roster.h"
#include "http/route_table.h"
#include "http/server_pages.h"
#include "sim_answers.h"
#include "sim_clients.h"
#include "sim_clock.h"
#include "twin/test_body.h"
#include "twin/test_models.h"

namespace tinderbox::sim {
namespace {

StepModel model_of(bool body) {
  return testing::fp8_twin_on(body ? round_machine_with_body() : testing::round_machine());
}

// Energy is the sum of power over time, whatever goes in is stored or given to the room, and
// temperatures stay between the room's and the trip. Each window is lived through again in
// millisecond steps by a copy.
class BodyWatch {
 public:
  explicit BodyWatch(Saboteur& saboteur) : saboteur_(saboteur) {}
  void see(const Body& body) {
    if (saboteur_.strikes(Bug::FreeEnergy)) return;
    const Celsius room = body.surroundings().room, trip = body.facts().zone_critical;
    require(body.hottest_zone() <= trip + Kelvins(1e-6), "no zone is hotter than the trip",
            [&] { return format("{} C", body.hottest_zone().degrees()); });
    for (std::size_t i = 0; i < body.facts().zones.size(); ++i)
      require(body.zone(i) >= room - Kelvins(1e-6), "no zone is cooler than the room",
              [&] { return format("{} C", body.zone(i).degrees()); });
    // Windows are dear to live through again, and alike when nothing happens.
    if (before_ && (++n_windows_ < 40 || n_windows_ % 8 == 0)) check_energy(body);
    before_ = body;
  }

 private:
  void check_energy(const Body& body) {
    Body copy = *before_;
    copy.set_load(body.load());
    const Duration window = std::chrono::seconds(1), part = std::chrono::milliseconds(1);
    double joules = 0;
    for (Duration t{}; t < window; t += part) {
      const double watts_before = dc_power(copy.state().rails).value();
      const double in_before = copy.state().joules_in;
      copy.advance(part);
      const double drawn = copy.state().joules_in - in_before, seconds = to_seconds(part).value();
      const double watts = dc_power(copy.state().rails).value();
      const bool fits = std::min(watts, watts_before) * seconds <= drawn * (1 + 1e-9) + 1e-9 &&
                        drawn <= std::max(watts, watts_before) * seconds * (1 + 1e-9) + 1e-9;
      require(fits, "energy is power times time",
              [&] { return format("{} J in 1 ms at {} W", drawn, watts); });
      joules += drawn;
    }
    const BodyState& state = body.state();
    const double in = state.joules_in - before_->state().joules_in;
    require(std::abs(in - joules) <= 1e-6 * (1 + joules), "energy is the sum of power over time",
            [&] { return format("{} J instead of {} J", in, joules); });
    const double held = state.joules_held + state.joules_in - state.joules_out;
    require(std::abs(held - body.joules_stored()) <= 1e-6 * (1 + std::abs(state.joules_in)),
            "what goes in is held or goes out",
            [&] { return format("{} J, {} J", held, body.joules_stored()); });
  }

  Saboteur& saboteur_;
  std::optional<Body> before_;
  std::int64_t n_windows_ = 0;
};

// Who computes steps, with what belongs to him.
class Answerer {
 public:
  Answerer(Workshop& workshop, const Plan& plan, const Clock& clock,
           std::function<void(const Body&)> on_window)
      : codec_(plan.end_tokens),
        formula_(plan),
        model_(workshop.model(plan.body.has_value())),
        twin_(model_, Placeholders{.n_ids = model_.twin().model.n_vocab}),
        engine_(workshop.engine(), clock),
        paced_(engine_, twin_),
        answers_(plan.answers),
        text_(&codec_) {
    if (plan.answers == Answers::Twin) text_ = &placeholders_;
    if (plan.answers == Answers::Engine) text_ = &workshop.engine_codec();
    if (!plan.body) return;
    BodyOptions options = *plan.body;
    options.on_window = std::move(on_window);
    body_.emplace(twin_, model_, std::move(options));
  }
  Executor& executor() {
    if (body_) return *body_;
    if (answers_ == Answers::Twin) return twin_;
    if (answers_ == Answers::Engine) return paced_;
    return formula_;
  }
  const TextCodec& codec() const { return *text_; }
  const std::optional<BodyExecutor>& body() const { return body_; }
  // The least that this takes. A cool box may be faster than the healthy one, never twice as fast.
  Duration alone(std::int32_t n_past, std::int32_t n_new, bool samples) const {
    if (answers_ == Answers::Formula) return step_time(n_new);
    const Segment segment{.n_past = n_past, .n_new = n_new, .samples = samples};
    return to_duration(time_of_step(model_, {&segment, 1})) / (body_ ? 2 : 1);
  }

 private:
  ByteCodec codec_;
  PlaceholderCodec placeholders_;
  FormulaExecutor formula_;
  const StepModel& model_;
  TwinExecutor twin_;
  EngineExecutor engine_;
  PacedExecutor paced_;
  std::optional<BodyExecutor> body_;
  Answers answers_;
  const TextCodec* text_;
};

std::int64_t n_runs = 0;  // of this process: what no run may depend on

// The executor, with its bugs.
class Spoiled final : public Executor {
 public:
  Spoiled(Executor& inner, Saboteur& saboteur, std::function<bool()> unread)
      : inner_(inner), saboteur_(saboteur), unread_(std::move(unread)) {}
  StepResult run(const Step& step, TimePoint start) override {
    StepResult result = inner_.run(step, start);
    if (saboteur_.is(Bug::Hasty)) result.end = start + (result.end - start) / 3;
    if (saboteur_.is(Bug::Moody)) result.end += Duration(n_runs);
    if (saboteur_.is(Bug::AwaitReaders) && unread_()) result.end += Duration(1000);
    if (result.sampled.size() > 1 && saboteur_.strikes(Bug::SwapTokens))
      std::swap(result.sampled[0], result.sampled[1]);
    return result;
  }

 private:
  Executor& inner_;
  Saboteur& saboteur_;
  std::function<bool()> unread_;
};

// The mailbox's own waiting would never end where nobody else runs: here those who may post act
// until somebody has.
class Door final : public Arrivals {
 public:
  Door(Mailbox& mailbox, SimClock& clock, const Scheduler& scheduler, Saboteur& saboteur)
      : mailbox_(mailbox), clock_(clock), scheduler_(scheduler), saboteur_(saboteur) {}

  std::vector<Command> take(TimePoint now) override {
    require(++n_takes_ < 1'000'000, "the box gets somewhere");
    std::vector<Command> commands = mailbox_.take(now);
    if (saboteur_.is(Bug::LoseCancel))
      std::erase_if(commands, [](const Command& c) { return std::holds_alternative<Cancel>(c); });
    if (commands.size() > 1 && saboteur_.strikes(Bug::SwapRequests))
      std::swap(commands[0], commands.back());
    for (const Command& command : commands) trace_.emplace_back(now, command);
    return commands;
  }
  bool wait(Clock& clock) override {
    laws_->check_sleep(scheduler_);
    if (!closed_ && !clock_.idle()) {
      clock_.pass_to_next();
      return true;
    }
    close();
    return mailbox_.wait(clock);
  }
  bool pause(Clock& clock, TimePoint until) override {
    laws_->check_sleep(scheduler_);
    while (!closed_ && !clock_.idle() && clock_.next() <= until) clock_.pass_to_next();
    if (until == TimePoint::max()) close();
    if (!closed_) clock.wait_until(until);
    return mailbox_.pause(clock, until);
  }
  void close() {
    if (closed_) return;
    closed_ = true;
    mailbox_.close();
    clients_->closed();
  }
  void meet(Laws& laws, Clients& clients) {
    laws_ = &laws;
    clients_ = &clients;
  }
  const std::int64_t& n_takes() const { return n_takes_; }
  Trace& trace() { return trace_; }

 private:
  Mailbox& mailbox_;
  SimClock& clock_;
  const Scheduler& scheduler_;
  Saboteur& saboteur_;
  Laws* laws_ = nullptr;
  Clients* clients_ = nullptr;
  std::int64_t n_takes_ = 0;
  bool closed_ = false;
  Trace trace_;
};

// What /metrics should show from now on.
class Books final : public Observer {
 public:
  Books(const Laws& laws, const Scheduler& scheduler) : laws_(laws), scheduler_(scheduler) {
    copy();
  }
  void on_admission(const Request&, Admission, TimePoint) override { copy(); }
  void on_step(const Step&, TimePoint, const StepResult&, const Scheduler&) override { copy(); }
  void on_token(const TokenEvent&, TimePoint) override { copy(); }
  const Shown& shown() const { return shown_; }

 private:
  void copy() {
    shown_ = {.tally = laws_.tally(),
              .counters = scheduler_.counters(),
              .n_running = scheduler_.n_running(),
              .n_waiting = scheduler_.n_waiting(),
              .n_free = scheduler_.kv().n_free(),
              .n_blocks = scheduler_.kv().n_blocks()};
  }
  const Laws& laws_;
  const Scheduler& scheduler_;
  Shown shown_;
};

class LeakyObserver final : public Observer {
 public:
  LeakyObserver(Scheduler& scheduler, Saboteur& saboteur)
      : scheduler_(scheduler), saboteur_(saboteur) {}
  void on_token(const TokenEvent&, TimePoint) override {
    if (saboteur_.strikes(Bug::LeakBlock))
      static_cast<void>(const_cast<KvPool&>(scheduler_.kv()).promise(1));
  }

 private:
  Scheduler& scheduler_;
  Saboteur& saboteur_;
};

void plan_jumps(const Plan& plan, SimClock& clock, std::int64_t& date) {
  for (const auto& [at, length] : plan.jumps)
    clock.at(at, [&clock, by = length] { clock.jump(by); });
  for (const auto& [at, seconds] : plan.date_jumps)
    clock.at(at, [&date, by = seconds] { date += by; });
}

SipKey secret_of(const Plan& plan) { return {plan.seed, 7}; }

Scheduler scheduler_of(const Plan& plan) {
  return Scheduler(plan.limits, KvPool(plan.n_blocks, plan.block_tokens), plan.policy,
                   secret_of(plan));
}

// Tells steps alone.
class StepLog final : public Observer {
 public:
  explicit StepLog(Log& log) : log_(log) {}
  void on_step(const Step& step, TimePoint start, const StepResult& result,
               const Scheduler&) override {
    note_step(log_, step, start, result.end);
  }

 private:
  Log& log_;
};

class TraceArrivals final : public Arrivals {
 public:
  explicit TraceArrivals(const Trace& trace) : trace_(trace) {}
  std::vector<Command> take(TimePoint now) override {
    std::vector<Command> due;
    for (; n_ < trace_.size() && trace_[n_].first <= now; ++n_) due.push_back(trace_[n_].second);
    return due;
  }
  TimePoint next() const override {
    return n_ == trace_.size() ? TimePoint::max() : trace_[n_].first;
  }

 private:
  const Trace& trace_;
  std::size_t n_ = 0;
};

}  // namespace

Workshop::Workshop()
    : plain_(model_of(false)),
      warm_(model_of(true)),
      file_(testing::tiny_model()),
      engine_(file_, testing::kTinyEngine),
      codec_(
          std::make_unique<TokenizerCodec>(Tokenizer::from_gguf(*file_), ChatTemplate::chatml())) {}

Outcomes run_box(Workshop& workshop, const Plan& plan, Bug bug, bool at_once, Log& log) {
  ++n_runs;
  Saboteur saboteur(bug);
  SimClock clock(plan.seed, plan.oversleeps);
  std::int64_t date = 1'700'000'000;
  BodyWatch watch(saboteur);
  Answerer answerer(workshop, plan, clock, [&](const Body& body) { watch.see(body); });
  Scheduler scheduler = scheduler_of(plan);
  Mailbox mailbox;
  Metrics metrics({.version = "0", .as = "sim"});
  const Roster roster({{.info = {.id = "sim", .context_max = std::max(2, plan.limits.context_max), .as = "sim"},
                        .mailbox = &mailbox,
                        .codec = &answerer.codec()}});
  OpenAiApi api(roster, {.version = "0", .seed = plan.seed, .now_unix = [&] {
                           return date + clock.now().time_since_epoch() / std::chrono::seconds(1);
                         }});
  RouteTable routes;
  api.add_to(routes);
  add_server_pages(routes, "0", metrics, {});
  Door door(mailbox, clock, scheduler, saboteur);
  Laws laws(
      plan, clock, door.n_takes(),
      [&](std::int32_t n_past, std::int32_t n_new, bool samples) {
        return answerer.alone(n_past, n_new, samples);
      },
      log);
  Books books(laws, scheduler);
  Clients clients(plan, clock, {mailbox, routes, answerer.codec(), laws, books.shown()}, log, at_once);
  door.meet(laws, clients);
  plan_jumps(plan, clock, date);
  if (plan.closes_early) clock.at(plan.closes, [&] { door.close(); });
  Spoiled executor(answerer.executor(), saboteur, [&] { return clients.any_unread(); });
  Meddler to_laws(laws, Meddler::Of::Laws, saboteur),
      to_metrics(metrics.of_model("sim", scheduler), Meddler::Of::Metrics, saboteur),
      to_mailbox(mailbox, Meddler::Of::Mailbox, saboteur);
  LeakyObserver leak(scheduler, saboteur);
  std::vector<Observer*> watching = {&to_laws, &to_metrics, &books, &to_mailbox, &leak};
  std::optional<Outages> outages;
  if (answerer.body()) watching.push_back(&outages.emplace(door, *answerer.body(), scheduler));
  ObserverList observers(std::move(watching));
  Loop loop(scheduler, executor, outages ? static_cast<Arrivals&>(*outages) : door, clock,
            observers);
  loop.run();
  door.close();
  while (!clock.idle()) clock.pass_to_next();
  laws.check_end(scheduler);
  const auto down = answerer.body() ? answerer.body()->outage(loop.now()) : std::nullopt;
  clients.check_end(down && down->begin <= loop.now());
  return {.counters = scheduler.counters(),
          .n_answers = clients.n_answers(),
          .n_vanished = clients.n_vanished(),
          .n_steps = laws.tally().steps,
          .seconds = since_start(loop.now()).value(),
          .trace = std::move(door.trace())};
}

void replay(Workshop& workshop, const Plan& plan, const Trace& trace, bool step_by_step, Log& log) {
  VirtualClock clock;
  Answerer answerer(workshop, plan, clock, {});
  Scheduler scheduler = scheduler_of(plan);
  TraceArrivals arrivals(trace);
  StepLog steps(log);
  std::vector<Observer*> watching = {&steps};
  std::optional<Outages> outages;
  if (answerer.body()) watching.push_back(&outages.emplace(arrivals, *answerer.body(), scheduler));
  ObserverList observers(std::move(watching));
  Loop loop(scheduler, answerer.executor(), outages ? static_cast<Arrivals&>(*outages) : arrivals,
            clock, observers);
  if (step_by_step) {
    loop.advance(TimePoint::max());
  } else {
    loop.run();
  }
}

}  // namespace tinderbox::sim
