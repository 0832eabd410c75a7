// What a job's state means in words, and what may be asked of it. Pure.
import { publicUrl, size } from './format.js';

/** Every job state, in the order of a job's life. */
export const STATES = ['created', 'assigned', 'running', 'streaming', 'paused', 'stopping', 'stopped', 'failed'];

/** Whether a job in this state has ended. */
export function isEnded(state) {
  return state === 'stopped' || state === 'failed';
}

/** Whether a publisher pushes into the job (as against a pulled URL). */
export function isPush(job) {
  if (job.ingest) return true;
  const url = job.spec?.input?.url;
  if (!url) return true;
  return /^rtmp:\/\/(127(\.\d{1,3}){3}|0\.0\.0\.0|localhost|\[::1?\])(:\d+)?(\/|$)/i.test(url);
}

/** The state in a sentence. */
export function describeState(job) {
  const push = isPush(job);
  switch (job.state) {
    case 'created':
      return 'Waiting for a worker.';
    case 'assigned':
      return 'A worker is booked and getting ready.';
    case 'running':
      // Just after a loss the figures may still be from before it.
      if (job.stats?.input && job.reason?.code !== 'input_lost') return 'Input is connected. Its first segment is on its way.';
      if (!push) return 'Connecting to the input.';
      return job.ingest ? 'Ready for a publisher.' : 'The worker is opening its ingest.';
    case 'streaming':
      // On air a reason is trouble that stops no run.
      return job.reason ? 'On air, in trouble.' : 'On air: input is coming in, segments are going out.';
    case 'paused':
      return 'The worker, its addresses and the playlists are kept.';
    case 'stopping':
      return 'The last segments are being published.';
    case 'stopped':
      return 'Resume brings it back under the same addresses.';
    case 'failed':
      return 'It will not go on by itself. Resume tries again.';
    default:
      return '';
  }
}

/** What was asked for and has not happened yet, or ''. */
export function describeDesire(job) {
  if (job.desired === 'stop' && !isEnded(job.state) && job.state !== 'stopping') return 'Stop asked for.';
  if (job.desired === 'pause' && job.state !== 'paused' && !isEnded(job.state)) return 'Pause asked for.';
  if (job.desired === 'run' && (job.state === 'paused' || job.state === 'stopping')) return 'Resume asked for.';
  return '';
}

/** What a person may ask of the job now. The server has the last word. */
export function allowedActions(job) {
  const ended = isEnded(job.state);
  return {
    stop: !ended && job.desired !== 'stop',
    pause: job.desired === 'run' && ['created', 'assigned', 'running', 'streaming'].includes(job.state),
    resume: ended || (job.desired === 'pause' && job.state !== 'stopping'),
    edit: ended,
    rotate: isPush(job),
    deleteNeedsForce: !ended,
  };
}

/** Below this speed the transcoder falls behind the input. */
export const SLOW = 0.97;
/** So many figures in a row below it are no mere wobble of the measure. */
export const SLOW_FIGURES = 3;

/**
 * Judges a job's figures one after the other: whether its transcoder is
 * slower than real time, as the worker says or as several in a row show.
 */
export function slowness() {
  let inARow = 0;
  let last = '';
  return (job) => {
    const { speed, fps, bytes_ingested: bytes } = job.stats ?? {};
    const figures = JSON.stringify([job.attempt, speed, fps, bytes]);
    if (job.state !== 'streaming' || !(speed > 0 && speed < SLOW)) inARow = 0;
    // The page may ask more often than the worker reports.
    else if (figures !== last) inARow += 1;
    last = figures;
    return job.state === 'streaming' && (job.reason?.code === 'transcoder_slow' || inARow >= SLOW_FIGURES);
  };
}

/** Whether players can fetch a playlist with segments in it. */
export function isPlayable(job) {
  return job.state === 'streaming' && typeof job.stats?.last_segment_age_ms === 'number';
}

/** The source in a few words, without credentials. */
export function describeInput(job) {
  if (isPush(job)) return `${(job.ingest?.protocol ?? 'rtmp').toUpperCase()} push`;
  const url = publicUrl(job.spec.input.url);
  const scheme = url.split(':', 1)[0].toUpperCase();
  try {
    return `${scheme} pull from ${new URL(url).host}`;
  } catch {
    return `${scheme} pull`;
  }
}

/** The ladder in a few words, tallest first: `768×432, 640×360 + aac`. */
export function describeLadder(spec) {
  const videos = [...(spec?.output?.video_outputs ?? [])].sort((a, b) => b.height - a.height);
  const sizes = videos.map((v) => size(v.width, v.height) || v.label);
  const codecs = [...new Set((spec?.output?.audio_outputs ?? []).map((a) => a.codec))];
  return [sizes.join(', '), ...codecs].filter(Boolean).join(' + ');
}

/** The picture that comes in: `h264 1280×720 25 fps`. */
export function describeInputVideo(video) {
  if (!video) return '';
  const fps = video.fps ? `${Number(video.fps.toFixed(2))} fps` : '';
  return [video.codec, size(video.width, video.height), fps].filter(Boolean).join(' ');
}

/** The sound that comes in: `aac 48 kHz stereo`. */
export function describeInputAudio(audio) {
  if (!audio) return '';
  const rate = audio.sample_rate ? `${audio.sample_rate / 1000} kHz` : '';
  const channels = { 0: '', 1: 'mono', 2: 'stereo' }[audio.channels] ?? `${audio.channels} channels`;
  return [audio.codec, rate, channels].filter(Boolean).join(' ');
}
