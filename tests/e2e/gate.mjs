// node gate.mjs BINARY: keys, limits, origins, and what is kept across restarts, a kill -9 and files that cannot be used.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import http from 'node:http';
import { check, finish, serve, tinderbox } from './harness.mjs';

const [binary] = process.argv.slice(2);
const weightless = ['--weightless', 'llama-3.2-1b', '--weights', 'q4_k_m'];
const folder = () => mkdtempSync(join(tmpdir(), 'tinderbox-state-'));
const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
const bearer = (key) => ({ authorization: `Bearer ${key}` });
const keysOf = (dir) => JSON.parse(tinderbox(binary, ['keys', 'list', '--json', '--state', dir]).stdout).keys;
const addKey = (dir, name, ...more) => {
  const r = tinderbox(binary, ['keys', 'add', name, '--json', '--state', dir, ...more]);
  assert.equal(r.code, 0, r.stderr);
  return JSON.parse(r.stdout);
};

async function complete(url, key, body = {}) {
  const { id } = (await (await fetch(`${url}/v1/models`, { headers: bearer(key) })).json()).data[0];
  return fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: bearer(key),
    body: JSON.stringify({ model: id, prompt: 'one two three', max_tokens: 4, ...body }),
  });
}

// Sends any Host header, which fetch does not.
const statusFor = (url, headers) =>
  new Promise((resolve, reject) => {
    http.get(`${url}/v1/models`, { headers }, (r) => (r.resume(), resolve(r.statusCode))).on('error', reject);
  });

async function until(condition, ms = 10000) {
  for (const end = Date.now() + ms; Date.now() < end; await sleep(50)) if (await condition()) return;
  throw new Error(`not within ${ms} ms: ${condition}`);
}

// One sequence at a time: ann asks for eight answers, then bob for one.
async function placeOfBob(options) {
  const dir = folder();
  const server = await serve(binary, [...weightless, '--sequences', '1', '--state', dir, ...options]);
  try {
    const [ann, bob] = [addKey(dir, 'ann').key, addKey(dir, 'bob').key];
    await until(async () => (await fetch(`${server.url}/v1/models`)).status === 401);
    await until(async () => (await fetch(`${server.url}/v1/models`, { headers: bearer(bob) })).status === 200);
    const order = [];
    const ask = async (name, key) => {
      assert.equal((await (await complete(server.url, key, { max_tokens: 200 })).json()).usage.completion_tokens, 200);
      order.push(name);
    };
    const asked = Array.from({ length: 8 }, () => ask('ann', ann));
    await until(async () => /requests_waiting\{[^}]*\} 7/.test(await (await fetch(`${server.url}/metrics`, { headers: bearer(ann) })).text()));
    await Promise.all([...asked, ask('bob', bob)]);
    return order.indexOf('bob');
  } finally {
    assert.equal(await server.stop(), 0);
  }
}

await check('keys: --fair serves first who was served least', async () => {
  assert.ok((await placeOfBob(['--fair'])) <= 4);
  assert.equal(await placeOfBob([]), 8);
});

