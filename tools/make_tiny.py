#!/usr/bin/env python3
"""Makes data/tiny/tinderbox-tiny.gguf from nothing but this folder: corpus, tokenizer, training, file.

    apt-get install python3-torch libopenblas0-pthread      (Debian 12: torch 1.13; any later torch works)
    nice -n 10 /usr/bin/python3 tools/make_tiny.py data/tiny/tinderbox-tiny.gguf

A llama-architecture decoder (RMSNorm, interleaved RoPE, grouped-query attention, SwiGLU, tied
embeddings) of 0.29 M parameters over 512 tokens of byte-level BPE. One thread, fixed seed: the same
machine and torch give the same bytes; another CPU may differ in the last bits of the weights. The
default takes about seven minutes on one core.
"""

import argparse
import collections
import math
import random
import re
import struct

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import tiny_corpus

D, LAYERS, HEADS, KV_HEADS, HEAD_DIM, FF, VOCAB, CONTEXT = 96, 3, 3, 1, 32, 192, 512, 512
THETA, EPS = 10000.0, 1e-5
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
EOT, IM_START, IM_END = range(3)
TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

# --- tokenizer: byte-level BPE behind the "smollm" pre-tokenizer (digits alone, then GPT-2's rule)

WORD = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")


def words(text):
    """The ASCII case of the pre-tokenizer."""
    for part in re.split(r"([0-9])", text):
        yield from WORD.findall(part)


def byte_letters():
    """GPT-2's printable letter for each byte."""
    kept = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters, extra = {}, 0
    for byte in range(256):
        if byte in kept:
            letters[byte] = chr(byte)
        else:
            letters[byte] = chr(256 + extra)
            extra += 1
    return letters


class Bpe:
    def __init__(self, text, n_merges):
        letters = byte_letters()
        counts = collections.Counter(words(text))
        split = {word: tuple(letters[b] for b in word.encode()) for word in counts}
        self.merges = []
        for _ in range(n_merges):
            pairs = collections.Counter()
            for word, symbols in split.items():
                for pair in zip(symbols, symbols[1:]):
                    pairs[pair] += counts[word]
            best = min(pairs, key=lambda pair: (-pairs[pair], pair))
            self.merges.append(best)
            split = {word: self.merge(symbols, best) for word, symbols in split.items()}
        self.tokens = SPECIAL + [letters[b] for b in range(256)] + [a + b for a, b in self.merges]
        ids = {token: i for i, token in enumerate(self.tokens)}
        self.of_word = {word: [ids[s] for s in symbols] for word, symbols in split.items()}

    @staticmethod
    def merge(symbols, pair):
        out, i = [], 0
        while i < len(symbols):
            if symbols[i : i + 2] == pair:
                out.append(symbols[i] + symbols[i + 1])
                i += 2
            else:
                out.append(symbols[i])
                i += 1
        return tuple(out)

    def encode(self, text):
        """Only of text whose words were in the training corpus."""
        return [token for word in words(text) for token in self.of_word[word]]


def encode_chat(bpe, messages):
    """Ids and loss weights: what the user says is not the model's to predict."""
    ids, weights = [], []
    for role, content in messages:
        answer = role == "assistant"
        head = [IM_START, *bpe.encode(role), *bpe.encode("\n")]
        body = [*bpe.encode(content), IM_END]
        tail = bpe.encode("\n")
        ids += head + body + tail
        weights += [0.05] * len(head) + [1.0 if answer else 0.05] * len(body) + [0.05] * len(tail)
    return ids + [EOT], weights + [0.05]


# --- model ----------------------------------------------------------------------------------------


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(D))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS) * self.weight


