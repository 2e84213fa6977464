import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  bytes,
  celsius,
  digits3,
  duration,
  gibibytes,
  interval,
  joules,
  none,
  percent,
  plural,
  rate,
  seconds,
  since,
  watts,
} from '../src/format';

test('numbers keep three digits and their unit', () => {
  assert.deepEqual([4689.6, 47.479, 0.7812, 0, 99.96].map(digits3), ['4,690', '47.5', '0.78', '0', '100']);
  assert.deepEqual([0.0004, 0.0783, 1.1019, 447].map(seconds), ['0.4 ms', '78 ms', '1.10 s', '447 s']);
  assert.deepEqual([999, 18_700_000, 999_600_000].map(bytes), ['999 B', '18.7 MB', '1.00 GB']);
  assert.deepEqual(
    [watts(6.06), watts(141.6), celsius(70.4), percent(0.021), percent(0.64)],
    ['6.1 W', '142 W', '70 °C', '2.1 %', '64 %'],
  );
  assert.deepEqual(
    [joules(9.64), joules(1310), rate(47.48), gibibytes(2 ** 31)],
    ['9.64 J', '1.31 kJ', '47.5 tokens/s', '2.0 GiB'],
  );
  assert.deepEqual([plural(1, 'token'), plural(1200, 'token')], ['1 token', '1,200 tokens']);
});

test('what is not known is a dash', () => {
  for (const say of [seconds, bytes, watts, celsius, percent, rate, joules, gibibytes, duration]) {
    assert.equal(say(null), none);
    assert.equal(say(NaN), none);
  }
});

test('durations name the two largest units', () => {
  assert.deepEqual([0.2, 42, 60, 250, 7_500, 90_000].map(duration), [
    '0 s',
    '42 s',
    '1 min',
    '4 min 10 s',
    '2 h 5 min',
    '1 d 1 h',
  ]);
  assert.equal(since(null, 10), 'never');
  assert.equal(since(5, 65), '1 min ago');
});

test('an interval names its unit once', () => {
  assert.equal(interval('916 tokens/s', '5,445 tokens/s'), '916 to 5,445 tokens/s');
  assert.equal(interval('273 ms', '7.02 s'), '273 ms to 7.02 s');
});
