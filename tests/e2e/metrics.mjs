// node metrics.mjs BINARY: what /metrics says, read by others' parsers; the Grafana board against it; `tinderbox top`.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parser as promql } from '@prometheus-io/lezer-promql';
import parsePrometheus from 'parse-prometheus-text-format';
import { check, finish, serve, tinderbox } from './harness.mjs';

const [binary] = process.argv.slice(2);
const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const board = JSON.parse(readFileSync(join(root, 'docs/grafana/tinderbox.json'), 'utf8'));
const spark = ['--weightless', 'llama-3.1-8b', '--weights', 'fp8', '--ambient', '25C'];

async function chat(url) {
  const { data } = await (await fetch(`${url}/v1/models`)).json();
  const body = { model: data[0].id, max_tokens: 20, messages: [{ role: 'user', content: 'Why is the sky blue?' }] };
  const response = await fetch(`${url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(body) });
  assert.equal(response.status, 200);
  return (await response.json()).usage;
}
const scrape = async (url) => (await fetch(`${url}/metrics`)).text();
const families = (text) => new Map(parsePrometheus(text).map((f) => [f.name, f]));

// Names of time series, as a PromQL expression names them.
function names(expression) {
  const text = expression.replaceAll('$__rate_interval', '1m').replaceAll('$model', '.*');
  const found = [];
  promql.parse(text).iterate({
    enter(node) {
      if (node.type.isError) throw new Error(`not PromQL: ${expression} at ${node.from}`);
      if (node.name === 'VectorSelector') {
        const id = node.node.getChild('Identifier');
        if (id) found.push(text.slice(id.from, id.to));
      }
    },
  });
  return found;
}
const seriesIn = (text) =>
  new Set(text.split('\n').filter((l) => l && !l.startsWith('#')).map((l) => l.match(/^[a-zA-Z_:][a-zA-Z0-9_:]*/)[0]));

await check('a Prometheus parser reads it, each family once, counters that only rise', async () => {
  const server = await serve(binary, spark);
  try {
    const before = await scrape(server.url);
    const usage = await chat(server.url);
    const text = await scrape(server.url);
    const now = families(text);
    for (const kind of ['HELP', 'TYPE']) {
      const told = text.split('\n').filter((l) => l.startsWith(`# ${kind} `)).map((l) => l.split(' ')[2]);
      assert.equal(new Set(told).size, told.length, `a family with two ${kind} lines`);
      assert.equal(told.length, now.size);
    }
    const lines = text.split('\n').filter((l) => l && !l.startsWith('#')).map((l) => l.slice(0, l.lastIndexOf(' ')));
    assert.equal(new Set(lines).size, lines.length, 'a series twice');
    for (const [name, family] of families(before)) {
      if (family.type !== 'COUNTER') continue;
      for (const metric of family.metrics) {
        const later = now.get(name).metrics.find((m) => JSON.stringify(m.labels) === JSON.stringify(metric.labels));
        assert.ok(Number(later.value) >= Number(metric.value), `${name} fell`);
      }
    }
    assert.equal(Number(now.get('vllm:generation_tokens_total').metrics[0].value), usage.completion_tokens);
    assert.equal(now.get('vllm:time_to_first_token_seconds').type, 'HISTOGRAM');
    assert.match(text, /^vllm:time_to_first_token_seconds_count\{engine="0",model_name="llama-3.1-8b"\} 1$/m);
    assert.ok(Number(now.get('process_resident_memory_bytes').metrics[0].value) > 1e6);
    const rails = now.get('tinderbox_rail_watts').metrics.reduce((sum, m) => sum + Number(m.value), 0);
    const wall = Number(now.get('tinderbox_wall_watts').metrics[0].value);
    assert.ok(rails > 0.8 * wall && rails < wall, `${rails} W of ${wall} W`);
  } finally {
    assert.equal(await server.stop(), 0);
  }
});

