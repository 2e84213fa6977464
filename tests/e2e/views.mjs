// node views.mjs BINARY MODEL.gguf [SCREENSHOTS/]: every view of the page against boxes that have a modelled body, that
// have none, and that want a key.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { gzipSync } from 'node:zlib';
import { accessible, close, launch, narrowEnough, open } from './browser.mjs';
import { check, finish, serve } from './harness.mjs';

const [binary, model, screenshots] = process.argv.slice(2);
const browser = await launch();
const box = await serve(binary, ['--weightless', 'qwen3-8b,gpt-oss-20b', '--as', 'dgx-spark']);
const views = ['chat', 'box', 'charts', 'models', 'what-if', 'control'];

// What a view shows when it is there.
const settled = {
  chat: '#prompt',
  box: '.plan',
  charts: '.chart canvas',
  models: '.models-view .verdict',
  'what-if': '.predict td',
  control: '.fault-list li',
};
const ready = async (page, view) => {
  await page.waitForSelector('#m-wall');
  await page.waitForSelector(settled[view]);
};
const ask = (url, more = {}) =>
  fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({
      model: 'qwen3-8b',
      messages: [{ role: 'user', content: 'hi' }],
      max_tokens: 200,
      ...more,
    }),
  });

for (const scheme of ['light', 'dark']) {
  for (const [size, viewport] of [
    ['desktop', { width: 1280, height: 800 }],
    ['phone', { width: 360, height: 640 }],
  ]) {
    await check(`every view is accessible and fits: ${scheme}, ${size}`, async () => {
      for (const view of views) {
        const page = await open(browser, box.url, view, { colorScheme: scheme, viewport, reducedMotion: 'reduce' });
        await ready(page, view);
        await accessible(page, `${view}, ${scheme}, ${size}`);
        await narrowEnough(page, `${view}, ${size}`);
        if (screenshots) await page.screenshot({ path: `${screenshots}/${view}-${scheme}-${size}.png` });
        assert.deepEqual(page.problems, [], view);
        await close(page);
      }
    });
  }
}

await check('it says what is modelled for which machine', async () => {
  const page = await open(browser, box.url, 'box');
  await ready(page, 'box');
  assert.match(await page.textContent('#provenance'), /Modelled for NVIDIA DGX Spark: pace, memory/);
  const { sensors } = await (await fetch(`${box.url}/box/state`)).json();
  const says = await page.getAttribute('.plan', 'aria-label');
  assert.match(says, /GPU \d+ °C/);
  assert.equal(await page.locator('.rails tbody tr').count(), Object.keys(sensors.rails_w).length);
  // From the first state on; the animation begins before it.
  await page.waitForFunction(
    (fan) => {
      const [turns] = document.querySelector('.rotor').getAnimations();
      return turns?.playState === 'running' && Math.abs(turns.playbackRate - 1.4 * fan) < 0.3;
    },
    sensors.fan_ratio,
    { timeout: 10_000 },
  );
  await close(page);
});

await check('nothing turns for those who asked for less motion', async () => {
  const page = await open(browser, box.url, 'box', { reducedMotion: 'reduce' });
  await ready(page, 'box');
  assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
  await close(page);
});

await check('an answer tells its joules, and says that they are modelled', async () => {
  const page = await open(browser, box.url);
  await ready(page, 'chat');
  await page.fill('#max-tokens', '32');
  await page.fill('#prompt', 'Hello');
  await page.press('#prompt', 'Enter');
  await page.waitForFunction(() =>
    /J at the wall.*modelled/.test(document.querySelector('.figures')?.textContent ?? ''),
  );
  await close(page);
});

await check('the theme is switched and kept', async () => {
  const page = await open(browser, box.url, 'chat', { colorScheme: 'light' });
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.waitForSelector('#theme');
  const before = await ground();
  await page.click('#theme');
  const after = await ground();
  assert.notEqual(after, before);
  await page.reload();
  await page.waitForSelector('#theme');
  assert.equal(await ground(), after);
  await close(page);
});

