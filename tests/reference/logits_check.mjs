// The engine's next-token probabilities against an independent reference, llama.cpp as prebuilt in node-llama-cpp, on
// the same GGUF: the likeliest token is the same and each of its ten likeliest has a probability within 0.01.
//
//   node logits_check.mjs TINDERBOX MODEL.gguf
//
// TINDERBOX logits MODEL.gguf reads a JSON array of arrays of token ids and prints, for each, the ten likeliest next
// tokens as [[id, probability], ...]. Exit 0: all agree; 1: some do not; 2: usage.
import { execFileSync } from "node:child_process";
import { getLlama } from "node-llama-cpp";

const [tinderbox, modelPath] = process.argv.slice(2);
if (!modelPath) {
  console.error("usage: node logits_check.mjs TINDERBOX MODEL.gguf");
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

const llama = await getLlama({ gpu: false, build: "never", logLevel: "error" });
const model = await llama.loadModel({ modelPath });
const context = await model.createContext({ contextSize: 2048, batchSize: 512, threads: 1 });
const sequence = context.getSequence();

const names = Object.keys(prompts);
const inputs = names.map((name) => {
  const tokens = model.tokenize(prompts[name], true);
  // A model cannot continue nothing: the empty prompt is the BOS token.
  return (tokens.length > 0 ? tokens : [model.tokens.bos]).slice(0, 2000);
});

const reference = [];
for (const tokens of inputs) {
  await sequence.clearHistory();
  const last = [tokens.at(-1), { generateNext: { probabilities: true, options: { temperature: 1, topK: 0, topP: 1, minP: 0 } } }];
  const result = await sequence.controlledEvaluate([...tokens.slice(0, -1), last]);
  const probabilities = result.findLast((item) => item !== undefined).next.probabilities;
  reference.push([...probabilities].slice(0, 10));
}
await llama.dispose();

const ours = JSON.parse(
  execFileSync(tinderbox, ["logits", modelPath], { input: JSON.stringify(inputs), maxBuffer: 1 << 24 }).toString(),
);

let failures = 0;
let worst = 0;
for (const [i, name] of names.entries()) {
  const mine = new Map(ours[i]);
  // A token outside our ten likeliest is at most as likely as the tenth.
  const tenth = ours[i].at(-1)[1];
  const differences = reference[i].map(([id, p]) => (mine.has(id) ? Math.abs(mine.get(id) - p) : Math.max(0, p - tenth)));
  const largest = Math.max(...differences);
  const [[topId, topP], [, secondP]] = reference[i];
  // A tie within the tolerance has no top.
  const sameTop = ours[i][0][0] === topId || topP - secondP < 1e-3;
  const good = sameTop && largest <= tolerance;
  if (!good) failures++;
  worst = Math.max(worst, largest);
  console.log(
    `${good ? "ok  " : "FAIL"} ${name.padEnd(14)} ${String(inputs[i].length).padStart(5)} tokens` +
      `  top ${topId} ${topP.toFixed(4)}, ours ${ours[i][0][0]} ${ours[i][0][1].toFixed(4)}  largest difference ${largest.toFixed(5)}`,
  );
}
console.log(`${names.length - failures} of ${names.length} prompts agree; largest difference ${worst.toFixed(5)} (bound ${tolerance})`);
process.exit(failures === 0 ? 0 : 1);
