// node page.mjs URL [SCREENSHOT.png]: the page in headless Chromium against a running server.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { check, finish } from './harness.mjs';

const [url, screenshot] = process.argv.slice(2);
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});

// A fresh page that fails the test on anything the console reports, except what a test says it provokes.
async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1100, height: 780 }, ...options });
  const page = await context.newPage();
  page.problems = [];
  page.on('console', (m) => ['error', 'warning'].includes(m.type()) && page.problems.push(m.text()));
  page.on('pageerror', (e) => page.problems.push(String(e)));
  page.on('request', (r) => r.url().startsWith(url) || page.problems.push(`asks another host: ${r.url()}`));
  page.setDefaultTimeout(60_000);
  await page.goto(url);
  await page.waitForFunction(() => document.getElementById('model').textContent !== '…');
  return page;
}
const close = (page) => page.context().close();
const answer = (page) => page.locator('.turn.assistant .text').last();
const idle = (page) => page.waitForFunction(() => document.getElementById('log').getAttribute('aria-busy') === 'false');
async function ask(page, text, maxTokens = 24) {
  await page.fill('#max-tokens', String(maxTokens));
  await page.fill('#prompt', text);
  await page.press('#prompt', 'Enter');
}

// Contrast, names, roles, order: every rule of axe-core. Run from the test's side of the browser's policy.
async function accessible(page, what) {
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => axe.run(document));
  const told = violations.map((v) => `${v.id}: ${v.help} (${v.nodes.map((n) => n.target).join(', ')})`);
  assert.deepEqual(told, [], what);
}

await check('the page loads, names the model and is quiet on the console', async () => {
  const page = await open();
  const { data } = await (await fetch(`${url}/v1/models`)).json();
  assert.equal(await page.textContent('#model'), data[0].id);
  assert.match(await page.title(), /Tinderbox/);
  assert.equal(await page.isVisible('.badge.weightless'), data[0].tinderbox.weightless);
  assert.equal(await page.isVisible('#lateness'), data[0].tinderbox.as !== null);
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
  for (let i = 0; i < 24; ++i) {
    await page.keyboard.press('Tab');
    met.push(await page.evaluate(() => {
      const e = document.activeElement;
      return { id: e.id, outline: getComputedStyle(e).outlineStyle };
    }));
  }
  for (const id of ['new-chat', 'prompt', 'send', 'temperature', 'max-tokens']) {
    const at = met.find((m) => m.id === id);
    assert.ok(at, `Tab never reaches ${id}: ${met.map((m) => m.id)}`);
    assert.notEqual(at.outline, 'none', `${id} shows no focus`);
  }
  assert.deepEqual(page.problems, []);
  await close(page);
});

await check('answers are text, whatever they hold', async () => {
  const page = await open();
  const said = '<img src=x onerror=alert(1)> **b** `c` *d* 2 * 3 * 4\n\n```js\n<script>alert(2)</script>\n```\n- one\n- two\n\n3. x\n**open';
  const chunk = (delta, finish = null) => `data: ${JSON.stringify({ id: 'x', object: 'chat.completion.chunk', created: 0, model: 'x', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
  await page.route('**/v1/chat/completions', (route) => route.fulfill({
    contentType: 'text/event-stream',
    body: `${chunk({ role: 'assistant', content: said })}${chunk({}, 'stop')}data: [DONE]\n\n`,
  }));
  await ask(page, 'Anything');
  await page.waitForSelector('.figures');
  const shown = await page.evaluate(() => {
    const box = document.querySelector('.turn.assistant .text');
    return { names: [...box.querySelectorAll('*')].map((e) => e.localName), text: box.textContent, start: box.querySelector('ol').start };
  });
  for (const name of ['strong', 'code', 'em', 'pre', 'ul', 'ol', 'li']) assert.ok(shown.names.includes(name), `${name}: ${shown.names}`);
  for (const name of ['img', 'script']) assert.ok(!shown.names.includes(name), name);
  assert.ok(shown.text.includes('<img src=x onerror=alert(1)>') && shown.text.includes('2 * 3 * 4') && shown.text.includes('<script>alert(2)</script>'));
  assert.equal(shown.start, 3);
  await close(page);
});

await check('dark, narrow and without motion it is whole and accessible', async () => {
  const page = await open({ colorScheme: 'dark', reducedMotion: 'reduce', viewport: { width: 360, height: 640 } });
  await accessible(page, 'dark, before a message');
  await ask(page, 'Say one very long word: ' + 'x'.repeat(300), 8);
  await page.waitForSelector('.figures');
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `the page is ${overflow} pixels too wide`);
  const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.ok(background.match(/\d+/g).slice(0, 3).every((c) => Number(c) < 64), background);
  await accessible(page, 'dark, after an answer');
  if (screenshot) await page.screenshot({ path: screenshot.replace(/(\.png)?$/, '-narrow-dark.png') });
  assert.deepEqual(page.problems, []);
  await close(page);
});

await browser.close();
finish();
