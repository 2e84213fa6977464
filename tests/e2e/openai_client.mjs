// node openai_client.mjs URL: the official npm client against a running server, unchanged, as a user has it.
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { check, finish } from './harness.mjs';

const url = process.argv[2];
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0, timeout: 120_000 });
const model = (await client.models.list()).data[0].id;
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
  await refused(chat({ n: 3 }), OpenAI.BadRequestError, 'n', 'unsupported_value');
  await refused(chat({ messages: [] }), OpenAI.BadRequestError, 'messages', 'invalid_value');
  await refused(chat({ logprobs: true }), OpenAI.BadRequestError, 'logprobs', 'unsupported_parameter');
  await refused(chat({ messages: [{ role: 'user', content: 'word '.repeat(200_000) }] }), OpenAI.BadRequestError, 'messages', 'context_length_exceeded');
  await refused(client.embeddings.create({ model, input: 'x' }), OpenAI.NotFoundError, null, 'not_found');
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
