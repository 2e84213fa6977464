// Renders the templates in templates/ with every conversation by @huggingface/jinja and compares with golden.json and
// with `tinderbox render`, then the chat template inside the model file, if one is given.
//
//   npm ci --prefix tests
//   node tests/reference/template_check.mjs --binary PATH [--model FILE.gguf] [--modules DIR/node_modules]
//   node tests/reference/template_check.mjs --update        writes golden.json
//
// Exit 0: all equal; 1: differences, printed.
import { spawnSync } from 'node:child_process';
import { openSync, readdirSync, readFileSync, readSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: { binary: { type: 'string' }, model: { type: 'string' }, modules: { type: 'string' }, update: { type: 'boolean' } },
});
if (!options.binary && !options.update) {
  console.error('usage: template_check.mjs --binary PATH [--model FILE.gguf] [--modules DIR] | --update');
  process.exit(2);
}
const folder = fileURLToPath(new URL('templates/', import.meta.url));
const modules = options.modules ?? fileURLToPath(new URL('../node_modules', import.meta.url));
const { Template } = await import(pathToFileURL(path.resolve(modules, '@huggingface/jinja/dist/index.js')).href);
const { now_unix, conversations } = JSON.parse(readFileSync(path.join(folder, 'conversations.json'), 'utf8'));
const templates = Object.fromEntries(
  readdirSync(folder).filter((f) => f.endsWith('.jinja')).sort()
    .map((f) => [f.slice(0, -6), readFileSync(path.join(folder, f), 'utf8')]),
);

// strftime_now() of the reference reads the clock; give it the conversations' date, in UTC.
process.env.TZ = 'UTC';
const RealDate = Date;
globalThis.Date = class extends RealDate {
  constructor(...args) {
    super(...(args.length ? args : [now_unix * 1000]));
  }
};

const variables = (conversation) => ({
  add_generation_prompt: true, bos_token: '<s>', eos_token: '</s>', tools: null, ...conversation,
});
// What the reference says: a text, or null where the template refuses the messages.
function reference(template, conversation) {
  try {
    return new Template(template).render(variables(conversation));
  } catch {
    return null;
  }
}
function ours(template, conversation) {
  const request = { template, now_unix, ...variables(conversation) };
  const child = spawnSync(options.binary, ['render'], { input: JSON.stringify(request), encoding: 'utf8' });
  if (child.status !== 0 && child.status !== 2) throw new Error(`render ended with ${child.status}: ${child.stderr}`);
  return child.status === 0 ? child.stdout : null;
}

// tokenizer.chat_template in the metadata at the head of a GGUF file.
function templateOf(file) {
  const head = Buffer.alloc(16 << 20);
  const n = readSync(openSync(file, 'r'), head, 0, head.length, 0);
  const key = 'tokenizer.chat_template';
  const at = head.subarray(0, n).indexOf(key) + key.length + 4;  // the value's type, 8: a string
  if (at < key.length + 4 || head.readUInt32LE(at - 4) !== 8) throw new Error(`${file} has no chat template`);
  return head.toString('utf8', at + 8, at + 8 + Number(head.readBigUInt64LE(at)));
}

const goldenFile = path.join(folder, 'golden.json');
if (options.update) {
  const golden = {};
  for (const [name, template] of Object.entries(templates)) {
    golden[name] = {};
    for (const [id, conversation] of Object.entries(conversations)) golden[name][id] = reference(template, conversation);
  }
  writeFileSync(goldenFile, `${JSON.stringify(golden, null, 1)}\n`);
  console.log(`wrote ${goldenFile}`);
}

const golden = JSON.parse(readFileSync(goldenFile, 'utf8'));
let passed = 0;
let failed = 0;
function compare(what, want, got) {
  if (want === got) {
    ++passed;
  } else {
    ++failed;
    console.log(`FAIL ${what}\n  want ${JSON.stringify(want)}\n  got  ${JSON.stringify(got)}`);
  }
}
for (const [name, template] of Object.entries(templates)) {
  for (const [id, conversation] of Object.entries(conversations)) {
    const want = reference(template, conversation);
    compare(`golden ${name} ${id}`, want, golden[name]?.[id]);
    if (options.binary) compare(`render ${name} ${id}`, want, ours(template, conversation));
  }
}
if (options.binary && options.model) {
  const template = templateOf(options.model);
  for (const [id, conversation] of Object.entries(conversations)) {
    compare(`render ${path.basename(options.model)} ${id}`, reference(template, conversation), ours(template, conversation));
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
