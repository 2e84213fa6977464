// Compares `tinderbox tokenize` with llama.cpp (npm node-llama-cpp) on a few hundred varied strings.
//
//   npm ci --prefix tests
//   node tests/reference/tokenizer_check.mjs --binary PATH --model FILE.gguf [--modules DIR/node_modules]
//
// Exit 0: all equal; 1: differences, printed. With --golden OUT.json instead of --binary, writes llama.cpp's ids of
// every text; tests/golden/tokenizer_tiny.json is made that way from data/tiny/tinderbox-tiny.gguf.
import {spawnSync} from "node:child_process";
import {writeFileSync} from "node:fs";
import path from "node:path";
import {fileURLToPath, pathToFileURL} from "node:url";
import {parseArgs} from "node:util";

const {values: options} = parseArgs({options: {
    binary: {type: "string"}, golden: {type: "string"}, model: {type: "string"}, modules: {type: "string"}
}});
if (!(options.binary || options.golden) || !options.model) {
    console.error("usage: tokenizer_check.mjs (--binary PATH | --golden OUT.json) --model FILE.gguf [--modules DIR]");
    process.exit(2);
}

const fixed = [
    "", " ", "  ", "   ", "\n", "\n\n", "\n\n\n", "\t", "\r\n", " \n", "\n ", " \n ", "  \n\n  x", "a", "A", " a", "  a", "a ", "a  ",
    "Why is the sky blue?", "Hello, world!", "hello  world", "hello   world ", "The quick brown fox jumps over the lazy dog.",
    "I'm you're he's we've they'll she'd don't can't", "I'M YOU'RE HE'S WE'VE THEY'LL SHE'D", "'s 't 're", "rock'n'roll 'tis",
    "0", "12", "123", "1234", "1 2 3", "3.14159", "1,234,567.89", "2024-05-17T12:34:56Z", "x1y2z3", "abc123def", "10%", "$5.00", "1/2 + ³⁄₄ Ⅷ ½",
    "int main(void) { return 0; }\n", "for (int i = 0; i < n; ++i) {\n    sum += a[i] * b[i];\n}\n", "def f(x):\n\treturn x ** 2\n",
    "SELECT * FROM t WHERE a >= 10 AND b != 'x';", "{\"key\": [1, 2, {\"a\": null}], \"s\": \"\\u00e9\"}", "<html><body class=\"x\">&nbsp;</body></html>",
    "#include <vector>\n// comment\n/* block */", "https://example.com/a/b?c=d&e=%20f#g", "user@example.com", "C:\\Users\\x\\file.txt", "~/.config/x.toml",
    "Grüße aus München, schöne Straße!", "Ça va très bien, garçon. L'été déjà.", "¿Dónde está el niño? ¡Aquí!", "Привет, как дела?", "Γειά σου Κόσμε",
    "こんにちは世界。今日はいい天気ですね。", "你好，世界！今天天气怎么样？", "안녕하세요 세계", "مرحبا بالعالم", "שלום עולם", "नमस्ते दुनिया", "สวัสดีชาวโลก", "Xin chào thế giới",
    "İstanbul'da ğüşıöç", "Žluťoučký kůň", "cafe\u0301 e\u0301a\u0300", "ǅ ǈ ǋ ªº", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟙𝟚𝟛", "ﬁ ﬂ ﬃ", "١٢٣ १२३ 一二三 ௧௨௩",
    "😀😃😄", "👩‍👩‍👧‍👦 family", "🇩🇪🇫🇷", "👍🏽 ok", "text😀text 😀 text", "☕️ ❤️ ✅", "→ ← ↑ ↓ ⇒ ∀x∈ℝ ∑∫√", "—–…“”‘’«»",
    "\u00a0nbsp\u00a0", "a\u200bb\u200cc\u200dd\ufeff", "\u2003em\u2003space\u3000ideographic", "\u2028line\u2029para", "\u0085nel", "\u0000nul\u0001\u0002",
    "\u001b[31mred\u001b[0m", "\u007f", "\ufffd", "\ud7ff", "\ue000", "\u{10ffff}", "a\u0300\u0301\u0302\u0303",
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "<|im_start|>", "<|im_end|><|im_end|>", " <|im_end|> ", "<|im_end", "<|im_start|im_end|>",
    "<|endoftext|>", "<|endoftext|>text", "<|unknown|>", "<repo_name>x<file_sep>", "<s>", "</s>", "<jupyter_code>", "<empty_output>",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "ababababababababababab", "----------------", "====== heading ======", "!!!???...,,,", "(((())))", "_____a_____",
    "camelCaseIdentifierName snake_case_name SCREAMING_CASE kebab-case", "HTTPServer2XMLParser", "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "\n\n\n    indented\n\t\ttabs\n  \t mixed", "line one\r\nline two\r\n\r\nline four", "trailing spaces   \nnext", "a\n\n\n\nb", " \t \t ", "x\u00ady"
];

// Mixtures of pieces, the same ones every time.
const pieces = [
    " ", "  ", "\n", "\t", "the", " The", "ing", "é", "ß", "Я", "д", "ω", "中", "文", "か", "한", "ع", "ש", "ह", "ि", "😀", "👩‍🚀", "🇩", "1", "42", "007",
    "'s", "'LL", "'", "\"", ".", ",", "!", "::", "->", "<|im_end|>", "<|im_start|>", "<", "|", ">", "_", "#", "\u00a0", "\u3000", "\u200d", "\u0301", "ª", "ǅ", "Ⅷ", "²", "/", "\r\n", "A", "zz", "QX"
];
let state = 12345;
const draw = (n) => (state = (Math.imul(state, 1103515245) + 12345) >>> 0, (state >>> 8) % n);
const mixed = Array.from({length: 300}, () =>
    Array.from({length: 1 + draw(14)}, () => pieces[draw(pieces.length)]).join(""));
const texts = [...fixed, ...mixed];

const modules = options.modules ?? fileURLToPath(new URL("../node_modules", import.meta.url));
const entry = path.resolve(modules, "node-llama-cpp/dist/index.js");
const {getLlama} = await import(pathToFileURL(entry).href);
const llama = await getLlama({gpu: false, build: "never", logLevel: "error"});
const model = await llama.loadModel({modelPath: path.resolve(options.model), vocabOnly: true});
const theirIds = texts.map((text) => [...model.tokenize(text, true)]);
if (options.golden) {
    const lines = texts.map((text, i) => JSON.stringify({text, ids: theirIds[i]}));
    writeFileSync(options.golden, `[\n${lines.join(",\n")}\n]\n`);
    process.exit(0);
}

const ours = spawnSync(options.binary, ["tokenize", options.model],
    {input: JSON.stringify(texts), encoding: "utf8", maxBuffer: 1 << 28});
if (ours.status !== 0) {
    console.error(`tokenize failed: ${ours.stderr || ours.stdout || ours.error}`);
    process.exit(1);
}
const ids = JSON.parse(ours.stdout);

let wrong = 0;
texts.forEach((text, i) => {
    const theirs = theirIds[i];
    if (JSON.stringify(theirs) === JSON.stringify(ids[i])) return;
    ++wrong;
    console.log(`${JSON.stringify(text)}\n  ours   ${JSON.stringify(ids[i])}\n  theirs ${JSON.stringify(theirs)}`);
});
console.log(`${texts.length - wrong} of ${texts.length} texts tokenize equally`);
process.exit(wrong ? 1 : 0);
