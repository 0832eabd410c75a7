// What an event of a job's history means in words. Pure.
import { words } from './format.js';

/** Events that are about the worker itself. */
const OF_THE_WORKER = new Set(['booked', 'worker_lost', 'handed_back', 'stop_forced']);
/** How bad it is, where the state it leads to does not say so. */
const TONES = { not_placed: 'warn', run_ended: 'warn', worker_lost: 'warn', stop_forced: 'warn' };

/** Something wrong that stops no run; the same without a reason takes it back. */
function ofTrouble({ reason }) {
  return reason ? { title: 'In trouble', tone: 'warn' } : { title: 'Out of trouble', tone: 'good' };
}

/** A reason in a line; its code is left out where the title says it. */
function why({ code, message }, title) {
  const said = words(code) === title ? '' : words(code);
  return [said, message].filter(Boolean).join(': ');
}

/**
 * One event, read: {moved, title, tone, text}. `moved`: it led to another
 * state. `title` is empty where the state says the same. `tone` is 'warn',
 * 'good' or ''. `text` says why, or is ''.
 */
export function readEvent(event) {
  const { title, tone } =
    event.type === 'trouble'
      ? ofTrouble(event)
      : { title: event.type === event.to ? '' : words(event.type), tone: TONES[event.type] ?? '' };
  const { reason } = event;
  return { moved: event.from !== event.to, title, tone, text: reason ? why(reason, title) : '' };
}

/** The worker's id where the event is about the worker, or null. */
export function workerOf(event) {
  return OF_THE_WORKER.has(event.type) ? event.worker_id : null;
}
