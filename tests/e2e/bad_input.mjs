// node bad_input.mjs URL: what a hostile, broken or vanished client sends, over raw sockets. After each the server serves.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { check, finish } from './harness.mjs';

const url = new URL(process.argv[2]);
const port = Number(url.port);
const model = (await (await fetch(new URL('/v1/models', url))).json()).data[0].id;
const sleep = (ms) => new Promise((r) => setTimeout(r, ms));

function open() {
  return new Promise((resolve, reject) => {
    const socket = connect(port, url.hostname, () => resolve(socket));
    socket.on('error', reject);
  });
}

// Sends bytes, returns everything that comes until the server closes (or `ms` have passed).
async function raw(bytes, { end = false, ms = 30_000 } = {}) {
  const socket = await open();
  let got = '';
  const closed = new Promise((resolve) => {
    socket.on('data', (d) => (got += d.toString('latin1')));
    socket.on('close', () => resolve('closed'));
    socket.on('error', () => resolve('error'));
    setTimeout(() => resolve('open'), ms).unref();
  });
  socket.write(bytes);
  if (end) socket.end();
  const how = await closed;
  socket.destroy();
  return { got, how };
}

const post = (path, body, type = 'application/json') =>
  fetch(new URL(path, url), { method: 'POST', headers: { 'content-type': type }, body });
const chat = (fields) => post('/v1/chat/completions', JSON.stringify({ model, messages: [{ role: 'user', content: 'Hi.' }], max_tokens: 4, ...fields }));

async function serves() {
  const r = await chat({});
  assert.equal(r.status, 200, 'the server must still serve');
  assert.ok((await r.json()).usage.completion_tokens >= 1);
}

async function refused(response, status, code) {
  const body = await response.json();
  assert.equal(response.status, status, JSON.stringify(body));
  for (const key of ['message', 'type', 'param', 'code']) assert.ok(key in body.error, key);
  assert.ok(body.error.message.length > 10);
  if (code) assert.equal(body.error.code, code, body.error.message);
}

async function metric(name) {
  const text = await (await fetch(new URL('/metrics', url))).text();
  const line = text.split('\n').find((l) => l.startsWith(`${name}{`));
  assert.ok(line, `${name} is missing`);
  return Number(line.slice(line.lastIndexOf(' ') + 1));
}

// Until the box is idle again: nothing running, no KV held.
async function drained() {
  for (let i = 0; i < 600; ++i) {
    const busy = (await metric('vllm:num_requests_running')) + (await metric('vllm:num_requests_waiting'));
    if (busy === 0 && (await metric('vllm:kv_cache_usage_perc')) === 0) return;
    await sleep(50);
  }
  assert.fail('requests still run 30 s after their clients have gone');
}

await check('bytes that are not HTTP', async () => {
  for (const bytes of ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n', 'hello\r\n\r\n', 'GET / HTTP/7.3\r\n\r\n', '\0\0\0\0\r\n\r\n']) {
    const { got, how } = await raw(Buffer.from(bytes, 'latin1'));
    assert.notEqual(how, 'open');
    assert.ok(got.startsWith('HTTP/1.1 400'), got);
    assert.ok(JSON.parse(got.split('\r\n\r\n')[1]).error.message);
  }
  await serves();
});

await check('truncated requests', async () => {
  const whole = `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{"model":`;
  for (let n = 0; n <= whole.length; n += 7) {
    const { how } = await raw(whole.slice(0, n), { end: true });
    assert.notEqual(how, 'open', `cut at ${n}`);
  }
  await serves();
});

await check('huge headers', async () => {
  for (const head of [`GET /${'a'.repeat(100_000)} HTTP/1.1\r\n\r\n`, `GET / HTTP/1.1\r\nX: ${'b'.repeat(1_000_000)}\r\n\r\n`,
    `GET / HTTP/1.1\r\n${'A: b\r\n'.repeat(20_000)}\r\n`]) {
    const { got, how } = await raw(head);
    assert.notEqual(how, 'open');
    assert.ok(got.startsWith('HTTP/1.1 431'), got.slice(0, 100));
  }
  await serves();
});

