// node cli.mjs BINARY MODEL.gguf: every verb as a user types it, and wrong input to each.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { check, finish, tinderbox } from './harness.mjs';

const [binary, model] = process.argv.slice(2);
const run = (...args) => tinderbox(binary, args);
const dir = mkdtempSync(join(tmpdir(), 'tinderbox-cli-'));
const data = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'data');

// Bad input: exit 2, nothing on stdout, one line on stderr that says what is wrong.
function refuses(args, ...words) {
  const r = run(...args);
  assert.equal(r.code, 2, `${args.join(' ')}: exit ${r.code}\n${r.stderr}`);
  assert.equal(r.stdout, '', args.join(' '));
  assert.equal(r.stderr.trim().split('\n').length, 1, r.stderr);
  for (const word of words) assert.ok(r.stderr.includes(word), `'${word}' is not in: ${r.stderr}`);
}

await check('run answers, the same every time at temperature 0', () => {
  const args = ['run', model, 'Why is the sky blue?', '--temperature', '0', '--max-tokens', '24'];
  const a = run(...args);
  assert.equal(a.code, 0, a.stderr);
  assert.ok(a.stdout.trim().length > 10, a.stdout);
  assert.equal(a.stdout, run(...args).stdout);
  assert.equal(a.stdout, run(...args, '--threads', '1').stdout, 'threads change the answer');
});

await check('run with a seed repeats itself, another seed does not', () => {
  const args = ['run', model, 'Tell me a story.', '--temperature', '1.5', '--max-tokens', '32', '--seed'];
  assert.equal(run(...args, '1').stdout, run(...args, '1').stdout);
  assert.notEqual(run(...args, '1').stdout, run(...args, '2').stdout);
});

await check('predict prints speed, memory and bound', () => {
  const args = ['predict', '--model', 'gpt-oss-120b', '--weights', 'mxfp4', '--stack', 'llama.cpp', '--prompt', '2048', '--gen', '32'];
  const text = run(...args).stdout;
  for (const word of ['prefill', 'decode', 'tok/s', 'weights', 'verdict']) assert.ok(text.includes(word), text);
  const json = JSON.parse(run(...args, '--json', '--explain').stdout);
  assert.ok(json.decode_tok_per_s > 10 && json.decode_tok_per_s < 273e9 / 3e9, `decode ${json.decode_tok_per_s}`);
  assert.ok(['compute', 'memory', 'launch'].includes(json.decode_bound));
  assert.ok(json.memory.total_bytes > json.memory.weights_bytes);
  const sum = json.explain.decode.reduce((t, c) => t + c.time_s, json.explain.decode_overhead_s);
  const step = 1 / json.decode_tok_per_s;
  assert.ok(Math.abs(sum / step - 1) < 0.02, `classes sum to ${sum}, a step is ${step}`);
});

await check('predict says when a model freezes the box (exit 1)', () => {
  const r = run('predict', '--model', 'llama-3.1-405b', '--weights', 'bf16', '--stack', 'vllm');
  assert.equal(r.code, 1, r.stderr);
  assert.ok(r.stdout.includes('freezes'), r.stdout);
});

await check('simulate: percentiles, same seed same bytes', () => {
  const args = ['simulate', '--model', 'llama-3.1-8b', '--weights', 'fp8', '--stack', 'vllm', '--rate', '2', '--requests', '1000',
    '--prompt', '512', '--gen', '128', '--seed'];
  const a = run(...args, '1');
  assert.equal(a.code, 0, a.stderr);
  for (const word of ['TTFT', 'TPOT', 'ITL', 'E2E', 'p50', 'p99']) assert.ok(a.stdout.includes(word), a.stdout);
  assert.equal(a.stdout, run(...args, '1').stdout);
  assert.notEqual(a.stdout, run(...args, '2').stdout);
  JSON.parse(run(...args, '1', '--json').stdout);
});

await check('simulate with a body: energy, heat, faults and what they cost', () => {
  const args = ['simulate', '--model', 'llama-3.1-8b', '--weights', 'fp8', '--rate', '2', '--requests', '600', '--seed', '3', '--json'];
  const run = (...more) => JSON.parse(tinderbox(binary, [...args, ...more]).stdout);
  const healthy = run('--body');
  assert.ok(healthy.wall_energy_per_token_j > 0.1 && healthy.gpu_max_c > healthy.gpu_end_c - 1e-9);
  assert.equal(healthy.down_s, 0);
  const warm = run('--ambient', '35C');
  assert.ok(warm.gpu_max_c > healthy.gpu_max_c + 3);
  const slow = run('--fault', 'slow-memory@60s+60s');
  assert.ok(slow.tpot_s.p99 > 1.5 * healthy.tpot_s.p99 && slow.slowest_speed < 0.5);
  const off = run('--fault', 'power-off@2min');
  assert.equal(off.submitted + off.unanswered, 600);
  assert.ok(off.unanswered > 200 && off.down_from_s === 120);
  assert.match(tinderbox(binary, [...args, '--fault', 'no-such']).stderr, /no fault 'no-such'.*slow-memory/);
  assert.match(tinderbox(binary, [...args, '--fault', 'single-rail-link']).stderr, /--nodes/);
});

