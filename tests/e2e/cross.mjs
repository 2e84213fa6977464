// node cross.mjs NATIVE FOLDER ROOT: the program in FOLDER, compiled for aarch64, under qemu with the libraries of ROOT,
// beside the NATIVE one: same predictions, same simulations, same tokens; a server that serves; the .deb for arm64.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { check, finish, serve, tinderbox } from './harness.mjs';

const [native, folder, root] = process.argv.slice(2).map((p) => resolve(p));
const tiny = fileURLToPath(new URL('../../data/tiny/tinderbox-tiny.gguf', import.meta.url));
const emulated = join(mkdtempSync(join(tmpdir(), 'tinderbox-')), 'tinderbox');
writeFileSync(emulated, `#!/bin/sh\nexec qemu-aarch64-static -L '${root}' '${folder}/tinderbox' "$@"\n`, { mode: 0o755 });

function output(binary, args) {
  const r = tinderbox(binary, args);
  assert.equal(r.code, 0, `${args.join(' ')}: ${r.stderr}${r.stdout}`);
  return r.stdout;
}

// Equal to the last bit, but for what heat has touched: Eigen's vectors fuse multiplication and addition on aarch64.
function same(a, b, heat, where = '') {
  if (typeof a === 'number' && typeof b === 'number' && heat) {
    assert.ok(Math.abs(a - b) <= 1e-10 * Math.max(Math.abs(a), Math.abs(b)), `${where}: ${a} and ${b}`);
  } else if (a !== null && b !== null && typeof a === 'object' && typeof b === 'object') {
    assert.deepEqual(Object.keys(b), Object.keys(a), where);
    for (const key of Object.keys(a)) same(a[key], b[key], heat || key === 'power', `${where}/${key}`);
  } else {
    assert.equal(b, a, where);
  }
}

await check('an aarch64 program that tells the same version and help', () => {
  assert.match(spawnSync('readelf', ['-h', join(folder, 'tinderbox')], { encoding: 'utf8' }).stdout, /AArch64/);
  for (const args of [['--version'], ['--help'], ['predict', '--help']]) assert.equal(output(emulated, args), output(native, args));
});

const questions = [
  'predict --model llama-3.1-8b --weights fp8',
  'predict --model gpt-oss-120b --weights mxfp4 --stack llama.cpp --prompt 2048 --gen 32 --explain',
  'predict --model qwen3.6-27b --weights bf16 --stack vllm --concurrency max --sustained --ambient 35C',
  'predict --model qwen3-235b-a22b --weights nvfp4 --nodes 2 --parallel tp2',
  'predict --machine strix-halo-395 --model qwen3-8b --weights q4_k_m --depth 32768',
  'fit --model gpt-oss-120b --weights mxfp4 --stack vllm --context 32768 --concurrency 8',
  'simulate --model llama-3.1-8b --weights fp8 --stack vllm --rate 2 --requests 300 --seed 1',
  'soak --model qwen3.6-27b --weights bf16 --stack vllm --concurrency 8 --minutes 30 --ambient 30C',
];
for (const question of questions) {
  await check(question, () => {
    const [a, b] = [native, emulated].map((binary) => JSON.parse(output(binary, [...question.split(' '), '--json'])));
    assert.ok(Object.keys(a).length > 3);
    same(a, b, /sustained|^soak/.test(question));
  });
}

await check('the same tokens from real weights', () => {
  const args = ['run', tiny, 'Once upon a time', '--raw', '--temperature', '0', '--max-tokens', '48'];
  const text = output(native, args);
  assert.ok(text.length > 20, text);
  assert.equal(output(emulated, args), text);
});

await check('a server that answers and ends when asked to', async () => {
  const server = await serve(emulated, [tiny]);
  try {
    const reply = await fetch(`${server.url}/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({ model: 'tinderbox-tiny', messages: [{ role: 'user', content: 'hello' }], max_tokens: 8 }),
    });
    const { usage } = await reply.json();
    assert.ok(usage.completion_tokens > 0);
    assert.match(await (await fetch(server.url)).text(), /<html/);
  } catch (error) {
    await server.stop();
    throw error;
  }
  assert.equal(await server.stop(), 0, server.log());
});

await check('the .deb is for arm64 and asks for the libraries that the program needs', () => {
  const debs = readdirSync(folder).filter((f) => f.endsWith('.deb'));
  assert.equal(debs.length, 1, `${debs}`);
  assert.match(debs[0], /_arm64\.deb$/);
  const tell = (...args) => spawnSync('dpkg-deb', [args[0], join(folder, debs[0]), ...args.slice(1)], { encoding: 'utf8' }).stdout;
  assert.equal(tell('-f', 'Architecture').trim(), 'arm64');
  const depends = tell('-f', 'Depends');
  for (const name of ['libc6', 'libstdc++6', 'libssl3', 'libfmt9', 'libsqlite3-0', 'libhwy1']) {
    assert.match(depends, new RegExp(`(^|, )${name.replaceAll('+', '\\+')} \\(>= `), depends);
  }
  const list = tell('-c').split('\n');
  for (const path of ['./usr/bin/tinderbox', './usr/share/man/man1/tinderbox-serve.1.gz', './usr/lib/systemd/system/tinderbox.service']) {
    assert.ok(list.some((l) => l.endsWith(` ${path}`)), `${path} is missing`);
  }
});

finish();
