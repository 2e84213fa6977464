// node soak.mjs BINARY [--seconds N] [--seed N] [--clients N] [--model FILE.gguf] [--sanitized]: the real box under mixed
// load by a seed: every endpoint, streams, clients that go away, are slow or wrong, models loaded, unloaded and pinned,
// faults, keys that come and go. Laws are checked all the time and at the end. Without --model a machine's worth of
// models without weights, at its pace, which take turns in its memory. --sanitized: a build that checks itself, whose
// memory grows by what it remembers of freed blocks. Prints a line every 10 s; ends with 1 if a law was broken.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { draw_act, PROMPT_MARK, random_of } from './acts.mjs';
import { growth, Ledger, metrics_of, open_files, process_use } from './ledger.mjs';
import { request_bytes, Wire } from './wire.mjs';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: 'string', default: '3600' }, seed: { type: 'string' }, clients: { type: 'string', default: '64' }, model: { type: 'string' }, sanitized: { type: 'boolean', default: false } },
});
const [binary] = positionals;
const seconds = Number(options.seconds);
const seed = Number(options.seed ?? Date.now() % 1_000_000);
const warm_s = Math.min(600, seconds / 4);
const rss_growth_max = 0.02;
// Two that do not fit side by side, and two that come and go beside them.
const MODELS = ['qwen3-30b-a3b', 'qwen3-coder-30b-a3b', 'qwen3-0.6b', 'smollm2-135m'];

const begin = Date.now();
const ledger = new Ledger();
ledger.prompt_mark = PROMPT_MARK;
const folder = mkdtempSync(join(tmpdir(), 'tinderbox-soak-'));
const state = join(folder, 'state');
const key_of = (r) => {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
  const key = 'tb-' + Array.from({ length: 32 }, () => r.of(letters)).join('');
  ledger.secrets.add(key);
  return key;
};
const setup = random_of(seed);
const manager = key_of(setup);
writeFileSync(join(folder, 'keys'), manager + '\n', { mode: 0o600 });

const model_args = options.model
  ? [options.model, '--as', 'dgx-spark', '--context', '2048', '--sequences', '8']
  : ['--weightless', MODELS.join(','), '--weights', 'bf16', '--as', 'dgx-spark', '--load-rate', '100 GB/s'];
const port_file = join(folder, 'port');
const box = spawn(binary, ['serve', ...model_args, '--queue', '24', '--api-key-file', join(folder, 'keys'), '--state', state, '--log', 'json', '--port', '0', '--port-file', port_file], {
  stdio: ['ignore', 'ignore', 'pipe'],
});
box.stderr.setEncoding('utf8');
box.stderr.on('data', (text) => ledger.log(text));
const exited = new Promise((resolve) => box.on('exit', (code, signal) => resolve(code ?? signal)));
process.on('exit', () => box.kill('SIGKILL')); // whatever goes wrong here
let running = true;
exited.then((code) => {
  if (running) {
    console.log(`the box ended with ${code}:\n${ledger.plain}`);
    process.exit(1);
  }
});
while (!existsSync(port_file) || readFileSync(port_file, 'utf8').trim() === '') await sleep(20);
const port = Number(readFileSync(port_file, 'utf8'));
console.log(`soak: seed ${seed}, ${seconds} s, ${options.clients} clients, ${options.model ?? MODELS.join(', ')}; pid ${box.pid}, port ${port}`);

const management = new Wire(port);
// A request by the manager that must be answered.
async function manage(method, path, body, expect = [200], wire = management) {
  const act = { method, path, key: manager, body: body === undefined ? undefined : JSON.stringify(body), expect };
  const reply = await wire.exchange(request_bytes(act));
  ledger.answered(act, reply);
  return reply.status === 200 && reply.headers['content-type']?.startsWith('application/json') ? JSON.parse(reply.body) : reply.body;
}
const scrape = async () => metrics_of(await manage('GET', '/metrics'));

const keys = []; // {id, key}, of those that may be revoked
const ctx = {
  models: options.model ? (await manage('GET', '/v1/models')).data.map((m) => m.id) : MODELS,
  slow: options.model ? [] : MODELS.slice(0, 2),
  weightless: !options.model,
  tokens_max: options.model ? 24 : 96,
  revoked: [],
  key: (r) => (keys.length && r.odds(0.97) ? r.of(keys).key : manager),
  make_wrong_key: key_of,
  warming: () => Date.now() - begin < 800 * warm_s,
};
ctx.model = (r) => (r.odds(0.85) ? r.of(ctx.models.slice(-2)) : r.of(ctx.models));

