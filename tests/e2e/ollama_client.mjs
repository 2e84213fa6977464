// node ollama_client.mjs URL: the official Ollama client against the real server.
import assert from 'node:assert/strict';
import { Ollama } from 'ollama';
import { check, finish } from './harness.mjs';

const [url] = process.argv.slice(2);
const ollama = new Ollama({ host: url });
const model = (await ollama.list()).models[0].name;
const messages = [{ role: 'user', content: 'Why is the sky blue?' }];
const options = { temperature: 0, num_predict: 12, seed: 1 };

await check('list, ps, show, version', async () => {
  const { models } = await ollama.list();
  assert.ok(models[0].name.includes(':'));
  assert.ok(!Number.isNaN(Date.parse(models[0].modified_at)));
  const running = await ollama.ps();
  assert.equal(running.models[0].name, model);
  assert.ok(Date.parse(running.models[0].expires_at) > Date.now());
  const shown = await ollama.show({ model });
  assert.ok(shown.model_info['general.architecture']);
  assert.deepEqual(shown.details, models[0].details);
  assert.match((await ollama.version()).version, /^\d+\.\d+\.\d+/);
});

await check('chat, whole and streamed, is the same', async () => {
  const whole = await ollama.chat({ model, messages, options });
  assert.equal(whole.message.role, 'assistant');
  assert.equal(whole.done, true);
  assert.ok(whole.eval_count >= 1 && whole.eval_count <= 12);
  assert.ok(whole.prompt_eval_count > 0);
  let text = '';
  let last;
  for await (const part of await ollama.chat({ model, messages, options, stream: true })) {
    text += part.message.content;
    last = part;
  }
  assert.equal(text, whole.message.content);
  assert.equal(last.eval_count, whole.eval_count);
  assert.equal(last.done_reason, whole.done_reason);
  assert.ok(last.total_duration >= last.eval_duration && last.total_duration > 1000);
});

await check('generate, with and without a template', async () => {
  const whole = await ollama.generate({ model, prompt: 'Once upon a time', options });
  assert.ok(whole.response.length > 0);
  let text = '';
  for await (const part of await ollama.generate({ model, prompt: 'Once upon a time', raw: true, options, stream: true })) text += part.response;
  assert.ok(text.length > 0);
  const loaded = await ollama.generate({ model, prompt: '' });
  assert.equal(loaded.done_reason, 'load');
});

await check('format: an answer that is JSON, by a schema', async () => {
  const schema = { type: 'object', properties: { blue: { type: 'boolean' } }, required: ['blue'], additionalProperties: false };
  const whole = await ollama.chat({ model, messages, format: schema, options: { ...options, num_predict: 60 } });
  assert.equal(typeof JSON.parse(whole.message.content).blue, 'boolean');
});

await check('an abort ends an answer', async () => {
  const own = new Ollama({ host: url });
  const stream = await own.chat({ model, messages, options: { num_predict: 100000 }, stream: true });
  let n = 0;
  await assert.rejects(async () => {
    for await (const part of stream) if (++n === 2) own.abort();
  }, /abort/i);
});

await check('embeddings of one text or several', async () => {
  const { embeddings, prompt_eval_count } = await ollama.embed({ model, input: ['a', 'b'] });
  assert.equal(embeddings.length, 2);
  assert.ok(Math.abs(embeddings[0].reduce((s, x) => s + x * x, 0) - 1) < 1e-4);
  assert.ok(prompt_eval_count >= 2);
  assert.equal((await ollama.embed({ model, input: 'a' })).embeddings.length, 1);
  assert.ok((await ollama.embeddings({ model, prompt: 'a' })).embedding.length > 0);
});

await check('errors are the ones the client knows', async () => {
  await assert.rejects(ollama.chat({ model: 'no-such-model', messages }), (e) => e.status_code === 404 && /no-such-model/.test(e.message));
  await assert.rejects(ollama.chat({ model, messages: [{ role: 'user', content: 'a', images: [new Uint8Array(4)] }] }), /images/);
  await assert.rejects(ollama.pull({ model: 'llama3' }), (e) => e.status_code === 501);
  const head = await fetch(`${url}/`, { headers: { accept: 'application/json' } });
  assert.equal(await head.text(), 'Ollama is running');
});

finish();
