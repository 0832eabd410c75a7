// #/jobs: all jobs with their live state.
import * as api from './api.js';
import { h, keyed, setText } from './dom.js';
import * as format from './format.js';
import { icon } from './icons.js';
import { poll } from './poll.js';
import { href } from './router.js';
import { STATES, describeInput, describeInputVideo, describeLadder } from './states.js';
import { badge, empty, heading, setBadge, showRefusal } from './ui.js';

const PAGE_SIZE = 20;

function filters(active) {
  const link = (state) =>
    h(
      'a',
      {
        class: 'chip',
        id: `filter-${state || 'all'}`,
        href: href('/jobs', { state }),
        'aria-current': active === state ? 'true' : null,
      },
      state || 'all',
    );
  return h('nav', { class: 'chips', 'aria-label': 'Filter by state' }, link(''), ...STATES.map(link));
}

function createRow(job) {
  const cell = (name, label) => h('td', { class: `cell-${name}`, 'data-cell': name, 'data-label': label });
  const state = cell('state', 'State');
  state.append(badge(job.state), h('small', { class: 'row-reason' }));
  const name = cell('job', 'Job');
  name.append(
    h('a', { class: 'row-link mono', href: href(`/jobs/${job.id}`), 'data-test': 'job-link', title: job.id }, format.shortId(job.id)),
    h('small', { class: 'row-ladder' }),
  );
  return h(
    'tr',
    { 'data-test': 'job-row', 'data-job': job.id },
    state,
    name,
    cell('input', 'Input'),
    cell('speed', 'Speed'),
    cell('up', 'On air'),
    cell('created', 'Created'),
  );
}

function updateRow(row, job) {
  const cell = (name) => row.querySelector(`[data-cell=${name}]`);
  const on = job.state === 'streaming';
  setBadge(row.querySelector('.badge'), job.state);
  setText(row.querySelector('.row-reason'), job.reason?.code ? format.words(job.reason.code) : '');
  setText(row.querySelector('.row-ladder'), describeLadder(job.spec));
  const picture = on ? describeInputVideo(job.stats?.input?.video) : '';
  setText(cell('input'), picture || describeInput(job));
  setText(cell('speed'), on ? `${format.decimal(job.stats?.speed)}×  ${format.decimal(job.stats?.fps, 1)} fps` : '');
  setText(cell('up'), job.stats?.active_seconds ? format.duration(job.stats.active_seconds) : '');
  setText(cell('created'), format.ago(job.created_at));
  cell('created').title = format.dateTime(job.created_at);
}

function table(body) {
  const head = ['State', 'Job', 'Input', 'Speed', 'On air', 'Created'].map((name) => h('th', { scope: 'col' }, name));
  return h('div', { class: 'table-wrap' }, h('table', { class: 'rows', id: 'jobs-table' }, h('caption', { class: 'visually-hidden' }, 'Jobs, newest first'), h('thead', {}, h('tr', {}, ...head)), body));
}

function nothing(state, cursor) {
  if (cursor) return empty('No older jobs', 'This is the end of the list.');
  if (state) return empty(`No job is ${state}`, 'It may be in another state, or deleted.');
  const create = h('a', { class: 'button primary', href: '#/new', 'data-test': 'empty-create' }, icon('plus'), 'New job');
  return empty('No live jobs yet', 'A job is a live channel: post one, push a stream to it, and watch it here.', create);
}

/** Mounts the list of jobs. */
export function jobsPage(root, { query, signal }) {
  const state = query.get('state') ?? '';
  const cursor = query.get('cursor') ?? '';
  const body = h('tbody', { 'data-test': 'jobs-body' });
  const list = h('div', { id: 'jobs', 'aria-busy': 'true' }, h('p', { class: 'loading' }, 'Loading…'));
  const newest = h('a', { class: 'button', id: 'page-newest', href: href('/jobs', { state }), hidden: !cursor }, 'Newest');
  const older = h('a', { class: 'button', id: 'page-older', hidden: true }, 'Older');
  const full = table(body);
  root.append(
    h('div', { class: 'page-head' }, heading('Jobs')),
    filters(state),
    list,
    h('nav', { class: 'pager', 'aria-label': 'Pages' }, newest, older),
  );
  document.title = 'Jobs · ezlive';

  poll(
    async () => {
      const page = await api.listJobs({ state, cursor, limit: PAGE_SIZE }, signal);
      list.removeAttribute('aria-busy');
      keyed(body, page.jobs, (job) => job.id, createRow, updateRow);
      if (page.jobs.length > 0) {
        if (!full.isConnected) list.replaceChildren(full);
      } else if (!list.querySelector('[data-test=empty]')) {
        list.replaceChildren(nothing(state, cursor));
      }
      older.hidden = !page.next_cursor;
      if (page.next_cursor) older.href = href('/jobs', { state, cursor: page.next_cursor });
    },
    {
      signal,
      onRefused: (error) => {
        list.removeAttribute('aria-busy');
        showRefusal(list, error);
        older.hidden = true;
      },
    },
  );
}
