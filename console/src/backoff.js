// How long to wait before trying again. Pure.

/**
 * Milliseconds until the next try: `interval` while all goes well, doubling
 * with each failure in a row up to `max`.
 */
export function nextDelay(failures, interval = 2000, max = 30000) {
  return Math.min(interval * 2 ** Math.min(failures, 16), max);
}
