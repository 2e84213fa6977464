// What the soak's clients do: each act asks the box for something and says what may come of it. Acts draw from a
// random stream of their own client, so a seed names the same acts again (not the same times).
import { request_bytes } from './wire.mjs';

// mulberry32: small, and the same everywhere.
export function random_of(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const below = (n) => Math.floor(next() * n);
  return { next, below, between: (a, b) => a + below(b - a + 1), of: (list) => list[below(list.length)], odds: (p) => next() < p };
}

// In every prompt, and to be found nowhere afterwards.
export const PROMPT_MARK = 'quicksilver-letter';
const WORDS = 'the spark in a tinder box was lit by steel and flint, and a dog with eyes as big as saucers came'.split(' ');
const text = (r, n) => `${PROMPT_MARK} ${Array.from({ length: n }, () => r.of(WORDS)).join(' ')}`;
// As many as are soon all in the prefix cache: what it keeps of prompts that are new for ever would look like a leak.
const PROMPTS = Array.from({ length: 60 }, (_, i) => {
  const r = random_of(i);
  return text(r, i % 10 === 0 ? r.between(200, 1500) : r.between(1, 40));
});
const prompt = (r) => r.of(PROMPTS);

const SCHEMA = {
  type: 'object',
  properties: { name: { type: 'string', maxLength: 12 }, n: { type: 'integer', minimum: 0, maximum: 99 }, tags: { type: 'array', items: { enum: ['a', 'b'] }, maxItems: 3 } },
  required: ['name', 'n'],
  additionalProperties: false,
};
const TOOL = { type: 'function', function: { name: 'light', description: 'lights it', parameters: { type: 'object', properties: { where: { type: 'string' } }, required: ['where'] } } };

// 429: the queue is full or the key's limit reached; 503: a model could not be loaded, or the box went down.
const ANSWERED = [200, 429, 503];

// A model, and how many tokens to ask of it: few of a slow one, so that others have their turn.
function asked(r, ctx) {
  const model = ctx.model(r);
  return { model, n: r.between(1, ctx.slow.includes(model) ? 8 : ctx.tokens_max) };
}

function sampling(r, body) {
  if (r.odds(0.3)) body.temperature = r.between(0, 20) / 10;
  if (r.odds(0.2)) body.seed = r.below(1000);
  if (r.odds(0.15)) body.stop = [r.of(WORDS), 'ipsum'];
  if (r.odds(0.1)) body.top_p = 0.9;
  return body;
}

