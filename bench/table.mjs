// node table.mjs BUILD_DIR MODEL.gguf [--write]: the benchmark table of README.md, measured on this computer.
//
// The engine and node-llama-cpp (a prebuilt llama.cpp) take turns on the same file with the same number of threads, so
// that both see the same machine; the table gives medians and their ratio. --write puts it between README's markers.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';

const [buildDir, model, flag] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
const binary = join(buildDir, 'tinderbox');
const threads = availableParallelism();
const ROUNDS = 5;
const PROMPT = 512;
const GEN = 128;

const median = (x) => [...x].sort((a, b) => a - b)[Math.floor(x.length / 2)];
const digits = (x) => (x >= 1000 ? Math.round(x).toLocaleString('en') : x.toPrecision(3));

function run(command, args) {
  const r = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (r.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${r.stderr}`);
  return r.stdout;
}

async function openReference() {
  const require = createRequire(join(here, '..', 'tests', 'package.json'));
  const { getLlama } = await import(pathToFileURL(require.resolve('node-llama-cpp')));
  const llama = await getLlama({ gpu: false, build: 'never', maxThreads: threads, logLevel: 'error' });
  const loaded = await llama.loadModel({ modelPath: model });
  const context = await loaded.createContext({ contextSize: PROMPT + GEN + 16, threads, batchSize: PROMPT });
  const sequence = context.getSequence();
  const tokens = Array.from({ length: PROMPT }, (_, i) => 1000 + ((i * 7919) % 20000) % 400);
  const rate = (n, start) => n / ((performance.now() - start) / 1000);
  return {
    async prompt() {
      await sequence.clearHistory();
      const start = performance.now();
      await sequence.evaluateWithoutGeneratingNewTokens(tokens);
      return rate(PROMPT, start);
    },
    async gen() {
      await sequence.clearHistory();
      let n = 0;
      let start = 0;
      for await (const _ of sequence.evaluate([tokens[0]], { temperature: 0 })) {
        if (n++ === 0) start = performance.now();
        if (n === GEN + 1) break;
      }
      return rate(GEN, start);
    },
  };
}

async function engineRows() {
  const reference = await openReference();
  await reference.prompt();
  const ours = { pp: [], tg: [] };
  const theirs = { pp: [], tg: [] };
  for (let i = 0; i < ROUNDS; ++i) {
    const [pp, tg] = JSON.parse(run(binary, ['bench', model, '--json', '-p', `${PROMPT}`, '-n', `${GEN}`, '-r', '1', '--threads', `${threads}`]));
    ours.pp.push(pp.avg_ts);
    ours.tg.push(tg.avg_ts);
    theirs.pp.push(await reference.prompt());
    theirs.tg.push(await reference.gen());
  }
  const row = (name, key) => [
    `engine, ${name}, ${basename(model)}`, `${digits(median(ours[key]))} tok/s`,
    `${(median(ours[key]) / median(theirs[key])).toFixed(2)} × node-llama-cpp (${digits(median(theirs[key]))} tok/s)`];
  return [row(`pp${PROMPT}`, 'pp'), row(`tg${GEN}`, 'tg')];
}

// The median of a rate counter of the one benchmark whose name matches.
function rate(program, filter, counter) {
  const out = JSON.parse(run(join(buildDir, 'bench', program), [`--benchmark_filter=${filter}`, '--benchmark_format=json',
    '--benchmark_repetitions=5', '--benchmark_report_aggregates_only=true', '--benchmark_min_time=0.2']));
  const row = out.benchmarks.find((b) => b.aggregate_name === 'median');
  return row[counter];
}

function startTime() {
  const times = [];
  for (let i = 0; i < 41; ++i) {
    const start = performance.now();
    run(binary, ['--version']);
    times.push(performance.now() - start);
  }
  return median(times);
}

const rows = await engineRows();
const simulated = (what, filter, counter = 'requests_per_s') =>
  rows.push([what, `${digits(rate('sim_bench', filter, counter))} requests/s`, '']);
simulated('10,000,000 simulated requests (Poisson 10/s, 512 + 128 tokens, one core)', '^ten_million_requests');
simulated('1,000,000 with prefix cache, preemption, priorities, deadlines, fairness (one core)', '^million_requests_with_everything/0');
simulated('... with heat and power, too', '^million_requests_with_everything/1');
simulated('1,000 boxes, 1157 requests a second, two cores', '^a_thousand_boxes/2');
rows.push(['predictions (loaded; prompt 2048, gen 32, one core)', `${digits(rate('twin_bench', 'BM_Predict/2048/32/1$', 'items_per_second'))} predictions/s`, '']);
rows.push(['process start (`tinderbox --version`)', `${startTime().toFixed(1)} ms`, '']);

const table = [
  `Measured by \`./dev bench --write\` on ${threads} cores of ${cpus()[0].model.trim()}; medians of ${ROUNDS} alternating rounds.`, '',
  '| what | Tinderbox | in the same run |', '|---|---:|---:|', ...rows.map((r) => `| ${r.join(' | ')} |`)].join('\n');
console.log(table);

if (flag === '--write') {
  const readme = join(here, '..', 'README.md');
  const text = readFileSync(readme, 'utf8');
  const [begin, end] = ['<!-- bench -->', '<!-- /bench -->'];
  const from = text.indexOf(begin) + begin.length;
  writeFileSync(readme, `${text.slice(0, from)}\n${table}\n${text.slice(text.indexOf(end))}`);
}
process.exit(0);
