// What happened to a job: every transition, newest first.
import * as api from './api.js';
import { badge, card } from './ui.js';
import { h, keyed, setText } from './dom.js';
import * as format from './format.js';
import { href } from './router.js';

const SHOWN = 20;
/** Against a history without end; 100 events a page. */
const MAX_PAGES = 20;

/** An event's detail, which may be text or an object, on one line. */
export function detailText(detail) {
  if (detail === null || detail === undefined) return '';
  if (typeof detail !== 'object') return String(detail);
  return Object.entries(detail)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${format.words(name).toLowerCase()} ${typeof value === 'object' ? JSON.stringify(value) : value}`)
    .join(', ');
}

function createEvent(event) {
  const change = event.to
    ? h('span', { class: 'event-change' }, event.from && event.from !== event.to ? [badge(event.from), h('span', { class: 'arrow' }, '→')] : null, badge(event.to))
    : null;
  const notes = [
    event.reason && `${format.words(event.reason.code)}${event.reason.message ? `: ${event.reason.message}` : ''}`,
    detailText(event.detail),
  ].filter(Boolean);
  // A plain transition is told by its states; any other cause has a name.
  const cause = event.to && ![event.to, 'transition', undefined, null].includes(event.type) ? format.words(event.type) : '';
  const meta = [cause, event.attempt ? `attempt ${event.attempt}` : '', event.worker_id ? `worker ${format.shortId(event.worker_id)}` : ''].filter(Boolean).join(' · ');
  return h(
    'li',
    { class: 'event', 'data-test': 'event', 'data-to': event.to },
    h('time', { datetime: event.at, title: format.dateTime(event.at) }, format.clock(event.at)),
    h(
      'div',
      { class: 'event-body' },
      h('div', { class: 'event-head' }, change ?? h('strong', {}, format.words(event.type)), meta && h('span', { class: 'event-meta' }, meta)),
      notes.map((note) => h('p', {}, note)),
    ),
  );
}

/** The card: {element, refresh()}, which asks the API for what is new. */
export function historyCard(id, signal) {
  const list = h('ol', { class: 'timeline', id: 'events' });
  const more = h('button', { class: 'button small', type: 'button', id: 'events-all', hidden: true });
  const events = new Map();
  let all = false;

  const show = () => {
    const sorted = [...events.values()].sort((a, b) => b.seq - a.seq);
    keyed(list, all ? sorted : sorted.slice(0, SHOWN), (event) => event.seq, createEvent, () => {});
    more.hidden = all || sorted.length <= SHOWN;
    setText(more, `Show all ${sorted.length}`);
  };
  more.addEventListener('click', () => {
    all = true;
    show();
    list.querySelector('li')?.focus();
  });

  return {
    element: card('History', { id: 'history' }, list, more),
    async refresh() {
      let cursor;
      for (let page = 0; page < MAX_PAGES; page += 1) {
        const answer = await api.listEvents(id, cursor, signal);
        const fresh = answer.events.filter((event) => !events.has(event.seq));
        for (const event of fresh) events.set(event.seq, event);
        cursor = answer.next_cursor;
        // Newest first, a page without news means that the rest is known.
        const newestFirst = answer.events.length > 1 && answer.events[0].seq > answer.events.at(-1).seq;
        if (!cursor || (newestFirst && fresh.length === 0)) break;
      }
      show();
    },
  };
}
