#include "box/mailbox.h"

#include <algorithm>
#include <utility>

namespace tinderbox {
namespace {

// Letters waiting for one step to end. Far above what the scheduler's queue takes; it bounds
// memory if a step is long.
constexpr std::size_t kLettersMax = 1 << 16;

}  // namespace

TokenStream::TokenStream(std::function<void()> wake) : wake_(std::move(wake)) {}

void TokenStream::push(StreamEvent event) {
  {
    const std::lock_guard lock(mutex_);
    events_.push_back(event);
  }
  ready_.notify_one();
  if (wake_) wake_();
}

std::vector<StreamEvent> TokenStream::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(events_, {});
}

std::vector<StreamEvent> TokenStream::wait() {
  std::unique_lock lock(mutex_);
  ready_.wait(lock, [&] { return !events_.empty(); });
  return std::exchange(events_, {});
}

void Bell::ring() {
  {
    const std::lock_guard lock(mutex_);
    ringing_ = true;
  }
  rung_.notify_one();
}

void Bell::wait(Clock& clock, TimePoint until) {
  std::unique_lock lock(mutex_);
  const auto rung = [&] { return ringing_; };
  if (until == TimePoint::max()) {
    rung_.wait(lock, rung);
  } else {
    rung_.wait_for(lock, std::max(Duration(0), until - clock.now()), rung);
  }
  ringing_ = false;
}

void Broadcast::publish(Text text) {
  std::vector<std::function<void()>> wakes;
  {
    const std::lock_guard lock(mutex_);
    text_ = std::move(text);
    for (const auto& [id, wake] : followers_) wakes.push_back(wake);
  }
  for (const std::function<void()>& wake : wakes) wake();
}

Broadcast::Text Broadcast::latest() const {
  const std::lock_guard lock(mutex_);
  return text_;
}

std::uint64_t Broadcast::follow(std::function<void()> wake) {
  const std::lock_guard lock(mutex_);
  followers_.emplace(++n_followers_, std::move(wake));
  return n_followers_;
}

void Broadcast::leave(std::uint64_t follower) {
  const std::lock_guard lock(mutex_);
  followers_.erase(follower);
}

void Errands::post(std::function<void()> errand) {
  {
    const std::lock_guard lock(mutex_);
    errands_.push_back(std::move(errand));
  }
  bell_.ring();
}

void Errands::run() {
  std::vector<std::function<void()>> errands;
  {
    const std::lock_guard lock(mutex_);
    errands.swap(errands_);
  }
  for (const std::function<void()>& errand : errands) errand();
}

void Mailbox::arrived() {
  arrived_.notify_one();
  if (bell_ != nullptr) bell_->ring();
}

bool Mailbox::closed() const {
  const std::lock_guard lock(mutex_);
  return closed_;
}

TimePoint Mailbox::due() const {
  const std::lock_guard lock(mutex_);
  return letters_.empty() ? TimePoint::max() : letters_.front().due;
}

SeqId Mailbox::submit(Request request, std::shared_ptr<TokenStream> stream) {
  SeqId id = 0;
  bool refused = false;
  {
    const std::lock_guard lock(mutex_);
    id = next_id_++;
    refused = closed_ || letters_.size() >= kLettersMax;
    if (!refused) {
      request.id = id;
      const TimePoint due = due_now();
      if (request.arrival == TimePoint{}) request.arrival = due;
      letters_.push_back({due, std::move(request)});
      streams_.emplace(id, stream);
    }
  }
  if (refused) {
    stream->push({.kind = StreamEvent::Kind::Refused, .admission = Admission::QueueFull});
  } else {
    arrived();
  }
  return id;
}

void Mailbox::cancel(SeqId seq) {
  {
    const std::lock_guard lock(mutex_);
    if (!streams_.contains(seq)) return;  // over, or never accepted
    letters_.push_back({due_now(), Cancel{seq}});
  }
  arrived();
}

void Mailbox::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  arrived();
}

std::vector<Command> Mailbox::take(TimePoint now) {
  std::vector<Command> commands;
  {
    const std::lock_guard lock(mutex_);
    const auto late = std::ranges::find_if(letters_, [&](const Letter& letter) { return letter.due > now; });
    for (auto letter = letters_.begin(); letter != late; ++letter) commands.push_back(std::move(letter->command));
    letters_.erase(letters_.begin(), late);
  }
  for (Command& command : commands) {
    Request* request = std::get_if<Request>(&command);
    if (request != nullptr && request->arrival == TimePoint{}) request->arrival = now;
  }
  return commands;
}

bool Mailbox::wait(Clock&) {
  std::unique_lock lock(mutex_);
  arrived_.wait(lock, [&] { return !letters_.empty() || closed_; });
  return !letters_.empty();
}

bool Mailbox::pause(Clock& clock, TimePoint until) {
  std::unique_lock lock(mutex_);
  const auto closed = [&] { return closed_; };
  if (until == TimePoint::max()) {
    arrived_.wait(lock, closed);
  } else {
    arrived_.wait_for(lock, std::max(Duration(0), until - clock.now()), closed);
  }
  return !closed_;
}

void Mailbox::on_admission(const Request& request, Admission admission, TimePoint now) {
  if (admission == Admission::Accepted) return;
  if (const auto stream = stream_of(request.id, true)) {
    stream->push({.kind = StreamEvent::Kind::Refused, .admission = admission, .at = now});
  }
}

void Mailbox::on_step(const Step& step, TimePoint, const StepResult& result, const Scheduler&) {
  details_.clear();
  if (result.details.empty()) return;
  std::size_t i = 0;
  for (const StepItem& item : step.items) {
    if (!item.samples) continue;
    if (result.details[i]) details_[item.seq] = result.details[i];
    ++i;
  }
}

void Mailbox::on_token(const TokenEvent& event, TimePoint now) {
  const bool last = event.finish != FinishReason::None;
  std::shared_ptr<const TokenDetail> detail;
  if (!details_.empty()) {
    if (const auto it = details_.find(event.seq); it != details_.end() && event.token >= 0) detail = it->second;
  }
  if (const auto stream = stream_of(event.seq, last)) {
    stream->push({.kind = last ? StreamEvent::Kind::Finished : StreamEvent::Kind::Token,
                  .token = event.token,
                  .finish = event.finish,
                  .at = now,
                  .detail = detail});
  }
}

std::shared_ptr<TokenStream> Mailbox::stream_of(SeqId seq, bool last) {
  const std::lock_guard lock(mutex_);
  const auto it = streams_.find(seq);
  if (it == streams_.end()) return nullptr;
  std::shared_ptr<TokenStream> stream = it->second;
  if (last) streams_.erase(it);
  return stream;
}

}  // namespace tinderbox
