// node box.mjs BINARY MODEL.gguf: the box itself over HTTP: two models of which the machine holds one at a time, their
// loads, pins and faults; questions to the twin; a machine that freezes.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { check, finish, serve } from './harness.mjs';

const [binary] = process.argv.slice(2);
const post = (url, path, body, method = 'POST') =>
  fetch(new URL(path, url), { method, body: body === undefined ? undefined : JSON.stringify(body) });
const json = async (response, status = 200) => {
  const text = await response.text();
  assert.equal(response.status, status, text);
  return JSON.parse(text);
};
const chat = (url, model, more = {}) =>
  post(url, '/v1/chat/completions', { model, messages: [{ role: 'user', content: 'hi' }], max_tokens: 4, ...more });

// 61 and 31 GiB of weights; the KV of the first takes what is left, so that they take turns.
const big = ['qwen3-32b', 'qwen3-30b-a3b'];
const two = await serve(binary, ['--weightless', big.join(','), '--weights', 'bf16', '--as', 'dgx-spark', '--load-rate', '100 GB/s']);
const state = async (url = two.url) => json(await fetch(new URL('/box/state', url)));
const until = async (test, what) => {
  for (let i = 0; i < 100; ++i) {
    if (test(await state())) return;
    await sleep(100);
  }
  assert.fail(what);
};

