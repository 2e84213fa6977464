// node package.mjs FOLDER: the .deb and the .tar.gz that `./dev package` left there: what is in them, and whether it
// works away from where it was built. Checks with tools that are not installed are told as skipped.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { check, finish } from './harness.mjs';

const folder = resolve(process.argv[2]);
const only = (end) => {
  const files = readdirSync(folder).filter((f) => f.endsWith(end));
  assert.equal(files.length, 1, `${end}: ${files}`);
  return join(folder, files[0]);
};
function run(command, args, options = {}) {
  const r = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 28, timeout: 120000, ...options });
  return { code: r.status, stdout: r.stdout ?? '', stderr: r.stderr ?? '' };
}
const has = (command) => run('sh', ['-c', `command -v ${command}`]).code === 0;
const ok = (r) => {
  assert.equal(r.code, 0, r.stderr + r.stdout);
  return r.stdout;
};
async function checkWith(tool, name, body) {
  if (has(tool)) await check(name, body);
  else console.log(`skip ${name}: no ${tool} here`);
}

const away = join(mkdtempSync(join(tmpdir(), 'tinderbox package ')), 'else where');
mkdirSync(away);
ok(run('tar', ['xzf', only('.tar.gz'), '-C', away]));
assert.equal(readdirSync(away).length, 1, 'the tarball has one folder');
const root = join(away, readdirSync(away)[0]);
const binary = join(root, 'bin', 'tinderbox');
const verbs = ok(run(binary, ['--help'])).split('Subcommands:\n')[1].split('\n\n')[0].match(/^ {2}(?=\S)[a-z-]+/gm).map((v) => v.trim());
const man = join(root, 'share', 'man', 'man1');

await check('the .deb holds what a Debian package should', () => {
  const deb = only('.deb');
  const control = ok(run('dpkg-deb', ['-I', deb]));
  for (const word of ['libc6', 'libstdc++6', 'libssl3', 'Recommends: libcurl4', 'postinst']) assert.ok(control.includes(word), control);
  const list = ok(run('dpkg-deb', ['-c', deb]));
  for (const path of ['./usr/bin/tinderbox', './usr/share/man/man1/tinderbox.1.gz', './usr/share/man/man1/tinderbox-serve.1.gz',
    './usr/share/bash-completion/completions/tinderbox', './usr/share/zsh/vendor-completions/_tinderbox',
    './usr/share/fish/vendor_completions.d/tinderbox.fish', './usr/lib/systemd/system/tinderbox.service',
    './usr/lib/systemd/system/tinderbox.socket', './usr/share/doc/tinderbox/copyright', './usr/share/doc/tinderbox/changelog.gz']) {
    assert.ok(list.split('\n').some((l) => l.endsWith(` ${path}`)), `${path} is missing`);
  }
  assert.ok(!/\.so[.\n]/.test(list), 'libraries come as packages of their own');
  for (const line of list.trim().split('\n')) assert.match(line, /^(d|-)r[w-][x-]r-[x-]r-[x-] root\/root /, line);
});

await check('the binary from the tarball runs elsewhere, with libraries of its own, and is at most 12 MB', () => {
  assert.match(ok(run(binary, ['--version'])), /^\d+\.\d+\.\d+/);
  const args = ['predict', '--model', 'llama-3.1-8b', '--weights', 'fp8', '--json'];
  assert.ok(JSON.parse(ok(run(binary, args, { cwd: '/', env: {} }))).decode_tok_per_s > 1);
  assert.ok(statSync(binary).size <= 12e6, `${statSync(binary).size} bytes`);
  const libraries = ok(run('ldd', [binary]));
  for (const line of libraries.split('\n').filter((l) => l.includes('=>'))) {
    const system = /lib(c|m)\.so/.test(line);
    assert.ok(system || line.includes(join(root, 'lib', 'tinderbox')) || line.includes('bin/../lib/tinderbox'), line);
  }
  const files = readdirSync(join(root, 'lib', 'tinderbox'));
  const told = readdirSync(join(root, 'share', 'doc', 'tinderbox', 'libraries'));
  const real = files.filter((f) => !lstatSync(join(root, 'lib', 'tinderbox', f)).isSymbolicLink());
  for (const f of real) assert.ok(told.includes(`${f}.copyright`), `nothing says what the copyright of ${f} is`);
});

await check('a manual page for each verb, with every option that its help names', () => {
  assert.deepEqual(readdirSync(man).sort(), ['tinderbox.1.gz', ...verbs.map((v) => `tinderbox-${v}.1.gz`)].sort());
  for (const verb of verbs) {
    const page = gunzipSync(readFileSync(join(man, `tinderbox-${verb}.1.gz`))).toString().replaceAll('\\-', '-');
    const help = ok(run(binary, [verb, '--help']));
    for (const option of help.match(/^ {2}(-\w,)?--[a-z-]+/gm)) assert.ok(page.includes(option.trim().split(',').pop()), `${verb}: ${option}`);
  }
});

