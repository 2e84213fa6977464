// Bugs to order, to see that the laws find them: `server_sim --break=NAME` runs a box that has one,
// `--prove` all.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "box/loop.h"

namespace tinderbox::sim {

enum class Bug : std::uint8_t {
  None,
  DropToken,
  RepeatToken,
  ReorderTokens,
  SwapTokens,
  LoseCancel,
  LeakBlock,
  SwapRequests,
  WrongBlock,
  BackInTime,
  Hasty,
  Miscount,
  AwaitReaders,
  FreeEnergy,
  Moody,
  ForgetEnd,
};

inline constexpr std::array<std::pair<Bug, std::string_view>, 15> kBugs = {{
    {Bug::DropToken, "drop-token"},          // one token does not reach its client
    {Bug::RepeatToken, "repeat-token"},      // reaches him twice
    {Bug::ReorderTokens, "reorder-tokens"},  // after the one that follows it
    {Bug::SwapTokens, "swap-tokens"},        // two sequences of a step get one another's
    {Bug::LoseCancel, "lose-cancel"},        // the box works on for who is gone
    {Bug::LeakBlock, "leak-block"},          // one KV block is promised to nobody
    {Bug::SwapRequests, "swap-requests"},    // who came later goes first
    {Bug::WrongBlock, "wrong-block"},        // a sequence reads KV of another one
    {Bug::BackInTime, "back-in-time"},       // a token is older than the one before it
    {Bug::Hasty, "hasty"},                   // steps take half the time that they need
    {Bug::Miscount, "miscount"},             // a token is not counted in /metrics
    {Bug::AwaitReaders, "await-readers"},    // the box is slower while somebody has not read
    {Bug::FreeEnergy, "free-energy"},        // a second of power is not in the energy
    {Bug::Moody, "moody"},                   // steps depend on how many runs there were before
    {Bug::ForgetEnd, "forget-end"},          // a client is not told that his answer is over
}};

inline std::optional<Bug> bug_named(std::string_view name) {
  for (const auto& [bug, its_name] : kBugs) {
    if (name == its_name) return bug;
  }
  return std::nullopt;
}

// Now and then, if it is this bug's run.
class Saboteur {
 public:
  explicit Saboteur(Bug bug) : bug_(bug) {}
  bool is(Bug bug) const { return bug_ == bug; }
  bool strikes(Bug bug) { return bug_ == bug && ++n_ % 7 == 0; }

 private:
  Bug bug_;
  std::int64_t n_ = 0;
};

// Between the loop and one of its observers.
class Meddler final : public Observer {
 public:
  enum class Of : std::uint8_t { Laws, Metrics, Mailbox };
  Meddler(Observer& inner, Of of, Saboteur& saboteur)
      : inner_(inner), of_(of), saboteur_(saboteur) {}
  void on_admission(const Request& request, Admission admission, TimePoint now) override {
    inner_.on_admission(request, admission, now);
  }
  void on_step(const Step& step, TimePoint start, const StepResult& result,
               const Scheduler& scheduler) override {
    const bool two = of_ == Of::Laws && step.items.size() > 1;
    if (!two || !saboteur_.strikes(Bug::WrongBlock))
      return inner_.on_step(step, start, result, scheduler);
    Step wrong = step;
    wrong.items[0].blocks = std::span(wrong.items[1].blocks).first(1);
    const std::vector<BlockId> blocks(step.items[0].blocks.size(), step.items[1].blocks[0]);
    wrong.items[0].blocks = blocks;
    inner_.on_step(wrong, start, result, scheduler);
  }
  void on_token(const TokenEvent& event, TimePoint now) override {
    const bool last = event.finish != FinishReason::None;
    if (of_ == Of::Laws && saboteur_.strikes(Bug::BackInTime)) now -= Duration(2'000'000'000);
    if (of_ == Of::Metrics && saboteur_.strikes(Bug::Miscount)) return;
    if (of_ == Of::Mailbox) {
      if (!last && saboteur_.strikes(Bug::DropToken)) return;
      if (last && saboteur_.strikes(Bug::ForgetEnd)) return;
      if (!last && saboteur_.strikes(Bug::RepeatToken)) inner_.on_token(event, now);
      if (!last && !held_ && saboteur_.strikes(Bug::ReorderTokens)) {
        held_ = event;
        return;
      }
      if (held_ && held_->seq == event.seq && !last) {
        inner_.on_token(event, now);
        return inner_.on_token(*std::exchange(held_, std::nullopt), now);
      }
      if (held_ && held_->seq == event.seq)
        inner_.on_token(*std::exchange(held_, std::nullopt), now);
    }
    inner_.on_token(event, now);
  }

 private:
  Observer& inner_;
  Of of_;
  Saboteur& saboteur_;
  std::optional<TokenEvent> held_;
};

}  // namespace tinderbox::sim
