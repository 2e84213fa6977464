// node openai_client.mjs URL: the official npm client against a running server, unchanged, as a user has it.
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { check, finish } from './harness.mjs';

const url = process.argv[2];
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0, timeout: 120_000 });
const model = (await client.models.list()).data[0].id;
const tiny = model.includes('tiny');
const question = [{ role: 'user', content: 'Name the four seasons.' }];

await check('models: list and retrieve', async () => {
  const list = await client.models.list();
  assert.equal(list.data.length, 1);
  assert.equal(list.data[0].object, 'model');
  const one = await client.models.retrieve(model);
  assert.deepEqual(one.id, list.data[0].id);
  assert.equal(typeof one.created, 'number');
});

await check('chat: a whole answer with usage', async () => {
  const r = await client.chat.completions.create({ model, messages: question, max_completion_tokens: 16, temperature: 0 });
  assert.equal(r.object, 'chat.completion');
  assert.equal(r.choices.length, 1);
  assert.equal(r.choices[0].message.role, 'assistant');
  assert.ok(r.choices[0].message.content.length > 0);
  assert.ok(['stop', 'length'].includes(r.choices[0].finish_reason));
  assert.ok(r.usage.prompt_tokens > 0 && r.usage.completion_tokens > 0 && r.usage.completion_tokens <= 16);
  assert.equal(r.usage.total_tokens, r.usage.prompt_tokens + r.usage.completion_tokens);
  assert.ok(r._request_id.length > 0);
});

await check('chat: the stream says the same', async () => {
  const ask = { model, messages: question, max_completion_tokens: 16, temperature: 0 };
  const whole = await client.chat.completions.create(ask);
  const stream = await client.chat.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } });
  let text = '';
  let usage = null;
  let reason = null;
  let role = null;
  for await (const chunk of stream) {
    assert.equal(chunk.object, 'chat.completion.chunk');
    usage = chunk.usage ?? usage;
    for (const choice of chunk.choices) {
      role = choice.delta.role ?? role;
      text += choice.delta.content ?? '';
      reason = choice.finish_reason ?? reason;
    }
  }
  assert.equal(role, 'assistant');
  assert.equal(text, whole.choices[0].message.content);
  assert.equal(reason, whole.choices[0].finish_reason);
  assert.deepEqual(usage, whole.usage);
});

await check('chat: the stream helper puts it together', async () => {
  const runner = client.chat.completions.stream({ model, messages: question, max_completion_tokens: 8, temperature: 0 });
  const final = await runner.finalChatCompletion();
  assert.equal(final.choices[0].message.role, 'assistant');
  assert.ok(final.choices[0].message.content.length > 0);
});

await check('chat: system prompt, several turns, text parts', async () => {
  const r = await client.chat.completions.create({
    model,
    messages: [
      { role: 'system', content: 'Answer briefly.' },
      { role: 'user', content: [{ type: 'text', text: 'Say ' }, { type: 'text', text: 'hello.' }] },
      { role: 'assistant', content: 'Hello.' },
      { role: 'user', content: 'Again, in fewer words. \u{1F525} é' },
    ],
    max_tokens: 8,
  });
  assert.ok(r.usage.completion_tokens >= 1);
});

await check('chat: a seed repeats the answer', async () => {
  const ask = (seed) => client.chat.completions.create({ model, messages: question, max_tokens: 24, temperature: 1, seed });
  assert.equal((await ask(5)).choices[0].message.content, (await ask(5)).choices[0].message.content);
});

await check('completions: whole and streamed, with a stop string', async () => {
  const ask = { model, prompt: 'One, two, three, four, five, six,', max_tokens: 24, temperature: 0 };
  const whole = await client.completions.create(ask);
  assert.equal(whole.object, 'text_completion');
  const full = whole.choices[0].text;
  assert.ok(full.length > 4);
  let text = '';
  for await (const chunk of await client.completions.create({ ...ask, stream: true })) text += chunk.choices[0].text;
  assert.equal(text, full);
  const stop = full.slice(2, 5);
  const stopped = await client.completions.create({ ...ask, stop });
  assert.equal(stopped.choices[0].text, full.slice(0, full.indexOf(stop)));
  assert.equal(stopped.choices[0].finish_reason, 'stop');
});

