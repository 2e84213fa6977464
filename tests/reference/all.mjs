// node all.mjs BINARY MODEL.gguf: tokens, templates and logits against independent implementations.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const [binary, model] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
let failed = 0;
for (const name of ['tokenizer_check.mjs', 'template_check.mjs', 'logits_check.mjs']) {
  console.log(`--- ${name}`);
  const child = spawnSync(process.execPath, [join(here, name), '--binary', binary, '--model', model], { stdio: 'inherit' });
  if (child.status !== 0) failed++;
}
process.exit(failed === 0 ? 0 : 1);
