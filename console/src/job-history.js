// What happened to a job: every transition, newest first.
import * as api from './api.js';
import { badge, card } from './ui.js';
import { h, keyed, setText } from './dom.js';
import * as format from './format.js';

const SHOWN = 20;
/** Events that are about the worker itself. */
const OF_THE_WORKER = new Set(['booked', 'worker_lost', 'handed_back', 'stop_forced']);
function createEvent(event) {
  const moved = event.from !== event.to;
  const from = event.from && [badge(event.from), h('span', { class: 'arrow' }, '→')];
  const cause = event.type === event.to ? '' : format.words(event.type);
  const where = [
    moved && cause,
    event.attempt > 0 && `attempt ${event.attempt}`,
    event.worker_id && OF_THE_WORKER.has(event.type) && `worker ${format.shortId(event.worker_id)}`,
  ];
  const head = moved ? h('span', { class: 'event-change' }, from, badge(event.to)) : h('strong', {}, cause);
  const reason = event.reason && `${format.words(event.reason.code)}: ${event.reason.message}`;
  return h(
    'li',
    { class: 'event', 'data-test': 'event', 'data-type': event.type, 'data-to': event.to },
    h('time', { datetime: event.at, title: format.dateTime(event.at) }, format.clock(event.at)),
    h(
      'div',
      { class: 'event-body' },
      h('div', { class: 'event-head' }, head, h('span', { class: 'event-meta' }, where.filter(Boolean).join(' · '))),
      reason && h('p', {}, reason),
    ),
  );
}

/** The card: {element, refresh()}, which asks the API for what is new. */
export function historyCard(id, signal) {
  const list = h('ol', { class: 'timeline', id: 'events' });
  const more = h('button', { class: 'button small', type: 'button', id: 'events-all', hidden: true });
  const events = [];
  let last = 0;
  let all = false;

  const show = () => {
    const newest = events.toReversed();
    keyed(list, all ? newest : newest.slice(0, SHOWN), (event) => event.seq, createEvent, () => {});
    more.hidden = all || newest.length <= SHOWN;
    setText(more, `Show all ${newest.length}`);
  };
  more.addEventListener('click', () => {
    all = true;
    show();
  });

  return {
    element: card('History', { id: 'history' }, list, more),
    async refresh() {
      let unread = true;
      while (unread) {
        const answer = await api.listEvents(id, last, signal);
        for (const event of answer.events) {
          events.push(event);
          last = Math.max(last, event.seq);
        }
        unread = answer.next_cursor !== null && answer.events.length > 0;
      }
      show();
    },
  };
}