await check('many at once', async () => {
  const ask = (i) => client.chat.completions.create({ model, messages: [{ role: 'user', content: `Count to ${i}.` }], max_tokens: 8 });
  const answers = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(ask));
  for (const a of answers) assert.ok(a.usage.completion_tokens >= 1);
  assert.equal(new Set(answers.map((a) => a.id)).size, 8);
});

await check('several answers to one question', async () => {
  const ask = { model, messages: question, max_tokens: 12, temperature: 1, n: 3, seed: 11 };
  const whole = await client.chat.completions.create(ask);
  assert.deepEqual(whole.choices.map((c) => c.index), [0, 1, 2]);
  const texts = whole.choices.map((c) => c.message.content);
  assert.ok(new Set(texts).size > 1, 'drawn by different seeds');
  const streamed = ['', '', ''];
  const ends = [];
  for await (const chunk of await client.chat.completions.create({ ...ask, stream: true })) {
    for (const c of chunk.choices) {
      streamed[c.index] += c.delta.content ?? '';
      if (c.finish_reason) ends.push(c.index);
    }
  }
  assert.deepEqual(streamed, texts);
  assert.deepEqual(ends.toSorted(), [0, 1, 2]);
  assert.equal(whole.usage.completion_tokens <= 36 && whole.usage.completion_tokens >= 3, true);
});

await check('several prompts, echoed', async () => {
  const prompts = ['One, two,', 'Red, green,'];
  const r = await client.completions.create({ model, prompt: prompts, max_tokens: 4, temperature: 0, echo: true });
  assert.equal(r.choices.length, 2);
  r.choices.forEach((c, i) => assert.ok(c.text.startsWith(prompts[i]), c.text));
});

await check('logprobs are probabilities of what was said', async () => {
  const ask = { model, messages: question, max_tokens: 6, temperature: 0, logprobs: true, top_logprobs: 5 };
  const r = await client.chat.completions.create(ask);
  const { content } = r.choices[0].logprobs;
  assert.equal(Buffer.from(content.flatMap((t) => t.bytes)).toString(), r.choices[0].message.content);
  for (const t of content) {
    assert.equal(t.top_logprobs.length, 5);
    assert.equal(t.top_logprobs[0].logprob, t.logprob, 'the likeliest, at temperature 0');
    const sum = t.top_logprobs.reduce((s, x) => s + Math.exp(x.logprob), 0);
    assert.ok(sum > 0 && sum <= 1.0001, String(sum));
    for (let i = 1; i < 5; ++i) assert.ok(t.top_logprobs[i].logprob <= t.top_logprobs[i - 1].logprob);
  }
  const streamed = [];
  for await (const chunk of await client.chat.completions.create({ ...ask, stream: true })) {
    streamed.push(...(chunk.choices[0]?.logprobs?.content ?? []));
  }
  assert.deepEqual(streamed, content);
  const text = await client.completions.create({ model, prompt: 'One, two,', max_tokens: 3, temperature: 0, logprobs: 2 });
  assert.equal(text.choices[0].logprobs.tokens.join(''), text.choices[0].text);
  assert.equal(text.choices[0].logprobs.text_offset[0], 0);
});

await check('a bias forbids a token, and a penalty repetition', async () => {
  const ask = { model, prompt: 'One, two, three,', max_tokens: 1, temperature: 0, logprobs: 1 };
  const first = (await client.completions.create(ask)).choices[0].text;
  const { tokens } = await (await fetch(new URL('/tokenize', url), { method: 'POST', body: JSON.stringify({ model, prompt: `One, two, three,${first}` }) })).json();
  const other = (await client.completions.create({ ...ask, logit_bias: { [tokens.at(-1)]: -100 } })).choices[0].text;
  assert.notEqual(other, first);
  const again = await client.completions.create({ ...ask, prompt: 'a a a a a a a a', max_tokens: 24, frequency_penalty: 2, presence_penalty: 2 });
  const words = again.choices[0].text.trim().split(/\s+/);
  assert.ok(new Set(words).size > 1, again.choices[0].text);
});