await check('a body over the limit', async () => {
  await refused(await post('/v1/chat/completions', 'x'.repeat(9 * 1024 * 1024)), 413, 'body_too_large');
  const { got } = await raw('POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 123456789012345\r\n\r\n');
  assert.ok(got.startsWith('HTTP/1.1 413'), got.slice(0, 100));
  const chunk = `100000\r\n${'x'.repeat(0x100000)}\r\n`;
  const streamed = await raw(`POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(9)}`);
  assert.ok(streamed.got.startsWith('HTTP/1.1 413'), streamed.got.slice(0, 100));
  await serves();
});

await check('malformed JSON and wrong types', async () => {
  const bodies = ['', '{', 'null', '[]', '"x"', '{"model":}', '{"a":1e999}', '\x00', '{"model":"x"', '['.repeat(1_000_000),
    `{"model":"${model}","messages":${'['.repeat(5000)}${']'.repeat(5000)}}`, `{"model":"${model}","messages":[{"role":"user","content":{}}]}`];
  for (const body of bodies) {
    await refused(await post('/v1/chat/completions', body), 400);
    await refused(await post('/v1/completions', body), 400);
  }
  await refused(await post('/v1/chat/completions', Buffer.from([0x22, 0xff, 0xfe, 0x22])), 400, 'invalid_json');
  await refused(await chat({ max_tokens: -5 }), 400, 'invalid_value');
  await refused(await chat({ max_tokens: 9007199254740991 }), 400, 'invalid_value');
  await refused(await chat({ max_tokens: 'many' }), 400, 'invalid_type');
  await refused(await chat({ model: 'nobody' }), 404, 'model_not_found');
  await refused(await chat({ messages: [{ role: 'user', content: 'word '.repeat(1_000_000) }] }), 400, 'context_length_exceeded');
  await refused(await fetch(new URL('/v1/nowhere', url)), 404, 'not_found');
  await refused(await fetch(new URL('/v1/chat/completions', url)), 405, 'method_not_allowed');
  await refused(await fetch(new URL('/v1/models', url), { method: 'DELETE' }), 405, 'method_not_allowed');
  await serves();
});

await check('a form is no request, whatever it holds', async () => {
  const form = new FormData();
  form.append('model', model);
  form.append('file', new Blob(['{}']), 'a.json');
  for (const path of ['/v1/chat/completions', '/v1/responses', '/v1/embeddings', '/api/chat']) {
    const r = await fetch(new URL(path, url), { method: 'POST', body: form });
    const body = await r.json();
    assert.equal(r.status, 400, path);
    assert.match(typeof body.error === 'string' ? body.error : body.error.message, /JSON/, path);
  }
  const r = await fetch(new URL('/v1/audio/transcriptions', url), { method: 'POST', body: form });
  await refused(r, 404);
  await serves();
});

await check('1,000 silent connections and a slow one', async () => {
  const silent = [];
  for (let i = 0; i < 1000; i += 50) silent.push(...(await Promise.all(Array.from({ length: 50 }, open))));
  const slow = await open();
  slow.write('POST /v1/chat/comp');
  for (const socket of silent.slice(0, 500)) socket.write('GET');
  assert.equal(silent.length, 1000);
  await serves();
  slow.write('letions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{');
  await serves();
  for (const socket of [...silent, slow]) socket.destroy();
  await serves();
});

await check('a client that vanishes frees its KV', async () => {
  const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'Tell me a very long story.' }], stream: true, temperature: 2 });
  const request = `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
  await drained();
  const sockets = await Promise.all(Array.from({ length: 4 }, open));
  const first = sockets.map((s) => new Promise((resolve) => s.once('data', resolve)));
  for (const s of sockets) s.write(request);
  await Promise.all(first);
  sockets[0].resetAndDestroy(); // in the middle of the stream, impolitely
  for (const s of sockets.slice(1)) s.destroy();
  await drained();
  await serves();
});

await check('a client that vanishes before its answer', async () => {
  const body = JSON.stringify({ model, prompt: 'Once upon a time', max_tokens: 400 });
  const socket = await open();
  socket.write(`POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  await sleep(50);
  socket.destroy();
  await drained();
  await serves();
});

await check('two requests in one packet are answered in order', async () => {
  const { got } = await raw('GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  assert.ok(got.indexOf('"status":"ok"') > 0 && got.indexOf('"version"') > got.indexOf('"status":"ok"'), got);
});

finish();