async function add_key(r) {
  const limits = r.odds(0.2) ? { requests_per_min: r.between(20, 200) } : r.odds(0.2) ? { tokens_per_min: 20_000 } : {};
  const made = await manage('POST', '/box/keys', { name: `user-${r.between(0, 1e9)}`, priority: r.between(-2, 2), ...limits });
  ledger.secrets.add(made.key);
  keys.push({ id: made.id, key: made.key });
}

let deadline = Date.now() + seconds * 1000;
let in_flight = 0;
async function client(i) {
  const r = random_of(seed * 1000 + i + 1);
  let wire = new Wire(port);
  const own = { ...ctx };
  while (Date.now() < deadline) {
    const act = draw_act(r, own);
    if (act.fresh) wire.close();
    // A key may be revoked between being drawn and being read.
    if (act.key && act.key !== manager && !act.unlogged) act.expect = [...act.expect, 401, 429];
    if (act.path === '/box/keys' || act.path.startsWith('/box/faults') || act.path === '/box/models/load') {
      if (act.key === manager) continue;
    }
    in_flight++;
    if (act.flood) {
      const { replies, end } = await wire.flood(act.bytes, act.flood, act.pause_ms);
      for (const reply of replies) ledger.answered(act, { ...reply, body: 'null', end: 'whole' });
      if (end !== 'whole') ledger.answered(act, { status: 0, headers: {}, body: '', n_bytes: 0, end });
    } else {
      const reply = await wire.exchange(act.bytes, act);
      ledger.answered(act, reply);
    }
    in_flight--;
    if (r.odds(0.05)) wire.close();
    await sleep(r.between(0, options.sanitized ? 400 : 200));
  }
  wire.close();
}

// The box's owner: loads, unloads and pins, injects faults and clears them, gives keys and takes them away.
async function owner() {
  const r = random_of(seed * 1000);
  while (Date.now() < deadline) {
    const model = r.of(ctx.models);
    const way = r.next();
    if (way < 0.2) await manage('POST', '/box/models/load', { model });
    else if (way < 0.4) await manage('POST', '/box/models/unload', { model }, [200, 409]);
    else if (way < 0.5) {
      await manage('POST', '/box/models/pin', { model }, [200, 409]);
      await sleep(r.between(0, 1000));
      await manage('POST', '/box/models/pin', { model, pinned: false });
    } else if (way < 0.8) {
      if (keys.length < 12 || r.odds(0.5)) await add_key(r);
      if (keys.length < 12) continue;
      const [gone] = keys.splice(r.below(keys.length), 1);
      await manage('DELETE', `/box/keys/${gone.id}`);
      ctx.revoked.push(gone.key);
    } else if (way < 0.95) {
      const name = r.of(['memory-exhaustion', 'power-off', 'slow-memory', 'stuck-low-power', 'fan-failure', 'thermal-slowdown', 'blocked-intake']);
      await manage('POST', '/box/faults', { name }, [200, 409]);
      await sleep(r.between(0, 1500));
      await manage('DELETE', `/box/faults/${name}`, undefined, [200, 404]);
    } else await manage('GET', '/metrics');
    await sleep(r.between(100, 1500));
  }
}

const samples = [];
const mib = (bytes) => (bytes / 1048576).toFixed(1);
async function watch() {
  let said = 0;
  let before = 0;
  while (running) {
    const t = (Date.now() - begin) / 1000;
    const use = process_use(box.pid);
    if (Date.now() < deadline) samples.push({ t, ...use });
    if (t - said >= 10) {
      const { ends } = ledger;
      const n = ends.whole + ends.cut + ends.closed;
      console.log(`${t.toFixed(0).padStart(5)} s  ${((n - before) / (t - said)).toFixed(0).padStart(4)} req/s  answered ${ends.whole}  cut ${ends.cut}  in flight ${in_flight}  ` +
        `RSS ${mib(use.rss)} MiB (own ${mib(use.own)})  fds ${use.fds}  threads ${use.threads}  violations ${ledger.n_violations}`);
      said = t;
      before = n;
    }
    await sleep(1000);
  }
}
// Somebody who asks once a second whether all is well.
async function probe() {
  const wire = new Wire(port);
  let slowest = 0;
  let n_loads = 0;
  while (Date.now() < deadline) {
    const asked = performance.now();
    const act = { method: 'GET', path: '/health', expect: [200] };
    ledger.answered(act, await wire.exchange(request_bytes(act), { deadline_ms: 20_000 }));
    slowest = Math.max(slowest, performance.now() - asked);
    n_loads = (await manage('GET', '/box/models', undefined, [200], wire)).models.reduce((sum, m) => sum + m.loads, 0);
    await sleep(1000);
  }
  wire.close();
  return [slowest, n_loads];
}

