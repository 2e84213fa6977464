// The engine's next-token probabilities against an independent reference, llama.cpp as prebuilt in
// node-llama-cpp:
//
//   node logits_check.mjs --binary TINDERBOX --model MODEL.gguf
//
// llama.cpp rounds activations to 8 bits where weights are quantised. That moves its probabilities by several per
// cent, in another direction with every attention kernel, so it cannot show an error of one per cent in another
// engine. The check therefore runs llama.cpp on the same weights written out as F32, which it multiplies as floats:
//   1. the likeliest token is the same, and each of the ten likeliest has a probability within 0.01;
//   2. llama.cpp on the quantised file itself is, on average, farther from that than the engine is.
//
// TINDERBOX logits MODEL.gguf reads a JSON array of arrays of token ids and prints, for each, the ten likeliest
// next tokens as [[id, probability], ...]. Exit 0: all agree; 1: some do not; 2: usage.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { getLlama } from "node-llama-cpp";
import { expandToF32 } from "./expand.mjs";

const { binary, model: modelPath } = parseArgs({
  options: { binary: { type: "string" }, model: { type: "string" } },
}).values;
if (!binary || !modelPath) {
  console.error("usage: node logits_check.mjs --binary TINDERBOX --model MODEL.gguf");
  process.exit(2);
}
const tolerance = 0.01;

const chat = (text) => `<|im_start|>user\n${text}<|im_end|>\n<|im_start|>assistant\n`;
const sentence = "The engine of the ship was old, but the captain trusted it more than the weather. ";
const prompts = {
  empty: "",
  "one letter": "a",
  sky: "Why is the sky blue?",
  "chat, sky": chat("Why is the sky blue?"),
  "chat, capital": chat("What is the capital of France?"),
  "chat, sum": chat("What is 17 + 25?"),
  list: "The days of the week are Monday, Tuesday, Wednesday,",
  story: "Once upon a time, in a small village by the sea, there lived",
  German: "Die Hauptstadt von Deutschland ist",
  French: "Il était une fois une petite fille qui",
  Spanish: "El perro corre por el parque y",
  Chinese: "人工智能是计算机科学的一个分支，",
  Japanese: "昔々あるところに、おじいさんと",
  Arabic: "السماء زرقاء لأن",
  Russian: "Москва является столицей",
  emoji: "I love pizza 🍕 and ice cream 🍦! My favourite animals are 🐶 and",
  Python: "def fibonacci(n):\n    if n < 2:\n        return n\n    return",
  "C++": "#include <vector>\n\nint main() {\n  std::vector<int> v;\n  for (int i = 0; i <",
  JSON: '{"name": "Ada", "born": 1815, "languages": ["English",',
  "2,000 tokens": sentence.repeat(120),
};
const names = Object.keys(prompts);

const llama = await getLlama({ gpu: false, build: "never", logLevel: "error" });

// The ten likeliest next tokens of each input; inputs are made by the first model asked.
let inputs;
async function probabilities(path) {
  const model = await llama.loadModel({ modelPath: path });
  // One thread: llama.cpp's threads spin, which on a busy computer takes minutes.
  const context = await model.createContext({ contextSize: 2048, batchSize: 512, threads: 1 });
  const sequence = context.getSequence();
  inputs ??= names.map((name) => {
    const tokens = model.tokenize(prompts[name], true);
    // A model cannot continue nothing: the empty prompt is the BOS token.
    return (tokens.length > 0 ? tokens : [model.tokens.bos]).slice(0, 2000);
  });
  const options = { temperature: 1, topK: 0, topP: 1, minP: 0 };
  const results = [];
  for (const tokens of inputs) {
    await sequence.clearHistory();
    const last = [tokens.at(-1), { generateNext: { probabilities: true, options } }];
    const result = await sequence.controlledEvaluate([...tokens.slice(0, -1), last]);
    results.push([...result.findLast((item) => item !== undefined).next.probabilities].slice(0, 10));
  }
  await context.dispose();
  await model.dispose();
  return results;
}

const folder = mkdtempSync(join(tmpdir(), "logits_check-"));
let exact;
try {
  const expanded = join(folder, "f32.gguf");
  expandToF32(modelPath, expanded);
  exact = await probabilities(expanded);
} finally {
  rmSync(folder, { recursive: true });
}
const rounded = await probabilities(modelPath);
await llama.dispose();
const input = JSON.stringify(inputs);
const output = execFileSync(binary, ["logits", modelPath], { input, maxBuffer: 1 << 24 });
const ours = JSON.parse(output.toString());

// The largest difference among the reference's ten; a token that the other's ten lack is at most as likely as its
// tenth.
function difference(reference, other) {
  const tens = new Map(other);
  const tenth = other.at(-1)[1];
  const apart = ([id, p]) => (tens.has(id) ? Math.abs(tens.get(id) - p) : Math.max(0, p - tenth));
  return Math.max(...reference.map(apart));
}

let failures = 0;
const sums = { ours: 0, rounded: 0 };
const worst = { ours: 0, rounded: 0 };
for (const [i, name] of names.entries()) {
  const d = { ours: difference(exact[i], ours[i]), rounded: difference(exact[i], rounded[i]) };
  for (const key of Object.keys(d)) {
    sums[key] += d[key];
    worst[key] = Math.max(worst[key], d[key]);
  }
  const [[topId, topP]] = exact[i];
  const good = ours[i][0][0] === topId && d.ours <= tolerance;
  if (!good) failures++;
  const length = String(inputs[i].length).padStart(4);
  const [[ourId, ourP]] = ours[i];
  console.log(
    `${good ? "ok  " : "FAIL"} ${name.padEnd(14)} ${length} tokens  top ${topId} ${topP.toFixed(4)}` +
      `  ours ${ourId} ${ourP.toFixed(4)}  largest difference ${d.ours.toFixed(5)}` +
      `  (llama.cpp with 8-bit activations ${d.rounded.toFixed(5)})`,
  );
}
const mean = (key) => (sums[key] / names.length).toFixed(5);
console.log(`${names.length - failures} of ${names.length} prompts agree with llama.cpp in F32 within ${tolerance}`);
console.log(`tinderbox: mean ${mean("ours")}, largest ${worst.ours.toFixed(5)}`);
console.log(`llama.cpp with 8-bit activations: mean ${mean("rounded")}, largest ${worst.rounded.toFixed(5)}`);
process.exit(failures === 0 && sums.ours <= sums.rounded ? 0 : 1);
