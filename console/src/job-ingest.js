// Where to push to, and how.
import { copyButton, card, codeBlock, copyRow } from './ui.js';
import { h, setText } from './dom.js';
import { icon } from './icons.js';
import { publishCommand } from './publish-command.js';
import { isEnded, isPush } from './states.js';
import { publicUrl } from './format.js';

const HIDDEN = '••••••••••••';

function obsSteps(url, key) {
  return h(
    'details',
    { id: 'obs' },
    h('summary', {}, 'OBS Studio'),
    h(
      'ol',
      { class: 'steps' },
      h('li', {}, 'Settings → Stream → Service: Custom…'),
      h('li', {}, 'Server: the address above ', copyButton('the server for OBS', url, 'obs-server-copy', true)),
      h('li', {}, 'Stream Key: the key above ', copyButton('the key for OBS', key, 'obs-key-copy', true)),
      h('li', {}, 'Settings → Output: H.264 with a keyframe interval of 2 s, AAC audio.'),
      h('li', {}, 'Start Streaming. The job goes from running to streaming within seconds.'),
    ),
  );
}

/** The card: {element, update(job)}; `onRotate` is called for a new key. */
export function ingestCard(onRotate) {
  const address = copyRow('Server', 'ingest-url');
  const shownKey = h('code', { 'data-test': 'ingest-key' }, HIDDEN);
  const reveal = h('button', { class: 'button small icon-only', type: 'button', id: 'ingest-reveal', 'aria-pressed': 'false', 'aria-label': 'Show the stream key' }, icon('eye'));
  const rotate = h('button', { class: 'button small', type: 'button', id: 'ingest-rotate' }, icon('rotate'), 'New key');
  let ingest = null;
  const key = () => ingest?.stream_key ?? '';
  const keyRow = h('div', { class: 'copy-row' }, h('span', { class: 'copy-label' }, 'Stream key'), shownKey, reveal, copyButton('Stream key', key, 'ingest-key-copy', true));
  const command = codeBlock('FFmpeg test picture', 'ingest-command');
  const how = h('details', { id: 'ffmpeg-push', open: true }, h('summary', {}, 'FFmpeg test picture'), command.block);
  const ready = h('div', {}, address.row, keyRow, how, obsSteps(() => ingest?.url ?? '', key));
  const waiting = h('p', { class: 'hint', 'data-test': 'ingest-waiting' });
  const element = card('Ingest', { id: 'ingest' }, waiting, ready, h('div', { class: 'card-actions' }, rotate));

  const refresh = () => {
    const open = reveal.getAttribute('aria-pressed') === 'true';
    setText(shownKey, open ? key() : HIDDEN);
    const line = ingest && publishCommand(ingest, key());
    how.hidden = !line;
    if (line) command.set(open ? line : publishCommand(ingest, 'KEY'), line);
  };
  reveal.addEventListener('click', () => {
    const open = reveal.getAttribute('aria-pressed') !== 'true';
    reveal.setAttribute('aria-pressed', String(open));
    reveal.setAttribute('aria-label', open ? 'Hide the stream key' : 'Show the stream key');
    refresh();
  });
  rotate.addEventListener('click', onRotate);

  return {
    element,
    update(job) {
      ingest = job.ingest;
      rotate.hidden = !isPush(job);
      ready.hidden = !ingest;
      waiting.hidden = Boolean(ingest);
      if (ingest) {
        address.set(ingest.url);
        refresh();
      } else if (!isPush(job)) {
        setText(waiting, `The worker pulls from ${publicUrl(job.spec.input.url)}.`);
      } else {
        setText(waiting, isEnded(job.state) ? 'Resume the job to open its ingest again, with the same stream key.' : 'The address appears here as soon as the worker listens.');
      }
    },
  };
}