function chat(r, ctx) {
  const { model, n } = asked(r, ctx);
  const body = sampling(r, { model, messages: [{ role: 'user', content: prompt(r) }], max_tokens: n });
  if (r.odds(0.5)) body.messages.unshift({ role: 'system', content: PROMPTS[1] });
  if (r.odds(0.15)) body.n = r.between(2, 3);
  if (r.odds(0.15)) Object.assign(body, { logprobs: true, top_logprobs: 2 });
  if (ctx.weightless && body.logprobs) delete body.logprobs, delete body.top_logprobs;
  if (r.odds(0.15)) body.response_format = { type: 'json_schema', json_schema: { name: 'x', strict: true, schema: SCHEMA } };
  else if (r.odds(0.1)) Object.assign(body, { tools: [TOOL], tool_choice: r.of(['auto', 'required', 'none']) });
  return streamed(r, '/v1/chat/completions', body, 'usage');
}
function completion(r, ctx) {
  const { model, n } = asked(r, ctx);
  const body = sampling(r, { model, prompt: prompt(r), max_tokens: n });
  if (r.odds(0.2)) body.n = 2;
  return streamed(r, '/v1/completions', body, 'usage');
}
function responses(r, ctx) {
  const { model, n } = asked(r, ctx);
  const body = { model, input: prompt(r), max_output_tokens: n, store: r.odds(0.7) };
  if (r.odds(0.3) && ctx.last_response) body.previous_response_id = ctx.last_response;
  const act = streamed(r, '/v1/responses', body);
  // One that is stored may have made room for others since; a conversation may have outgrown the context.
  if (body.previous_response_id) act.expect = [...ANSWERED, 400, 404];
  act.then = (reply) => {
    if (reply.status === 200 && !act.streams && body.store && !body.previous_response_id) ctx.last_response = JSON.parse(reply.body).id;
  };
  return act;
}
function stored(r, ctx) {
  const path = `/v1/responses/${ctx.last_response ?? 'resp_none'}`;
  return { method: r.odds(0.3) ? 'DELETE' : 'GET', path, expect: [200, 404] };
}
function streamed(r, path, body, usage) {
  const streams = r.odds(0.5);
  if (streams) body.stream = true;
  if (streams && usage && r.odds(0.5)) body.stream_options = { include_usage: true };
  return { method: 'POST', path, body: JSON.stringify(body), expect: ANSWERED, streams };
}
function ollama(r, ctx) {
  const { model, n } = asked(r, ctx);
  const options = { num_predict: n };
  const chats = r.odds(0.5);
  const body = chats ? { model, messages: [{ role: 'user', content: prompt(r) }], options } : { model, prompt: prompt(r), options };
  body.stream = r.odds(0.6);
  return { method: 'POST', path: chats ? '/api/chat' : '/api/generate', body: JSON.stringify(body), expect: ANSWERED, lines: body.stream };
}
function embeddings(r, ctx) {
  const input = r.odds(0.5) ? prompt(r) : [prompt(r), prompt(r)];
  const form = r.of(['float', 'base64']);
  const [path, body] = r.of([['/v1/embeddings', { input, encoding_format: form }], ['/api/embed', { input }]]);
  return { method: 'POST', path, body: JSON.stringify({ model: ctx.model(r), ...body }), expect: ctx.weightless ? [...ANSWERED, 400, 501] : ANSWERED };
}
function tokenize(r, ctx) {
  return { method: 'POST', path: '/tokenize', body: JSON.stringify({ model: ctx.model(r), prompt: prompt(r) }), expect: ctx.weightless ? [200, 400] : [200] };
}
const looks = (r) => ({ path: r.of(['/v1/models', '/api/tags', '/api/ps', '/api/version', '/version', '/health', '/metrics', '/box/state', '/box/models', '/box/faults', '/box/history?seconds=60', '/box/catalogue', '/', '/index.html']), expect: [200, 503] });