// A day as the box would tell it: 2,000 points, with a hole.
function aDay() {
  const now = Date.now() / 1000;
  const at_unix = Array.from({ length: 2000 }, (_, i) => now - 86_400 + (i + 1) * 43.2);
  const wave = (low, high) =>
    at_unix.map((_, i) => (i > 800 && i < 860 ? null : low + (high - low) * (0.5 + 0.5 * Math.sin(i / 90))));
  return {
    at_unix,
    series: {
      wall_w: wave(34, 150),
      gpu_c: wave(38, 74),
      gpu_w_shown: wave(5, 48),
      sm_clock_hz: wave(2e8, 2.4e9),
      fan_ratio: wave(0.38, 0.7),
      generated_tokens_per_s: wave(0, 60),
      prompt_tokens_per_s: wave(0, 2000),
      running: wave(0, 4),
      waiting: wave(0, 1),
      kv_ratio: wave(0, 0.3),
      memory_used_bytes: wave(1e11, 1.1e11),
      weights_bytes: wave(1.6e10, 1.6e10),
      kv_bytes: wave(8e10, 8e10),
      runtime_bytes: wave(1e10, 1e10),
      page_cache_bytes: wave(0, 4e9),
    },
  };
}

await check('a day of history is drawn, and the page stays smooth', async () => {
  const page = await open(browser, box.url, 'charts', {
    prepare: (p) => p.route('**/box/history*', (r) => r.fulfill({ json: aDay() })),
  });
  await ready(page, 'charts');
  await page.click('text=24 h');
  await page.waitForFunction(() => /2[34] h/.test(document.querySelector('.view-head p').textContent));
  // The longest task of three seconds, in which three states come: each redraws six charts of 2,000 points.
  const longest = await page.evaluate(
    () =>
      new Promise((done) => {
        let worst = 0;
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries()) worst = Math.max(worst, entry.duration);
        }).observe({ type: 'longtask' });
        setTimeout(() => done(worst), 3000);
      }),
  );
  assert.ok(longest < 150, `a task of ${longest} ms`);
  const inked = await page.evaluate(() =>
    [...document.querySelectorAll('.chart canvas')].map((c) => {
      const { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height);
      return data.some((v) => v > 0);
    }),
  );
  assert.deepEqual(inked, Array(6).fill(true));
  await page.click('text=Values of this time >> nth=0');
  assert.match(await page.textContent('.chart table'), /at the wall.*W/);
  await accessible(page, 'with the values open');
  await close(page);
});

await check('charts begin with what the box has kept', async () => {
  const page = await open(browser, box.url, 'charts');
  await ready(page, 'charts');
  await page.waitForFunction(() => /[1-9]\d* (s|min)/.test(document.querySelector('.view-head p').textContent));
  await close(page);
});

await check('what-if answers as one types, and is the same as the command', async () => {
  const page = await open(browser, box.url, 'what-if');
  await ready(page, 'what-if');
  const before = await page.textContent('.predict tbody');
  await page.fill('#predict-prompt', '8192');
  await page.waitForFunction(
    (was) =>
      document.querySelector('.predict tbody').textContent !== was && !document.querySelector('.answer.waiting'),
    before,
  );
  assert.match(await page.textContent('.shell code'), /^tinderbox predict --model qwen3-8b --prompt 8192 --gen 256$/);
  for (const verb of ['fit', 'compare', 'soak']) {
    await page.press('[role=tab][aria-selected=true]', 'ArrowRight');
    await page.waitForSelector(
      { fit: '.fit .verdict', compare: '.answer tbody tr >> nth=3', soak: '.answer canvas' }[verb],
    );
    assert.match(await page.textContent('.shell code'), new RegExp(`^tinderbox ${verb} --model qwen3-8b`));
    await accessible(page, verb);
  }
  await page.fill('#soak-minutes', '');
  assert.match(await page.textContent('.answer [role=alert]'), /Minutes: give a number/);
  assert.deepEqual(page.problems, []);
  await close(page);
});

