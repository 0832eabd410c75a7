// The player's card on a job's page: when to play, and what to say meanwhile.
import { h, setText } from './dom.js';
import * as format from './format.js';
import { describeState, isEnded, isPlayable } from './states.js';

const TITLES = {
  created: 'Waiting for a worker',
  assigned: 'Starting up',
  running: 'Waiting for input',
  streaming: 'Waiting for the first segment',
  paused: 'Paused',
  stopping: 'Stopping',
  stopped: 'Off air',
  failed: 'Failed',
};

function strip() {
  const value = (name, label) => {
    const text = h('dd', { 'data-test': `player-${name}` }, '–');
    return { text, row: h('div', {}, h('dt', {}, label), text) };
  };
  const parts = { height: value('height', 'Picture'), latency: value('latency', 'Behind live'), buffer: value('buffer', 'Buffer'), dropped: value('dropped', 'Dropped') };
  return { element: h('dl', { class: 'strip' }, ...Object.values(parts).map(({ row }) => row)), parts };
}

/** The card: {element, update(job)}. Ends with `signal`. */
export function playerCard(signal) {
  const video = h('video', { id: 'player', playsInline: true, muted: true, 'aria-label': 'Live picture' });
  const title = h('p', { class: 'screen-title' });
  const text = h('p', {});
  const overlay = h('div', { class: 'screen', id: 'player-overlay' }, title, text);
  const quality = h('select', { id: 'player-quality', 'aria-label': 'Rendition' }, h('option', { value: '-1' }, 'Auto'));
  const live = h('button', { class: 'button small live-button', type: 'button', id: 'player-live' }, 'Go live');
  const { element: stats, parts } = strip();
  const controls = h('div', { class: 'player-controls', hidden: true }, quality, live, stats);
  const element = h('section', { class: 'card player-card', 'aria-label': 'Player' }, h('div', { class: 'stage' }, video, overlay), controls);

  let player = null;
  let starting = false;
  let stale = false;
  let trouble = '';
  let job = null;

  const advancing = () => player !== null && video.readyState > 2 && !video.ended;

  const refresh = () => {
    const showing = advancing() && (job.state === 'streaming' || !video.paused) && trouble === '';
    overlay.hidden = showing;
    controls.hidden = player === null;
    video.controls = player !== null;
    if (!showing) {
      const loading = isPlayable(job);
      setText(title, trouble ? 'Can’t play' : loading ? 'Loading' : TITLES[job.state]);
      setText(text, trouble || (loading ? '' : (job.reason?.message ?? describeState(job))));
    }
    if (player) refreshStrip(showing && job.state === 'streaming');
  };

  const refreshStrip = (moving) => {
    const status = player.status();
    // A channel that is over has no edge to be behind of, or to go to.
    const hasEdge = !isEnded(job.state);
    const onEdge = moving && status.atLiveEdge;
    live.hidden = !hasEdge;
    live.dataset.live = onEdge ? 'yes' : 'no';
    setText(live, onEdge ? 'Live' : 'Go live');
    setText(parts.height.text, status.height ? `${status.height}p` : '–');
    setText(parts.latency.text, hasEdge && status.latencySeconds ? `${status.latencySeconds.toFixed(1)} s` : '–');
    setText(parts.buffer.text, `${status.bufferSeconds.toFixed(1)} s`);
    setText(parts.dropped.text, format.count(status.droppedFrames));
    const levels = player.levels();
    const names = levels.map(({ height, bitrate }) => `${height}p · ${format.bitrate(bitrate)}`);
    const current = [...quality.options].slice(1).map((option) => option.textContent);
    if (names.join() === current.join()) return;
    quality.replaceChildren(h('option', { value: '-1' }, 'Auto'), ...levels.map(({ index }, i) => h('option', { value: index }, names[i])));
  };

  const stop = () => {
    player?.stop();
    player = null;
    trouble = '';
  };

  /** The player's chunk; null where there is none to be had, and why is said. */
  const load = async () => {
    starting = true;
    try {
      return await import('./player.js');
    } catch {
      // A newer ezlive has it under another name, or the network is away: it
      // is tried again with the next look.
      trouble = 'The player can’t be loaded: reload the page.';
      refresh();
      return null;
    } finally {
      starting = false;
    }
  };

  const start = async () => {
    const chunk = await load();
    if (!chunk || signal.aborted || !isPlayable(job)) return;
    const { startPlayer } = chunk;
    stale = false;
    trouble = '';
    player = startPlayer(video, job.playback.hls, {
      lowLatency: Boolean(job.spec.output.low_latency_mode),
      onTrouble: (reason) => {
        trouble = reason;
        refresh();
      },
    });
  };

  for (const name of ['playing', 'waiting', 'pause', 'ended', 'emptied', 'resize']) video.addEventListener(name, () => refresh());
  // Resumed in place before the page noticed the end: the playlist that the
  // player holds has an ENDLIST, so it has to be loaded anew.
  video.addEventListener('ended', () => {
    stale = true;
  });
  quality.addEventListener('change', () => player?.setLevel(Number(quality.value)));
  live.addEventListener('click', () => player?.goLive());
  const ticking = setInterval(() => player && refresh(), 1000);
  signal.addEventListener('abort', () => {
    clearInterval(ticking);
    stop();
  });

  return {
    element,
    update(next) {
      job = next;
      // A player that has seen the end doesn't come back by itself.
      if (isEnded(job.state) && player) stale = true;
      if (isPlayable(job) && !starting) {
        if (player && stale) stop();
        if (!player) start();
      }
      // Nothing to play: nothing that can't be played.
      if (!isPlayable(job) && !player) trouble = '';
      refresh();
    },
  };
}
