// npm test: types, then every *.test.ts, bundled and run by node.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const run = (...args) => spawnSync(process.execPath, args, { cwd: join(here, '..'), stdio: 'inherit' }).status === 0;

const work = mkdtempSync(join(tmpdir(), 'tinderbox-page-'));
await build({
  entryPoints: readdirSync(here).filter((f) => f.endsWith('.test.ts')).map((f) => join(here, f)),
  bundle: true, platform: 'node', format: 'esm', outdir: work, outExtension: { '.js': '.mjs' },
  jsx: 'automatic', jsxImportSource: 'preact', logLevel: 'warning',
});
const tests = readdirSync(work).filter((f) => f.endsWith('.mjs')).map((f) => join(work, f));
const ok = [run('node_modules/typescript/bin/tsc', '--noEmit'), run('--test', ...tests)].every(Boolean);
rmSync(work, { recursive: true });
process.exit(ok ? 0 : 1);