await check('keys: made, needed, limited, counted, revoked while the server runs', async () => {
  const dir = folder();
  const server = await serve(binary, [...weightless, '--state', dir]);
  try {
    assert.equal((await fetch(`${server.url}/v1/models`)).status, 200, 'nobody has set a key');
    const ann = addKey(dir, 'ann', '--requests-per-min', '3');
    assert.match(ann.key, /^tb-[0-9A-Za-z]{32}$/);
    assert.equal(ann.manager, true);
    await until(async () => (await fetch(`${server.url}/v1/models`)).status === 401);
    const refused = await fetch(`${server.url}/v1/models`);
    assert.match(refused.headers.get('www-authenticate'), /^Bearer/);
    assert.equal((await refused.json()).error.code, 'missing_api_key');
    assert.equal((await fetch(`${server.url}/metrics`)).status, 401);
    assert.equal((await fetch(`${server.url}/health`)).status, 200);
    assert.equal((await fetch(`${server.url}/`)).status, 200);

    const answer = await complete(server.url, ann.key);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('x-ratelimit-limit-requests'), '3');
    assert.equal(answer.headers.get('x-ratelimit-remaining-requests'), '2');
    const { usage } = await answer.json();
    const bob = await (await fetch(`${server.url}/box/keys`, { method: 'POST', headers: bearer(ann.key), body: '{"name":"bob","priority":5}' })).json();
    assert.equal(bob.manager, false);
    assert.equal((await fetch(`${server.url}/box/keys`, { headers: bearer(bob.key) })).status, 403);
    assert.equal((await complete(server.url, bob.key)).status, 200);
    assert.equal((await complete(server.url, ann.key)).status, 200);
    assert.equal((await complete(server.url, ann.key)).status, 200);
    const limited = await complete(server.url, ann.key);
    assert.equal(limited.status, 429);
    assert.ok(Number(limited.headers.get('retry-after')) >= 1);

    const list = await (await fetch(`${server.url}/box/keys`, { headers: bearer(ann.key) })).json();
    assert.equal(list.required, true);
    const entry = list.keys.find((k) => k.id === ann.id);
    assert.equal(entry.requests, 3, 'one was refused');
    assert.equal(entry.generated_tokens, 3 * usage.completion_tokens);
    await until(() => keysOf(dir).find((k) => k.id === ann.id).generated_tokens === entry.generated_tokens);

    assert.equal(tinderbox(binary, ['keys', 'revoke', bob.id, '--state', dir]).code, 0);
    await until(async () => (await complete(server.url, ann.key)) && (await fetch(`${server.url}/v1/models`, { headers: bearer(bob.key) })).status === 401);
    assert.equal(tinderbox(binary, ['keys', 'revoke', bob.id, '--state', dir]).code, 2);
    for (const secret of [ann.key, bob.key]) {
      assert.ok(!server.log().includes(secret), 'a key in the log');
      for (const name of readdirSync(dir)) assert.ok(!readFileSync(join(dir, name)).includes(secret), `a key in ${name}`);
    }
    assert.match(server.log(), /200 POST \/v1\/completions model=llama-3.2-1b prompt=\d+ generated=4 ttft=\S+ \S+ key=ann id=/);
    assert.equal(statSync(join(dir, 'state.db')).mode & 0o777, 0o600);
  } finally {
    assert.equal(await server.stop(), 0);
  }
});

await check('keys from a file, the environment and the command line', async () => {
  const file = join(folder(), 'keys');
  writeFileSync(file, 'file-key-1\n\nfile-key-2\n');
  const server = await serve(binary, [...weightless, '--api-key-file', file, '--api-key', 'line-key-3', '--open-metrics', '--log', 'json'], {
    TINDERBOX_API_KEY: 'environment-key-4',
  });
  try {
    for (const key of ['file-key-1', 'file-key-2', 'line-key-3', 'environment-key-4']) {
      assert.equal((await fetch(`${server.url}/v1/models`, { headers: bearer(key) })).status, 200, key);
    }
    assert.equal((await fetch(`${server.url}/v1/models`, { headers: { 'x-api-key': 'file-key-1' } })).status, 200);
    assert.equal((await fetch(`${server.url}/v1/models`, { headers: bearer('file-key-3') })).status, 401);
    assert.equal((await fetch(`${server.url}/metrics`)).status, 200);
  } finally {
    assert.equal(await server.stop(), 0);
  }
  assert.ok(!/(file|line|environment)-key/.test(server.log()), server.log());
  const lines = server.log().split('\n').filter((l) => l.startsWith('{')).map((l) => JSON.parse(l));
  assert.ok(lines.some((l) => l.status === 401 && l.path === '/v1/models'));
});