await checkWith('mandoc', 'mandoc finds no error in the pages', () => {
  const pages = mkdtempSync(join(tmpdir(), 'tinderbox-man-'));
  ok(run(binary, ['man', '--out', pages]));
  for (const file of readdirSync(pages)) ok(run('mandoc', ['-T', 'lint', '-W', 'error', join(pages, file)]));
});

await checkWith('man', 'man shows the pages without a warning', () => {
  for (const file of readdirSync(man)) {
    const r = run('man', ['--warnings', '-E', 'UTF-8', '-l', '-Tutf8', '-Z', join(man, file)], { env: { ...process.env, LC_ALL: 'C.UTF-8' } });
    assert.equal(r.stderr, '', file);
  }
});

await check('man and completion refuse what they do not know', () => {
  assert.match(run(binary, ['man', 'serv']).stderr, /did you mean 'serve'/);
  assert.equal(run(binary, ['completion', 'csh']).code, 2);
});

const cases = [
  [['s'], ['serve', 'simulate', 'smi', 'soak', 'stacks']],
  [['keys', ''], ['add', 'list', 'revoke']],
  [['keys', 'add', '--pri'], ['--priority']],
  [['serve', '--log', ''], ['json', 'none', 'text']],
  [['serve', '--machine', 'dgx-spa'], ['dgx-spark']],
  [['machines', 'show', 'rtx-509'], ['rtx-5090']],
  [['completion', ''], ['bash', 'fish', 'zsh']],
  [['serve', 'bi'], ['bin']],
];

await check('bash completes verbs, options, values and files', () => {
  const script = 'source "$1"; shift; COMP_WORDS=(tinderbox "$@"); COMP_CWORD=$#; _tinderbox; printf "%s\\n" "${COMPREPLY[@]}"';
  const file = join(root, 'share', 'bash-completion', 'completions', 'tinderbox');
  const complete = (...words) => ok(run('bash', ['--norc', '-uc', script, 'bash', file, ...words], { cwd: root })).trim().split('\n').sort();
  for (const [words, expected] of cases) assert.deepEqual(complete(...words), expected, words.join(' '));
  assert.deepEqual(complete('serve', '--log', '=', 'j'), ['json'], '--log=j');
  assert.deepEqual(complete('compare', '--machines', 'dgx-spark,strix-halo'), ['dgx-spark,strix-halo-395'], 'in a list');
  assert.deepEqual(complete('serve', '--port', ''), [''], 'no guess for a number');
});

await checkWith('fish', 'fish completes them', () => {
  const file = join(root, 'share', 'fish', 'vendor_completions.d', 'tinderbox.fish');
  for (const [words, expected] of cases) {
    const script = 'source $argv[1]; complete -C (string join " " -- tinderbox $argv[2..-1])';
    const lines = ok(run('fish', ['--no-config', '-c', script, file, ...words], { cwd: root })).trim().split('\n');
    assert.deepEqual(lines.map((l) => l.split('\t')[0].replace(/\/$/, '')).sort(), expected, words.join(' '));
  }
});

await checkWith('zsh', 'zsh takes its functions', () => {
  const file = join(root, 'share', 'zsh', 'vendor-completions', '_tinderbox');
  ok(run('zsh', ['-f', '-n', file]));
  const script = 'autoload -Uz compinit; compinit -u -D; source $1; for f in $@[2,-1]; whence -w _tinderbox_$f >/dev/null || { print $f; exit 1 }';
  ok(run('zsh', ['-f', '-c', script, 'zsh', file, ...verbs]));
});

await checkWith('systemd-analyze', 'systemd takes the units, and finds them well locked up', () => {
  const units = mkdtempSync(join(tmpdir(), 'tinderbox-units-'));
  for (const name of ['tinderbox.service', 'tinderbox.socket']) {
    const text = readFileSync(join(root, 'lib', 'systemd', 'system', name), 'utf8');
    // The real one is not installed here; any program will do.
    writeFileSync(join(units, name), text.replace('/usr/bin/tinderbox', '/bin/true').replace(/^Documentation.*$/m, ''));
  }
  for (const name of ['tinderbox.service', 'tinderbox.socket']) {
    const r = run('systemd-analyze', ['verify', '--recursive-errors=no', join(units, name)]);
    assert.equal(r.code, 0, r.stderr);
    assert.ok(!r.stderr.includes(units), r.stderr);
  }
  ok(run('systemd-analyze', ['security', '--offline=true', '--threshold=30', join(units, 'tinderbox.service')]));
});

finish();