// Things that must be refused.
function malformed(r, ctx) {
  const deep = '['.repeat(r.between(1, 20_000));
  const bodies = ['', '{', 'null', '[]', '{"model":1}', deep, `{"model":"${ctx.models[0]}"}`, '\xff\xfe', `{"model":"${ctx.models[0]}","messages":[]}`,
    `{"model":"${ctx.models[0]}","messages":[{"role":"user","content":"${PROMPT_MARK}"}],"max_tokens":-1,"options":{"num_predict":2}}`, `{"model":"nobody","messages":[{"role":"user","content":"x"}]}`];
  const path = r.of(['/v1/chat/completions', '/v1/completions', '/v1/responses', '/v1/embeddings', '/api/chat', '/api/embed', '/tokenize']);
  // To Ollama, no message is a wish to have the model loaded.
  return { method: 'POST', path, body: r.of(bodies), expect: path === '/api/chat' ? [200, 400, 404] : [400, 404] };
}
const unknown = (r) => r.of([
  { path: '/v1/nothing', expect: [404] },
  { method: 'POST', path: '/nothing', body: '{}', expect: [404] },
  { method: 'DELETE', path: '/v1/chat/completions', expect: [405] },
  { method: 'PUT', path: '/health', body: 'x', expect: [405] },
  { method: 'BREW', path: '/v1/models', expect: [405] },
  { path: '/../../etc/passwd', expect: [404] },
  { path: '/box/history?seconds=-1', expect: [400] },
  { method: 'POST', path: '/api/pull', body: '{"model":"x"}', expect: [501] },
  { method: 'POST', path: '/box/what-if/predict', body: '{"model":"/etc/passwd"}', expect: [400] },
]);
const what_if = () => ({ method: 'POST', path: '/box/what-if/predict', body: '{"model":"qwen3-8b","prompt":512,"gen":64}', expect: [200, 429, 503] });
function too_large(r) {
  const raw = r.of([
    () => request_bytes({ method: 'POST', path: '/v1/completions', headers: { 'content-length': 9_000_000 } }),
    () => request_bytes({ path: '/health', headers: { 'x-long': 'x'.repeat(r.between(33_000, 200_000)) } }),
    () => request_bytes({ path: '/' + 'x'.repeat(r.between(33_000, 200_000)) }),
    () => Buffer.concat([Buffer.from('POST /tokenize HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n900000\r\n'), Buffer.alloc(9_437_184, 120)]),
  ])();
  return { raw, path: 'too large', expect: [413, 431], unlogged: true };
}
function not_http(r) {
  const noise = Buffer.from(Array.from({ length: r.between(1, 300) }, () => r.below(256)));
  const raw = r.of([() => noise, () => Buffer.from('GET / HTTP/9.9\r\n\r\n'), () => Buffer.from('\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'),
    () => Buffer.from('POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: nine\r\n\r\n{}'),
    () => Buffer.from('POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n')])();
  // Some noise is the beginning of something: then we give up, or the server does.
  return { raw, path: 'not HTTP', expect: [400, 431], unlogged: true, may_close: true, cut_ms: r.between(50, 500), fresh: true };
}
function wrong_key(r, ctx) {
  const act = r.odds(0.5) ? chat(r, ctx) : { path: r.of(['/v1/models', '/metrics', '/box/state', '/box/keys']) };
  const key = r.of([undefined, ctx.make_wrong_key(r), ...ctx.revoked.slice(-3)]);
  return { ...act, key, keyless: key === undefined, expect: [401], streams: false };
}
function not_a_manager(r) {
  return { ...r.of([{ path: '/box/keys' }, { method: 'POST', path: '/box/faults', body: '{"name":"power-off"}' }, { method: 'POST', path: '/box/models/load', body: '{}' }]), expect: [403] };
}
function events(r) {
  return { path: '/box/events', expect: [200], cut_ms: r.between(100, 3000), pause_ms: r.odds(0.5) ? 500 : 0 };
}
function loris(r) {
  return { raw: request_bytes({ path: '/health' }).subarray(0, r.between(1, 20)), path: 'half a header', expect: [], unlogged: true, may_close: true, cut_ms: r.odds(0.3) ? 30_000 : r.between(100, 5000), fresh: true };
}
const flood = (r) => ({ path: r.of(['/metrics', '/box/state', '/']), flood: r.between(10, 60), pause_ms: r.between(200, 3000), expect: [200], fresh: true });

const ACTS = [[30, chat], [12, completion], [10, responses], [3, stored], [12, ollama], [6, embeddings], [4, tokenize], [12, looks], [6, malformed], [4, unknown],
  [1, what_if], [1, too_large], [3, not_http], [5, wrong_key], [2, not_a_manager], [3, events], [0.5, loris], [0.5, flood]];
const TOTAL = ACTS.reduce((sum, [weight]) => sum + weight, 0);

export function draw_act(r, ctx) {
  let at = r.next() * TOTAL;
  // What is stored of answers is bounded and soon full, so that it does not look like a leak.
  const act = ctx.warming() && r.odds(0.6) ? responses(r, ctx) : (ACTS.find(([weight]) => (at -= weight) < 0) ?? ACTS[0])[1](r, ctx);
  act.method ??= 'GET';
  if (!act.keyless) act.key ??= ctx.key(r);
  act.bytes = act.raw ?? request_bytes(act);
  if (act.raw || act.flood || act.cut_ms) return act;
  // A client that goes away in the middle of asking, or of reading; one that is slow to ask, or to read.
  const way = r.next();
  if (way < 0.06) Object.assign(act, { sent: r.below(act.bytes.length), half_closes: r.odds(0.5) });
  else if (way < 0.16) act.received = r.between(1, act.streams || act.lines ? 4000 : 300);
  else if (way < 0.2) act.cut_ms = r.between(0, 2000);
  else if (way < 0.26) act.pieces = r.between(2, 12);
  else if (way < 0.32) act.pause_ms = r.between(5, 300);
  return act;
}
