// The console and dash.js in Chromium against a running ezlive, from the form
// that creates a job to the end of its pictures.
//   usage: node run.mjs http://127.0.0.1:1080
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { serveDashPage } from './dash-page.mjs';
import { HANGS, launch, openPage, playsOn, playsToTheEnd, shotAll, waitPicture } from './page.mjs';
import { killPublisher, noMoreOrders, publish } from './publisher.mjs';

const origin = process.argv[2];
/** How long the publisher is away, in milliseconds. */
const AWAY = 5000;

const waitState = (page, state) => page.waitForSelector(`#state .badge[data-state=${state}]`, { timeout: HANGS });

async function call(method, path, body) {
  const answer = await fetch(`${origin}${path}`, { method, headers: { 'content-type': 'application/json' }, body: body && JSON.stringify(body) });
  const json = await answer.json();
  assert.ok(answer.ok, `${method} ${path}: ${JSON.stringify(json)}`);
  return json;
}

async function stopByButton(console_) {
  await console_.page.click('#job-stop');
  await console_.page.click('#dialog-confirm');
  await waitState(console_.page, 'stopped');
}

function isSilent(players) {
  for (const { name, complaints } of players) assert.deepEqual(complaints, [], `${name} complained`);
}

/** A job by the form, both players, a publisher that drops out for a while
 * and comes back with another picture size: one run goes on. */
async function aJobFromTheForm(browser, dashPage) {
  const hls = await openPage(browser, 'console', origin);
  const { page } = hls;
  await shotAll(page, 'jobs-empty');
  await page.click('#nav-create');
  await page.click('#check-button');
  await page.waitForSelector('[data-test=check-result]');
  await shotAll(page, 'create-checked');
  await page.click('#save-button');
  await waitState(page, 'running');
  await page.waitForSelector('[data-test=ingest-key]');
  await shotAll(page, 'job-running');
  const id = page.url().split('/').at(-1);

  const begun = await publish(id, '640x360', '25');
  await waitState(page, 'streaming');
  await waitPicture(hls, begun);
  await page.waitForSelector('#player-overlay', { state: 'hidden' });
  await playsOn(hls, 10);
  await shotAll(page, 'job-streaming');

  const { playback } = await call('GET', `/jobs/${id}`);
  const dash = await openPage(browser, 'dash.js', dashPage.url(playback.dash));
  await playsOn(dash, 10);

  await killPublisher();
  await waitState(page, 'running');
  await sleep(AWAY);
  const back = await publish(id, '854x480', '30');
  await waitState(page, 'streaming');
  await Promise.all([hls, dash].map((player) => waitPicture(player, back)));
  await Promise.all([hls, dash].map((player) => playsOn(player, 5)));
  const { stats } = await call('GET', `/jobs/${id}`);
  assert.equal(stats.runs, 1, 'the run went on');
  assert.equal(stats.input.video.width, 854, 'the stats tell of the new picture');
  await shotAll(page, 'job-back');

  await stopByButton(hls);
  await Promise.all([hls, dash].map(playsToTheEnd));
  await shotAll(page, 'job-stopped');
  await killPublisher();
  await page.click('#nav-jobs');
  await page.waitForSelector('[data-test=job-row]');
  await shotAll(page, 'jobs');
  isSilent([hls, dash]);
  await page.context().close();
  await dash.page.context().close();
}

/** A publisher that stays away for longer than its job waits: the next run
 * follows a discontinuity, or stands in a Period of its own. */
async function aJobWithTwoRuns(browser, dashPage) {
  const response = await fetch(`${origin}/jobs?limit=1`);
  const { spec } = (await response.json()).jobs[0];
  spec.input.reconnect_window = 2;
  spec.output.segment_duration = 2;
  const { id, playback } = await call('POST', '/jobs', spec);
  const hls = await openPage(browser, 'console, two runs', `${origin}/#/jobs/${id}`);
  await waitState(hls.page, 'running');
  await hls.page.waitForSelector('[data-test=ingest-key]');
  await publish(id, '640x360', '25');
  await waitState(hls.page, 'streaming');
  await playsOn(hls, 5);
  // Where there is enough to start from: dash.js takes what little a channel
  // has at its start, runs dry, and Chromium then asks for more in advance,
  // in the end more than there is before a gap.
  const dash = await openPage(browser, 'dash.js, two runs', dashPage.url(playback.dash));
  await playsOn(dash, 5);

  await killPublisher();
  await waitState(hls.page, 'running');
  await sleep(AWAY);
  const back = await publish(id, '640x360', '25');
  await waitState(hls.page, 'streaming');
  await Promise.all([hls, dash].map((player) => waitPicture(player, back)));
  await Promise.all([hls, dash].map((player) => playsOn(player, 5)));
  const { stats } = await call('GET', `/jobs/${id}`);
  assert.equal(stats.runs, 2, 'the next run began');

  await stopByButton(hls);
  await Promise.all([hls, dash].map(playsToTheEnd));
  await killPublisher();
  isSilent([hls, dash]);
}

const dashPage = await serveDashPage();
const browser = await launch();
try {
  await aJobFromTheForm(browser, dashPage);
  await aJobWithTwoRuns(browser, dashPage);
} finally {
  await browser.close();
  dashPage.close();
  noMoreOrders();
}