def rope(x):
    """x: (batch, heads, time, head_dim); pairs (2i, 2i+1) turn by position * theta^(-2i / head_dim)."""
    time = x.shape[2]
    angle = (
        torch.arange(time)[:, None] * THETA ** (-torch.arange(0, HEAD_DIM, 2) / HEAD_DIM)[None, :]
    )
    cos, sin = angle.cos(), angle.sin()
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn_norm, self.ffn_norm = Norm(), Norm()
        self.attn_q = nn.Linear(D, HEADS * HEAD_DIM, bias=False)
        self.attn_k = nn.Linear(D, KV_HEADS * HEAD_DIM, bias=False)
        self.attn_v = nn.Linear(D, KV_HEADS * HEAD_DIM, bias=False)
        self.attn_output = nn.Linear(HEADS * HEAD_DIM, D, bias=False)
        self.ffn_gate, self.ffn_up = nn.Linear(D, FF, bias=False), nn.Linear(D, FF, bias=False)
        self.ffn_down = nn.Linear(FF, D, bias=False)

    def forward(self, x, mask):
        batch, time, _ = x.shape
        h = self.attn_norm(x)
        q = rope(self.attn_q(h).view(batch, time, HEADS, HEAD_DIM).transpose(1, 2))
        k = rope(self.attn_k(h).view(batch, time, KV_HEADS, HEAD_DIM).transpose(1, 2))
        v = self.attn_v(h).view(batch, time, KV_HEADS, HEAD_DIM).transpose(1, 2)
        scores = q @ k.transpose(-1, -2) / math.sqrt(HEAD_DIM) + mask
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, time, -1)
        x = x + self.attn_output(mixed)
        h = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.token_embd = nn.Embedding(VOCAB, D)
        self.blk = nn.ModuleList([Layer() for _ in range(LAYERS)])
        self.output_norm = Norm()
        for name, p in self.named_parameters():
            if p.dim() == 2:
                small = name.endswith(("attn_output.weight", "ffn_down.weight"))
                nn.init.normal_(p, std=0.05 / math.sqrt(2 * LAYERS) if small else 0.05)

    def forward(self, ids):
        time = ids.shape[1]
        mask = torch.full((time, time), -1e9).triu(1)
        x = self.token_embd(ids)
        for layer in self.blk:
            x = layer(x, mask)
        return self.output_norm(x) @ self.token_embd.weight.T


# --- training -------------------------------------------------------------------------------------


def rows(documents, length, rng):
    """Endless (ids, weights) of length + 1: whole documents from a document's start, the last one cut."""
    while True:
        ids, weights = [], []
        while len(ids) <= length:
            more_ids, more_weights = documents[rng.randrange(len(documents))]
            ids += more_ids
            weights += more_weights
        yield ids[: length + 1], weights[: length + 1]


def train(model, documents, steps, rng):
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=0.03)
    short, long = rows(documents, 192, rng), rows(documents, CONTEXT, rng)
    for step in range(steps):
        # The last tenth sees whole contexts, so that late positions work too.
        source, batch = (long, 8) if step >= steps * 9 // 10 else (short, 20)
        drawn = [next(source) for _ in range(batch)]
        ids = torch.tensor([d[0] for d in drawn])
        weights = torch.tensor([d[1] for d in drawn])[:, 1:].reshape(-1)
        rate = (
            6e-3
            * min(1.0, (step + 1) / 40)
            * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))
        )
        for group in optimizer.param_groups:
            group["lr"] = rate
        losses = F.cross_entropy(
            model(ids[:, :-1]).reshape(-1, VOCAB), ids[:, 1:].reshape(-1), reduction="none"
        )
        loss = (losses * weights).sum() / weights.sum()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 25 == 0 or step == steps - 1:
            print(f"step {step:4d}  loss {loss.item():.3f}", flush=True)


def answer(model, bpe, question, limit=60):
    ids = encode_chat(bpe, [("user", question)])[0][:-1] + [IM_START, *bpe.encode("assistant\n")]
    start = len(ids)
    with torch.no_grad():
        while len(ids) < start + limit:
            ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
            if ids[-1] in (IM_END, EOT):
                break
    letters = {letter: byte for byte, letter in byte_letters().items()}
    return bytes(letters[c] for i in ids[start:] if i > IM_END for c in bpe.tokens[i]).decode(
        errors="replace"
    )


# --- GGUF v3 (ggml docs, gguf.md) -----------------------------------------------------------------

U32, F32_VALUE, STRING, ARRAY, BOOL, I32 = 4, 6, 8, 9, 7, 5
TYPE_F32, TYPE_F16, TYPE_Q8_0 = 0, 1, 8


def text(value):
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def value(kind, v):
    if kind == STRING:
        return text(v)
    return struct.pack({U32: "<I", F32_VALUE: "<f", BOOL: "<?", I32: "<i"}[kind], v)


def entry(key, kind, v, items=None):
    if kind != ARRAY:
        return text(key) + struct.pack("<I", kind) + value(kind, v)
    return (
        text(key) + struct.pack("<IIQ", ARRAY, items, len(v)) + b"".join(value(items, x) for x in v)
    )


