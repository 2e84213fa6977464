// node http_load.mjs URL [CONNECTIONS] [SECONDS]: load on a running server (best: `serve --weightless`) over raw sockets,
// as one JSON line: plain requests a second, streams and streamed tokens a second, and the time of a plain request
// while the streams are open. The client shares the computer with the server, so these are lower bounds.
import { connect } from 'node:net';

const url = new URL(process.argv[2] ?? 'http://127.0.0.1:8080');
const nConnections = Number(process.argv[3] ?? 32);
const seconds = Number(process.argv[4] ?? 5);
const model = (await (await fetch(new URL('/v1/models', url))).json()).data[0].id;

const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello.' }], max_tokens: 64, stream: true });
const kPlain = 'GET /health HTTP/1.1\r\nHost: x\r\n\r\n';
const kStream = `POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

// Sends `request` again and again on one connection until `deadline`; `finished(text)` says whether a reply is whole.
function worker(request, finished, deadline, count) {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(url.port || 80), url.hostname, () => socket.write(request));
    socket.setNoDelay(true);
    let got = '';
    let started = performance.now();
    socket.on('error', reject);
    socket.on('data', (data) => {
      got += data.toString('latin1');
      if (!finished(got)) return;
      if (!got.startsWith('HTTP/1.1 200')) return reject(new Error(got.slice(0, 300)));
      count(got, performance.now() - started);
      got = '';
      started = performance.now();
      if (started < deadline) return socket.write(request);
      socket.destroy();
      resolve();
    });
  });
}

const plainDone = (text) => text.endsWith('{"status":"ok"}');
const streamDone = (text) => text.includes('data: [DONE]\n\n') || (text.includes('"error"') && text.endsWith('}'));
const percentile = (sorted, p) => sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))];

async function run(n, request, finished) {
  const start = performance.now();
  const deadline = start + seconds * 1000;
  let replies = 0;
  let tokens = 0;
  const times = [];
  const count = (text, ms) => {
    replies++;
    times.push(ms);
    tokens += text.split('"content":"').length - 1;
  };
  await Promise.all(Array.from({ length: n }, () => worker(request, finished, deadline, count)));
  const s = (performance.now() - start) / 1000;
  times.sort((a, b) => a - b);
  return { perSecond: replies / s, tokensPerSecond: tokens / s, p50: percentile(times, 0.5), p99: percentile(times, 0.99) };
}

const plain = await run(nConnections, kPlain, plainDone);
const [streams, during] = await Promise.all([run(nConnections, kStream, streamDone), run(1, kPlain, plainDone)]);
console.log(JSON.stringify({
  connections: nConnections,
  requests_per_s: Math.round(plain.perSecond),
  request_p50_s: plain.p50 / 1000,
  request_p99_s: plain.p99 / 1000,
  streams_per_s: Math.round(streams.perSecond),
  streamed_chunks_per_s: Math.round(streams.tokensPerSecond),
  request_p50_during_streams_s: during.p50 / 1000,
}));
