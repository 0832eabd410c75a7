// What a person may do to a job.
import * as api from './api.js';
import { h } from './dom.js';
import { icon } from './icons.js';
import { go, href } from './router.js';
import { allowedActions } from './states.js';
import { confirm, errorText, toast } from './ui.js';

function button(id, name, label, kind = '') {
  return h('button', { class: `button ${kind}`, type: 'button', id }, icon(name), label);
}

/**
 * The row of buttons: {element, update(job), rotate()}. `onJob(job)` takes an
 * answer that is newer than what the page shows; `refresh()` asks for one.
 */
export function jobActions(id, { onJob, refresh }) {
  const buttons = {
    resume: button('job-resume', 'play', 'Resume', 'primary'),
    pause: button('job-pause', 'pause', 'Pause'),
    stop: button('job-stop', 'stop', 'Stop'),
    delete: button('job-delete', 'trash', 'Delete', 'danger-quiet'),
  };
  const edit = h('a', { class: 'button', id: 'job-edit', href: href(`/jobs/${id}/edit`) }, icon('edit'), 'Edit');
  const duplicate = h('a', { class: 'button', id: 'job-duplicate', href: href('/new', { from: id }) }, icon('copy'), 'Duplicate');
  let job = null;
  let busy = false;

  const run = async (work) => {
    if (busy) return;
    busy = true;
    update(job);
    try {
      await work();
    } catch (error) {
      if (error.name !== 'ApiError') throw error;
      toast(errorText(error), 'bad');
    } finally {
      busy = false;
      update(job);
      refresh();
    }
  };
  const desire = (verb) =>
    run(async () => {
      const answer = await api.setDesired(id, verb);
      if (answer) onJob(answer);
    });

  const stop = async () => {
    const answer = await confirm({
      title: 'Stop this job?',
      text: 'The playlists end and the worker is freed. Players that have seen the end don’t come back by themselves.',
      confirmLabel: 'Stop',
      danger: true,
    });
    if (answer) desire('stop');
  };
  const remove = async () => {
    const { deleteNeedsForce } = allowedActions(job);
    const force = { name: 'force', label: 'Stop it first', hint: 'The job is live.', required: true };
    const media = { name: 'media', label: 'Delete its media too', hint: 'Segments and playlists in the object store. This can’t be undone.' };
    const answer = await confirm({
      title: 'Delete this job?',
      text: 'Its spec, stream key and history go.',
      confirmLabel: 'Delete',
      danger: true,
      choices: deleteNeedsForce ? [force, media] : [media],
    });
    if (!answer) return;
    run(async () => {
      await api.deleteJob(id, { force: answer.force ?? false, media: answer.media });
      toast(deleteNeedsForce ? 'The job is stopped and then deleted.' : 'The job is deleted.');
      go('/jobs');
    });
  };
  const rotate = async () => {
    const answer = await confirm({
      title: 'Make a new stream key?',
      text: 'A publisher on the old key is cut off at once and has to come back with the new one.',
      confirmLabel: 'New key',
      danger: true,
    });
    if (!answer) return;
    run(async () => {
      const changed = await api.rotateKey(id);
      if (changed?.state) onJob(changed);
      toast('There is a new stream key.');
    });
  };

  buttons.resume.addEventListener('click', () => desire('resume'));
  buttons.pause.addEventListener('click', () => desire('pause'));
  buttons.stop.addEventListener('click', stop);
  buttons.delete.addEventListener('click', remove);

  const update = (next) => {
    job = next;
    const allowed = allowedActions(job);
    for (const name of ['resume', 'pause', 'stop']) {
      // A button that has the focus stays, unusable, so that the focus isn't lost.
      const focused = document.activeElement === buttons[name];
      buttons[name].hidden = !allowed[name] && !focused;
      buttons[name].setAttribute('aria-disabled', String(busy || !allowed[name]));
    }
    buttons.delete.setAttribute('aria-disabled', String(busy));
    edit.hidden = !allowed.edit;
  };
  const element = h('div', { class: 'actions', role: 'group', 'aria-label': 'Job' }, ...Object.values(buttons).slice(0, 3), edit, duplicate, buttons.delete);
  // aria-disabled buttons keep the focus; they just do nothing.
  element.addEventListener(
    'click',
    (event) => {
      if (event.target.closest('[aria-disabled=true]')) event.stopPropagation();
    },
    { capture: true },
  );
  // What had to stay for the sake of the focus goes when the focus does.
  element.addEventListener('focusout', () => setTimeout(() => job && update(job)));
  return { element, update, rotate };
}
