// #/new and #/jobs/:id/edit: writing a job's spec.
import * as api from './api.js';
import { h } from './dom.js';
import * as format from './format.js';
import { go, href } from './router.js';
import sample from '../../live_job.json';
import { createEditor } from './spec-editor.js';
import { codeBlock, errorText, heading, toast } from './ui.js';

/** A random key, also where the page has no secure context. */
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function hintPanel() {
  return h(
    'div',
    { class: 'check-hint' },
    h('p', {}, 'Check shows what would run, without running it: the spec with every default filled in, warnings, and the FFmpeg command.'),
  );
}

/** What a dry run answered. */
function checkResult({ spec, warnings, ffmpeg }) {
  const command = codeBlock('FFmpeg command', 'check-command');
  command.set(ffmpeg.command);
  const resolved = codeBlock('Resolved spec', 'check-spec');
  resolved.set(JSON.stringify(spec, null, 2));
  const list = (warnings ?? []).map(({ pointer, detail }) => h('li', {}, h('code', {}, pointer), ` ${detail}`));
  return h(
    'div',
    { 'data-test': 'check-result' },
    h('p', { class: 'verdict', 'data-kind': list.length ? 'doubt' : 'good' }, list.length ? `Valid, with ${list.length === 1 ? 'a warning' : `${list.length} warnings`}` : 'Valid'),
    list.length > 0 && h('ul', { class: 'warnings', 'data-test': 'check-warnings' }, ...list),
    h('h3', {}, 'FFmpeg command'),
    command.block,
    h('details', {}, h('summary', {}, 'Resolved spec'), resolved.block),
  );
}

/** The editor with its buttons. `save(body)` resolves to the job's id. */
function editorPage(root, { title, note, start, saveLabel, save, signal }) {
  const result = h('div', { class: 'check-body', id: 'check', 'aria-live': 'polite' }, hintPanel());
  const check = h('button', { class: 'button', type: 'button', id: 'check-button' }, 'Check');
  const submit = h('button', { class: 'button primary', type: 'submit', id: 'save-button' }, saveLabel);
  const reset = h('button', { class: 'button quiet', type: 'button', id: 'reset-button' }, 'Start over');
  const editor = createEditor(start, () => result.replaceChildren(hintPanel()));

  const run = async (button, work) => {
    const body = editor.read();
    if (!body) return;
    check.disabled = true;
    submit.disabled = true;
    button.setAttribute('aria-busy', 'true');
    try {
      await work(body);
    } catch (error) {
      if (error.name !== 'ApiError') throw error;
      result.replaceChildren(hintPanel());
      if (!signal.aborted && error.status !== 401) editor.showFaults(error.faults, 'fault', error.message);
    } finally {
      check.disabled = false;
      submit.disabled = false;
      button.removeAttribute('aria-busy');
    }
  };
  check.addEventListener('click', () =>
    run(check, async (body) => {
      const answer = await api.checkJob(body);
      editor.showFaults(answer.warnings ?? [], 'doubt');
      result.replaceChildren(checkResult(answer));
    }),
  );
  reset.addEventListener('click', () => editor.load(start));
  const form = h(
    'form',
    { class: 'create', id: 'job-form', novalidate: true },
    editor.element,
    h('aside', { class: 'card check-card', 'aria-label': 'Check' }, h('h2', {}, 'What would run'), result),
    h('div', { class: 'form-actions' }, submit, check, reset),
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    run(submit, async (body) => {
      const job = await save(body);
      if (!signal.aborted) go(`/jobs/${job.id}`);
    });
  });
  root.append(h('div', { class: 'page-head' }, heading(title), h('p', { class: 'page-note' }, note)), form);
  document.title = `${title} · ezlive`;
}

/** The specs of existing jobs come with defaults filled in, in snake_case. */
async function specOf(id, root, signal) {
  const loading = h('p', { class: 'loading' }, 'Loading…');
  root.append(loading);
  try {
    const { spec } = await api.getJob(id, signal);
    loading.remove();
    return spec;
  } catch (error) {
    if (!signal.aborted && error.status !== 401) {
      loading.remove();
      toast(errorText(error), 'bad');
      go('/jobs');
    }
    return null;
  }
}

/** Mounts the page that creates a job, from the sample or from another job. */
export async function createPage(root, { query, signal }) {
  const from = query.get('from');
  const start = from ? await specOf(from, root, signal) : sample;
  if (!start || signal.aborted) return;
  // Pressing Create again after a lost answer must not make a second job; a
  // body that was changed in between is another request.
  let key = newKey();
  let keyed = '';
  editorPage(root, {
    title: 'New job',
    note: from ? `Starts from job ${format.shortId(from)}.` : 'Starts from the sample: two renditions out of one pushed stream.',
    start,
    saveLabel: 'Create',
    signal,
    save: (body) => {
      const text = JSON.stringify(body);
      if (keyed !== '' && keyed !== text) key = newKey();
      keyed = text;
      return api.createJob(body, key);
    },
  });
}

/** Mounts the page that replaces the spec of a stopped job. */
export async function editPage(root, { params, signal }) {
  const start = await specOf(params.id, root, signal);
  if (!start || signal.aborted) return;
  editorPage(root, {
    title: 'Edit job',
    note: `Job ${format.shortId(params.id)}. The change counts from the next resume.`,
    start,
    saveLabel: 'Save',
    signal,
    save: async (body) => {
      await api.replaceSpec(params.id, body);
      return { id: params.id };
    },
  });
  root.prepend(h('nav', { class: 'crumbs', 'aria-label': 'Breadcrumb' }, h('a', { href: href(`/jobs/${params.id}`), id: 'back-to-job' }, 'Back to the job')));
}
