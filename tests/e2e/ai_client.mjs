// node ai_client.mjs URL: Vercel's AI SDK with both of its OpenAI providers (the Responses interface is one's default).
import assert from 'node:assert/strict';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { embedMany, generateText, Output, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';
import { check, finish } from './harness.mjs';

const url = process.argv[2];
const id = (await (await fetch(`${url}/v1/models`)).json()).data[0].id;
const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey: 'none' });
const compatible = createOpenAICompatible({ name: 'box', baseURL: `${url}/v1`, includeUsage: true, supportsStructuredOutputs: true });
const ways = { 'openai, responses': openai(id), 'openai, chat': openai.chat(id), 'openai-compatible': compatible(id) };
const settings = { maxRetries: 0, maxOutputTokens: 16, temperature: 0 };
const prompt = 'Name the four seasons.';
const weather = tool({
  description: 'Weather of a city',
  inputSchema: z.object({ city: z.string().max(12), unit: z.enum(['C', 'F']) }),
  execute: async ({ city, unit }) => ({ city, unit, degrees: 21 }),
});

for (const [name, model] of Object.entries(ways)) {
  await check(`${name}: whole and streamed`, async () => {
    const whole = await generateText({ ...settings, model, system: 'Be brief.', prompt });
    assert.ok(whole.text.length > 0);
    assert.ok(['stop', 'length'].includes(whole.finishReason), whole.finishReason);
    assert.ok(whole.usage.inputTokens > 0 && whole.usage.outputTokens > 0 && whole.usage.outputTokens <= 16, JSON.stringify(whole.usage));
    const errors = [];
    const stream = streamText({ ...settings, model, system: 'Be brief.', prompt, onError: (e) => errors.push(e.error) });
    let text = '';
    for await (const delta of stream.textStream) text += delta;
    assert.deepEqual(errors, []);
    assert.equal(text, whole.text);
    assert.equal(await stream.finishReason, whole.finishReason);
    assert.equal((await stream.usage).outputTokens, whole.usage.outputTokens);
  });

  await check(`${name}: an object of a schema`, async () => {
    const schema = z.object({ name: z.string().max(8), lives: z.number().int().min(1).max(9), colour: z.enum(['black', 'red']) });
    const r = await generateText({ ...settings, maxOutputTokens: 150, model, prompt: 'Describe a cat.', output: Output.object({ schema }) });
    assert.ok(schema.safeParse(r.output).success, JSON.stringify(r.output));
  });

  await check(`${name}: a tool is called, run, and its result told`, async () => {
    const r = await generateText({
      ...settings,
      maxOutputTokens: 150,
      model,
      prompt: 'How warm is it in Ulm?',
      tools: { weather },
      stopWhen: stepCountIs(2),
      prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? 'required' : 'none' }),
    });
    const [first, second] = r.steps;
    assert.equal(first.finishReason, 'tool-calls');
    assert.equal(first.toolCalls[0].toolName, 'weather');
    assert.ok(['C', 'F'].includes(first.toolCalls[0].input.unit));
    assert.equal(first.toolResults[0].output.degrees, 21);
    assert.match(JSON.stringify(second.request.body), /degrees/, 'the second step is told of the first');
    assert.ok(second.usage.outputTokens > 0 && second.toolCalls.length === 0);
    const stream = streamText({ ...settings, maxOutputTokens: 150, model, prompt: 'How warm is it in Ulm?', tools: { weather }, toolChoice: 'required' });
    const calls = [];
    for await (const part of stream.fullStream) {
      assert.notEqual(part.type, 'error', JSON.stringify(part));
      if (part.type === 'tool-call') calls.push(part);
    }
    assert.deepEqual(calls.map((c) => c.input), first.toolCalls.map((c) => c.input));
  });

  await check(`${name}: an error is told`, async () => {
    const e = await generateText({ ...settings, model, prompt: 'word '.repeat(200_000) }).catch((error) => error);
    assert.equal(e.statusCode, 400, String(e));
    assert.match(e.message, /context/);
  });
}

for (const [name, model] of Object.entries({ openai: openai.textEmbeddingModel(id), 'openai-compatible': compatible.textEmbeddingModel(id) })) {
  await check(`${name}: embeddings`, async () => {
    const { embeddings, usage } = await embedMany({ model, values: ['one', 'two'], maxRetries: 0 });
    assert.equal(embeddings.length, 2);
    assert.ok(Math.abs(embeddings[0].reduce((s, x) => s + x * x, 0) - 1) < 1e-3);
    assert.ok(usage.tokens > 0);
  });
}

await check('openai-compatible: text completion', async () => {
  const r = await generateText({ ...settings, model: compatible.completionModel(id), prompt: 'One, two, three,' });
  assert.ok(r.text.length > 0 && r.usage.outputTokens > 0);
});

finish();
