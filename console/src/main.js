// The console of ezlive: starts the router and the header.
//
// Stable hooks for browser tests (`#id`, `[data-test=name]`):
//   header     #nav-home #nav-jobs #nav-workers #nav-create #theme-toggle
//              #link-state[data-state=wait|ok|failing|offline] #skip-link #offline
//   everywhere #main #live-region toast toast-close refused #dialog
//              #dialog-confirm #dialog-cancel #token-dialog #token #token-submit
//   #/jobs     #filter-all #filter-STATE jobs-body job-row[data-job] job-link
//              state[data-state] empty empty-create #page-newest #page-older
//   #/new, #/jobs/ID/edit
//              #job-form #tab-form #tab-json #json #json-error #fault-summary
//              fault-link, fields [data-pointer="/output/video_outputs/0/width"]
//              (id f-output-video_outputs-0-width), their faults
//              [data-faults=POINTER], rows video-row audio-row, #add-video
//              #add-audio #remove-output-video_outputs-0 …, #check-button
//              #save-button #reset-button #check check-result check-warnings
//              check-command check-spec #back-to-job
//   #/jobs/ID  #state with state[data-state] state-text state-reason,
//              #job-resume #job-pause #job-stop #job-edit #job-duplicate
//              #job-delete (choices in the dialog: #choice-force
//              #choice-media), #player (the <video>) #player-overlay
//              #player-quality #player-live player-height player-latency
//              player-buffer player-dropped, stat-fps stat-speed stat-bitrate
//              stat-dropped stat-video stat-audio stat-segment stat-active
//              stat-up stat-bytes stat-runs stat-attempt, #ingest ingest-url
//              ingest-key #ingest-reveal #ingest-rotate ingest-command
//              ingest-waiting #ffmpeg-push #obs obs-server-copy obs-key-copy,
//              playback-hls playback-dash, #events event[data-type][data-to]
//              #events-all,
//              job-spec job-warnings job-id-copy gone-back; each copyable X
//              has a button X-copy
//   #/workers  worker-row[data-worker] worker-job worker-drain
import { onOutcome } from './api.js';
import { createPage, editPage } from './create.js';
import { setText } from './dom.js';
import { icon } from './icons.js';
import { jobPage } from './job.js';
import { jobsPage } from './jobs.js';
import { startRouter } from './router.js';
import { askForToken } from './token.js';
import { empty, heading } from './ui.js';
import { workersPage } from './workers.js';

const ROUTES = [
  ['/jobs', jobsPage],
  ['/jobs/:id', jobPage],
  ['/jobs/:id/edit', editPage],
  ['/new', createPage],
  ['/workers', workersPage],
];

const LINK_WORDS = { wait: 'Connecting', ok: 'Connected', failing: 'The server has a fault', offline: 'No connection' };
const LINK_TROUBLE = {
  failing: 'ezlive answers with an error. What you see is the last known state; trying again.',
  offline: 'ezlive can’t be reached. What you see is the last known state; trying again.',
};
const THEMES = ['auto', 'light', 'dark'];

function showLink(state) {
  const dot = document.getElementById('link-state');
  dot.dataset.state = state;
  dot.setAttribute('aria-label', LINK_WORDS[state]);
  dot.title = LINK_WORDS[state];
  const bar = document.getElementById('offline');
  bar.hidden = !(state in LINK_TROUBLE);
  setText(bar, LINK_TROUBLE[state] ?? '');
}

function themeToggle(button) {
  const current = () => document.documentElement.dataset.theme ?? 'auto';
  const show = () => {
    button.replaceChildren(icon(current()));
    button.setAttribute('aria-label', `Theme: ${current()}`);
    button.title = `Theme: ${current()}`;
  };
  button.addEventListener('click', () => {
    const next = THEMES[(THEMES.indexOf(current()) + 1) % THEMES.length];
    if (next === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem('ezlive-theme', next);
    } catch {
      // No storage: the choice lasts as long as the page.
    }
    show();
  });
  show();
}

function notFound(root) {
  root.append(heading('Nothing here'), empty('There is no such page', 'The address may be mistyped.'));
  document.title = 'Nothing here · ezlive';
}

function onRoute(path) {
  const section = path.split('/')[1];
  for (const link of document.querySelectorAll('[data-nav]')) {
    if (link.dataset.nav === section) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
}

const main = document.getElementById('main');
themeToggle(document.getElementById('theme-toggle'));
document.getElementById('skip-link').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});
onOutcome((outcome) => {
  // What is being written stays; every other page starts over with the token.
  if (outcome === 'unauthorized') askForToken(() => document.getElementById('job-form') || remount());
  else showLink(outcome);
});
const remount = startRouter(main, ROUTES, { notFound, onRoute });
