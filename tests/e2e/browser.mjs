// Shared by the tests of the page: a headless Chromium, pages that fail on anything the console reports, axe-core.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });

// A fresh page at url/#/view. page.problems collects what the console reports and every request to another host.
export async function open(browser, url, view = 'chat', { prepare, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  page.problems = [];
  page.on('console', (m) => ['error', 'warning'].includes(m.type()) && page.problems.push(m.text()));
  page.on('pageerror', (e) => page.problems.push(String(e)));
  page.on('request', (r) => r.url().startsWith(url) || page.problems.push(`asks another host: ${r.url()}`));
  page.setDefaultTimeout(60_000);
  await prepare?.(page);
  await page.goto(`${url}/#/${view}`);
  return page;
}
export const close = (page) => page.context().close();

// Contrast, names, roles, order: every rule of axe-core. Run from the test's side of the browser's policy.
export async function accessible(page, what) {
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => axe.run(document));
  const told = violations.map((v) => `${v.id}: ${v.help} (${v.nodes.map((n) => n.target).join(', ')})`);
  assert.deepEqual(told, [], what);
}

// Nothing is cut off or scrolls sideways but what is meant to.
export async function narrowEnough(page, what) {
  const over = await page.evaluate(() => {
    const main = document.querySelector('main');
    return [document.documentElement.scrollWidth - innerWidth, main.scrollWidth - main.clientWidth];
  });
  assert.ok(
    over.every((n) => n <= 0),
    `${what} is ${over} pixels too wide`,
  );
}
