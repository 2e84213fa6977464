// Shared by the end-to-end tests: starts the real binary, counts checks, reports "N passed, N failed".
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// State of its own, so that no test sees another's or the user's.
const environment = () => ({ ...process.env, XDG_STATE_HOME: mkdtempSync(join(tmpdir(), 'tinderbox-')), STATE_DIRECTORY: '' });

// Starts `binary serve ARGS` on a free port, with further environment variables. Resolves to { url, process, log(), stop(), exited } once it answers /health.
export async function serve(binary, args, variables = {}) {
  const portFile = join(mkdtempSync(join(tmpdir(), 'tinderbox-')), 'port');
  const child = spawn(binary, ['serve', ...args, '--port', '0', '--port-file', portFile], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...environment(), ...variables },
  });
  let log = '';
  child.stdout.on('data', (d) => (log += d));
  child.stderr.on('data', (d) => (log += d));
  const exited = new Promise((resolve) => child.on('exit', (code, signal) => resolve(code ?? signal)));
  for (let i = 0; i < 600; ++i) {
    if (child.exitCode !== null) throw new Error(`server ended with ${child.exitCode}: ${log}`);
    if (existsSync(portFile)) {
      const url = `http://127.0.0.1:${readFileSync(portFile, 'utf8').trim()}`;
      const ok = await fetch(`${url}/health`).then((r) => r.ok, () => false);
      if (ok) {
        const stop = async () => {
          child.kill('SIGTERM');
          return exited;
        };
        return { url, process: child, log: () => log, stop, exited };
      }
    }
    await new Promise((r) => setTimeout(r, 100));
  }
  child.kill('SIGKILL');
  throw new Error(`server did not come up in 60 s: ${log}`);
}

// Runs the binary to its end: { code, stdout, stderr }.
export function tinderbox(binary, args, input = '', cwd = undefined) {
  const r = spawnSync(binary, args, { input, cwd, encoding: 'utf8', maxBuffer: 1 << 28, timeout: 120000, env: environment() });
  return { code: r.status, stdout: r.stdout, stderr: r.stderr };
}

let passed = 0;
let failed = 0;

export async function check(name, body) {
  try {
    await body();
    passed++;
    console.log(`ok   ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAIL ${name}: ${error.stack ?? error}`);
  }
}

export function finish() {
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed === 0 ? 0 : 1);
}
