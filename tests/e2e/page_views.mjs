// node page_views.mjs BINARY: every view of the page over a modelled box, light and dark, wide and narrow: nothing on
// the console, no request elsewhere, every rule of axe-core, no sideways scroll; and that it is small.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';
import { check, finish, serve } from './harness.mjs';

const [binary] = process.argv.slice(2);
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const server = await serve(binary, ['--weightless', 'llama-3.1-8b,qwen3-8b', '--weights', 'fp8', '--as', 'dgx-spark']);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const views = ['chat', 'box', 'charts', 'models', 'what-if', 'control'];

for (const [colorScheme, width] of [['light', 1280], ['dark', 1280], ['dark', 360]]) {
  await check(`${colorScheme}, ${width} wide: every view is quiet, accessible and whole`, async () => {
    const context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme, reducedMotion: 'reduce' });
    const page = await context.newPage();
    const problems = [];
    page.on('console', (m) => ['error', 'warning'].includes(m.type()) && problems.push(m.text()));
    page.on('pageerror', (e) => problems.push(String(e)));
    page.on('request', (r) => r.url().startsWith(server.url) || problems.push(`asks another host: ${r.url()}`));
    await page.goto(server.url);
    for (const view of views) {
      await page.goto(`${server.url}/#/${view}`);
      await page.waitForTimeout(1500);  // for a state of the box, and an answer of the twin
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(overflow <= 0, `${view} is ${overflow} pixels too wide`);
      await page.evaluate(axeSource);
      const { violations } = await page.evaluate(() => axe.run(document));
      assert.deepEqual(violations.map((v) => `${view}: ${v.id}: ${v.help} (${v.nodes.map((n) => n.target).join(', ')})`), []);
    }
    assert.deepEqual(problems, []);
    await context.close();
  });
}

await check('the box shows watts and degrees, and says what is modelled', async () => {
  const page = await browser.newPage();
  await page.goto(`${server.url}/#/box`);
  await page.waitForFunction(() => /\d+ °C/.test(document.body.textContent) && /\d+ W/.test(document.body.textContent));
  assert.match(await page.textContent('body'), /Modelled for NVIDIA DGX Spark/);
  await page.close();
});

await check('at most 150 kB come over the wire, and unpack to what is served plain', async () => {
  let bytes = 0;
  for (const path of ['/', '/app.js', '/style.css', '/theme.js', '/icon.svg']) {
    const packed = await (await browser.newContext()).request.get(new URL(path, server.url).href, { headers: { 'accept-encoding': 'gzip' } });
    const plain = await (await fetch(new URL(path, server.url), { headers: { 'accept-encoding': 'identity' } })).text();
    assert.equal(packed.status(), 200, path);
    assert.equal(await packed.text(), plain, path);
    bytes += Number(packed.headers()['content-length']);
  }
  assert.ok(bytes > 10_000 && bytes <= 150_000, `${bytes} bytes`);
});

await browser.close();
assert.equal(await server.stop(), 0);
finish();
