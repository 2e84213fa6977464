// Talks to the server that serves this page: the model list, a streamed chat, the metrics.

// What a failed reply says, in one sentence.
async function failure(response) {
  const text = await response.text();
  try {
    return JSON.parse(text).error.message;
  } catch {
    return `The server answered ${response.status} ${response.statusText}.`;
  }
}

export async function firstModel() {
  const response = await fetch('/v1/models');
  if (!response.ok) throw new Error(await failure(response));
  return (await response.json()).data[0];
}

// The payloads of a stream of server-sent events, as text.
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    buffer += value;
    const parts = buffer.split(/\r?\n\r?\n/);
    buffer = parts.pop();
    for (const part of parts) {
      const data = part.split(/\r?\n/).filter((l) => l.startsWith('data:')).map((l) => l.slice(5).replace(/^ /, ''));
      if (data.length) yield data.join('\n');
    }
  }
}

// Streams an answer: yields {text}, then {finish}, then {usage}. Throws Error with the server's own sentence.
export async function* chat(request, signal) {
  const response = await fetch('/v1/chat/completions', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...request, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  if (!response.ok) throw new Error(await failure(response));
  let done = false;  // read on to the end of the body, so that the connection can serve again
  for await (const data of events(response.body)) {
    done ||= data === '[DONE]';
    if (done) continue;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new Error(chunk.error.message);
    const choice = chunk.choices?.[0];
    if (choice?.delta?.content) yield { text: choice.delta.content };
    if (choice?.finish_reason) yield { finish: choice.finish_reason };
    if (chunk.usage) yield { usage: chunk.usage };
  }
  if (!done) throw new Error('The server ended the answer early; it may have stopped.');
}

// Prometheus text to {name: sum over its labels}.
export async function metrics() {
  const response = await fetch('/metrics', { signal: AbortSignal.timeout(5000) });
  if (!response.ok) throw new Error(await failure(response));
  const sums = {};
  for (const line of (await response.text()).split('\n')) {
    const match = line.match(/^([a-zA-Z_:][\w:]*)(?:\{.*\})?\s+(\S+)/);
    if (match) sums[match[1]] = (sums[match[1]] ?? 0) + Number(match[2]);
  }
  return sums;
}