await check('a model that is asked for is loaded, and another gives way', async () => {
  await until((s) => s.models.length === 2, 'no state');
  const before = await state();
  assert.equal(before.models.filter((m) => m.state === 'ready').length, 1, JSON.stringify(before.models));
  const absent = before.models.find((m) => m.state === 'absent').id;
  const r = await json(await chat(two.url, absent));
  assert.equal(r.choices[0].finish_reason, 'length');
  await until((s) => s.models.find((m) => m.id === absent).state === 'ready', 'not loaded');
  const after = await state();
  assert.equal(after.models.find((m) => m.id !== absent).state, 'absent');
  const metrics = await (await fetch(new URL('/metrics', two.url))).text();
  const loaded = Object.fromEntries([...metrics.matchAll(/^tinderbox_model_loaded\{.*model_name="([^"]+)"\} (\d)$/gm)].map((m) => [m[1], m[2]]));
  assert.equal(loaded[absent], '1', 'the one that was asked for');
  assert.deepEqual(Object.values(loaded).sort(), ['0', '1']);
  assert.ok(after.memory.weights_bytes > 0 && after.memory.weights_bytes < after.memory.safe_bytes);
});

await check('load, unload, pin by hand', async () => {
  await json(await post(two.url, '/box/models/load', { model: big[0] }));
  await until((s) => s.models[0].state === 'ready', 'not loaded');
  const refused = await json(await post(two.url, '/box/models/pin', { model: big[0] }), 409);
  assert.equal(refused.error.code, 'no_room');
  await json(await post(two.url, '/box/models/unload', { model: big[0] }));
  assert.equal((await json(await fetch(new URL('/box/models', two.url)))).models.length, 2);
  await json(await post(two.url, '/box/models/load', { model: 'nobody' }), 404);
  await json(await post(two.url, '/box/models/load', {}), 400);
});

await check('events come once a second, with what sensors read', async () => {
  const response = await fetch(new URL('/box/events', two.url));
  assert.equal(response.headers.get('content-type'), 'text/event-stream');
  const states = [];
  let text = '';
  for await (const chunk of response.body) {
    text += Buffer.from(chunk).toString();
    for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
      states.push(JSON.parse(text.slice(text.indexOf('data: ') + 6, end)));
    }
    if (states.length >= 3) break;
  }
  assert.ok(states[2].at_unix - states[1].at_unix > 0.5 && states[2].at_unix - states[1].at_unix < 3);
  assert.ok(states[2].sensors.gpu_c > 20 && states[2].sensors.wall_w > 20, JSON.stringify(states[2].sensors));
  assert.ok(states[2].sensors.energy_j_total > states[1].sensors.energy_j_total);
  const history = await json(await fetch(new URL('/box/history?seconds=60', two.url)));
  assert.ok(history.at_unix.length >= 2 && history.series.gpu_c.length === history.at_unix.length);
});

await check('a fault takes the box away until it is cleared', async () => {
  const { faults } = await json(await fetch(new URL('/box/faults', two.url)));
  assert.ok(faults.some((f) => f.name === 'memory-exhaustion' && f.signature));
  await json(await chat(two.url, big[0]));
  await json(await post(two.url, '/box/faults', { name: 'memory-exhaustion' }));
  await until((s) => s.box.down, 'not down');
  const waits = chat(two.url, big[0]);
  const first = await Promise.race([waits.then(() => 'answered'), sleep(700).then(() => 'waits')]);
  assert.equal(first, 'waits');
  await json(await post(two.url, '/box/faults/memory-exhaustion', undefined, 'DELETE'));
  assert.equal((await json(await waits)).choices.length, 1);
  await json(await post(two.url, '/box/faults/memory-exhaustion', undefined, 'DELETE'), 404);
  await json(await post(two.url, '/box/faults', { name: 'bad-luck' }), 404);
  const short = await json(await post(two.url, '/box/faults', { name: 'slow-memory', length_s: 0.5 }));
  assert.equal(short.length_s, 0.5);
});

await check('what-if says what the verb prints', async () => {
  const ask = { model: 'qwen3-8b', prompt: 512, gen: 64 };
  const answer = await (await post(two.url, '/box/what-if/predict', ask)).text();
  const printed = spawnSync(binary, ['predict', '--model', 'qwen3-8b', '--prompt', '512', '--gen', '64', '--json'], { encoding: 'utf8' });
  assert.equal(answer, printed.stdout);
  const none = await json(await post(two.url, '/box/what-if/predict', { model: 'qwen9' }), 400);
  assert.match(none.error.message, /qwen9/);
  for (const bad of [{ model: '/etc/passwd' }, { model: 'x', csv: '/tmp/x' }, { model: '--help' }]) {
    await json(await post(two.url, '/box/what-if/predict', bad), 400);
  }
  await json(await post(two.url, '/box/what-if/soak', { model: 'qwen3-8b', minutes: 10 }));
  await json(await post(two.url, '/box/what-if/serve', {}), 404);
  const catalogue = await json(await fetch(new URL('/box/catalogue', two.url)));
  assert.ok(catalogue.machines.some((m) => m.id === 'dgx-spark') && catalogue.models.length > 50);
});

await check('JSON and calls without weights are of their grammar', async () => {
  const r = await json(await chat(two.url, big[0], {
    max_tokens: 100,
    response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] } } },
  }));
  assert.deepEqual(Object.keys(JSON.parse(r.choices[0].message.content)), ['a']);
  const called = await json(await chat(two.url, big[0], { max_tokens: 100, tools: [{ type: 'function', function: { name: 'f' } }], tool_choice: 'required' }));
  assert.equal(called.choices[0].message.tool_calls[0].function.name, 'f');
});
assert.equal(await two.stop(), 0);

await check('what does not fit is refused with numbers, or freezes the box', async () => {
  const args = ['--weightless', 'qwen3-235b-a22b', '--weights', 'bf16', '--as', 'dgx-spark'];
  const refused = spawnSync(binary, ['serve', ...args, '--port', '0', '--state', 'none'], { encoding: 'utf8', timeout: 20_000 });
  assert.equal(refused.status, 2, refused.stderr);
  assert.match(refused.stderr, /needs \d+ GB on dgx-spark.*--freeze/s);
  const frozen = await serve(binary, [...args, '--freeze']);
  for (let i = 0; i < 50 && !(await state(frozen.url).catch(() => ({ box: {} }))).box.down; ++i) await sleep(100);
  assert.equal((await state(frozen.url)).box.down, true);
  const first = await Promise.race([chat(frozen.url, 'qwen3-235b-a22b').then(() => 'answered'), sleep(700).then(() => 'waits')]);
  assert.equal(first, 'waits');
  assert.equal(await frozen.stop(), 0);
});

finish();
