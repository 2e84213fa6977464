// node serve.mjs BINARY MODEL.gguf: the serving modes (paced, weightless), start-up failures, and a clean stop.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check, finish, serve, tinderbox } from './harness.mjs';

const [binary, model] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'tinderbox-serve-'));
const question = [{ role: 'user', content: 'Why is the sky blue?' }];

async function chat(url, body) {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ messages: question, temperature: 0, ...body }),
  });
  assert.equal(response.status, 200, await response.clone().text());
  return response.json();
}
const modelId = async (url) => (await (await fetch(`${url}/v1/models`)).json()).data[0];
const metric = async (url, name) => {
  const text = await (await fetch(`${url}/metrics`)).text();
  const line = text.split('\n').find((l) => l.startsWith(name) && !l.startsWith('#'));
  return line === undefined ? undefined : Number(line.split(' ').at(-1));
};

await check('--as dgx-spark gives the same tokens, and shows how late this computer is', async () => {
  const plain = await serve(binary, [model]);
  const paced = await serve(binary, [model, '--as', 'dgx-spark']);
  try {
    const entry = await modelId(paced.url);
    assert.equal(entry.tinderbox.as, 'dgx-spark');
    assert.equal(entry.tinderbox.weightless, false);
    const body = { model: entry.id, max_tokens: 24 };
    const a = await chat(plain.url, body);
    const b = await chat(paced.url, body);
    assert.equal(a.choices[0].message.content, b.choices[0].message.content);
    assert.deepEqual(a.usage, b.usage);
    assert.ok((await metric(paced.url, 'tinderbox_lateness_seconds_total')) >= 0);
  } finally {
    assert.equal(await plain.stop(), 0);
    assert.equal(await paced.stop(), 0);
  }
});

await check('a modelled box has sensors, and warms with its work', async () => {
  const server = await serve(binary, ['--weightless', 'llama-3.1-8b', '--weights', 'fp8', '--ambient', '30C']);
  try {
    const gpu = 'tinderbox_node_celsius{node="gpu"}';
    const idle = await metric(server.url, gpu);
    assert.ok(idle > 30 && idle < 55, `${idle} C`);
    const model = (await modelId(server.url)).id;
    await chat(server.url, { model, max_tokens: 80 });
    assert.ok((await metric(server.url, gpu)) > idle + 2);
    assert.ok(Math.abs((await metric(server.url, 'DCGM_FI_DEV_GPU_TEMP')) - (await metric(server.url, gpu))) < 2);
    assert.ok((await metric(server.url, 'tinderbox_wall_watts')) > 20);
    assert.ok((await metric(server.url, 'tinderbox_zone_celsius')) > 30);
  } finally {
    assert.equal(await server.stop(), 0);
  }
});

await check('a fault slows the box; a frozen box hangs until it is over, and what it had is lost', async () => {
  const args = ['--weightless', 'llama-3.1-8b', '--weights', 'fp8'];
  const n = 24;
  const timed = async (server) => {
    const { id: model } = await modelId(server.url);
    const begin = performance.now();
    await chat(server.url, { model, max_tokens: n });
    return performance.now() - begin;
  };
  const healthy = await serve(binary, args);
  const slow = await serve(binary, [...args, '--fault', 'slow-memory@0s+10min']);
  const frozen = await serve(binary, [...args, '--fault', 'memory-exhaustion@0s+6s']);
  const since = performance.now();
  try {
    const usual = await timed(healthy);
    assert.ok((await timed(slow)) > 1.8 * usual);
    await timed(frozen);
    assert.ok(performance.now() - since > 4000, 'answered while frozen');
  } finally {
    for (const server of [healthy, slow, frozen]) assert.equal(await server.stop(), 0);
  }
});

