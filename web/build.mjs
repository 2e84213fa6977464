// node build.mjs FOLDER: builds the page into FOLDER, with a .gz beside each file and the notices of what it contains.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const here = dirname(fileURLToPath(import.meta.url));
const folder = resolve(process.argv[2] ?? join(here, '../build/web'));

// The pinned packages, fetched only if the lock file is another than the one they were fetched by.
function install() {
  const lock = join(here, 'package-lock.json');
  const installed = join(here, 'node_modules/.installed-lock');
  if (existsSync(installed) && readFileSync(installed).equals(readFileSync(lock))) return;
  const npm = process.env.NPM || 'npm';
  const result = spawnSync(npm, ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
    { cwd: here, stdio: 'inherit' });
  if (result.status !== 0) throw new Error(`npm ci in ${here} failed: the page needs its packages once`);
  copyFileSync(lock, installed);
}

// The licences of the packages whose code is in the page.
function notices() {
  const { dependencies } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'));
  const parts = ['The page of Tinderbox contains these programs.'];
  for (const name of Object.keys(dependencies)) {
    const home = join(here, 'node_modules', name);
    const { version, license } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'));
    const file = readdirSync(home).find((f) => /^licen[cs]e/i.test(f));
    if (!file) throw new Error(`${name} has no licence file to pass on`);
    parts.push(`${name} ${version} (${license})\n\n${readFileSync(join(home, file), 'utf8').trim()}`);
  }
  return `${parts.join(`\n\n${'-'.repeat(72)}\n\n`)}\n`;
}

install();
const { build } = await import('vite');
mkdirSync(folder, { recursive: true });
await build({ root: here, configFile: join(here, 'vite.config.ts'), logLevel: 'warn', build: { outDir: folder } });
writeFileSync(join(folder, 'licences.txt'), notices());
for (const name of readdirSync(folder)) {
  if (name.endsWith('.gz')) continue;
  writeFileSync(join(folder, `${name}.gz`), gzipSync(readFileSync(join(folder, name)), { level: 9 }));
}
