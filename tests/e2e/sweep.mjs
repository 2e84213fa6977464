// node sweep.mjs BINARY MODEL.gguf: a sweep as a user runs it: threads, kills, shards, a full disk, MPI.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { check, finish, tinderbox } from './harness.mjs';

const binary = resolve(process.argv[2]);
const mpi = join(dirname(binary), 'tinderbox-sweep-mpi');
const dir = mkdtempSync(join(tmpdir(), 'tinderbox-sweep-'));
const data = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'data');
const read = (name) => readFileSync(join(dir, name), 'utf8');
const write = (name, text) => (writeFileSync(join(dir, name), text), join(dir, name));

// 240 points, of which a third cannot run; the others take some ten milliseconds each.
const toml = write('load.toml', `
[base]
requests = 4000
slo_ttft = 2
[grid]
model = ["qwen3-0.6b", "llama-3.1-405b", "gpt-oss-20b"]
rate = [1, 4]
[random]
points = 20
seed = 5
prompt = { low = 32, high = 1024, log = true }
sequences = [8, 64]
[design]
seeds = 2
`);
const n = 240;
const sweep = (name, ...more) => tinderbox(binary, ['simulate', '--sweep', toml, '--results', join(dir, `${name}.sqlite`), ...more]);
const csv = (name, ...more) => {
  const r = sweep(name, '--csv', join(dir, `${name}.csv`), ...more);
  assert.equal(r.code, 0, r.stderr);
  return read(`${name}.csv`);
};

let expected;
await check('one row a point, the same bytes whatever the threads', () => {
  expected = csv('one', '--threads', '1');
  assert.equal(expected.trim().split('\n').length, n + 1);
  for (const threads of [2, 4]) assert.equal(csv(`t${threads}`, '--threads', `${threads}`), expected);
  const json = JSON.parse(sweep('one', '--json').stdout);
  assert.deepEqual([json.points, json.done, json.errors, json.missing], [n, n, n / 3, 0]);
  assert.match(sweep('one').stdout, /240 of 240 points in .*one\.sqlite, 80 of which cannot run/);
});

