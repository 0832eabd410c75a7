// #/jobs/:id: one job.
import * as api from './api.js';
import { h, setText } from './dom.js';
import * as format from './format.js';
import { jobActions } from './job-actions.js';
import { historyCard } from './job-history.js';
import { ingestCard } from './job-ingest.js';
import { playerCard } from './job-player.js';
import { statsCard } from './job-stats.js';
import { poll } from './poll.js';
import { describeDesire, describeInput, describeLadder, describeState } from './states.js';
import { announce, badge, card, codeBlock, copyButton, copyRow, empty, heading, setBadge, showRefusal } from './ui.js';

/** Events that change no state show up this late at most, in polls. */
const HISTORY_EVERY = 5;

function banner() {
  const state = badge('created', true);
  const text = h('p', { class: 'banner-text', 'data-test': 'state-text' });
  const reason = h('p', { class: 'banner-reason', 'data-test': 'state-reason', hidden: true });
  const element = h('section', { class: 'banner', id: 'state', 'aria-label': 'State' }, state, h('div', {}, text, reason));
  return {
    element,
    update(job) {
      setBadge(state, job.state);
      element.dataset.state = job.state;
      setText(text, [describeState(job), describeDesire(job)].filter(Boolean).join(' '));
      reason.hidden = !job.reason;
      if (job.reason) {
        const words = format.sentence(job.reason.message) || format.words(job.reason.code);
        if (reason.dataset.shown !== `${job.reason.code} ${words}`) {
          reason.dataset.shown = `${job.reason.code} ${words}`;
          reason.replaceChildren(words, ' ', h('code', {}, job.reason.code));
        }
      }
    },
  };
}

function playbackCard() {
  const hls = copyRow('HLS', 'playback-hls');
  const dash = copyRow('DASH', 'playback-dash');
  return {
    element: card('Playback', { id: 'playback' }, hls.row, dash.row),
    update(job) {
      hls.row.hidden = !job.playback?.hls;
      dash.row.hidden = !job.playback?.dash;
      hls.set(job.playback?.hls);
      dash.set(job.playback?.dash);
    },
  };
}

function specCard() {
  const code = codeBlock('Spec', 'job-spec');
  const list = h('ul', { class: 'warnings', 'data-test': 'job-warnings' });
  const facts = h('dl', { class: 'facts' });
  return {
    element: card('Spec', { id: 'spec' }, facts, list, h('details', {}, h('summary', {}, 'As JSON'), code.block)),
    update(job) {
      code.set(JSON.stringify(job.spec, null, 2));
      const rows = [
        ['Input', describeInput(job)],
        ['Ladder', describeLadder(job.spec)],
        ['Segments', `${job.spec.output.segment_duration} s${job.spec.output.low_latency_mode ? ', low latency' : ''}`],
        ['Worker', job.worker_id ? format.shortId(job.worker_id) : 'none'],
        ['Created', format.dateTime(job.created_at)],
      ];
      const shown = JSON.stringify([rows, job.warnings]);
      if (facts.dataset.shown === shown) return;
      facts.dataset.shown = shown;
      facts.replaceChildren(...rows.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));
      list.replaceChildren(...(job.warnings ?? []).map(({ pointer, detail }) => h('li', {}, h('code', {}, pointer), ` ${detail}`)));
    },
  };
}

/** Mounts one job's page. */
export function jobPage(root, { params: { id }, signal }) {
  const page = new AbortController();
  signal.addEventListener('abort', () => page.abort());
  let refresh = () => {};
  let shown = null;
  let polls = 0;

  const state = banner();
  const actions = jobActions(id, { onJob: (job) => show(job), refresh: () => refresh() });
  const player = playerCard(page.signal);
  const stats = statsCard();
  const ingest = ingestCard(() => actions.rotate());
  const playback = playbackCard();
  const spec = specCard();
  const history = historyCard(id, page.signal);
  const title = heading(`Job ${format.shortId(id)}`);
  const content = h(
    'div',
    { class: 'job', id: 'job', hidden: true },
    h('div', { class: 'job-main' }, player.element, stats.element, history.element),
    h('div', { class: 'job-side' }, ingest.element, playback.element, spec.element),
  );
  const head = h('div', { class: 'page-head job-head' }, h('div', { class: 'title-row' }, title, copyButton('the job’s id', () => id, 'job-id-copy', true)), actions.element);
  // Until there is a job to show: that it loads, or why it does not.
  const instead = h('div', {}, h('p', { class: 'loading' }, 'Loading…'));
  head.lastElementChild.hidden = true;
  state.element.hidden = true;
  root.append(head, state.element, instead, content);
  document.title = `Job ${format.shortId(id)} · ezlive`;

  const parts = [content, state.element, actions.element];
  const show = (job) => {
    if (page.signal.aborted) return;
    const before = shown;
    shown = job;
    instead.remove();
    for (const element of parts) element.hidden = false;
    for (const part of [state, actions, player, stats, ingest, playback, spec]) part.update(job);
    document.title = `${job.state} · Job ${format.shortId(id)} · ezlive`;
    if (before && (before.state !== job.state || before.reason?.code !== job.reason?.code)) announce(`The job is ${job.state}. ${job.reason?.message ?? describeState(job)}`);
    const moved = !before || ['state', 'desired', 'attempt', 'worker_id'].some((name) => before[name] !== job[name]) || before.reason?.code !== job.reason?.code || before.stats?.runs !== job.stats?.runs;
    if (moved) polls = 0;
  };
  const refused = (error) => {
    for (const element of parts) element.hidden = true;
    head.after(instead);
    showRefusal(instead, error);
  };
  const gone = () => {
    page.abort();
    root.replaceChildren(heading('Job'), empty('There is no such job', 'It may have been deleted.', h('a', { class: 'button', href: '#/jobs', 'data-test': 'gone-back' }, 'All jobs')));
    announce('The job is gone.');
  };

  refresh = poll(
    async () => {
      try {
        show(await api.getJob(id, page.signal));
        if (polls % HISTORY_EVERY === 0) await history.refresh();
        polls += 1;
      } catch (error) {
        if (!page.signal.aborted && (error.status === 404 || error.status === 400)) gone();
        else throw error;
      }
    },
    { signal: page.signal, onRefused: refused },
  );
}
