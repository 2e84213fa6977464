import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ComponentChild, VNode } from 'preact';
import { contrast, heatRgb, inkOn, luminance } from '../src/box/heat';
import { railsOf, readingOf } from '../src/box/reading';
import { bodyOf as completionBody, pieceOf } from '../src/chat/completion';
import { blocks } from '../src/markdown';
import { listed, provenance } from '../src/provenance';
import { viewOf } from '../src/route';
import type { Sensors } from '../src/types';
import { bodyOf, commandLine, initialForm, problemOf, verbs } from '../src/whatif/verbs';

function outline(node: ComponentChild): string {
  if (node === null || node === undefined || typeof node === 'boolean') return '';
  if (Array.isArray(node)) return (node as ComponentChild[]).map(outline).join('');
  if (typeof node !== 'object') return String(node);
  const { type, props } = node as VNode<{ children?: ComponentChild; start?: number }>;
  const start = props.start === undefined ? '' : ` start=${props.start}`;
  return `<${String(type)}${start}>${outline(props.children)}</>`;
}
const markdown = (text: string) => blocks(text).map(outline).join('');

test('answers are text, whatever they hold', () => {
  assert.equal(
    markdown('<img src=x onerror=alert(1)> **b** `c` *d* 2 * 3 * 4'),
    '<p><img src=x onerror=alert(1)> <strong>b</> <code>c</> <em>d</> 2 * 3 * 4</>',
  );
  assert.equal(
    markdown('```js\n<script>\n```\n- one\n- two\n\n3. x\n4. y\n# T\n**open'),
    '<pre><code><script></></><ul><li>one</><li>two</></><ol start=3><li>x</><li>y</></><p><strong>T</></><p>**open</>',
  );
  assert.equal(markdown('```\nunfinished'), '<pre><code>unfinished</></>');
  assert.equal(markdown('1. a\n- b'), '<ol start=1><li>a</></><ul><li>b</></>');
});

test('hotter is lighter, and words can be read on every colour', () => {
  let before = -1;
  for (let c = 20; c <= 110; ++c) {
    const now = luminance(heatRgb(c));
    assert.ok(now >= before, `${c} °C is darker than ${c - 1} °C`);
    before = now;
    const ink = (inkOn(c).match(/\d+/g) ?? []).map(Number) as unknown as [number, number, number];
    assert.ok(contrast(heatRgb(c), ink) >= 4.5, `${c} °C: ${contrast(heatRgb(c), ink)}`);
  }
});

test('nodes and rails are found by either of their names', () => {
  const sensors = {
    gpu_c: 70,
    nodes_c: { drive: 48, network: 59, air: 45 },
    rails_w: { gpu: 45, cpu_p: 6, cpu_e: 1, ssd: 2 },
    zones_c: [],
  } as unknown as Sensors;
  const reading = readingOf(sensors, 25);
  assert.deepEqual(
    [reading.gpu.c, reading.drive.c, reading.network.c, reading.exhaust.c, reading.inlet.c],
    [70, 48, 59, 45, 25],
  );
  assert.deepEqual([reading.cpu.w, reading.drive.w, reading.network.w], [7, 2, null]);
  assert.deepEqual(
    railsOf(sensors).map((rail) => rail.label),
    ['GPU', 'CPU, fast cores', 'CPU, small cores', 'SSD'],
  );
  assert.equal(readingOf(null, 25).inlet.c, null);
});

test('a question is the same in a shell', () => {
  const form = { ...initialForm('predict'), concurrency: 4, weights: 'q4_k_m', ambient: 30 };
  assert.equal(
    commandLine('predict', form),
    'tinderbox predict --model qwen3-8b --weights q4_k_m --prompt 2048 --gen 256 --concurrency 4 --ambient 30C',
  );
  assert.deepEqual(bodyOf('predict', form), {
    model: 'qwen3-8b',
    machine: 'dgx-spark',
    weights: 'q4_k_m',
    prompt: 2048,
    gen: 256,
    concurrency: 4,
    ambient: '30C',
  });
  assert.equal(
    commandLine('compare', { ...initialForm('compare'), machines: ['a', 'b'] }),
    'tinderbox compare --model qwen3-8b --machines a,b',
  );
  assert.equal(
    commandLine('soak', { ...initialForm('soak'), model: "it's", fault: 'fan-failure' }),
    "tinderbox soak --model 'it'\\''s' --concurrency 4 --fault fan-failure@10min",
  );
});

test('a form that cannot be asked says why', () => {
  for (const verb of verbs) assert.equal(problemOf(verb, initialForm(verb)), null, verb);
  assert.match(
    problemOf('predict', { ...initialForm('predict'), prompt: NaN }) ?? '',
    /Prompt tokens: give a number/,
  );
  assert.match(problemOf('predict', { ...initialForm('predict'), concurrency: 1.5 }) ?? '', /whole/);
  assert.match(problemOf('fit', { ...initialForm('fit'), context: 0 }) ?? '', /from 1 to/);
  assert.match(problemOf('compare', { ...initialForm('compare'), machines: [] }) ?? '', /at least one/);
});

test('a completion asks for what is set and tells text from thought', () => {
  const body = completionBody('m', [], { temperature: 0, top_p: 1, max_tokens: 4, seed: null });
  assert.deepEqual(Object.keys(body).sort(), [
    'max_tokens',
    'messages',
    'model',
    'stream',
    'stream_options',
    'temperature',
  ]);
  assert.equal(completionBody('m', [], { temperature: 0, top_p: 0.5, max_tokens: 4, seed: 7 })['seed'], 7);
  assert.deepEqual(pieceOf({ choices: [{ delta: { reasoning_content: 'hm' } }] }), { reasoning: 'hm' });
  assert.deepEqual(pieceOf({ choices: [{ delta: { content: 'a' }, finish_reason: 'stop' }] }), {
    text: 'a',
    finish: 'stop',
  });
});

test('what is modelled is said with its machine', () => {
  assert.equal(listed(['a', 'b_c', 'd']), 'a, b c and d');
  const box = {
    as: 'x',
    machine_name: 'X',
    nodes: 2,
    ambient_c: null,
    freeze: false,
    down: false,
    modelled: ['pace'],
    measured: [],
  };
  assert.deepEqual(provenance(box), { modelled: 'Modelled for 2 × X: pace.', measured: null });
});

test('an address that is no view is the chat', () => {
  assert.deepEqual(['#/charts', '#what-if', '', '#/nothing'].map(viewOf), ['charts', 'what-if', 'chat', 'chat']);
});
