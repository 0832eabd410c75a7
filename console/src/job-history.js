// What happened to a job: every transition, newest first.
import * as api from './api.js';
import { badge, card } from './ui.js';
import { h, keyed, setText } from './dom.js';
import { readEvent, workerOf } from './events.js';
import * as format from './format.js';

const SHOWN = 20;

function createEvent(event) {
  const { moved, title, tone, text } = readEvent(event);
  const worker = workerOf(event);
  const where = [moved && title, event.attempt > 0 && `attempt ${event.attempt}`, worker && `worker ${format.shortId(worker)}`];
  const from = event.from && [badge(event.from), h('span', { class: 'arrow' }, '→')];
  const head = moved ? h('span', { class: 'event-change' }, from, badge(event.to)) : h('strong', { class: 'event-title' }, title);
  return h(
    'li',
    { class: 'event', 'data-test': 'event', 'data-type': event.type, 'data-to': event.to, 'data-tone': tone },
    h('time', { datetime: event.at, title: format.dateTime(event.at) }, format.clock(event.at)),
    h(
      'div',
      { class: 'event-body' },
      h('div', { class: 'event-head' }, head, h('span', { class: 'event-meta' }, where.filter(Boolean).join(' · '))),
      text && h('p', {}, text),
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
