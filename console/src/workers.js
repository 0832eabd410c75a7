// #/workers: the fleet.
import * as api from './api.js';
import { h, keyed, setText } from './dom.js';
import * as format from './format.js';
import { poll } from './poll.js';
import { href } from './router.js';
import { badge, confirm, empty, errorText, heading, setBadge, showRefusal, toast } from './ui.js';

/** The states in which a worker can be told to leave. */
const DRAINABLE = new Set(['idle', 'booked']);

/** What else there is to know of a worker, as [label, text]. */
function facts(worker) {
  return [
    ['Size', worker.size],
    ['Attempt', worker.attempt],
    ['Beats', worker.beat ? format.count(worker.beat) : 'not registered yet'],
    ['Task', worker.task],
    ['Since', worker.created_at && format.ago(worker.created_at)],
  ].filter(([, text]) => text !== null && text !== undefined);
}

async function drain(worker, refresh) {
  const answer = await confirm({
    title: 'Drain this worker?',
    text: worker.job_id
      ? 'It hands its job to a standby first, then leaves. A pushed input reconnects once.'
      : 'It takes no more jobs and leaves.',
    confirmLabel: 'Drain',
  });
  if (!answer) return;
  try {
    await api.drainWorker(worker.id);
    toast('The worker is draining.');
    refresh();
  } catch (error) {
    toast(errorText(error), 'bad');
  }
}

function createCard(worker, refresh) {
  const { id } = worker;
  const button = h('button', { class: 'button small', type: 'button', 'data-test': 'worker-drain', 'aria-label': `Drain worker ${format.shortId(id)}` }, 'Drain');
  const card = h(
    'li',
    { class: 'card worker', 'data-test': 'worker-row', 'data-worker': id },
    h('div', { class: 'worker-head' }, h('h2', { class: 'mono', title: id }, format.shortId(id)), badge(worker.state)),
    h('p', { class: 'worker-job' }),
    h('dl', { class: 'facts' }),
    button,
  );
  button.addEventListener('click', () => drain(card.worker, refresh));
  return card;
}

function updateCard(card, worker) {
  card.worker = worker;
  setBadge(card.querySelector('.badge'), worker.state);
  card.querySelector('[data-test=worker-drain]').hidden = !DRAINABLE.has(worker.state);
  const job = card.querySelector('.worker-job');
  if (job.dataset.job !== String(worker.job_id)) {
    job.dataset.job = String(worker.job_id);
    job.replaceChildren(
      worker.job_id ? h('a', { href: href(`/jobs/${worker.job_id}`), 'data-test': 'worker-job', class: 'mono' }, `job ${format.shortId(worker.job_id)}`) : 'no job',
    );
  }
  keyed(
    card.querySelector('.facts'),
    facts(worker),
    ([label]) => label,
    ([label]) => h('div', {}, h('dt', {}, label), h('dd')),
    (row, [, text]) => setText(row.querySelector('dd'), text),
  );
}

/** Mounts the list of workers. */
export function workersPage(root, { signal }) {
  const cards = h('ul', { class: 'worker-list', id: 'workers' });
  const list = h('div', {}, h('p', { class: 'loading' }, 'Loading…'));
  root.append(
    h('div', { class: 'page-head' }, heading('Workers'), h('p', { class: 'page-note' }, 'A worker runs one job at a time and leaves when it has been idle for a while.')),
    list,
  );
  document.title = 'Workers · ezlive';

  const refresh = poll(
    async () => {
      const { workers } = await api.listWorkers(signal);
      keyed(cards, workers, (worker) => worker.id, (worker) => createCard(worker, () => refresh()), updateCard);
      if (workers.length > 0) {
        if (!cards.isConnected) list.replaceChildren(cards);
      } else if (!list.querySelector('[data-test=empty]')) {
        list.replaceChildren(empty('No workers', 'One is started when a job needs it. Nothing runs while nobody streams.'));
      }
    },
    { signal, onRefused: (error) => showRefusal(list, error) },
  );
}
