// node all.mjs BINARY MODEL.gguf: every end-to-end test against the real binary, each script in a process of its own.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { serve } from './harness.mjs';

const [binary, model] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
// Made by ./dev test, with the clients of tests/requirements.txt.
const python = process.env.TINDERBOX_PYTHON ?? join(here, '../../build/python/bin/python');
let failed = 0;

function script(name, args) {
  console.log(`--- ${name}`);
  return new Promise((resolve) => {
    const runs = name.endsWith('.py') ? python : process.execPath;
    const child = spawn(runs, [join(here, name), ...args], { stdio: 'inherit' });
    child.on('exit', (code) => {
      if (code !== 0) failed++;
      resolve();
    });
  });
}

if (!existsSync(python)) {
  console.log(`FAIL ${python} is missing: ./dev test makes it`);
  process.exit(1);
}
const clients = ['openai_client.mjs', 'ai_client.mjs', 'openai_schema.py', 'python_clients.py'];
// These only need a URL; the server must survive all of them and stop cleanly.
const server = await serve(binary, [model]);
for (const name of [...clients, 'ollama_client.mjs', 'bad_input.mjs', 'page.mjs']) await script(name, [server.url]);
const code = await server.stop();
if (code !== 0) {
  console.log(`FAIL the server ended with ${code}: ${server.log()}`);
  failed++;
}
for (const name of ['cli.mjs', 'sweep.mjs', 'serve.mjs', 'gate.mjs', 'metrics.mjs', 'box.mjs', 'views.mjs', 'pull.mjs']) await script(name, [binary, model]);

console.log(failed === 0 ? 'e2e: all scripts passed' : `e2e: ${failed} scripts failed`);
process.exit(failed === 0 ? 0 : 1);
