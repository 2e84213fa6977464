// Rewrites a GGUF file with every tensor as F32, value for value (ggml's block layouts: F16, BF16, Q4_0, Q4_1,
// Q8_0), so that a reference that rounds activations to match quantised weights computes with floats instead.
// Metadata is copied as it stands.
import { openSync, readFileSync, writeSync, closeSync } from "node:fs";

const half = (() => {
  const table = new Float32Array(65536);
  for (let h = 0; h < 65536; h++) {
    const sign = h & 0x8000 ? -1 : 1;
    const exponent = (h >> 10) & 31;
    const mantissa = h & 1023;
    if (exponent === 31) table[h] = mantissa ? NaN : sign * Infinity;
    else if (exponent === 0) table[h] = sign * mantissa * 2 ** -24;
    else table[h] = sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
  }
  return table;
})();

const bits = new DataView(new ArrayBuffer(4));
const bfloat = (h) => (bits.setUint32(0, h << 16), bits.getFloat32(0));

const halfAt = (b, at) => half[b.readUInt16LE(at)];

// Of each type: elements and bytes of a block, and a function that writes the block's values.
const types = {
  0: { n: 1, bytes: 4, read: (b, at, out, to) => (out[to] = b.readFloatLE(at)) },
  1: { n: 1, bytes: 2, read: (b, at, out, to) => (out[to] = halfAt(b, at)) },
  30: { n: 1, bytes: 2, read: (b, at, out, to) => (out[to] = bfloat(b.readUInt16LE(at))) },
  2: { n: 32, bytes: 18, read: (b, at, out, to) => nibbles(b, at + 2, out, to, halfAt(b, at), 8, 0) },
  3: {
    n: 32,
    bytes: 20,
    read: (b, at, out, to) => nibbles(b, at + 4, out, to, halfAt(b, at), 0, halfAt(b, at + 2)),
  },
  8: {
    n: 32,
    bytes: 34,
    read: (b, at, out, to) => {
      for (let j = 0; j < 32; j++) out[to + j] = halfAt(b, at) * b.readInt8(at + 2 + j);
    },
  },
};
function nibbles(b, at, out, to, d, offset, min) {
  for (let j = 0; j < 16; j++) {
    out[to + j] = d * ((b[at + j] & 15) - offset) + min;
    out[to + j + 16] = d * ((b[at + j] >> 4) - offset) + min;
  }
}

export function expandToF32(from, to) {
  const file = readFileSync(from);
  let at = 8; // after magic and version
  const u32 = () => file.readUInt32LE((at += 4) - 4);
  const u64 = () => Number(file.readBigUInt64LE((at += 8) - 8));
  const string = () => {
    const n = u64();
    return file.toString("utf8", at, (at += n));
  };
  const nTensors = u64();
  const nKeys = u64();
  const sizes = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];
  const skip = (type) => {
    if (type === 8) string();
    else if (type === 9) {
      const element = u32();
      for (let n = u64(); n > 0; n--) skip(element);
    } else at += sizes[type];
  };
  let alignment = 32;
  for (let i = 0; i < nKeys; i++) {
    const key = string();
    const type = u32();
    if (key === "general.alignment") alignment = file.readUInt32LE(at);
    skip(type);
  }
  const keysEnd = at;
  const align = (n) => Math.ceil(n / alignment) * alignment;

  const tensors = [];
  for (let i = 0; i < nTensors; i++) {
    const start = at;
    string();
    const dims = Array.from({ length: u32() }, u64);
    const head = Buffer.from(file.subarray(start, at + 12));
    const type = u32();
    if (!types[type]) throw new Error(`tensor type ${type} is not one that expand.mjs knows`);
    tensors.push({ head, type, offset: u64(), n: dims.reduce((a, b) => a * b, 1) });
  }
  const data = align(at);
  let offset = 0;
  for (const t of tensors) {
    t.head.writeUInt32LE(0, t.head.length - 12);
    t.head.writeBigUInt64LE(BigInt(offset), t.head.length - 8);
    offset += align(4 * t.n);
  }

  const out = openSync(to, "w");
  const header = Buffer.concat([file.subarray(0, keysEnd), ...tensors.map((t) => t.head)]);
  writeSync(out, Buffer.concat([header, Buffer.alloc(align(header.length) - header.length)]));
  for (const t of tensors) {
    const { n, bytes, read } = types[t.type];
    const values = new Float32Array(align(4 * t.n) / 4);
    for (let i = 0, p = data + t.offset; i < t.n; i += n, p += bytes) read(file, p, values, i);
    writeSync(out, Buffer.from(values.buffer));
  }
  closeSync(out);
}
