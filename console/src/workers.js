// #/workers: the fleet.
import * as api from './api.js';
import { h, keyed, setText } from './dom.js';
import * as format from './format.js';
import { poll } from './poll.js';
import { href } from './router.js';
import { badge, confirm, empty, errorText, heading, setBadge, toast } from './ui.js';

const PAGE_SIZE = 50;
/** Shown in places of their own. */
const OWN_PLACE = new Set(['id', 'worker_id', 'state', 'job_id']);

const idOf = (worker) => worker.id ?? worker.worker_id;

/** What else the API says of a worker, as [label, text]. */
function facts(worker) {
  return Object.entries(worker)
    .filter(([name, value]) => !OWN_PLACE.has(name) && value !== null && typeof value !== 'object')
    .map(([name, value]) => [format.words(name), name.endsWith('_at') ? format.ago(value) : String(value)]);
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
    await api.drainWorker(idOf(worker));
    toast('The worker is draining.');
    refresh();
  } catch (error) {
    toast(errorText(error), 'bad');
  }
}

function createCard(worker, refresh) {
  const id = idOf(worker);
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
export function workersPage(root, { query, signal }) {
  const cursor = query.get('cursor') ?? '';
  const cards = h('ul', { class: 'worker-list', id: 'workers' });
  const list = h('div', {}, h('p', { class: 'loading' }, 'Loading…'));
  const newest = h('a', { class: 'button', id: 'page-newest', href: href('/workers'), hidden: !cursor }, 'First page');
  const older = h('a', { class: 'button', id: 'page-older', hidden: true }, 'More');
  root.append(
    h('div', { class: 'page-head' }, heading('Workers'), h('p', { class: 'page-note' }, 'A worker runs one job at a time and leaves when it has been idle for a while.')),
    list,
    h('nav', { class: 'pager', 'aria-label': 'Pages' }, newest, older),
  );
  document.title = 'Workers · ezlive';

  const refresh = poll(
    async () => {
      const page = await api.listWorkers({ cursor, limit: PAGE_SIZE }, signal);
      keyed(cards, page.workers, idOf, (worker) => createCard(worker, () => refresh()), updateCard);
      if (page.workers.length > 0) {
        if (!cards.isConnected) list.replaceChildren(cards);
      } else if (!list.querySelector('.empty')) {
        list.replaceChildren(empty('No workers', 'One is started when a job needs it. Nothing runs while nobody streams.'));
      }
      older.hidden = !page.next_cursor;
      if (page.next_cursor) older.href = href('/workers', { cursor: page.next_cursor });
    },
    { signal },
  );
}
