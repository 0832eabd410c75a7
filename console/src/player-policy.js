// What to do about a fatal error of the player. Pure; ./player.js does it.
import { nextDelay } from './backoff.js';

/** A media error again within this time means that recovery didn't help. */
const MEDIA_RECOVERY_WINDOW_MS = 10_000;

/** Details after which trying again can't help: the browser lacks a decoder. */
const HOPELESS = new Set(['manifestIncompatibleCodecsError', 'bufferIncompatibleCodecsError', 'keySystemNoKeys']);

/** A fresh memory of what went wrong. */
export function newHistory() {
  return { failures: 0, mediaErrorAt: -Infinity };
}

/**
 * Decides on a fatal error of hls.js: {action, delay} with action
 * `recover-media` (reset the decoder), `reload` (load the playlist anew after
 * `delay` milliseconds) or `give-up`. Changes `history`.
 */
export function onFatalError({ type, details }, history, now) {
  if (HOPELESS.has(details)) return { action: 'give-up', delay: 0 };
  if (type === 'mediaError' && now - history.mediaErrorAt > MEDIA_RECOVERY_WINDOW_MS) {
    history.mediaErrorAt = now;
    return { action: 'recover-media', delay: 0 };
  }
  const delay = nextDelay(history.failures, 1000, 10_000);
  history.failures += 1;
  return { action: 'reload', delay };
}

/** Playback has advanced: what went wrong before no longer counts. */
export function onProgress(history) {
  history.failures = 0;
}

/** No progress for this long, with media ahead: go to the live edge. */
export const STALL_SEEK_MS = 8_000;
/** No progress for this long, whatever the cause: load anew. */
export const STALL_RELOAD_MS = 20_000;

/**
 * Decides on a picture that stands still although the job streams and nobody
 * paused it: `none`, `seek` (once per stall) or `reload`.
 */
export function onStall(stalledMs, { mediaAhead, sought }) {
  if (stalledMs >= STALL_RELOAD_MS) return 'reload';
  if (stalledMs >= STALL_SEEK_MS && mediaAhead && !sought) return 'seek';
  return 'none';
}
