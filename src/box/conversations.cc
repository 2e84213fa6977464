#include <algorithm>
#include <utility>

#include "base/check.h"
#include "box/workload.h"

namespace tinderbox {
namespace {

constexpr std::uint64_t kSharedContent = 0;  // conversations are numbered from 1

}  // namespace

ConversationArrivals::ConversationArrivals(const WorkloadOptions& options, std::int32_t users,
                                           std::vector<UserSide> models)
    : options_(options),
      models_(std::move(models)),
      gen_max_(gen_lengths(options).high),
      closed_(users > 0),
      generator_(options),
      thinking_(options.seed, Stream::Think) {
  CHECK(users >= 0 && models_.size() == std::max<std::size_t>(1, options.mix.size()));
  for (std::int32_t i = 0; i < users; ++i) {
    Conversation first;
    first.model = generator_.draw_model();
    turns_.push({.at = TimePoint{}, .order = n_turns_known_++, .conversation = first});
  }
  if (!closed_) first_turn_ = generator_.next();
}

TimePoint ConversationArrivals::next() const {
  const TimePoint first = first_turn_ ? first_turn_->arrival : TimePoint::max();
  const bool more = !turns_.empty() && generator_.n_left() > 0;
  return more ? std::min(first, turns_.top().at) : first;
}

// What is asked is all that was said and the new prompt.
Request ConversationArrivals::ask(const Conversation& c, Request drawn) const {
  drawn.n_prompt += static_cast<std::int32_t>(c.n_context);
  drawn.model = c.model;
  if (options_.trace) return drawn;  // its contents are its own
  if (options_.shared_prefix > 0) {
    drawn.contents.push_back({kSharedContent, static_cast<std::int32_t>(options_.shared_prefix)});
  }
  if (options_.turns > 1) {
    drawn.answer_continues = true;
    drawn.contents.push_back({static_cast<std::uint64_t>(c.id),
                              drawn.n_prompt - static_cast<std::int32_t>(options_.shared_prefix)});
  }
  return drawn;
}

bool ConversationArrivals::ends(const Conversation& c) const {
  if (c.n_turns >= options_.turns) return true;
  return c.n_context + prompt_lengths(options_).high + gen_max_ > side_of(c).context_max;
}

std::vector<Command> ConversationArrivals::take(TimePoint now) {
  std::vector<Command> commands;
  const auto say = [&](Conversation c, Request drawn) {
    if (c.id == 0) {
      c = {.id = ++n_conversations_, .n_turns = 0, .n_context = options_.shared_prefix, .model = c.model};
    }
    Request request = ask(c, std::move(drawn));
    asked_[request.id] = c;
    commands.emplace_back(std::move(request));
  };
  while (next() <= now) {
    const bool more = !turns_.empty() && generator_.n_left() > 0;
    if (first_turn_ && (!more || first_turn_->arrival <= turns_.top().at)) {
      Request drawn = *std::exchange(first_turn_, std::nullopt);
      Conversation first;
      first.model = drawn.model;
      say(first, std::move(drawn));
      first_turn_ = generator_.next();
      continue;
    }
    const Turn turn = turns_.top();
    turns_.pop();
    say(turn.conversation, *generator_.next(turn.at));
  }
  return commands;
}

void ConversationArrivals::go_on(Conversation conversation, TimePoint now) {
  if (ends(conversation)) {
    if (!closed_) return;
    conversation = {};
    conversation.model = generator_.draw_model();
  }
  const Duration pause =
      options_.think > 0 ? to_duration(Seconds(thinking_.exponential(options_.think))) : Duration{};
  turns_.push({.at = now + pause + side_of(conversation).request_time,
               .order = n_turns_known_++,
               .conversation = conversation});
}

void ConversationArrivals::on_admission(const Request& request, Admission admission, TimePoint now) {
  const auto asked = asked_.find(request.id);
  if (asked == asked_.end()) return;
  if (admission == Admission::Accepted) {
    asked->second.n_context = request.n_prompt;
    return;
  }
  asked_.erase(asked);
  if (!closed_) return;
  Conversation refused;
  refused.n_turns = options_.turns;
  go_on(refused, now);
}

void ConversationArrivals::on_token(const TokenEvent& event, TimePoint now) {
  if (event.finish == FinishReason::None) return;
  const auto asked = asked_.find(event.seq);
  if (asked == asked_.end()) return;
  Conversation conversation = asked->second;
  asked_.erase(asked);
  const bool cancelled = cut_short(event.finish);
  conversation.n_context += event.n_generated;
  conversation.n_turns = cancelled ? options_.turns : conversation.n_turns + 1;
  go_on(conversation, now);
}

}  // namespace tinderbox