await check('several boxes behind a router, and what they hold within an SLO', () => {
  const twin = ['--model', 'llama-3.1-8b', '--weights', 'fp8', '--stack', 'vllm'];
  const run = (...more) => JSON.parse(tinderbox(binary, ['simulate', ...twin, '--rate', '8', '--requests', '500', '--json', ...more]).stdout);
  const one = run();
  const four = run('--boxes', '4', '--router', 'least-loaded');
  assert.equal(four.finished, 500);
  assert.equal(four.boxes.length, 4);
  assert.ok(four.tpot_s.mean < one.tpot_s.mean);
  const blind = ['--boxes', '3', '--router', 'random'];
  assert.deepEqual(run(...blind, '--threads', '1'), run(...blind, '--threads', '2'));
  const capacity = (...more) => tinderbox(binary, ['capacity', ...twin, '--slo-tpot', '0.1', '--requests', '400', ...more]);
  const [a, b] = JSON.parse(capacity('--boxes', '1,2', '--json').stdout);
  assert.ok(a.reachable && b.capacity > 1.6 * a.capacity && a.low <= a.capacity && a.capacity <= a.high);
  assert.equal(capacity('--max-boxes', '8', '--rate', `${1.5 * a.high}`).stdout.trim(), '2 boxes are needed for this load within the SLO');
  const never = tinderbox(binary, ['capacity', ...twin, '--slo-tpot', '0.001', '--requests', '50']);
  assert.equal(never.code, 1);
  assert.match(never.stdout, /cannot be kept/);
  assert.match(tinderbox(binary, ['capacity', ...twin]).stderr, /--slo-ttft/);
  assert.match(tinderbox(binary, ['simulate', ...twin, '--boxes', '2', '--router', 'least']).stderr, /least-loaded/);
});

await check('machines, models, stacks list and show', () => {
  for (const [kind, id, word] of [['machines', 'dgx-spark', '273 GB/s'], ['models', 'gpt-oss-120b', 'n_experts'], ['stacks', 'vllm', 'derived']]) {
    assert.ok(run(kind).stdout.includes(id));
    assert.ok(JSON.parse(run(kind, '--json').stdout).length > 0);
    const shown = run(kind, 'show', id);
    assert.equal(shown.code, 0, shown.stderr);
    assert.ok(shown.stdout.includes(word), `${kind} show ${id}: ${shown.stdout.slice(0, 500)}`);
    JSON.parse(run(kind, 'show', id, '--json').stdout);
  }
});

await check('soak warms a box, charts it and is reproducible', () => {
  const svg = join(dir, 'soak.svg'), csv = join(dir, 'soak.csv');
  const args = ['soak', '--model', 'gpt-oss-20b', '--weights', 'mxfp4', '--stack', 'vllm', '--concurrency', '8', '--minutes', '30', '--fault', 'slow-memory~20/h', '--seed', '7'];
  const a = run(...args, '--svg', svg, '--csv', csv);
  assert.equal(a.code, 0, a.stderr);
  for (const word of ['GPU', 'zone', 'wall', 'fan', 'fault slow-memory begins', 'J a token']) assert.ok(a.stdout.includes(word), a.stdout);
  assert.equal(a.stdout, run(...args).stdout);
  assert.ok(readFileSync(svg, 'utf8').startsWith('<svg'));
  const json = JSON.parse(run(...args, '--json').stdout);
  assert.ok(json.gpu_max_c > json.samples[0].nodes_c.gpu + 10);
  assert.ok(json.samples.every((s) => s.nodes_c.gpu >= 25 && Number.isFinite(s.dc_w)));
  assert.equal(run('soak', '--log', csv, '--json').code, 0);
});

await check('soak serves a trace, or requests at a rate', () => {
  const trace = join(data, 'traces/azure-llm-2023-conv-200.csv');
  const served = ['soak', '--model', 'llama-3.1-8b', '--weights', 'fp8', '--stack', 'vllm', '--minutes', '10'];
  const a = run(...served, '--trace', trace);
  assert.equal(a.code, 0, a.stderr);
  for (const word of ['azure-llm-2023-conv-200.csv', 'requests came', 'TTFT p50', 'J a token']) assert.ok(a.stdout.includes(word), a.stdout);
  assert.equal(a.stdout, run(...served, '--trace', trace).stdout);
  const json = JSON.parse(run(...served, '--rate', '1', '--prompt', '300', '--gen', '50', '--json').stdout);
  assert.ok(Math.abs(json.traffic.submitted - 600) < 100, json.traffic.submitted);
  assert.equal(json.traffic.finished + json.unanswered, json.traffic.submitted);
  assert.ok(json.gpu_max_c > json.samples[0].nodes_c.gpu + 2 && json.samples.length === 301, json.samples.length);
});

