// Playing a job's HLS: hls.js, or the browser's own where that is all there is.
// Loaded as a chunk of its own when a job has something to play.
import Hls from 'hls.js';
import { newHistory, onFatalError, onProgress, onStall } from './player-policy.js';

const WATCH_INTERVAL_MS = 1000;

/** hls.js for a live channel that may pause, break off and come back. */
function newHls(lowLatency) {
  return new Hls({
    // Passing fMP4 through is light, and needs no worker from a blob URL.
    enableWorker: false,
    lowLatencyMode: lowLatency,
    liveDurationInfinity: true,
    backBufferLength: 60,
  });
}

/**
 * Plays `url` in `video` until stopped, and recovers by itself from whatever
 * can be recovered from. `onTrouble(text)` is told what a person should know:
 * the reason it can't play, or '' once it plays again.
 */
export function startPlayer(video, url, { lowLatency, onTrouble }) {
  const history = newHistory();
  let hls = null;
  let timer = 0;
  let lastTime = -1;
  let stalledSince = Date.now();
  let sought = false;
  let stopped = false;
  let givenUp = false;

  const play = () => {
    // Muted playback may start by itself; where even that is refused, the
    // person presses play.
    video.play().catch(() => {});
  };

  const unload = () => {
    clearTimeout(timer);
    hls?.destroy();
    hls = null;
  };

  const giveUp = (details) => {
    givenUp = true;
    unload();
    onTrouble(`This browser can’t play it: ${details}. It may lack the codec.`);
  };

  const reload = (delay) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (stopped) return;
      unload();
      load();
    }, delay);
  };

  const onError = (error) => {
    const { action, delay } = onFatalError(error, history, Date.now());
    if (action === 'give-up') giveUp(error.details);
    else if (action === 'recover-media') {
      hls?.recoverMediaError();
      play();
    } else {
      hls?.stopLoad();
      reload(delay);
    }
  };

  const load = () => {
    stalledSince = Date.now();
    sought = false;
    if (!Hls.isSupported()) {
      video.src = url;
      play();
      return;
    }
    hls = newHls(lowLatency);
    hls.on(Hls.Events.ERROR, (_, error) => error.fatal && onError(error));
    hls.on(Hls.Events.MANIFEST_PARSED, () => video.paused && play());
    hls.loadSource(url);
    hls.attachMedia(video);
  };

  const onNativeError = () => {
    if (hls || stopped || !video.error) return;
    onError({ type: 'networkError', details: video.error.message });
  };

  /** A picture that stands still without an error: see player-policy.js. */
  const watch = () => {
    if (givenUp) return;
    const now = Date.now();
    if (video.currentTime !== lastTime) {
      if (lastTime >= 0) {
        onProgress(history);
        onTrouble('');
      }
      lastTime = video.currentTime;
      stalledSince = now;
      sought = false;
      return;
    }
    // A person's own pause, or a tab in the background, is no stall.
    if ((video.paused && video.readyState > 2 && !video.ended) || document.hidden) {
      stalledSince = now;
      return;
    }
    const edge = hls?.liveSyncPosition ?? 0;
    const action = onStall(now - stalledSince, { mediaAhead: edge > video.currentTime + 1, sought });
    if (action === 'seek') {
      sought = true;
      video.currentTime = edge;
      play();
    } else if (action === 'reload') {
      stalledSince = now;
      reload(0);
    }
  };

  video.muted = true;
  video.addEventListener('error', onNativeError);
  const watching = setInterval(watch, WATCH_INTERVAL_MS);
  load();

  return {
    /** Ends playback and frees the element. */
    stop() {
      stopped = true;
      clearInterval(watching);
      unload();
      video.removeEventListener('error', onNativeError);
      video.removeAttribute('src');
      video.load();
    },
    /** Goes to the newest picture. */
    goLive() {
      const end = video.seekable.length ? video.seekable.end(video.seekable.length - 1) : NaN;
      const target = hls?.liveSyncPosition ?? end;
      if (Number.isFinite(target)) video.currentTime = target;
      play();
    },
    /** The renditions to choose from: [{index, height, bitrate}], tallest first. */
    levels() {
      const levels = (hls?.levels ?? []).map(({ height, bitrate }, index) => ({ index, height, bitrate }));
      return levels.sort((a, b) => b.bitrate - a.bitrate);
    },
    /** Fixes a rendition by its index; -1 lets the player choose. */
    setLevel(index) {
      if (hls) hls.nextLevel = index;
    },
    /** What is going on, for the strip below the picture. */
    status() {
      const buffered = [...Array(video.buffered.length).keys()].find((i) => video.buffered.start(i) <= video.currentTime + 0.1 && video.buffered.end(i) >= video.currentTime);
      return {
        latencySeconds: hls && hls.latency > 0 ? hls.latency : null,
        atLiveEdge: !hls || hls.latency < (hls.targetLatency ?? 0) + (hls.latestLevelDetails?.targetduration ?? 0),
        bufferSeconds: buffered === undefined ? 0 : video.buffered.end(buffered) - video.currentTime,
        height: video.videoHeight || null,
        droppedFrames: video.getVideoPlaybackQuality?.().droppedVideoFrames ?? null,
      };
    },
  };
}
