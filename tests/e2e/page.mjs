// node page.mjs URL [SCREENSHOT.png]: the page in headless Chromium against a running server.
import assert from 'node:assert/strict';
import { accessible, close, launch, narrowEnough, open as openAt } from './browser.mjs';
import { check, finish } from './harness.mjs';

const [url, screenshot] = process.argv.slice(2);
const browser = await launch();
async function open(options = {}) {
  const page = await openAt(browser, url, 'chat', options);
  await page.waitForFunction(() => (document.getElementById('model')?.textContent ?? '…') !== '…');
  return page;
}
const answer = (page) => page.locator('.turn.assistant .text').last();
const idle = (page) => page.waitForFunction(() => document.getElementById('log').getAttribute('aria-busy') === 'false');
async function ask(page, text, maxTokens = 24) {
  await page.fill('#max-tokens', String(maxTokens));
  await page.fill('#prompt', text);
  await page.press('#prompt', 'Enter');
}

await check('the page loads, names the model and is quiet on the console', async () => {
  const page = await open();
  const { data } = await (await fetch(`${url}/v1/models`)).json();
  assert.equal(await page.textContent('#model'), data[0].id);
  assert.match(await page.title(), /Tinderbox/);
  assert.equal(await page.isVisible('.badge.weightless'), data[0].tinderbox.weightless);
  await page.waitForSelector('#m-running');
  assert.equal(await page.locator('#m-late').count() > 0, data[0].tinderbox.as !== null);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'prompt');
  assert.ok(await page.isDisabled('#send'), 'nothing to send yet');
  assert.deepEqual(page.problems, []);
  await close(page);
});

await check('an answer grows token by token, and its figures are told', async () => {
  const page = await open();
  // Every length that the answer had while it was drawn.
  await page.evaluate(() => {
    globalThis.lengths = new Set();
    new MutationObserver(() => {
      const text = document.querySelector('.turn.assistant .text');
      if (text) globalThis.lengths.add(text.textContent.length);
    }).observe(document.getElementById('log'), { childList: true, subtree: true, characterData: true });
  });
  await ask(page, 'Why is the sky blue?', 48);
  await page.waitForSelector('.figures');
  const lengths = await page.evaluate(() => [...globalThis.lengths].filter((n) => n > 0));
  assert.ok(lengths.length >= 3, `drawn at ${lengths.length} lengths only`);
  assert.ok((await answer(page).textContent()).length > 0);
  assert.equal(await page.textContent('.turn.user .text'), 'Why is the sky blue?');
  assert.match(await page.textContent('.figures'), /first token after [\d.,]+ m?s · [\d.,]+ tokens\/s · [\d,]+ tokens? after a prompt of [\d,]+/);
  assert.match(await page.textContent('#announce'), /Answer complete/);
  if (screenshot) {
    await page.waitForFunction(() => /\d/.test(document.getElementById('m-rate').textContent));
    await page.screenshot({ path: screenshot });
  }
  await accessible(page, 'after an answer');
  assert.deepEqual(page.problems, []);
  await close(page);
});

await check('a second message carries the first, a new chat forgets both', async () => {
  const page = await open();
  const bodies = [];
  page.on('request', (r) => r.url().endsWith('/v1/chat/completions') && bodies.push(r.postDataJSON()));
  await page.fill('#temperature', '0');
  for (const text of ['One', 'Two']) {
    const n = await page.locator('.figures').count();
    await ask(page, text, 4);
    await page.waitForFunction((k) => document.querySelectorAll('.figures').length > k, n);
  }
  await page.click('#new-chat');
  assert.equal(await page.locator('.turn').count(), 0);
  assert.ok(await page.isVisible('#welcome'));
  await ask(page, 'Three', 4);
  await page.waitForSelector('.figures');
  assert.deepEqual(bodies.map((b) => b.messages.map((m) => m.role)), [['user'], ['user', 'assistant', 'user'], ['user']]);
  assert.deepEqual(bodies.map((b) => [b.temperature, b.max_tokens, b.stream]), Array(3).fill([0, 4, true]));
  assert.deepEqual(page.problems, []);
  await close(page);
});

await check('stop keeps what was said, and the box is free again', async () => {
  const page = await open();
  await ask(page, 'Count from one to a thousand in words.', 1024);
  await page.waitForFunction(() => (document.querySelector('.turn.assistant .text')?.textContent.length ?? 0) > 5);
  assert.ok(await page.isVisible('#stop'));
  await page.click('#stop');
  await page.waitForSelector('.figures');
  assert.match(await page.textContent('.figures'), /stopped/);
  assert.ok((await answer(page).textContent()).length > 5);
  assert.ok(await page.isVisible('#send'));
  // The server must notice: nothing runs any more.
  await page.waitForFunction(() => document.getElementById('m-running').textContent === '0');
  assert.deepEqual(page.problems, []);
  await close(page);
});

await check('a message that is too long gets the server\'s sentence and comes back', async () => {
  const page = await open();
  const { data } = await (await fetch(`${url}/v1/models`)).json();
  const long = 'word '.repeat((data[0].max_model_len ?? 8192) + 50).trim();
  await ask(page, long);
  await page.waitForSelector('#error:not([hidden])');
  const told = await page.textContent('#error');
  assert.match(told, /\d/, told);
  assert.equal(await page.inputValue('#prompt'), long);
  assert.equal(await page.locator('.turn').count(), 0);
  await accessible(page, 'with an error');
  // The browser itself logs the failed reply; nothing else may be there.
  assert.deepEqual(page.problems.filter((p) => !/Failed to load resource.*\b4\d\d\b/.test(p)), []);
  await ask(page, 'Hi', 4);
  await page.waitForSelector('.figures');
  assert.ok(await page.isHidden('#error'));
  await close(page);
});

