// Chromium, pages that remember what went wrong in them, and the burnt-in
// clock of the test picture (cli/src/test_picture).
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { chromium } from 'playwright-core';

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required'];
/** How often a page is looked at, in milliseconds. */
const LOOK_EVERY = 200;
/** Nothing here takes this long, in milliseconds, unless it hangs. */
export const HANGS = 60_000;
/** How far picture and playback time may drift apart, in seconds: frames are
 * stamped when they are made, which is not perfectly even on a busy machine. */
const JITTER = 1.5;

/** The names that scripts/install.sh looks for too. */
const PROGRAMS = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'];

/** A browser of its own: CHROMIUM, or the first of the known names in PATH. */
export function launch() {
  const paths = PROGRAMS.flatMap((name) => process.env.PATH.split(delimiter).map((folder) => join(folder, name)));
  const executablePath = process.env.CHROMIUM ?? paths.find(existsSync);
  assert.ok(executablePath, 'no Chromium: run `make deps-test`');
  return chromium.launch({ executablePath, args: FLAGS });
}

/** A page, and the list of everything its console has complained about. */
export async function openPage(browser, name, url) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce' });
  const page = await context.newPage();
  page.setDefaultTimeout(HANGS);
  const complaints = [];
  const complain = (text) => {
    console.log(`${name} complains: ${text}`);
    complaints.push(text);
  };
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && complain(`${message.text()} ${message.location().url}`));
  page.on('pageerror', (error) => complain(error.stack));
  await page.addInitScript(installClock);
  await page.goto(url);
  return { name, page, complaints };
}

/** Runs in the page: `readPlayer()` tells playback time and burnt-in clock. */
function installClock() {
  const canvas = document.createElement('canvas');
  // One pixel is one cell of the picture's grid.
  [canvas.width, canvas.height] = [48, 36];
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const readClock = (video) => {
    context.drawImage(video, 0, 0, canvas.width, canvas.height);
    const row = context.getImageData(0, 0, canvas.width, 1).data;
    const luma = Array.from({ length: canvas.width }, (_, i) => row[4 * i] + row[4 * i + 1] + row[4 * i + 2]);
    if (luma[0] < luma[1] + 3 * 64) return null;
    const bits = luma.map((value) => (value > (luma[0] + luma[1]) / 2 ? 1 : 0));
    if (bits[46] !== 0 || bits[47] !== 1) return null;
    // 44 bits: beyond the 32 of the bit operators.
    return bits.slice(2, 46).reduce((clock, bit) => clock * 2 + bit, 0);
  };
  window.readPlayer = () => {
    const video = document.querySelector('video');
    return {
      time: video.currentTime,
      clock: video.readyState >= 2 ? readClock(video) : null,
      width: video.videoWidth,
      paused: video.paused,
      ended: video.ended,
      readyState: video.readyState,
      error: video.error?.message ?? null,
      buffered: Array.from({ length: video.buffered.length }, (_, i) => [video.buffered.start(i), video.buffered.end(i)]),
    };
  };
}

async function waitPlayer({ name, page }, what, condition, argument) {
  try {
    await page.waitForFunction(condition, argument, { polling: LOOK_EVERY });
  } catch (error) {
    const state = await page.evaluate(() => window.readPlayer());
    throw new Error(`${name}: ${what}: not in ${HANGS} ms: ${JSON.stringify(state)}`, { cause: error });
  }
  return page.evaluate(() => window.readPlayer());
}

/** Waits for a picture that was made at `since` (Unix time in ms) or later. */
export function waitPicture(player, since) {
  return waitPlayer(player, `a picture from ${new Date(since).toISOString()} on`, (since) => window.readPlayer().clock >= since, since);
}

/** How often a stretch is looked at before player and picture disagree: a
 * starved publisher spoils one stretch, a wrong player every one. */
const STRETCHES = 3;

async function playsAStretch(player, seconds) {
  const before = await waitPlayer(player, 'a picture', () => window.readPlayer().clock !== null);
  const after = await waitPlayer(player, `${seconds} s more`, (until) => window.readPlayer().time >= until && window.readPlayer().clock !== null, before.time + seconds);
  const [played, shown] = [after.time - before.time, (after.clock - before.clock) / 1000];
  console.log(`${player.name}: played ${played.toFixed(2)} s, the picture's clock went on by ${shown.toFixed(2)} s, ${((Date.now() - after.clock) / 1000).toFixed(1)} s behind live`);
  return Math.abs(played - shown);
}

/** Waits until it has played `seconds` more, and checks that the picture has
 * moved on by as much. */
export async function playsOn(player, seconds) {
  const apart = [];
  do {
    apart.push(await playsAStretch(player, seconds));
  } while (apart.at(-1) >= JITTER && apart.length < STRETCHES);
  assert.ok(apart.at(-1) < JITTER, `${player.name} shows what it plays: ${apart.join(', ')} s apart`);
}

/** Waits until it has played all there was. */
export async function playsToTheEnd(player) {
  const state = await waitPlayer(player, 'the end', () => window.readPlayer().ended);
  assert.equal(state.error, null);
  console.log(`${player.name}: played to the end`);
}

const shots = process.env.SHOTS;
if (shots) await mkdir(shots, { recursive: true });

/** With SHOTS, a folder: keeps the page as it is on a desk and on a phone,
 * by day and by night. */
export async function shotAll(page, name) {
  if (!shots) return;
  for (const [suffix, colorScheme, width, height] of [['light', 'light', 1280, 900], ['dark', 'dark', 1280, 900], ['phone-dark', 'dark', 375, 812], ['phone', 'light', 375, 812]]) {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: `${shots}/${name}-${suffix}.png`, fullPage: true });
  }
  await page.setViewportSize({ width: 1280, height: 900 });
}