await check('a box without a fan goes off (exit 1)', () => {
  const r = run('soak', '--watts', '90', '--fault', 'fan-failure@10min', '--ambient', '35C');
  assert.equal(r.code, 1, r.stdout + r.stderr);
  assert.ok(r.stdout.includes('critical temperature'), r.stdout);
});

await check('predict says what it draws and what it sustains', () => {
  const args = ['predict', '--model', 'qwen3.6-27b', '--weights', 'bf16', '--stack', 'vllm', '--sustained'];
  const r = run(...args, '--ambient', '30C');
  assert.equal(r.code, 0, r.stderr);
  for (const word of ['nvidia-smi', 'wall', 'sustained', 'zones']) assert.ok(r.stdout.includes(word), r.stdout);
  const cool = JSON.parse(run(...args, '--json', '--ambient', '15C').stdout).power;
  const hot = JSON.parse(run(...args, '--json', '--ambient', '35C').stdout).power;
  assert.ok(hot.gpu_c > cool.gpu_c + 5);
  assert.ok(cool.energy_per_token_low_j < cool.energy_per_token_j && cool.energy_per_token_j < cool.energy_per_token_high_j);
});

await check('faults lists them with sources', () => {
  const faults = JSON.parse(run('faults', '--json').stdout);
  assert.equal(faults.length, 10);
  for (const f of faults) assert.ok(f.what && f.ends && f.sources, f.name);
  assert.ok(run('faults').stdout.includes('slow-memory'));
});

await check('validate covers every row or says why not', () => {
  const out = join(dir, 'rows.csv');
  const r = run('validate', '--json', '--out', out);
  assert.ok(r.code === 0 || r.code === 1, r.stderr);
  const json = JSON.parse(r.stdout);
  const refused = Object.values(json.refused).reduce((a, b) => a + b, 0);
  assert.equal(json.predicted + refused, json.rows);
  assert.ok(Math.abs(json.coverage - json.predicted / json.rows) < 1e-12);
  const lines = readFileSync(out, 'utf8').trim().split('\n');
  assert.equal(lines.length, json.rows + 1);
  assert.equal(lines[0], 'id,predicted,low,high,ape,reason');
});

await check('bench prints the table and JSON of llama-bench', () => {
  const args = ['bench', model, '-p', '32', '-n', '4', '-r', '2'];
  const table = run(...args).stdout;
  assert.match(table, /\| test \|\s+t\/s \|/);
  assert.ok(table.includes('pp32') && table.includes('tg4'), table);
  const json = JSON.parse(run(...args, '--json').stdout);
  assert.equal(json.length, 2);
  for (const row of json) assert.ok(row.avg_ts > 0 && row.samples_ts.length === 2);
});

await check('help teaches, version tells', () => {
  for (const args of [['--help'], ['run', '--help'], ['serve', '--help'], ['predict', '--help'], ['simulate', '--help'], ['soak', '--help'], ['faults', '--help'], ['calibrate', 'body', '--help'], ['validate', '--help'], ['bench', '--help']]) {
    const r = run(...args);
    assert.equal(r.code, 0);
    assert.ok(r.stdout.length > 200);
  }
  assert.match(run('--version').stdout, /\d+\.\d+\.\d+/);
});

await check('every example of --help works, or at least parses', () => {
  const verbs = [...run('--help').stdout.matchAll(/^ {2}([a-z]+) {2,}/gm)].map((m) => m[1]);
  assert.ok(verbs.length > 15, `${verbs}`);
  const runs = ['predict', 'fit', 'compare', 'faults', 'machines', 'models', 'stacks', 'soak'];
  let nExamples = 0;
  for (const verb of verbs) {
    const help = run(verb, '--help').stdout;
    for (const [, line] of help.matchAll(/^ {2}tinderbox (.*)$/gm)) {
      const args = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map((m) => m[1] ?? m[2]);
      assert.equal(args[0], verb, line);
      nExamples++;
      if (runs.includes(verb) || line === 'pull --list') {
        const r = tinderbox(resolve(binary), args, '', dir);
        assert.ok([0, 1].includes(r.code), `${line}: ${r.code} ${r.stderr}`);
        continue;
      }
      const known = verb === 'keys' ? `${help}${run('keys', args[1], '--help').stdout}` : help;
      for (const option of args.filter((a) => /^--?[a-z]/.test(a))) assert.match(known, new RegExp(`(^|[ ,])${option}[ ,]`, 'm'), line);
    }
  }
  assert.ok(nExamples >= 30, `${nExamples}`);
});