await check('a point is what its command line says', () => {
  const [header, ...rows] = expected.trim().split('\n').map((line) => line.match(/("([^"]|"")*"|[^,]*)(,|$)/g).map((f) => f.replace(/,$/, '')));
  const at = (row, column) => row[header.indexOf(column)];
  for (const row of [rows[0], rows[37], rows[239]]) {
    const [program, ...args] = at(row, 'command').split(' ');
    assert.equal(program, 'tinderbox');
    const json = JSON.parse(tinderbox(binary, [...args, '--json']).stdout);
    assert.equal(Number(at(row, 'ttft_p99_s')), json.ttft_s.p99);
    assert.equal(at(row, 'finished'), `${json.finished}`);
    assert.equal(Number(at(row, 'goodput_per_s')), json.goodput_per_s);
    assert.equal(at(row, 'seed'), `${json.seed}`);
  }
  const refused = rows.find((row) => at(row, 'model') === 'llama-3.1-405b');
  assert.match(at(refused, 'error'), /KV cache holds 0 tokens/);
  assert.equal(at(refused, 'finished'), '');
});

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const size = (name) => (existsSync(join(dir, name)) ? statSync(join(dir, name)).size : 0);

await check('killed again and again, it goes on and loses nothing', async () => {
  const args = ['simulate', '--sweep', toml, '--results', join(dir, 'killed.sqlite'), '--threads', '2'];
  let before = 0;
  for (let kills = 0; kills < 4; ++kills) {
    const from = size('killed.sqlite');
    const child = spawn(binary, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let log = '';
    child.stderr.on('data', (d) => (log += d));
    const gone = new Promise((done) => child.on('exit', (code, signal) => done(signal ?? code)));
    for (let i = 0; i < 2000 && size('killed.sqlite') < from + 40000 && child.exitCode === null; ++i) await sleep(2);
    await sleep(kills * 3);
    child.kill('SIGKILL');
    const end = await gone;
    if (end === 0) break;  // a fast computer
    assert.equal(end, 'SIGKILL', log);
    const had = Number((log.match(/sweep: (\d+) of 240 points are in .* already/) ?? [0, 0])[1]);
    assert.ok(had >= before, `${had} points where ${before} were`);
    before = had;
  }
  const r = sweep('killed');
  assert.equal(r.code, 0, r.stderr);
  assert.match(r.stderr, /sweep: [1-9]\d* of 240 points are in .* already/);
  assert.equal(csv('killed'), expected);
  assert.deepEqual(readdirSync(dir).filter((f) => f.startsWith('killed.sqlite-')), [], 'one file is left');
});

await check('shards merge into one file', () => {
  const files = [1, 2, 3].map((i) => {
    const r = tinderbox(binary, ['simulate', '--sweep', toml, '--results', join(dir, `part${i}.sqlite`), '--shard', `${i}/3`]);
    assert.equal(r.code, 0, r.stderr);
    return join(dir, `part${i}.sqlite`);
  });
  const some = sweep('merged', '--merge', files[0], files[1]);
  assert.equal(some.code, 1, some.stderr);
  assert.match(some.stdout, /160 of 240 points/);
  assert.equal(csv('merged', '--merge', ...files), expected);
  assert.match(sweep('merged', '--merge', toml).stderr, /no file of results/);
});

await check('shards as Slurm numbers them', () => {
  const one = (env, ...more) =>
    spawnSync(binary, ['simulate', '--sweep', toml, '--shard', 'slurm', '--json', ...more], { cwd: dir, env: { ...process.env, ...env }, encoding: 'utf8' });
  const array = one({ SLURM_ARRAY_TASK_ID: '7', SLURM_ARRAY_TASK_MIN: '3', SLURM_ARRAY_TASK_COUNT: '6', SLURM_ARRAY_TASK_STEP: '4', SLURM_PROCID: '0', SLURM_NTASKS: '9' });
  assert.equal(JSON.parse(array.stdout).results, 'load.2-of-6.sqlite', array.stderr);
  assert.equal(JSON.parse(array.stdout).done, n / 6);
  const step = one({ SLURM_PROCID: '39', SLURM_STEP_NUM_TASKS: '40' });
  assert.equal(JSON.parse(step.stdout).results, 'load.40-of-40.sqlite', step.stderr);
  for (const env of [{}, { SLURM_NTASKS: '4', SLURM_PROCID: '0' }, { SLURM_ARRAY_TASK_ID: '3' }, { SLURM_PROCID: '4', SLURM_STEP_NUM_TASKS: '4' }]) {
    const r = one(env);
    assert.equal(r.status, 2, r.stdout);
    assert.match(r.stderr, /--shard slurm/);
  }
});

await check('a full disk is said, and what was written stays', () => {
  const args = ['simulate', '--sweep', toml, '--results', join(dir, 'full.sqlite')];
  // The limit of file size refuses the same writes.
  const r = spawnSync('bash', ['-c', 'trap "" XFSZ; ulimit -f 150; exec "$@"', 'bash', binary, ...args], { encoding: 'utf8' });
  assert.equal(r.status, 2, r.stderr);
  assert.match(r.stderr, /full\.sqlite: cannot be written.*what was kept before is safe: make room and run the same command again/);
  const again = sweep('full');
  assert.match(again.stderr, /sweep: [1-9]\d* of 240 points are in .* already/);
  assert.equal(csv('full'), expected);
  assert.match(tinderbox(binary, [...args, '--csv', '/dev/full']).stderr, /--csv: \/dev\/full cannot be written/);
  assert.equal(tinderbox(binary, ['simulate', '--sweep', toml, '--results', '/dev/full']).code, 2);
});

await check('a changed file, and files that are none, are refused', () => {
  const refuses = (text, ...words) => {
    const r = tinderbox(binary, ['simulate', '--sweep', write('bad.toml', text), '--results', join(dir, 'bad.sqlite')]);
    assert.equal(r.code, 2, r.stdout);
    assert.equal(r.stderr.trim().split('\n').length, 1, r.stderr);
    for (const word of words) assert.ok(r.stderr.includes(word), `'${word}' is not in: ${r.stderr}`);
    assert.ok(!existsSync(join(dir, 'bad.sqlite')), 'a file was made');
  };
  const changed = write('changed.toml', readFileSync(toml, 'utf8').replace('rate = [1, 4]', 'rate = [1, 5]'));
  const r = tinderbox(binary, ['simulate', '--sweep', changed, '--results', join(dir, 'one.sqlite')]);
  assert.equal(r.code, 2);
  assert.ok(r.stderr.includes('another design: the sweep file now says `[grid] rate = [1, 5]`'), r.stderr);
  assert.equal(csv('one'), expected);
  const base = '[base]\nmodel = "qwen3-0.6b"\n';
  refuses(`${base}[grid]\nrats = [1]`, 'bad.toml:4', "no option 'rats'", "'rate'");
  refuses(`${base}[grid]\nrate = [1, 0]`, 'bad.toml:4', '--rate');
  refuses(`${base}[grid]\nrate = [1, "many"]`, 'bad.toml:4', '--rate', 'many');
  refuses(`${base}requests = 0\n[grid]\nrate = [1, 2]`, 'bad.toml:3', '--requests');
  refuses(`${base}[random]\npoints = 9\nrate = { low = 0, high = 1.5 }`, 'bad.toml:5', '--rate');
  refuses(`[grid]\nmodel = ["qwen3-0.6b", "qwen3-0.7b"]`, 'bad.toml:2', "did you mean 'qwen3-0.6b'");
  refuses(`${base}machine = "dgx-sparc"\n[grid]\nrate = [1]`, 'bad.toml:3', "did you mean 'dgx-spark'");
  refuses(`${base}[grid]\npolicy = ["vllm", "vlm"]`, 'bad.toml:4', 'vllm');
  refuses(`${base}[grid]\nprompt = ["normal:1,2"]`, 'bad.toml:4', 'normal');
  refuses(`${base}[grid]\ntrace = ["/nowhere.csv"]`, 'bad.toml:4', '/nowhere.csv');
  refuses(`${base}threads = 2\n[grid]\nrate = [1]`, 'bad.toml:3', "no option 'threads'");
  refuses(`${base}requests_out = "x"\n[grid]\nrate = [1]`, 'bad.toml:3', 'requests_out');
  refuses('[grid]\nrate = [1]', '--model is missing');
  refuses(base, 'nothing varies');
  const results = ['--results', join(dir, 'bad.sqlite')];
  for (const [args, word] of [
    [[...results, '--rate', '2'], '--rate'],
    [[...results, '--shard', '3/2'], '3/2'],
    [[...results, '--merge', '/nowhere'], '/nowhere'],
    [['--results', toml], 'no file of results'],
    [['--results', '/nowhere/x'], '/nowhere/x'],
  ]) {
    const bad = tinderbox(binary, ['simulate', '--sweep', toml, ...args]);
    assert.equal(bad.code, 2, bad.stdout);
    assert.ok(bad.stderr.includes(word), bad.stderr);
  }
  assert.match(tinderbox(binary, ['simulate', '--shard', '1/2']).stderr, /--sweep/);
  assert.equal(tinderbox(binary, ['simulate', '--sweep', '/nowhere.toml']).code, 2);
});

await check('the examples in data/sweeps run', () => {
  for (const name of ['spark-load', 'spark-random']) {
    const r = tinderbox(binary, ['simulate', '--sweep', join(data, 'sweeps', `${name}.toml`), '--results', join(dir, `${name}.sqlite`), '--json']);
    assert.equal(r.code, 0, r.stderr);
    const json = JSON.parse(r.stdout);
    assert.ok(json.done === json.points && json.errors === 0 && json.points >= 36, r.stdout);
  }
});

const mpirun = (ranks, ...args) =>
  spawnSync('mpirun', ['-n', `${ranks}`, '--allow-run-as-root', '--oversubscribe', mpi, ...args], { encoding: 'utf8', timeout: 300000 });
if (spawnSync('mpirun', ['--version']).error) {
  console.log('skip mpirun is not installed');
} else {
  await check('mpirun -n 4 gives the same bytes, and goes on with what threads began', () => {
    for (const ranks of [4, 2, 1]) {
      const name = `mpi${ranks}`;
      const r = mpirun(ranks, toml, '--results', join(dir, `${name}.sqlite`), '--csv', join(dir, `${name}.csv`));
      assert.equal(r.status, 0, r.stderr);
      assert.equal(read(`${name}.csv`), expected);
      assert.match(r.stdout, /240 of 240 points/);
    }
    sweep('both', '--shard', '1/5');
    const r = mpirun(4, toml, '--results', join(dir, 'both.sqlite'), '--csv', join(dir, 'both.csv'));
    assert.match(r.stderr, /48 of 240 points are in .* already/);
    assert.equal(read('both.csv'), expected);
  });
  await check('mpirun: a killed run goes on, bad input ends all ranks', async () => {
    const args = ['-n', '4', '--allow-run-as-root', '--oversubscribe', mpi, toml, '--results', join(dir, 'mpikill.sqlite')];
    const child = spawn('mpirun', args, { stdio: 'ignore' });
    const gone = new Promise((done) => child.on('exit', done));
    for (let i = 0; i < 5000 && size('mpikill.sqlite') < 60000 && child.exitCode === null; ++i) await sleep(2);
    child.kill('SIGKILL');
    await gone;
    await sleep(1000);  // the ranks see that mpirun is gone
    const r = mpirun(4, toml, '--results', join(dir, 'mpikill.sqlite'), '--csv', join(dir, 'mpikill.csv'));
    assert.equal(r.status, 0, r.stderr);
    assert.equal(read('mpikill.csv'), expected);
    for (const bad of [['/nowhere.toml'], [toml, '--results', toml], [], ['--no-such']]) {
      const refused = mpirun(3, ...bad);
      assert.equal(refused.status, 2, refused.stderr);
      assert.match(refused.stderr, /tinderbox-sweep-mpi: /);
    }
    const help = mpirun(2, '--help');
    assert.equal(help.status, 0);
    assert.match(help.stdout, /rank 0 writes/);
  });
}

finish();