for (let i = 0; i < 6; ++i) await add_key(setup);
await sleep(1500);
const fds_before = process_use(box.pid).fds; // with the manager's connection
const files_before = open_files(box.pid);
deadline = Date.now() + seconds * 1000;
const watching = watch();
const [[slowest, n_loads]] = await Promise.all([probe(), owner(), ...Array.from({ length: Number(options.clients) }, (_, i) => client(i))]);

// All is over: what is held must be given back.
const quiet = async (test) => {
  for (let i = 0; i < 150; ++i) {
    if (await test()) return true;
    await sleep(200);
  }
  return false;
};
let end;
const at_rest = await quiet(async () => {
  end = await scrape();
  return end.sum('vllm:num_requests_running') === 0 && end.sum('vllm:num_requests_waiting') === 0 && end.sum('vllm:kv_cache_usage_perc') === 0;
});
if (!at_rest) {
  ledger.violation('KV is free at the end', ['vllm:num_requests_running', 'vllm:num_requests_waiting', 'vllm:kv_cache_usage_perc'].map((name) => `${name} ${end.sum(name)}`).join(', '));
}
if (!(await quiet(() => process_use(box.pid).fds <= fds_before))) {
  ledger.violation('descriptors are given back', open_files(box.pid).filter((f) => !files_before.includes(f)).join(', '));
}
const fds_after = process_use(box.pid).fds;
const told = (await manage('GET', '/box/keys')).keys;
management.close();
running = false;
await watching;
box.kill('SIGTERM');
const code = await Promise.race([exited, sleep(30_000).then(() => 'nothing for 30 s')]);
if (code !== 0) ledger.violation('the box ends cleanly', `${code}: ${ledger.plain.slice(-2000)}`);
await sleep(200);

for (const key of told) {
  const logged = ledger.metered_by_key.get(key.name) ?? 0;
  if (key.requests !== logged) ledger.violation('counters add up', `key ${key.name}: ${key.requests} requests counted, ${logged} logged`);
}
const n_steps = end.sum('tinderbox_steps_total');
const generated = end.sum('vllm:generation_tokens_total');
if (generated < ledger.generated) ledger.violation('counters add up', `${generated} tokens generated, ${ledger.generated} told to clients`);
const { n_unseen, n_gone } = ledger.close(state);
const database = spawnSync('python3', ['-c', `
import glob, sqlite3, sys
db = sqlite3.connect(glob.glob(sys.argv[1] + '/*.db')[0] if glob.glob(sys.argv[1] + '/*.db') else glob.glob(sys.argv[1] + '/*.sqlite*')[0])
print(db.execute('pragma integrity_check').fetchone()[0], db.execute('select count(*) from requests').fetchone()[0])`, state], { encoding: 'utf8' });
const [integrity, n_kept] = database.stdout.trim().split(' ');
if (integrity !== 'ok') ledger.violation('the database is whole', `${database.stdout} ${database.stderr}`);

const warm = samples.filter((s) => s.t >= warm_s);
const grown = growth(warm);
if (!options.sanitized && seconds >= 300 && grown > rss_growth_max) ledger.violation('memory is flat', `grew by ${(100 * grown).toFixed(2)} %`);

const peak = Math.max(...samples.map((s) => s.rss));
const rows = [
  ['seed', seed], ['time', `${((Date.now() - begin) / 1000).toFixed(0)} s`],
  ['requests answered, cut off, broken off, stuck', `${ledger.ends.whole}, ${ledger.ends.cut}, ${ledger.ends.closed}, ${ledger.ends.stuck}`],
  ['answers by status', Object.entries(ledger.statuses).map(([status, n]) => `${status}: ${n}`).join(', ')],
  ['lines logged, of requests cut off, with 499', `${ledger.n_lines}, ${n_unseen}, ${n_gone}`],
  ['requests kept in the database', n_kept],
  ['steps, tokens generated', `${n_steps}, ${generated}`],
  ['loads of models', n_loads],
  ['RSS: growth since warm', `${(100 * grown).toFixed(2)} % of ${mib(warm.at(-1)?.rss ?? 0)} MiB, of which its own ${mib(warm.at(-1)?.own ?? 0)}`],
  ['RSS at its highest', `${mib(peak)} MiB`],
  ['descriptors before, after', `${fds_before}, ${fds_after}`], ['slowest /health', `${slowest.toFixed(0)} ms`], ['exit', code],
  ['keys made', ledger.secrets.size], ['violations', ledger.n_violations],
];
for (const [name, value] of rows) console.log(`${String(name).padEnd(48)} ${value}`);
rmSync(folder, { recursive: true, force: true });
process.exit(ledger.n_violations === 0 ? 0 : 1);