await check('wrong usage', () => {
  refuses([], 'subcommand');
  refuses(['predct'], 'predct', "did you mean 'predict'");
  refuses(['predict'], '--model');
  refuses(['predict', '--model', 'llama-3.1-8b', '--prompt', '-5'], '--prompt');
  refuses(['predict', '--model', 'llama-3.1-8b', '--prompt', 'many'], '--prompt');
  refuses(['predict', '--model', 'llama-3.1-8c'], "did you mean 'llama-3.1-8b'");
  refuses(['predict', '--model', 'llama-3.1-8b', '--machine', 'dgx-sparc'], "did you mean 'dgx-spark'");
  refuses(['predict', '--model', 'llama-3.1-8b', '--stack', 'vlm'], "did you mean 'vllm'");
  refuses(['predict', '--model', 'llama-3.1-8b', '--weights', 'fp9'], 'fp9', 'fp8');
  refuses(['predict', '--model', 'llama-3.1-8b', '--kv', 'f17'], 'f17');
  refuses(['predict', '--model', 'llama-3.1-8b', '--prompt', '200000'], 'context');
  refuses(['machines', 'show', 'cray-1'], 'cray-1');
  refuses(['simulate', '--model', 'llama-3.1-8b', '--rate', '0'], '--rate');
  refuses(['soak', '--ambient', '300C'], 'ambient', '60');
  refuses(['soak', '--ambient', '25'], 'ambient', 'unit');
  refuses(['soak', '--watts', '-3'], '--watts');
  refuses(['soak', '--watts', '30', '--model', 'gpt-oss-20b'], 'several');
  refuses(['soak', '--rate', '1'], '--model');
  refuses(['soak', '--model', 'llama-3.1-8b', '--weights', 'fp8', '--rate', '1e6', '--minutes', '1e6'], 'requests/s', '100000000');
  refuses(['soak', '--model', 'llama-3.1-8b', '--weights', 'fp8', '--rate', '1', '--stack-height', '2'], '--stack-height');
  refuses(['soak', '--model', 'llama-3.1-8b', '--weights', 'fp8', '--rate', '1', '--trace', join(data, 'traces/azure-llm-2023-conv-200.csv')], 'one of');
  refuses(['soak', '--fault', 'slow-memoy@1min'], "did you mean 'slow-memory'");
  refuses(['soak', '--fault', 'slow-memory@90min'], 'slow-memory@90min', 'end of the run');
  refuses(['soak', '--clock-cap', '5MHz'], 'clock cap');
  refuses(['soak', '--machine', 'rtx-5090', '--watts', '50'], '[body.*]');
  refuses(['predict', '--model', 'llama-3.1-8b', '--machine', 'rtx-5090', '--sustained'], '[body.*]');
  refuses(['faults', '--machine', 'dgx-sparc'], "did you mean 'dgx-spark'");
  refuses(['validate', '--measurements', '/nonexistent.csv'], '/nonexistent.csv');
});

await check('files that are not models', () => {
  const bytes = readFileSync(model);
  const file = (name, content) => {
    const path = join(dir, name);
    writeFileSync(path, content);
    return path;
  };
  refuses(['run', '/nonexistent.gguf', 'hi'], '/nonexistent.gguf');
  refuses(['run', dir, 'hi'], dir);
  refuses(['run', file('empty.gguf', ''), 'hi'], 'empty.gguf');
  refuses(['run', file('text.gguf', 'hello, I am not a model'), 'hi'], 'text.gguf', 'GGUF');
  for (const n of [4, 20, 100, 5000, bytes.length - 1]) {
    refuses(['run', file(`cut-${n}.gguf`, bytes.subarray(0, n)), 'hi'], `cut-${n}.gguf`);
  }
  const other = Buffer.from(bytes.subarray(0, Math.min(bytes.length, 1 << 20)));
  const at = other.indexOf('llama');
  const rest = Buffer.concat([Buffer.from(bytes.subarray(0, at)), Buffer.from('zebra'), Buffer.from(bytes.subarray(at + 5))]);
  refuses(['run', file('zebra.gguf', rest), 'hi'], 'zebra');
});

await check('a prompt longer than the context', () => {
  refuses(['run', model, 'word '.repeat(300), '--context', '64'], 'context', '64');
});

await check('a machine file with a missing unit', () => {
  const path = join(dir, 'broken.toml');
  const text = readFileSync(join(data, 'machines', 'dgx-spark.toml'), 'utf8');
  assert.ok(text.includes('"273 GB/s"'));
  writeFileSync(path, text.replace('"273 GB/s"', '"273"'));
  refuses(['predict', '--model', 'llama-3.1-8b', '--machine', path], 'broken.toml', 'unit');
});

finish();