await check('JSON is enforced, whatever the temperature', async () => {
  const ask = { model, messages: [{ role: 'user', content: 'Describe a cat as JSON.' }], max_tokens: 200, temperature: 1.5, seed: 3 };
  const schema = {
    type: 'object',
    properties: { name: { type: 'string', maxLength: 12 }, lives: { type: 'integer', minimum: 1, maximum: 9 }, colour: { enum: ['black', 'red'] } },
    required: ['name', 'lives', 'colour'],
    additionalProperties: false,
  };
  for (let seed = 1; seed <= 3; ++seed) {
    const r = await client.chat.completions.create({ ...ask, seed, response_format: { type: 'json_schema', json_schema: { name: 'cat', schema, strict: true } } });
    assert.equal(r.choices[0].finish_reason, 'stop', r.choices[0].message.content);
    const cat = JSON.parse(r.choices[0].message.content);
    assert.deepEqual(Object.keys(cat), ['name', 'lives', 'colour']);
    assert.ok(cat.lives >= 1 && cat.lives <= 9 && ['black', 'red'].includes(cat.colour), JSON.stringify(cat));
  }
  const free = await client.chat.completions.create({ ...ask, response_format: { type: 'json_object' }, temperature: 0, max_tokens: 400 });
  const { content } = free.choices[0].message;
  assert.equal(content[0], '{');
  if (free.choices[0].finish_reason === 'stop') JSON.parse(content);
  const refused = await client.chat.completions.create({ ...ask, response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { type: 'string', pattern: '(a)\\1' } } } }).catch((e) => e);
  assert.ok(refused instanceof OpenAI.BadRequestError && /pattern/.test(refused.message), String(refused));
  const plate = await client.chat.completions.create({ ...ask, response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { type: 'string', pattern: '^[A-Z]{2}-[0-9]{1,4}$' } } } });
  assert.match(JSON.parse(plate.choices[0].message.content), /^[A-Z]{2}-[0-9]{1,4}$/);
});

await check('a function that must be called is called, with arguments of its schema', async () => {
  const tools = [
    { type: 'function', function: { name: 'get_weather', description: 'Weather of a city', parameters: { type: 'object', properties: { city: { type: 'string', maxLength: 20 }, unit: { enum: ['C', 'F'] } }, required: ['city', 'unit'], additionalProperties: false } } },
    { type: 'function', function: { name: 'get_time', parameters: { type: 'object', properties: {}, additionalProperties: false } } },
  ];
  const ask = { model, messages: [{ role: 'user', content: 'How warm is it in Ulm?' }], tools, max_tokens: 120, temperature: 0.7, seed: 5 };
  const r = await client.chat.completions.create({ ...ask, tool_choice: { type: 'function', function: { name: 'get_weather' } } });
  assert.equal(r.choices[0].finish_reason, 'tool_calls');
  const [call] = r.choices[0].message.tool_calls;
  assert.equal(call.function.name, 'get_weather');
  const { city, unit } = JSON.parse(call.function.arguments);
  assert.ok(typeof city === 'string' && ['C', 'F'].includes(unit), call.function.arguments);
  assert.equal(r.choices[0].message.content, null);
  const runner = client.chat.completions.stream({ ...ask, tool_choice: 'required' });
  const final = await runner.finalChatCompletion();
  assert.ok(['get_weather', 'get_time'].includes(final.choices[0].message.tool_calls[0].function.name));
  assert.equal(final.choices[0].finish_reason, 'tool_calls');
  const answered = await client.chat.completions.create({
    model, tools, max_tokens: 8,
    messages: [...ask.messages, r.choices[0].message, { role: 'tool', tool_call_id: call.id, content: '21 C' }],
  });
  assert.ok(answered.usage.prompt_tokens > r.usage.prompt_tokens);
  const refused = async (more) => {
    const e = await client.chat.completions.create({ ...ask, ...more }).catch((x) => x);
    assert.ok(e instanceof OpenAI.BadRequestError, String(e));
  };
  await refused({ tool_choice: { type: 'function', function: { name: 'nobody' } } });
  await refused({ tools: [{ type: 'function', function: { name: 'bad name!' } }] });
  await refused({ tools: undefined, tool_choice: 'required' });
});