await check('a request keeps its id and its trace, in the reply and in the log', async () => {
  const server = await serve(binary, [...weightless, '--state', 'none', '--log', 'json']);
  const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
  try {
    const named = await fetch(`${server.url}/v1/models`, { headers: { 'x-request-id': 'mine-1', traceparent: `00-${trace}-00f067aa0ba902b7-01` } });
    assert.equal(named.headers.get('x-request-id'), 'mine-1');
    assert.match(named.headers.get('traceparent'), new RegExp(`^00-${trace}-(?!00f067aa0ba902b7)[0-9a-f]{16}-01$`));
    const streamed = await complete(server.url, 'none', { stream: true });
    await streamed.text();
    assert.match(streamed.headers.get('x-request-id'), /^req-/);
    assert.match(streamed.headers.get('traceparent'), /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    const odd = await fetch(`${server.url}/v1/models`, { headers: { 'x-request-id': 'a "quoted" one', traceparent: '00-nonsense' } });
    assert.match(odd.headers.get('x-request-id'), /^req-/);
    assert.ok(!odd.headers.get('traceparent').includes('nonsense'));
  } finally {
    assert.equal(await server.stop(), 0);
  }
  const lines = server.log().split('\n').filter((l) => l.startsWith('{')).map((l) => JSON.parse(l));
  assert.ok(lines.some((l) => l.trace_id === trace && JSON.stringify(l).includes('"mine-1"')), server.log());
});

await check('a network gets in with keys only', async () => {
  const refuses = (args, word) => {
    const r = tinderbox(binary, ['serve', ...weightless, '--port', '0', '--state', 'none', ...args]);
    assert.equal(r.code, 2, `${args}: ${r.code} ${r.stderr}`);
    assert.ok(r.stderr.includes(word), r.stderr);
  };
  refuses(['--host', '0.0.0.0'], '--no-auth');
  refuses(['--no-auth', '--api-key', '12345678'], '--no-auth');
  refuses(['--api-key', 'short'], '--api-key');
  refuses(['--api-key-file', '/nonexistent'], '/nonexistent');
  const keyed = await serve(binary, [...weightless, '--host', '0.0.0.0', '--api-key', '12345678', '--state', 'none']);
  assert.equal((await fetch(`${keyed.url}/v1/models`)).status, 401);
  assert.equal(await statusFor(keyed.url, { host: 'box.lan', ...bearer('12345678') }), 200);
  assert.equal(await keyed.stop(), 0);
  const open = await serve(binary, [...weightless, '--host', '0.0.0.0', '--no-auth', '--state', 'none']);
  assert.equal((await fetch(`${open.url}/v1/models`)).status, 200);
  assert.equal(await open.stop(), 0);
  assert.match(open.log(), /warning/);
});

await check('pages of others and names of others do not get in', async () => {
  const server = await serve(binary, [...weightless, '--state', 'none', '--cors-origin', 'https://app.example', '--allowed-host', 'box.lan']);
  try {
    const from = (origin) => fetch(`${server.url}/v1/models`, { headers: { origin } });
    assert.equal((await from('https://evil.example')).status, 403);
    assert.equal((await from(server.url)).status, 200);
    const allowed = await from('https://app.example');
    assert.equal(allowed.headers.get('access-control-allow-origin'), 'https://app.example');
    const preflight = await fetch(`${server.url}/v1/completions`, {
      method: 'OPTIONS',
      headers: { origin: 'https://app.example', 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' },
    });
    assert.equal(preflight.status, 204);
    assert.equal(preflight.headers.get('access-control-allow-headers'), 'authorization');
    assert.equal(await statusFor(server.url, { host: 'evil.example' }), 403);
    assert.equal(await statusFor(server.url, { host: 'box.lan' }), 200);
  } finally {
    assert.equal(await server.stop(), 0);
  }
});

await check('kill -9 loses at most the last second', async () => {
  const dir = folder();
  for (let round = 0; round < 3; ++round) {
    const key = addKey(dir, `k${round}`);
    const server = await serve(binary, [...weightless, '--state', dir]);
    let n = 0;
    for (const end = Date.now() + 1500; Date.now() < end; ++n) {
      const answer = await complete(server.url, key.key, { max_tokens: 1 });
      assert.equal(answer.status, 200);
      await answer.text();
    }
    await sleep(1000);
    const late = complete(server.url, key.key, { max_tokens: 1000, stream: true }).catch(() => {});
    await sleep(20 * round);
    server.process.kill('SIGKILL');
    await server.exited;
    await late;
    const entry = keysOf(dir).find((k) => k.id === key.id);
    assert.ok(entry.requests >= n && entry.requests <= n + 1, `${entry.requests} of ${n}`);
    assert.ok(entry.generated_tokens >= n);
  }
  assert.equal(keysOf(dir).length, 3);
});

await check('a file that is damaged, locked or of somebody else is told, and the box goes on', async () => {
  const bad = async (dir, word, status = 200) => {
    const server = await serve(binary, [...weightless, '--state', dir]);
    try {
      assert.ok(server.log().includes(word), server.log());
      assert.ok(server.log().includes('goes on without'), server.log());
      assert.equal((await fetch(`${server.url}/v1/models`)).status, status);
      assert.equal((await fetch(`${server.url}/health`)).status, 200);
    } finally {
      assert.equal(await server.stop(), 0);
    }
  };
  const damaged = folder();
  writeFileSync(join(damaged, 'state.db'), 'x'.repeat(9000));
  await bad(damaged, 'is no file of the state of a box');
  assert.equal(readFileSync(join(damaged, 'state.db'), 'utf8'), 'x'.repeat(9000));
  // With keys nobody gets in instead.
  const keyed = folder();
  addKey(keyed, 'ann');
  writeFileSync(join(keyed, 'state.db'), 'x'.repeat(9000));
  await bad(keyed, 'nobody is let in', 503);
  await bad('/proc/none', '/proc/none');
});

await check('a second server of one folder shares the keys and keeps nothing else', async () => {
  const dir = folder();
  const key = addKey(dir, 'ann');
  const first = await serve(binary, [...weightless, '--state', dir]);
  const second = await serve(binary, [...weightless, '--state', dir]);
  try {
    assert.match(second.log(), /another server/);
    for (const { url } of [first, second]) {
      assert.equal((await fetch(`${url}/v1/models`)).status, 401);
      assert.equal((await complete(url, key.key)).status, 200);
    }
    await until(() => keysOf(dir)[0].requests === 2);
  } finally {
    assert.equal(await first.stop(), 0);
    assert.equal(await second.stop(), 0);
  }
});

await check('a full disk is told once, and the box goes on', async () => {
  const dir = folder();
  // The most that a file may grow to, in blocks of 1024 bytes: as a full disk, but for one process only.
  const script = `ulimit -f 200; exec "$0" serve ${weightless.join(' ')} --port 0 --log none --port-file "$1/port" --state "$1"`;
  const child = spawn('bash', ['-c', script, binary, dir], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.on('data', (d) => (log += d));
  const exited = new Promise((resolve) => child.on('exit', (code, signal) => resolve(code ?? signal)));
  try {
    let url;
    await until(() => {
      try {
        url = `http://127.0.0.1:${Number(readFileSync(join(dir, 'port'), 'utf8'))}`;
      } catch {
        return false;
      }
      return true;
    });
    const { id: model } = (await (await fetch(`${url}/v1/models`)).json()).data[0];
    // Each is a row of a few hundred bytes.
    const body = JSON.stringify({ model, prompt: 'x', max_tokens: 0 });
    const many = () => Promise.all(Array.from({ length: 100 }, () => fetch(`${url}/v1/completions`, { method: 'POST', body }).then((r) => r.text())));
    await until(async () => (await many(), log.includes('cannot be written')), 60000);
    await many();
    await sleep(2500);
    assert.equal(log.split('cannot be written').length, 2, log);
    assert.equal((await fetch(`${url}/v1/models`)).status, 200);
  } finally {
    child.kill('SIGTERM');
    assert.equal(await exited, 0, log);
  }
});

finish();