await check('a question that was overtaken is given up', async () => {
  const page = await open(browser, box.url, 'what-if');
  await ready(page, 'what-if');
  let asked = 0;
  page.on('request', (r) => (asked += Number(r.url().includes('/what-if/'))));
  await page.locator('#predict-prompt').fill('');
  await page.locator('#predict-prompt').pressSequentially('4321', { delay: 20 });
  await page.waitForFunction(
    () =>
      document.querySelector('.shell code').textContent.includes('4321') &&
      !document.querySelector('.answer.waiting'),
  );
  assert.ok(asked <= 2, `${asked} questions for four keys`);
  await close(page);
});

await check('models are pinned, unloaded and loaded after a fit check', async () => {
  const page = await open(browser, box.url, 'models');
  await ready(page, 'models');
  const row = (id) => page.locator('.models-view tbody tr', { hasText: id });
  await row('qwen3-8b').getByRole('button', { name: 'Pin' }).click();
  await row('qwen3-8b').getByRole('button', { name: 'Pin', pressed: true }).waitFor();
  await row('qwen3-8b').getByRole('button', { name: 'Pin' }).click();
  await row('qwen3-8b').getByRole('button', { name: 'Pin', pressed: false }).waitFor();
  await row('qwen3-8b').getByRole('button', { name: 'Unload' }).click();
  await row('qwen3-8b').getByText('absent').waitFor();
  await row('qwen3-8b').getByRole('button', { name: 'Load' }).click();
  await page.waitForSelector('dialog .verdict');
  await accessible(page, 'the question before loading');
  await page.click('dialog button[type=submit]');
  await row('qwen3-8b').getByText('ready').waitFor();
  assert.deepEqual(page.problems, []);
  await close(page);
});

await check('a request in flight is seen, a fault is injected and cleared', async () => {
  const page = await open(browser, box.url, 'control');
  await ready(page, 'control');
  const answer = ask(box.url).then((r) => r.text());
  await page.waitForSelector('.state.running');
  await page.click('[aria-label="Inject slow-memory"]');
  await page.fill('#fault-length', '600');
  await accessible(page, 'the question before a fault');
  await page.click('dialog button[type=submit]');
  await page.waitForSelector('.active-faults li');
  assert.match(await page.textContent('.active-faults'), /slow-memory.*more/);
  await page.click('[aria-label="Clear slow-memory"]');
  await page.waitForFunction(() => !document.querySelector('.active-faults'));
  await answer;
  assert.deepEqual(page.problems, []);
  await close(page);
});

await check('the page is small and paints at once', async () => {
  const page = await open(browser, box.url);
  await ready(page, 'chat');
  const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime);
  assert.ok(paint <= 500, `first paint after ${paint} ms`);
  let sent = 0;
  let zipped = 0;
  for (const name of ['', 'app.js', 'style.css', 'theme.js', 'icon.svg']) {
    const response = await fetch(`${box.url}/${name}`, { headers: { 'accept-encoding': 'gzip' } });
    assert.equal(response.headers.get('content-encoding'), 'gzip', name);
    assert.equal(response.headers.get('vary'), 'Accept-Encoding', name);
    assert.match(response.headers.get('content-security-policy'), /^default-src 'self'$|\.svg|style-src/, name);
    sent += Number(response.headers.get('content-length'));
    zipped += gzipSync(Buffer.from(await response.arrayBuffer()), { level: 9 }).length;
  }
  assert.ok(sent <= 150_000 && Math.abs(sent - zipped) < 2_000, `${sent} bytes in gzip`);
  await close(page);
});

await check('the report and the notices are served', async () => {
  const page = await open(browser, box.url);
  await page.goto(`${box.url}/validation`);
  assert.match(await page.textContent('h1'), /How true/);
  await accessible(page, 'validation');
  assert.match(
    await (await fetch(`${box.url}/licences.txt`)).text(),
    /preact [\d.]+ \(MIT\)[\s\S]*uplot [\d.]+ \(MIT\)/,
  );
  await close(page);
});
await box.stop();

