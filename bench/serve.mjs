// node serve.mjs BUILD_DIR [--write] [--quick]: what the server does on loopback, measured with serve_load beside it on
// the same computer; --write puts the table between README's markers.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const [buildDir, ...flags] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
const binary = join(buildDir, 'tinderbox');
const loader = join(buildDir, 'bench', 'serve_load');
const quick = flags.includes('--quick');
const work = mkdtempSync(join(tmpdir(), 'tinderbox-bench-'));
const MODEL = 'llama-3.1-8b';
const rounds = quick ? 1 : 3;
const seconds = quick ? 2 : 5;

const median = (x) => [...x].sort((a, b) => a - b)[Math.floor(x.length / 2)];
const count = (x) => Math.round(x).toLocaleString('en');
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Where time is what is measured, server and client keep out of each other's way: who is woken by a packet is otherwise
// put on the sender's core, before or after it, as it comes.
const last = availableParallelism() - 1;
const cores = last > 0 ? { server: ['taskset', '-c', `0-${last - 1}`], client: ['taskset', '-c', `${last}`] } : { server: [], client: [] };
const spawnOn = (core, [command, ...args], options) => {
  const [program, ...rest] = [...core, command, ...args];
  return spawn(program, rest, options);
};

// A server, once it says that it is ready: how long that took, and how to end it.
async function start(...args) {
  return startOn([], ...args);
}