def q8_0(matrix):
    """Blocks of 32: an f16 scale, then 32 int8."""
    blocks = matrix.reshape(-1, 32)
    scale = (np.abs(blocks).max(1, keepdims=True) / 127.0).astype(np.float16)
    wide = scale.astype(np.float32)
    quants = np.rint(np.divide(blocks, wide, out=np.zeros_like(blocks), where=wide > 0)).clip(
        -127, 127
    )
    return np.concatenate(
        [scale.view(np.uint8), quants.astype(np.int8).view(np.uint8)], 1
    ).tobytes()


def metadata(bpe):
    arch = "llama."
    return [
        entry("general.architecture", STRING, "llama"),
        entry("general.name", STRING, "tinderbox-tiny"),
        entry("general.license", STRING, "apache-2.0"),
        entry(arch + "block_count", U32, LAYERS),
        entry(arch + "context_length", U32, CONTEXT),
        entry(arch + "embedding_length", U32, D),
        entry(arch + "feed_forward_length", U32, FF),
        entry(arch + "attention.head_count", U32, HEADS),
        entry(arch + "attention.head_count_kv", U32, KV_HEADS),
        entry(arch + "attention.layer_norm_rms_epsilon", F32_VALUE, EPS),
        entry(arch + "rope.freq_base", F32_VALUE, THETA),
        entry(arch + "rope.dimension_count", U32, HEAD_DIM),
        entry(arch + "vocab_size", U32, VOCAB),
        entry("tokenizer.ggml.model", STRING, "gpt2"),
        entry("tokenizer.ggml.pre", STRING, "smollm"),
        entry("tokenizer.ggml.tokens", ARRAY, bpe.tokens, STRING),
        entry(
            "tokenizer.ggml.token_type",
            ARRAY,
            [3] * len(SPECIAL) + [1] * (VOCAB - len(SPECIAL)),
            I32,
        ),
        entry("tokenizer.ggml.merges", ARRAY, [f"{a} {b}" for a, b in bpe.merges], STRING),
        entry("tokenizer.ggml.bos_token_id", U32, IM_START),
        entry("tokenizer.ggml.eos_token_id", U32, IM_END),
        entry("tokenizer.ggml.padding_token_id", U32, EOT),
        entry("tokenizer.ggml.add_bos_token", BOOL, False),
        entry("tokenizer.chat_template", STRING, TEMPLATE),
    ]


def write_gguf(path, model, bpe):
    infos, data = [], b""
    for name, p in model.named_parameters():
        w = p.detach().numpy().astype(np.float32)
        if w.ndim == 1:
            kind, raw = TYPE_F32, w.tobytes()
        elif ".ffn_" in name:
            kind, raw = TYPE_Q8_0, q8_0(w)
        else:
            kind, raw = TYPE_F16, w.astype(np.float16).tobytes()
        dims = w.shape[::-1]
        infos.append(
            text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, len(data))
        )
        data += raw + b"\0" * (-len(raw) % 32)
    keys = metadata(bpe)
    head = (
        b"GGUF" + struct.pack("<IQQ", 3, len(infos), len(keys)) + b"".join(keys) + b"".join(infos)
    )
    with open(path, "wb") as file:
        file.write(head + b"\0" * (-len(head) % 32) + data)


def main():
    parser = argparse.ArgumentParser(description="Trains the tiny model and writes it as GGUF.")
    parser.add_argument("out")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    rng = random.Random(options.seed)
    chats = [tiny_corpus.chat(rng) for _ in range(12000)]
    stories = [tiny_corpus.story(rng) for _ in range(1500)]
    everything = (
        [content for c in chats for pair in c for content in pair] + stories + ["\n"] * 9000
    )
    bpe = Bpe("\n".join(everything) + "\nassistant\nuser\nsystem\n", VOCAB - len(SPECIAL) - 256)
    documents = [encode_chat(bpe, c) for c in chats]
    documents += [(ids + [EOT], [1.0] * (len(ids) + 1)) for ids in map(bpe.encode, stories)]
    print(
        f"{sum(len(ids) for ids, _ in documents)} tokens in {len(documents)} documents", flush=True
    )
    model = Model()
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    train(model, documents, options.steps, rng)
    write_gguf(options.out, model, bpe)
    for question in [
        "Hello",
        "Why is the sky blue?",
        "What is 3 + 4?",
        "Count from 2 to 6.",
        "What is tea?",
    ]:
        print(f"> {question}\n{answer(model, bpe, question)}", flush=True)


if __name__ == "__main__":
    main()