await check('it works by keyboard alone', async () => {
  const page = await open();
  await page.keyboard.type('line one');
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('line two');
  assert.equal(await page.inputValue('#prompt'), 'line one\nline two');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.turn.assistant');
  await page.keyboard.press('Escape');
  await idle(page);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'prompt');
  // Tab meets every control, each with a visible outline.
  await page.fill('#prompt', 'x');
  const met = [];
  for (let i = 0; i < 40; ++i) {
    await page.keyboard.press('Tab');
    met.push(await page.evaluate(() => {
      const e = document.activeElement;
      return { id: e.id, outline: getComputedStyle(e).outlineStyle };
    }));
  }
  for (const id of ['new-chat', 'prompt', 'send', 'temperature', 'max-tokens', 'theme']) {
    const at = met.find((m) => m.id === id);
    assert.ok(at, `Tab never reaches ${id}: ${met.map((m) => m.id)}`);
    assert.notEqual(at.outline, 'none', `${id} shows no focus`);
  }
  assert.deepEqual(page.problems, []);
  await close(page);
});

// What a model may say, as the server would send it.
function said(...deltas) {
  const chunks = [
    ...deltas.map((delta) => ({ choices: [{ delta }] })),
    { choices: [{ delta: {}, finish_reason: 'stop' }] },
    { choices: [], usage: { prompt_tokens: 3, completion_tokens: 9 } },
  ];
  const events = [...chunks.map((chunk) => JSON.stringify(chunk)), '[DONE]'];
  return { contentType: 'text/event-stream', body: events.map((data) => `data: ${data}\n\n`).join('') };
}

await check('answers are text, whatever they hold', async () => {
  const page = await open({ prepare: (p) => p.route('**/v1/chat/completions', (r) => r.fulfill(said(
    { content: '<img src=x onerror=alert(1)> **b**\n\n```js\n<script>alert(2)</' },
    { content: 'script>\n```\n- one' }))) });
  await ask(page, 'Hi');
  await page.waitForSelector('.figures');
  const names = await answer(page).evaluate((e) => [...e.querySelectorAll('*')].map((n) => n.localName));
  assert.deepEqual(names, ['p', 'strong', 'pre', 'code', 'ul', 'li']);
  const text = await answer(page).textContent();
  assert.ok(text.includes('<img src=x onerror=alert(1)>') && text.includes('<script>alert(2)</script>'), text);
  await accessible(page, 'with markdown');
  assert.deepEqual(page.problems, []);
  await close(page);
});

await check('what a model thought is folded away from what it said', async () => {
  const page = await open({ prepare: (p) => p.route('**/v1/chat/completions', (r) => r.fulfill(said(
    { reasoning_content: 'two and two' }, { content: 'Four.' }))) });
  await ask(page, 'What is two and two?');
  await page.waitForSelector('.figures');
  assert.equal(await answer(page).textContent(), 'Four.');
  assert.ok(await page.isHidden('.thought'));
  await page.click('.reasoning summary');
  assert.equal(await page.textContent('.thought'), 'two and two');
  await accessible(page, 'with its thoughts open');
  await close(page);
});

await check('the system prompt, top-p and seed are sent when they are set', async () => {
  const page = await open();
  const bodies = [];
  page.on('request', (r) => r.url().endsWith('/v1/chat/completions') && bodies.push(r.postDataJSON()));
  await page.click('.settings summary');
  await page.fill('#system', 'Be brief.');
  await page.fill('#top-p', '0.5');
  await page.fill('#seed', '7');
  await accessible(page, 'with the settings open');
  await ask(page, 'Hi', 4);
  await page.waitForSelector('.figures');
  assert.deepEqual(bodies[0].messages.map((m) => m.role), ['system', 'user']);
  assert.deepEqual([bodies[0].top_p, bodies[0].seed], [0.5, 7]);
  await close(page);
});

await check('an answer goes on while one looks elsewhere', async () => {
  const page = await open();
  await ask(page, 'Count.', 64);
  await page.click('nav a[href="#/models"]');
  await page.waitForSelector('.models-view tbody tr');
  await page.click('nav a[href="#/chat"]');
  await page.waitForSelector('.figures');
  assert.ok((await answer(page).textContent()).length > 0);
  assert.deepEqual(page.problems, []);
  await close(page);
});

await check('dark, narrow and without motion it is whole and accessible', async () => {
  const page = await open({ colorScheme: 'dark', reducedMotion: 'reduce', viewport: { width: 360, height: 640 } });
  await accessible(page, 'dark, before a message');
  await ask(page, 'Say one very long word: ' + 'x'.repeat(300), 8);
  await page.waitForSelector('.figures');
  await narrowEnough(page, 'the chat');
  const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.ok(background.match(/\d+/g).slice(0, 3).every((c) => Number(c) < 64), background);
  await accessible(page, 'dark, after an answer');
  if (screenshot) await page.screenshot({ path: screenshot.replace(/(\.png)?$/, '-narrow-dark.png') });
  assert.deepEqual(page.problems, []);
  await close(page);
});

await browser.close();
finish();