async function startOn(core, ...args) {
  const begin = performance.now();
  const child = spawnOn(core, [binary, 'serve', '--port', '0', '--state', 'none', '--log', 'none', ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  const port = await new Promise((resolve, reject) => {
    child.on('exit', () => reject(new Error(`the server ended: ${said}`)));
    child.stderr.on('data', (data) => {
      said += data;
      const at = said.match(/http:\/\/127\.0\.0\.1:(\d+)/);
      if (at) resolve(Number(at[1]));
    });
  });
  const health = await fetch(`http://127.0.0.1:${port}/health`);
  if (!health.ok) throw new Error(`/health says ${health.status}`);
  const ms = performance.now() - begin;
  return {
    ms, port,
    rss: () => Number(readFileSync(`/proc/${child.pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]) * 1024,
    stop: () => new Promise((resolve) => { child.removeAllListeners('exit'); child.on('exit', resolve); child.kill('SIGTERM'); }),
  };
}

function load(server, args, words = 1, core = []) {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, MODEL, WORDS: `${words}` };
    const child = spawnOn(core, [loader, `${server.port}`, ...args.map(String)], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    let out = '';
    child.stdout.on('data', (data) => { out += data; });
    child.on('exit', (code) => (code === 0 ? resolve(JSON.parse(out)) : reject(new Error(`serve_load ended with ${code}`))));
  });
}

// The median of one figure over several runs.
async function figure(key, run) {
  const values = [];
  for (let i = 0; i < rounds; ++i) values.push((await run())[key]);
  return median(values);
}

const rows = [];
const row = (...cells) => { rows.push(cells); console.error(`serve: ${cells.join(' | ')}`); };
// What llm-d-inference-sim (eec055a) did on two such cores, with a Go client of 32 connections.
const peer = { start: '32 to 40 ms', rss: '26 MB idle, 58 to 82 MB after load', binary: '40 MB', requests: '1,891', tokens: '62,600' };

const starts = [];
for (let i = 0; i < (quick ? 5 : 21); ++i) {
  const server = await start('--weightless', MODEL, '--no-pace');
  starts.push(server.ms);
  await server.stop();
}
row('start to the first answer of /health, weightless', `${median(starts).toFixed(1)} ms`, '≤ 50 ms', peer.start);

const fast = await start('--weightless', MODEL, '--no-pace', '--sequences', '1024', '--queue', '65536');
row('GET /health, 32 connections', `${count(await figure('replies_per_s', () => load(fast, ['requests', 32, seconds])))} /s`, '', '');
row('chat of 16 tokens, whole, 32 connections', `${count(await figure('replies_per_s', () => load(fast, ['requests', 32, seconds, 16])))} /s`, '≥ 20,000 /s', '');
row('the peer\'s case: 512 words, 128 tokens, whole, 32 connections', `${count(await figure('replies_per_s', () => load(fast, ['requests', 32, seconds, 128], 512)))} /s`, '', `${peer.requests} /s`);
row('... streamed, tokens', `${count(await figure('tokens_per_s', () => load(fast, ['streams', 32, seconds, 128], 512)))} /s`, '', `${peer.tokens} /s`);
row('tokens streamed, an event each, 32 streams of 1,024', `${count(await figure('tokens_per_s', () => load(fast, ['streams', 32, seconds, 1024])))} /s`, '≥ 1,000,000 /s', '');
row('tokens streamed, 512 streams of 1,024', `${count(await figure('tokens_per_s', () => load(fast, ['streams', 512, seconds, 1024])))} /s`, '', '');
await fast.stop();

const paced = await start('--weightless', MODEL, '--weights', 'nvfp4', '--stack', 'vllm', '--as', 'dgx-spark', '--sequences', '2048', '--queue', '65536');
const holding = load(paced, ['hold', 10000, 2000, quick ? 10 : 30]);
let rss = 0;
let done = false;
holding.then(() => { done = true; }, () => { done = true; });
while (!done) {
  rss = Math.max(rss, paced.rss());
  await pause(200);
}
const held = await holding;
row(`memory with ${count(held.idle)} idle connections and ${count(held.streams_open)} streams`, `${count(rss / 1e6)} MB`, '≤ 150 MB', peer.rss);
await paced.stop();

const stripped = join(work, 'tinderbox');
spawnSync('strip', ['-o', stripped, binary]);
row('program, stripped', `${(statSync(stripped).size / 1e6).toFixed(1)} MB`, '≤ 12 MB', peer.binary);

for (const n of quick ? [1, 64] : [1, 64, 256, 1000]) {
  const tokens = n === 1 ? 256 : 128;
  const machine = ['--weights', 'nvfp4', '--stack', 'vllm'];
  const trace = join(work, `pace-${n}.csv`);
  const server = await startOn(cores.server, '--weightless', MODEL, ...machine, '--as', 'dgx-spark', '--sequences', '1024', '--requests-out', trace);
  const real = await load(server, ['pace', n, tokens], 1, cores.client);
  await server.stop();
  // The same requests as they came to the box, in virtual time.
  const twin = JSON.parse(spawnSync(binary, ['simulate', '--model', MODEL, ...machine, '--trace', trace, '--sequences', 1024,
    '--body', '--exact', 1e6, '--json'].map(String), { encoding: 'utf8' }).stdout);
  const off = (real.mean_tpot_s / twin.tpot_s.mean - 1) * 100;
  row(`pace of ${n} stream${n > 1 ? 's' : ''}: mean time between tokens; the 99th percentile`,
    `${(real.mean_tpot_s * 1e3).toFixed(3)} ms, the twin's ${off < 0 ? '−' : '+'} ${Math.abs(off).toFixed(2)} %; ` +
    `${(real.gap_p99_s * 1e3).toFixed(2)} ms, the twin's ${(twin.itl_s.p99 * 1e3).toFixed(2)} ms`,
    'within 0.5 %; within 1 ms', n === 1 ? '+6 to +13 %' : '');
}

rmSync(work, { recursive: true });
const table = [
  `Measured by \`./dev bench serve --write\` on ${availableParallelism()} cores of ${cpus()[0].model.trim()}, client included; for pace, server and client on cores of their own.`, '',
  '| what | Tinderbox | target | llm-d-inference-sim |', '|---|---:|---:|---:|', ...rows.map((r) => `| ${r.join(' | ')} |`)].join('\n');
console.log(table);
if (flags.includes('--write')) {
  const readme = join(here, '..', 'README.md');
  const text = readFileSync(readme, 'utf8');
  const [begin, end] = ['<!-- bench serve -->', '<!-- /bench serve -->'];
  if (!text.includes(begin)) throw new Error(`README.md lacks ${begin}`);
  writeFileSync(readme, `${text.slice(0, text.indexOf(begin) + begin.length)}\n${table}\n${text.slice(text.indexOf(end))}`);
}