await check("DCGM's names are those that a GB10 answers, with dcgm-exporter's labels in its order", async () => {
  const server = await serve(binary, spark);
  try {
    const text = await scrape(server.url);
    const dcgm = [...seriesIn(text)].filter((n) => n.startsWith('DCGM_')).sort();
    assert.deepEqual(dcgm, [
      'DCGM_FI_DEV_GPU_TEMP', 'DCGM_FI_DEV_GPU_UTIL', 'DCGM_FI_DEV_MEMORY_TEMP', 'DCGM_FI_DEV_MEM_COPY_UTIL',
      'DCGM_FI_DEV_POWER_USAGE', 'DCGM_FI_DEV_SM_CLOCK', 'DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION']);
    assert.match(text, /^DCGM_FI_DEV_GPU_TEMP\{gpu="0",UUID="GPU-[0-9a-f-]{36}",pci_bus_id="0000000F:01:00\.0",device="nvidia0",modelName="NVIDIA GB10",Hostname="[^"]+",DCGM_FI_DRIVER_VERSION="[0-9.]+"\} [0-9.]+$/m);
    assert.match(text, /^# TYPE DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION counter$/m);
  } finally {
    assert.equal(await server.stop(), 0);
  }
});

await check('a card shows its memory and no body', async () => {
  const server = await serve(binary, ['--weightless', 'llama-3.1-8b', '--weights', 'fp8', '--as', 'rtx-5090']);
  try {
    const series = seriesIn(await scrape(server.url));
    for (const name of ['DCGM_FI_DEV_FB_USED', 'DCGM_FI_DEV_FB_FREE', 'tinderbox_memory_bytes']) assert.ok(series.has(name), name);
    for (const name of ['DCGM_FI_DEV_GPU_TEMP', 'tinderbox_wall_watts']) assert.ok(!series.has(name), name);
  } finally {
    assert.equal(await server.stop(), 0);
  }
});

await check('two boxes behind one address hold what one could not, and each has its GPU', async () => {
  const large = ['--weightless', 'qwen3-235b-a22b', '--weights', 'nvfp4', '--as', 'dgx-spark'];
  const alone = tinderbox(binary, ['serve', ...large, '--nodes', '1', '--port', '0', '--state', 'none']);
  assert.equal(alone.code, 2, alone.stderr);
  assert.match(alone.stderr, /--nodes 2/);
  const server = await serve(binary, [...large, '--nodes', '2', '--no-pace']);
  try {
    assert.match(server.log(), /2 x dgx-spark \(tp2\)/);
    const { box } = await (await fetch(`${server.url}/box/state`)).json();
    assert.equal(box.nodes, 2);
    const text = await scrape(server.url);
    const hosts = [...text.matchAll(/^DCGM_FI_DEV_GPU_TEMP\{.*UUID="([^"]+)".*Hostname="([^"]+)"/gm)];
    assert.deepEqual(hosts.map((m) => m[2].slice(-2)), ['-1', '-2']);
    assert.equal(new Set(hosts.map((m) => m[1])).size, 2);
    assert.match(text, /^tinderbox_boxes 2$/m);
    const reply = await fetch(`${server.url}/v1/chat/completions`, {
      method: 'POST', body: JSON.stringify({ model: 'qwen3-235b-a22b', messages: [{ role: 'user', content: 'Hi' }], max_tokens: 8 }) });
    assert.equal((await reply.json()).usage.completion_tokens, 8);
  } finally {
    assert.equal(await server.stop(), 0);
  }
});

await check('the Grafana board is served, and asks only for what is there', async () => {
  const server = await serve(binary, spark);
  try {
    const served = await fetch(`${server.url}/grafana/tinderbox.json`);
    assert.equal(served.headers.get('content-type'), 'application/json');
    assert.deepEqual(await served.json(), board);
    await chat(server.url);
    const series = seriesIn(await scrape(server.url));
    let asked = 0;
    for (const panel of board.panels) {
      for (const target of panel.targets ?? []) {
        for (const name of names(target.expr)) {
          ++asked;
          assert.ok(series.has(name), `${panel.title}: ${name} is in no scrape`);
        }
      }
    }
    assert.ok(asked > 40, `${asked} names`);
    assert.throws(() => names('sum(rate(x[1m])'), /not PromQL/);
    // Panels lie on a grid of 24 columns, none over another; each has an id of its own.
    const cells = new Set();
    for (const { title, gridPos: { x, y, w, h } } of board.panels) {
      assert.ok(x >= 0 && x + w <= 24, title);
      for (let i = x; i < x + w; ++i) for (let j = y; j < y + h; ++j) {
        assert.ok(!cells.has(`${i} ${j}`), `${title} lies over another panel`);
        cells.add(`${i} ${j}`);
      }
    }
    assert.equal(new Set(board.panels.map((p) => p.id)).size, board.panels.length);
  } finally {
    assert.equal(await server.stop(), 0);
  }
});

// A box whose state is known, for what shows it.
async function stateServer(answer) {
  const asked = [];
  const server = createServer((request, response) => {
    asked.push({ url: request.url, key: request.headers.authorization });
    const { status = 200, body = '' } = answer(request) ?? {};
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(body);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, asked, close: () => server.close() };
}
const run = (args, options = {}) => new Promise((resolve) => {
  const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (d) => (stdout += d));
  child.stderr.on('data', (d) => (stderr += d));
  child.on('exit', (code) => resolve({ code, stdout, stderr }));
});
const state = readFileSync(join(root, 'tests/fuzz/corpus/state/busy.json'), 'utf8');

await check('top shows a box once where there is no terminal, and its state as JSON', async () => {
  const box = await stateServer(() => ({ body: state }));
  try {
    const { code, stdout } = await run(['top', '--url', box.url, '--key', 'tb-secret']);
    assert.equal(code, 0);
    assert.ok(stdout.includes('NVIDIA DGX Spark') && stdout.includes('qwen3-8b'), stdout);
    assert.ok(!stdout.includes('\x1b'), 'control sequences in a file');
    assert.deepEqual(box.asked[0], { url: '/box/state', key: 'Bearer tb-secret' });
    const json = await run(['top', '--url', `${box.url}/`, '--json'], { env: { ...process.env, TINDERBOX_KEY: 'tb-env' } });
    assert.deepEqual(JSON.parse(json.stdout), JSON.parse(state));
    assert.deepEqual(box.asked[1], { url: '/box/state', key: 'Bearer tb-env' });
  } finally {
    box.close();
  }
});

await check('top says what is wrong with what answers', async () => {
  const refuses = async (answer, ...words) => {
    const box = await stateServer(() => answer);
    const { code, stderr } = await run(['top', '--url', box.url]);
    box.close();
    assert.equal(code, 2);
    for (const word of words) assert.ok(stderr.includes(word), `'${word}' not in: ${stderr}`);
  };
  await refuses({ status: 401 }, '--key');
  await refuses({ status: 404 }, '404');
  await refuses({ body: '<html>' }, 'not JSON');
  await refuses({ body: '{"models":7}' }, 'models', 'an array');
  const nobody = tinderbox(binary, ['top', '--url', 'http://127.0.0.1:1']);
  assert.equal(nobody.code, 2);
  assert.ok(nobody.stderr.includes('tinderbox serve'), nobody.stderr);
  assert.equal(tinderbox(binary, ['top', '--url', 'localhost']).code, 2);
});

await check('smi answers for the box as nvidia-smi on a GB10 does', async () => {
  const labels = 'gpu="0",UUID="GPU-00000000-0000-0000-0000-00000000000a",pci_bus_id="0000000F:01:00.0",modelName="NVIDIA GB10",DCGM_FI_DRIVER_VERSION="580.142"';
  const box = await stateServer(({ url }) => ({ body: url === '/metrics' ? `# x\nDCGM_FI_DEV_GPU_TEMP{${labels}} 71\n` : state }));
  try {
    const query = '--query-gpu=name,driver_version,pci.bus_id,temperature.gpu,power.draw,memory.used';
    const { code, stdout } = await run(['smi', '--url', box.url, query, '--format=csv,noheader,nounits']);
    assert.equal(code, 0);
    assert.equal(stdout, 'NVIDIA GB10, 580.142, 0000000F:01:00.0, 71, 38.40, [N/A]\n');
    assert.match((await run(['smi', '--url', box.url, '-L'])).stdout, /^GPU 0: NVIDIA GB10 \(UUID: GPU-[0-9a-f-]{36}\)\n$/);
    assert.match((await run(['smi', '--url', box.url, '--query-gpu=timestamp'])).stdout, /^timestamp\n20\d\d\/\d\d\/\d\d \d\d:\d\d:\d\d\.250\n$/);
    const wrong = await run(['smi', '--url', box.url, '--query-gpu=temperature.gpq']);
    assert.equal(wrong.code, 2);
    assert.ok(wrong.stderr.includes("did you mean 'temperature.gpu'"), wrong.stderr);
  } finally {
    box.close();
  }
});

// In a terminal of `script`'s. What it wrote, after `act`. Ctrl-C goes to the shell too, and a plain one (dash) dies of
// it at once; the trap lets it tell how `args` ended.
async function inTerminal(args, act, env = {}) {
  const quoted = [binary, ...args].map((a) => `'${a}'`).join(' ');
  const child = spawn('script', ['-qefc', `trap : INT; stty rows 40 cols 100; ${quoted}; echo "ended $?"; stty -a`, '/dev/null'],
    { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, TERM: 'xterm-256color', NO_COLOR: '', ...env } });
  let out = '';
  child.stdout.on('data', (d) => (out += d));
  const shown = async (what) => {
    for (let i = 0; i < 100 && !what(out); ++i) await new Promise((r) => setTimeout(r, 50));
    assert.ok(what(out), `not shown: ${what}\n${JSON.stringify(out.slice(-2000))}`);
  };
  const ended = new Promise((resolve) => child.on('exit', resolve));
  try {
    await shown((o) => o.includes('NVIDIA DGX Spark'));
    await act(child, shown);
    await shown((o) => o.includes('ended '));
    await ended;
    return out;
  } finally {
    child.kill('SIGKILL');
  }
}

await check('top in a terminal looks again and again, and gives the terminal back on q and on Ctrl-C', async () => {
  for (const last of ['q', '\x03']) {
    let looks = 0;
    const box = await stateServer(() => ({ body: state.replace('"uptime_s":7325.5', `"uptime_s":${++looks}`) }));
    const out = await inTerminal(['top', '--url', box.url, '--every', '0.2'], async (child, shown) => {
      await shown((o) => o.includes('up 3 s'));
      child.stdin.write('\x1b[B');
      child.stdin.write(last);
    });
    box.close();
    assert.ok(out.includes('\x1b[?1049h') && out.lastIndexOf('\x1b[?1049l') > out.lastIndexOf('\x1b[?1049h'));
    assert.ok(out.lastIndexOf('\x1b[?25h') > out.lastIndexOf('\x1b[?25l'), 'the cursor stays away');
    assert.ok(out.includes('\x1b[36m'), 'no colours');
    assert.match(out, /ended 0/);
    assert.match(out, / icanon/);
    assert.match(out, / echo /);
  }
});

await check('top outlives its box, says so, and honours NO_COLOR', async () => {
  let gone = false;
  const box = await stateServer(() => (gone ? { status: 503 } : { body: state }));
  const out = await inTerminal(['top', '--url', box.url, '--every', '0.2'], async (child, shown) => {
    gone = true;
    await shown((o) => o.includes('as last seen'));
    child.stdin.write('q');
  }, { NO_COLOR: '1' });
  box.close();
  assert.match(out, /ended 0/);
  assert.ok(!/\x1b\[[0-9;]*m/.test(out), 'colours');
});

finish();