await check('embeddings: unit vectors, nearer for what is alike', async () => {
  const input = ['The cat sat on the mat.', 'A cat is sitting on a mat.', 'Quarterly revenue grew by 4 %.'];
  const r = await client.embeddings.create({ model, input });
  assert.deepEqual(r.data.map((d) => d.index), [0, 1, 2]);
  const [a, b, c] = r.data.map((d) => d.embedding);
  const dot = (x, y) => x.reduce((s, v, i) => s + v * y[i], 0);
  assert.ok(Math.abs(dot(a, a) - 1) < 1e-5);
  if (!tiny) assert.ok(dot(a, b) > dot(a, c), `${dot(a, b)} ${dot(a, c)}`);
  const floats = await client.embeddings.create({ model, input: input[0], encoding_format: 'float', dimensions: 8 });
  assert.equal(floats.data[0].embedding.length, 8);
  assert.ok(Math.abs(dot(floats.data[0].embedding, floats.data[0].embedding) - 1) < 1e-5);
  assert.equal(r.usage.prompt_tokens, r.usage.total_tokens);
});

await check('tokenize and detokenize are inverse', async () => {
  const post = async (path, body) => (await fetch(new URL(path, url), { method: 'POST', body: JSON.stringify(body) })).json();
  const prompt = 'Grüße, 世界! 🔥';
  const { tokens, count } = await post('/tokenize', { model, prompt });
  assert.equal(tokens.length, count);
  assert.equal((await post('/detokenize', { model, tokens })).prompt, prompt);
});

await check('errors arrive as the right classes', async () => {
  const chat = (more) => client.chat.completions.create({ model, messages: question, max_tokens: 4, ...more });
  const refused = async (promise, type, param, code) => {
    const error = await promise.then(() => assert.fail('accepted'), (e) => e);
    assert.ok(error instanceof type, `${error.constructor.name}: ${error.message}`);
    assert.equal(error.param, param, error.message);
    assert.equal(error.code, code, error.message);
    assert.equal(error.type, 'invalid_request_error');
  };
  await refused(chat({ model: 'gpt-4' }), OpenAI.NotFoundError, 'model', 'model_not_found');
  await refused(client.models.retrieve('gpt-4'), OpenAI.NotFoundError, 'model', 'model_not_found');
  await refused(chat({ temperature: 'hot' }), OpenAI.BadRequestError, 'temperature', 'invalid_type');
  await refused(chat({ max_tokens: -1 }), OpenAI.BadRequestError, 'max_tokens', 'invalid_value');
  await refused(chat({ max_tokens: 1e12 }), OpenAI.BadRequestError, 'max_tokens', 'invalid_value');
  await refused(chat({ n: 1000 }), OpenAI.BadRequestError, 'n', 'invalid_value');
  await refused(chat({ messages: [] }), OpenAI.BadRequestError, 'messages', 'invalid_value');
  await refused(chat({ logprobs: 'yes' }), OpenAI.BadRequestError, 'logprobs', 'invalid_type');
  await refused(chat({ messages: [{ role: 'user', content: 'word '.repeat(200_000) }] }), OpenAI.BadRequestError, 'messages', 'context_length_exceeded');
  await refused(client.embeddings.create({ model, input: [] }), OpenAI.BadRequestError, 'input', 'invalid_value');
  await refused(client.embeddings.create({ model, input: 'x', dimensions: 1e9 }), OpenAI.BadRequestError, 'dimensions', 'invalid_value');
});

await check('an aborted stream leaves the server serving', async () => {
  const stream = await client.chat.completions.create({ model, messages: question, max_tokens: 500, stream: true });
  for await (const chunk of stream) {
    if (chunk.choices[0]?.delta.content) break; // leaving the loop aborts
  }
  const controller = new AbortController();
  const pending = client.chat.completions.create({ model, messages: question, max_tokens: 500 }, { signal: controller.signal });
  setTimeout(() => controller.abort(), 20);
  const outcome = await pending.catch((e) => e); // a fast server may have answered by then
  assert.ok(outcome instanceof OpenAI.APIUserAbortError || outcome.object === 'chat.completion', String(outcome));
  const r = await client.chat.completions.create({ model, messages: question, max_tokens: 4 });
  assert.equal(r.choices[0].message.role, 'assistant');
});

finish();
