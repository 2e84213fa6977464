#include "twin/speculation.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "base/error.h"
#include "base/text.h"
#include "machine/sourced.h"
#include "twin/step_model.h"

namespace tinderbox {
namespace {

constexpr std::int64_t kDraftMax = 64;

constexpr std::array kNouns = {
    Noun{"tokens", Measure::Share},  // a mean is no whole number
    Noun{"share", Measure::Share},
    Noun{"ratio", Measure::Share},
};

// Tokens kept of n if each is with chance p, once all before it are.
double kept(double p, std::int64_t n) {
  double sum = 0, chance = 1;
  for (std::int64_t i = 0; i < n; ++i) sum += chance *= p;
  return sum;
}

// The p of kept(p, n) = accepted.
double chance_of(double accepted, std::int64_t n) {
  double low = 0, high = 1;
  for (int i = 0; i < 50; ++i) {
    const double middle = (low + high) / 2;
    (kept(middle, n) < accepted ? low : high) = middle;
  }
  return (low + high) / 2;
}

std::vector<Segment> with_new(std::span<const Segment> decoding, std::int64_t n_new, bool samples) {
  std::vector<Segment> out(decoding.begin(), decoding.end());
  for (Segment& s : out) {
    s.n_new = static_cast<std::int32_t>(n_new);
    s.samples = samples;
  }
  return out;
}

// The drafter as a share of the model's own step of its tokens.
void add_draft(const StepModel& model, std::span<const Segment> decoding, bool explain, StepCost& sum) {
  const Speculation& method = *model.twin().speculation;
  const double body = method.n_layers > 0 ? method.n_layers / model.twin().model.n_layers : method.body_share;
  if (body <= 0 && method.head_share <= 0) return;
  const std::int64_t n_new = method.sequential ? 1 : method.n_draft;
  const double passes = method.sequential ? static_cast<double>(method.n_draft) : 1;
  const StepCost whole = model.price(with_new(decoding, n_new, true), explain, true);
  StepCost headless = model.price(with_new(decoding, n_new, false), explain, true);
  add_scaled(sum, whole, passes * method.head_share);
  add_scaled(sum, headless, -passes * method.head_share);
  // The host launches the drafter while the device is busy.
  headless.time -= headless.overhead;
  headless.overhead = Seconds(0);
  add_scaled(sum, headless, passes * body);
}

}  // namespace

Speculation parse_speculation(std::string_view toml, std::string_view name) {
  SourcedFile file(toml, name, kNouns);
  Speculation method;
  method.id = file.text("id");
  method.name = file.text("name");
  method.sequential = file.flag("draft.sequential");
  method.n_draft = static_cast<std::int64_t>(file.count("draft.n_draft_tokens", 1, kDraftMax));
  method.accepted = file.share("draft.accepted_tokens", 0, static_cast<double>(method.n_draft));
  if (file.has("draft.n_layers")) {
    method.n_layers = file.count("draft.n_layers", 1, 1000);
  } else {
    method.body_share = file.share("draft.body_share", 0, 1);
  }
  method.head_share = file.share("draft.head_share", 0, 1);
  method.interval.low = file.share("interval.decode_low_ratio", 1e-3, 1);
  method.interval.high = file.share("interval.decode_high_ratio", 1, 1e3);
  file.reject_unread();
  method.facts = file.facts();
  method.sources = file.sources();
  return method;
}

Speculation with_choice(Speculation method, std::optional<std::int64_t> n_draft,
                        std::optional<double> accepted) {
  if (n_draft && (*n_draft < 1 || *n_draft > kDraftMax)) {
    throw_invalid(format("{}: {} drafted tokens a step are not from 1 to {}", method.id, *n_draft, kDraftMax));
  }
  if (n_draft) {
    method.accepted = kept(chance_of(method.accepted, method.n_draft), *n_draft);
    method.n_draft = *n_draft;
  }
  if (accepted) {
    if (!(*accepted >= 0 && *accepted <= static_cast<double>(method.n_draft))) {
      throw_invalid(
          format("{}: {} accepted tokens a step are not from 0 to the {} drafted; the token that the model "
                 "says itself does not count",
                 method.id, *accepted, method.n_draft));
    }
    method.accepted = *accepted;
    method.interval = Interval{};
  }
  return method;
}

StepCost speculative_step(const StepModel& model, std::span<const Segment> reading,
                          std::span<const Segment> decoding, bool explain) {
  CHECK(model.twin().speculation && !decoding.empty());
  const Speculation& method = *model.twin().speculation;
  std::vector<Segment> segments = with_new(decoding, 1 + method.n_draft, true);
  segments.insert(segments.begin(), reading.begin(), reading.end());
  StepCost cost = model.price(segments, explain, reading.empty());
  add_draft(model, decoding, explain, cost);
  return cost;
}

Seconds time_of_step(const StepModel& model, std::span<const Segment> segments) {
  if (!model.twin().speculation) return model.price(segments).time;
  std::vector<Segment> reading, decoding;
  for (const Segment& s : segments) {
    (s.samples && s.n_new == 1 && s.n_past > 0 ? decoding : reading).push_back(s);
  }
  if (decoding.empty()) return model.price(segments).time;
  const Seconds whole = speculative_step(model, reading, decoding).time;
  const Seconds alone = reading.empty() ? Seconds(0) : model.price(reading).time;
  return alone + (whole - alone) / model.twin().speculation->tokens_per_step();
}

}  // namespace tinderbox
