import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stack, summary, withGaps } from '../src/charts/columns';
import { answerJoules } from '../src/energy';
import { append, columnsOf, emptyColumns, pointsMax, seriesNames } from '../src/history';
import { parseMetrics, stateOf } from '../src/metrics';
import { takeEvents } from '../src/sse';
import { sameSlice } from '../src/store';

test('a day once a second stays within its points, in order, and ends with the last sample', () => {
  const columns = emptyColumns();
  for (let t = 0; t < 100_000; ++t) append(columns, t, { wall_w: t }, 86_400);
  const { at_unix, series } = columns;
  assert.ok(at_unix.length <= pointsMax * 1.02 && at_unix.length > pointsMax * 0.9, String(at_unix.length));
  assert.ok(at_unix.every((t, i) => i === 0 || t > (at_unix[i - 1] as number)));
  assert.equal(series['wall_w']?.at(-1), 99_999);
  assert.ok((at_unix[0] as number) >= 99_999 - 86_400);
  for (const name of seriesNames) assert.equal(series[name]?.length, at_unix.length, name);
});

test('a sample that is told twice is kept once', () => {
  const columns = emptyColumns();
  for (const t of [1, 2, 2, 1.5, 3]) append(columns, t, { running: t }, 300);
  assert.deepEqual(columns.at_unix, [1, 2, 3]);
});

test('history without a series has it as unknown; free is what others leave', () => {
  const columns = columnsOf({ at_unix: [1, 2], series: { memory_used_bytes: [60, null] } }, 100);
  assert.deepEqual(columns.series['free_bytes'], [40, null]);
  assert.deepEqual(columns.series['gpu_c'], [null, null]);
});

test('stacks add up, and an unknown part makes the rest unknown', () => {
  assert.deepEqual(
    stack([
      [1, 2],
      [10, null],
      [100, 100],
    ]),
    [
      [1, 2],
      [11, null],
      [111, null],
    ],
  );
});

test('a hole in time breaks the line', () => {
  const { at, columns } = withGaps([1, 2, 3, 60, 61], [[5, 5, 5, 6, 6]]);
  assert.deepEqual(at, [1, 2, 3, 4, 60, 61]);
  assert.deepEqual(columns, [[5, 5, 5, null, 6, 6]]);
});

test('a summary passes over what is unknown', () => {
  assert.deepEqual(summary([null, 2, 4]), { now: 4, low: 2, high: 4, mean: 3 });
  assert.deepEqual(summary([null]), { now: null, low: null, high: null, mean: null });
});

test('events come whole, whatever the pieces', () => {
  const text = 'event: state\ndata: {"a":1}\n\ndata: b\r\ndata: c\r\n\r\n: comment\n\ndata: re';
  for (let cut = 0; cut <= text.length; ++cut) {
    const first = takeEvents(text.slice(0, cut));
    const second = takeEvents(first.rest + text.slice(cut));
    assert.deepEqual([...first.payloads, ...second.payloads], ['{"a":1}', 'b\nc'], `cut at ${cut}`);
    assert.equal(second.rest, 'data: re');
  }
});

test('joules of an answer are its share of what was drawn in its time', () => {
  const before = { at_s: 0, energy_j: 1000, wall_w: 40, generated_tokens: 0 };
  const after = { at_s: 11, energy_j: 1000 + 40 + 1400 - 400 + 40, wall_w: 40, generated_tokens: 200 };
  // 1 s at rest, then from 1 s to 10 s at work, then 1 s at rest.
  const all = answerJoules(before, after, 1, 10, 200);
  assert.equal(all, 1000);
  assert.equal(answerJoules(before, after, 1, 10, 50), 250);
  assert.equal(answerJoules(after, before, 1, 10, 50), null, 'a box that was restarted');
});

test('metrics give the traffic of a box that has no state', () => {
  const sums = parseMetrics(
    '# HELP x\nvllm:generation_tokens_total{model_name="a"} 30\n' +
      'vllm:generation_tokens_total{model_name="b"} 12\nvllm:num_requests_running 2\n',
  );
  assert.equal(sums['vllm:generation_tokens_total'], 42);
  const first = stateOf(sums, [{ id: 'a', tinderbox: { as: 'dgx-spark', weightless: true } }], 10, null);
  assert.equal(first.traffic.generated_tokens_per_s, null);
  assert.deepEqual(first.box.modelled, ['pace']);
  sums['vllm:generation_tokens_total'] = 62;
  const second = stateOf(sums, [], 12, first);
  assert.equal(second.traffic.generated_tokens_per_s, 10);
  sums['vllm:generation_tokens_total'] = 1;
  assert.equal(stateOf(sums, [], 14, second).traffic.generated_tokens_per_s, null, 'a counter that went back');
});

test('a slice is the same if the eye sees the same', () => {
  assert.ok(sameSlice({ a: 1, b: null }, { a: 1, b: null }));
  assert.ok(!sameSlice({ a: 1 }, { a: 2 }));
  assert.ok(!sameSlice({ a: 1 }, { a: 1, b: 2 }));
  assert.ok(!sameSlice(null, {}));
});
