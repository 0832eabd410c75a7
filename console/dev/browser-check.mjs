// Drives the console in headless Chromium over the mock server: creates a job
// with a fault in it, plays it, breaks it off, pauses, stops and deletes it.
// CHROMIUM names the browser; SHOTS a folder to keep screenshots in.
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { chromium } from 'playwright-core';
import { startMock } from './mock-server.mjs';

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const shots = process.env.SHOTS;
if (shots) await mkdir(shots, { recursive: true });

const test = (name) => `[data-test=${name}]`;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });

/** A page that remembers everything its console complained about. */
async function open(origin, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce', permissions: ['clipboard-read', 'clipboard-write'], ...options });
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && complaints.push(`${message.text()} ${message.location().url}`));
  page.on('pageerror', (error) => complaints.push(error.stack));
  page.on('request', (request) => new URL(request.url()).origin === origin || request.url().startsWith('blob:') || complaints.push(`left for ${request.url()}`));
  await page.goto(origin);
  return { page, complaints, context };
}

async function shot(page, name) {
  if (!shots) return;
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });
}

/** The same moment on a phone and in the dark. */
async function shotAll(page, name) {
  if (!shots) return;
  await shot(page, `${name}-light`);
  await page.emulateMedia({ colorScheme: 'dark' });
  await shot(page, `${name}-dark`);
  await page.setViewportSize({ width: 375, height: 812 });
  await shot(page, `${name}-phone-dark`);
  await page.emulateMedia({ colorScheme: 'light' });
  await shot(page, `${name}-phone`);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(overflow, 0, `${name} scrolls sideways on a phone`);
  await page.setViewportSize({ width: 1280, height: 900 });
}

const waitState = (page, state) => page.waitForSelector(`#state .badge[data-state=${state}]`, { timeout: 20_000 });
const time = (page) => page.$eval('#player', (video) => video.currentTime);

/** Waits until the picture has moved on by so many seconds. */
async function waitPlaying(page, seconds) {
  const from = await time(page);
  await page.waitForFunction((until) => document.querySelector('#player').currentTime > until, from + seconds, { timeout: 40_000 });
}

async function createFlow(page) {
  await page.waitForSelector(test('empty'));
  await shotAll(page, 'jobs-empty');
  await page.click('#nav-create');
  await page.fill('#f-output-video_outputs-1-width', '641');
  await page.fill('#f-output-video_outputs-0-bitrate', 'plenty');
  await page.click('#save-button');
  await page.waitForSelector('#fault-summary:not([hidden])');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'f-output-video_outputs-0-bitrate', 'the first fault has the focus');
  assert.match(await page.textContent('[data-faults="/output/video_outputs/1/width"]'), /even/);
  await shotAll(page, 'create-faults');
  await page.click('#tab-json');
  assert.equal(JSON.parse(await page.inputValue('#json')).Output.Video_outputs[1].Width, 641, 'the form reaches the JSON');
  await shot(page, 'create-json');
  const fixed = (await page.inputValue('#json')).replace('641', '768').replace('"plenty"', '"365k"').replace('"500k"', '"900k"');
  await page.fill('#json', `${fixed},`);
  await page.waitForSelector('#json-error:not([hidden])');
  await page.click('#tab-form');
  assert.ok(await page.isVisible('#json'), 'broken JSON does not get lost by a change of view');
  await page.fill('#json', fixed);
  await page.click('#tab-form');
  assert.equal(await page.inputValue('#f-output-video_outputs-1-width'), '768', 'the JSON reaches the form');
  await page.click('#add-video');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'f-output-video_outputs-2-label');
  await page.click('#remove-output-video_outputs-2');
  await page.click('#check-button');
  await page.waitForSelector(test('check-result'));
  await page.waitForSelector('[data-faults="/output/video_outputs/0/max_bitrate"] [data-kind=doubt]');
  await shotAll(page, 'create-checked');
  await page.click('#save-button');
  await waitState(page, 'running');
  await page.waitForSelector(`${test('ingest-key')}`);
  assert.doesNotMatch(await page.textContent('#ingest'), /[0-9a-f]{32}/, 'the key is hidden');
  await page.click(`${test('ingest-key-copy')}`);
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^[0-9a-f]{32}$/);
  await shotAll(page, 'job-running');
}

async function playFlow(page, api) {
  const id = page.url().split('/').at(-1);
  await waitState(page, 'streaming');
  await page.waitForSelector('#player-overlay', { state: 'hidden', timeout: 30_000 });
  await waitPlaying(page, 5);
  await shotAll(page, 'job-streaming');
  await page.click('#ingest-reveal');
  assert.match(await page.textContent(test('ingest-command')), /rtmp:\/\/127\.0\.0\.1:1935\/live\/[0-9a-f]{32}/);
  api.control(id, 'drop');
  await waitState(page, 'running');
  await page.waitForFunction(() => !document.querySelector('#player-overlay').hidden, null, { timeout: 30_000 });
  await shot(page, 'job-dropped');
  await api.control(id, 'publish');
  await waitState(page, 'streaming');
  await waitPlaying(page, 5);
  await page.click('#job-pause');
  await waitState(page, 'paused');
  await page.click('#job-resume');
  await waitState(page, 'streaming');
  await waitPlaying(page, 4);
  await page.click('#job-stop');
  await page.click('#dialog-cancel');
  await page.click('#job-stop');
  await page.waitForSelector('#dialog');
  await shotAll(page, 'dialog');
  await page.click('#dialog-confirm');
  await waitState(page, 'stopped');
  assert.match(await page.textContent('#live-region'), /stopped/);
  await page.click('#job-resume');
  await waitState(page, 'streaming');
  await waitPlaying(page, 3);
  return id;
}

