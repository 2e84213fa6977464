// Joules of one answer: what the box drew while the answer was made, shared by tokens with the other
// answers of that time.

export interface Meter {
  at_s: number; // any clock, the same for all readings
  energy_j: number;
  wall_w: number;
  generated_tokens: number;
}

// The meter is read once a second: what it would have shown at another moment near the reading, at the power of then.
export function energyAt(reading: Meter, at_s: number): number {
  return reading.energy_j + reading.wall_w * (at_s - reading.at_s);
}

// `before`: the last reading before the request was sent; `after`: the first after its end. null if the box restarted.
export function answerJoules(
  before: Meter,
  after: Meter,
  sent_s: number,
  ended_s: number,
  tokens: number,
): number | null {
  const drawn = energyAt(after, ended_s) - energyAt(before, sent_s);
  const all = after.generated_tokens - before.generated_tokens;
  if (drawn <= 0 || all <= 0 || tokens <= 0) return null;
  return drawn * Math.min(1, tokens / all);
}
