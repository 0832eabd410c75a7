// Asking again and again, gently.
import { nextDelay } from './backoff.js';

function delay(ms, signals) {
  return new Promise((resolve) => {
    const listening = new AbortController();
    const done = () => {
      clearTimeout(timer);
      // A page's signal outlives many a delay: nothing of them stays on it.
      listening.abort();
      resolve();
    };
    const timer = setTimeout(done, ms);
    for (const signal of signals) signal.addEventListener('abort', done, { signal: listening.signal });
  });
}

function visible(signal) {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => {
    const listening = new AbortController();
    const done = () => {
      listening.abort();
      resolve();
    };
    document.addEventListener('visibilitychange', () => document.hidden || done(), { signal: listening.signal });
    signal.addEventListener('abort', done, { signal: listening.signal });
  });
}

/**
 * Runs `task` every `interval` milliseconds until `signal` aborts: less often
 * while it fails, never while the tab is hidden, at once when it is shown
 * again. `onRefused(error)` is told what the server refuses (4xx), as the
 * header tells only of a server that is away or has a fault. Gives a function
 * that makes it run now.
 */
export function poll(task, { signal, onRefused, interval = 2000 }) {
  let wake = new AbortController();
  const loop = async () => {
    let failures = 0;
    while (!signal.aborted) {
      wake = new AbortController();
      try {
        await task();
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (error.name !== 'ApiError') throw error;
        // The page is mounted anew once there is a token.
        if (error.status === 401) return;
        if (error.status >= 400 && error.status < 500) onRefused(error);
        failures += 1;
      }
      if (!wake.signal.aborted) await delay(nextDelay(failures, interval), [signal, wake.signal]);
      await visible(signal);
    }
  };
  loop();
  return () => wake.abort();
}