await check('--weightless streams marked placeholder text at the pace that predict tells', async () => {
  const server = await serve(binary, ['--weightless', 'llama-3.1-8b', '--weights', 'fp8']);
  try {
    const entry = await modelId(server.url);
    assert.equal(entry.tinderbox.weightless, true);
    const n = 48;
    const begin = performance.now();
    const response = await fetch(`${server.url}/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({ model: entry.id, messages: question, stream: true, max_tokens: n, stream_options: { include_usage: true } }),
    });
    const times = [];
    let text = '';
    let buffer = '';
    let usage;
    const decoder = new TextDecoder();
    for await (const bytes of response.body) {
      buffer += decoder.decode(bytes, { stream: true });
      for (let at; (at = buffer.indexOf('\n\n')) >= 0; buffer = buffer.slice(at + 2)) {
        const data = buffer.slice(0, at).replace(/^data: /, '');
        if (data === '[DONE]') continue;
        const chunk = JSON.parse(data);
        usage ??= chunk.usage;
        const delta = chunk.choices[0]?.delta?.content;
        if (delta) {
          text += delta;
          times.push(performance.now());
        }
      }
    }
    assert.ok(text.startsWith('[weightless placeholder text]'), text.slice(0, 80));
    assert.equal(usage.completion_tokens, n);
    const predicted = JSON.parse(tinderbox(binary, ['predict', '--model', 'llama-3.1-8b', '--weights', 'fp8', '--prompt', `${usage.prompt_tokens}`, '--gen', `${n}`, '--json']).stdout);
    // A lower bound only: a busy computer may be later, never earlier, than the modelled machine.
    const measured = (times.at(-1) - times[0]) / 1000 / (times.length - 1);
    assert.ok(measured > 0.9 * predicted.tpot_s, `${measured} s a token, predicted ${predicted.tpot_s}`);
    const first = (times[0] - begin) / 1000;
    assert.ok(first > 0.9 * predicted.ttft_s, `${first} s to the first token, predicted ${predicted.ttft_s}`);
  } finally {
    assert.equal(await server.stop(), 0);
  }
});

await check('what a box served takes the same times when its list of requests is simulated', async () => {
  const served = join(folder, 'served.csv');
  const simulated = join(folder, 'simulated.csv');
  // A machine without a body, so that neither depends on how warm it is.
  const machine = ['--weights', 'fp8', '--machine', 'rtx-4090', '--stack', 'vllm'];
  const server = await serve(binary, ['--weightless', 'llama-3.1-8b', ...machine, '--requests-out', served]);
  const answers = [];
  let code;
  try {
    for (let i = 0; i < 30; ++i) {
      const text = 'word '.repeat(30 * (i % 7) + 1);
      answers.push(chat(server.url, { model: 'llama-3.1-8b', max_tokens: 20 + i, messages: [{ role: 'user', content: text }] }));
      await new Promise((resolve) => setTimeout(resolve, 7 * (i % 5)));
    }
    await Promise.all(answers);
  } finally {
    code = await server.stop();
  }
  assert.equal(code, 0);
  const usage = (await Promise.all(answers)).map((a) => a.usage);
  const run = tinderbox(binary, ['simulate', '--model', 'llama-3.1-8b', ...machine, '--trace', served, '--requests-out', simulated]);
  assert.equal(run.code, 0, run.stderr);
  const rows = (path) => {
    const [head, ...lines] = readFileSync(path, 'utf8').trim().split('\n').map((l) => l.split(','));
    return lines.map((l) => Object.fromEntries(l.map((cell, i) => [head[i], cell]))).sort((a, b) => a.arrival_s - b.arrival_s);
  };
  const [was, is] = [rows(served), rows(simulated)];
  const sum = (values) => values.reduce((a, b) => a + Number(b), 0);
  assert.equal(was.length, 30);
  assert.deepEqual(was.map((r) => r.output_tokens), is.map((r) => r.output_tokens));
  assert.equal(sum(was.map((r) => r.prompt_tokens)), sum(usage.map((u) => u.prompt_tokens)));
  assert.ok(was.every((r) => r.model === 'llama-3.1-8b'));
  // A step's price differs in the fifth digit between the two; that may move a request to another step.
  for (const time of ['queue_s', 'ttft_s', 'e2e_s']) {
    const off = was.map((r, i) => Math.abs(r[time] - is[i][time])).sort((a, b) => a - b);
    assert.ok(off[15] < 2e-3, `${time}: half of them are ${off[15]} s off or more`);
  }
  const nowhere = tinderbox(binary, ['serve', '--weightless', 'llama-3.1-8b', '--requests-out', '/nowhere/r.csv']);
  assert.equal(nowhere.code, 2);
  assert.match(nowhere.stderr, /--requests-out: \/nowhere\/r.csv cannot be written/);
});

await check('--no-pace answers at once what takes the modelled machine minutes, and tells its times', async () => {
  const server = await serve(binary, ['--weightless', 'llama-3.1-70b', '--weights', 'fp8', '--no-pace']);
  try {
    const begin = performance.now();
    const reply = await (await fetch(`${server.url}/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({ model: (await modelId(server.url)).id, messages: question, max_tokens: 1000 }),
    })).json();
    const took = (performance.now() - begin) / 1000;
    assert.equal(reply.usage.completion_tokens, 1000);
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    const modelled = Number(metrics.match(/^vllm:e2e_request_latency_seconds_sum\S* (\S+)/m)[1]);
    assert.ok(modelled > 250 && took < modelled / 2, `${took} s for ${modelled} s`);
  } finally {
    assert.equal(await server.stop(), 0);
  }
});

await check('start-up failures name what is wrong', async () => {
  const refuses = (args, ...words) => {
    const r = tinderbox(binary, ['serve', ...args]);
    assert.equal(r.code, 2, `${args}: ${r.code} ${r.stderr}`);
    for (const word of words) assert.ok(r.stderr.includes(word), `'${word}' not in: ${r.stderr}`);
  };
  refuses(['/nonexistent.gguf'], '/nonexistent.gguf');
  refuses([], '--weightless');
  refuses([model, '--weightless', 'llama-3.1-8b'], 'one of them');
  refuses(['--weightless', 'llama-3.1-8c'], "did you mean 'llama-3.1-8b'");
  refuses([model, '--as', 'dgx-sparc', '--port', '0'], "did you mean 'dgx-spark'");
  refuses([model, '--no-pace', '--port', '0'], '--as');
  refuses([model, '--port', '99999'], '--port');
  refuses([model, '--host', 'not an address', '--port', '0'], 'not an address');
  const server = await serve(binary, [model]);
  try {
    const port = new URL(server.url).port;
    refuses([model, '--port', port], port);
  } finally {
    await server.stop();
  }
});

await check('Ctrl-C lets a stream finish and ends with 0', async () => {
  const server = await serve(binary, [model]);
  const { id } = await modelId(server.url);
  const body = JSON.stringify({ model: id, messages: question, max_tokens: 12, stream: true });
  const response = await fetch(`${server.url}/v1/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  let text = '';
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    if (text === '') server.process.kill('SIGINT');
    text += chunk;
  }
  assert.ok(/"finish_reason":"(stop|length)"/.test(text) && text.endsWith('data: [DONE]\n\n'), text);
  assert.equal(await server.exited, 0);
});

finish();