async function listFlow(page, id) {
  await page.click('#nav-jobs');
  await page.waitForSelector(`[data-test=job-row][data-job="${id}"]`);
  assert.doesNotMatch(await page.content(), /[0-9a-f]{32}/);
  await shotAll(page, 'jobs');
  await page.click('#filter-failed');
  await page.waitForSelector(test('empty'));
  await page.click('#filter-all');
  await page.click('#nav-workers');
  await page.waitForSelector(test('worker-row'));
  await shotAll(page, 'workers');
}

async function endFlow(page, api, id) {
  await page.goto(`${page.url().split('#')[0]}#/jobs/${id}`);
  api.control(id, 'trouble');
  await page.waitForSelector('[data-type=trouble][data-tone=warn]');
  await page.waitForFunction(() => document.querySelector('[data-test=state-text]').textContent.includes('in trouble'));
  await shotAll(page, 'job-trouble');
  api.control(id, 'recover');
  await page.waitForSelector('[data-type=trouble][data-tone=good]');
  await page.waitForSelector(test('state-reason'), { state: 'hidden' });
  api.control(id, 'fail');
  await waitState(page, 'failed');
  assert.match(await page.textContent(test('state-reason')), /input_forbidden/);
  await shotAll(page, 'job-failed');
  await page.click('#job-delete');
  await page.click('#dialog-confirm');
  await page.waitForSelector(test('empty'));
}

async function keyboardFlow(page) {
  await page.goto(`${page.url().split('#')[0]}#/new`);
  await page.reload();
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'skip-link');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  await page.focus('#tab-form');
  await page.keyboard.press('ArrowRight');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'tab-json');
  assert.ok(await page.isVisible('#json'));
}

async function offlineFlow(page, context) {
  await context.setOffline(true);
  await page.waitForSelector('#offline:not([hidden])');
  await shot(page, 'offline');
  await context.setOffline(false);
  await page.waitForSelector('#offline', { state: 'hidden' });
  assert.equal(await page.getAttribute('#link-state', 'data-state'), 'ok');
}

/** What the server refuses is shown in place of every list, until it is not. */
async function refusedFlow() {
  const mock = await startMock();
  const { page, context } = await open(mock.origin);
  await page.waitForSelector(test('empty'));
  const reason = 'Only this machine may call: start ezlive up with --token to call from elsewhere.';
  for (const path of ['#/jobs', '#/workers', '#/jobs/0192f3c4-1111-7222-8333-44445555abcd']) {
    mock.api.refuse(reason);
    await page.goto(`${mock.origin}/${path}`);
    await page.waitForSelector(test('refused'));
    assert.ok((await page.textContent(test('refused'))).includes(reason), path);
    assert.equal(await page.locator('.loading').count(), 0, path);
    await shot(page, 'refused');
    mock.api.refuse(null);
    await page.waitForSelector(test('empty'), { timeout: 20_000 });
    assert.equal(await page.locator(test('refused')).count(), 0, path);
  }
  await context.close();
  await mock.close();
}

/** A page whose player's chunk is gone, as after an update of the server. */
async function chunkFlow() {
  const mock = await startMock();
  const { page, context } = await open(mock.origin);
  await page.route('**/player-*.js', (route) => route.abort());
  await page.goto(`${mock.origin}/#/new`);
  await page.click('#save-button');
  await waitState(page, 'streaming');
  await page.waitForFunction(() => document.querySelector('#player-overlay').textContent.includes('reload the page'), null, { timeout: 20_000 });
  await page.unroute('**/player-*.js');
  await page.reload();
  await page.waitForSelector('#player-overlay', { state: 'hidden', timeout: 30_000 });
  await context.close();
  await mock.close();
}

async function tokenFlow() {
  const mock = await startMock({ token: 'sesame' });
  const { page, context } = await open(mock.origin);
  await page.fill('#token', 'wrong');
  await page.click('#token-submit');
  await page.waitForFunction(() => document.querySelector('#token-hint')?.textContent.includes('refused'));
  await shot(page, 'token');
  await page.fill('#token', 'sesame');
  await page.keyboard.press('Enter');
  await page.waitForSelector(test('empty'));
  await page.reload();
  await page.waitForSelector(test('empty'));
  await context.close();
  await mock.close();
}

const mock = await startMock();
try {
  const { page, complaints, context } = await open(mock.origin);
  await createFlow(page);
  // The refused body is a 422, which browsers log by themselves.
  assert.deepEqual(complaints.filter((text) => !/status of 422/.test(text)), []);
  complaints.length = 0;
  const id = await playFlow(page, mock.api);
  await listFlow(page, id);
  await endFlow(page, mock.api, id);
  await keyboardFlow(page);
  assert.deepEqual(complaints, [], 'the browser’s console is silent');
  await page.click('#nav-jobs');
  await offlineFlow(page, context);
  await tokenFlow();
  await refusedFlow();
  await chunkFlow();
  console.log('ok: the console works in the browser');
} finally {
  await browser.close();
  await mock.close();
}
