// Server-sent events out of a body that is read as it comes.

// Splits what has arrived: the payloads of the complete events, and the rest that is still to be completed.
export function takeEvents(buffer: string): { payloads: string[]; rest: string } {
  const parts = buffer.split(/\r?\n\r?\n/);
  const rest = parts.pop() ?? '';
  const payloads: string[] = [];
  for (const part of parts) {
    const data = part.split(/\r?\n/).filter((line) => line.startsWith('data:'));
    if (data.length) payloads.push(data.map((line) => line.slice(5).replace(/^ /, '')).join('\n'));
  }
  return { payloads, rest };
}

export async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let buffer = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const taken = takeEvents(buffer + decoder.decode(value, { stream: true }));
    buffer = taken.rest;
    yield* taken.payloads;
  }
}