const bare = await serve(binary, [model]);
await check('a box without a body says so, and offers one', async () => {
  const page = await open(browser, bare.url, 'box');
  await page.waitForSelector('.drawing .note');
  assert.match(await page.textContent('.drawing .note'), /no temperatures.*--as dgx-spark/);
  assert.match(await page.textContent('#provenance'), /Measured on this computer: tokens/);
  await accessible(page, 'without sensors');
  await page.click('nav a[href="#/charts"]');
  await page.waitForSelector('.chart canvas');
  assert.equal(await page.locator('#chart-power').count(), 0);
  assert.deepEqual(page.problems, []);
  await close(page);
});

await check('without /box/* the page is a chat with metrics', async () => {
  const page = await open(browser, bare.url, 'box', {
    prepare: (p) => p.route('**/box/**', (r) => r.fulfill({ status: 404, body: '{}' })),
  });
  await page.waitForSelector('#m-running');
  await page.waitForSelector('#prompt');
  const open_ = await page.locator('nav a').allTextContents();
  assert.deepEqual(
    open_.map((t) => t.trim()),
    ['Chat', 'Charts', 'Models'],
  );
  await page.click('nav a[href="#/models"]');
  await page.waitForSelector('.models-view tbody tr');
  assert.equal(await page.locator('.models-view button').count(), 0);
  await close(page);
});

await check('the page notices a server that ends, and one that comes back', async () => {
  const page = await open(browser, bare.url);
  await page.waitForSelector('#m-running');
  await bare.stop();
  await page.waitForSelector('.provenance .problem');
  const again = spawn(binary, ['serve', model, '--port', new URL(bare.url).port, '--state', 'none'], {
    stdio: 'ignore',
  });
  await page.waitForFunction(() => !document.querySelector('.provenance .problem'));
  again.kill('SIGTERM');
  await close(page);
});

const locked = await serve(binary, ['--weightless', 'qwen3-8b', '--as', 'dgx-spark'], {
  TINDERBOX_API_KEY: 'tb-secret-of-the-test-0123456789',
});
await check('a box that wants a key gets it, for this tab', async () => {
  const page = await open(browser, locked.url, 'control');
  await page.waitForSelector('dialog #key');
  await accessible(page, 'the question for a key');
  await page.fill('#key', 'tb-wrong');
  await page.click('dialog button[type=submit]');
  await page.waitForFunction(() => /refused/.test(document.querySelector('#key-why')?.textContent ?? ''));
  await page.fill('#key', 'tb-secret-of-the-test-0123456789');
  await page.click('dialog button[type=submit]');
  await page.waitForSelector('#m-wall');
  await page.waitForSelector('.fault-list li');
  await close(page);
});
await locked.stop();

const open_ = await serve(binary, ['--weightless', 'qwen3-8b', '--as', 'dgx-spark']);
await check('a key is made, shown once and revoked', async () => {
  const page = await open(browser, open_.url, 'control');
  await page.fill('#key-name', 'laptop');
  await page.click('form[aria-label="New key"] button');
  await page.waitForSelector('.made');
  const key = await page.textContent('.made code');
  assert.match(key, /^tb-/);
  await accessible(page, 'with a new key');
  assert.equal((await fetch(`${open_.url}/v1/models`)).status, 401);
  assert.equal((await fetch(`${open_.url}/v1/models`, { headers: { authorization: `Bearer ${key}` } })).status, 200);
  await page.click('.made button:has-text("Done")');
  assert.ok(!(await page.content()).includes(key));
  await page.click('[aria-label="Revoke laptop"]');
  await page.click('dialog button[type=submit]');
  await page.waitForFunction(() => !document.querySelector('[aria-label="Revoke laptop"]'));
  await close(page);
});
await open_.stop();

await browser.close();
finish();
