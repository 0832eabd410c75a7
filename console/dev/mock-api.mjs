// A make-believe ezlive for working on the console: jobs that walk through
// their states by themselves, in memory. The picture is real HLS by FFmpeg.
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

const ASSIGN_MS = 600;
const BOOT_MS = 900;
const FFMPEG = ['-hide_banner', '-f', 'flv', '-i', 'pipe:0', '-filter_complex', '[0:v]split=2[s0][s1];[s0]scale=640:360[v0]', '-c:v', 'libx264', 'pipe:1'];

/** Lower-cases all keys, as the API reads a body. */
function fold(value) {
  if (Array.isArray(value)) return value.map(fold);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key.toLowerCase(), fold(inner)]));
}

function bits(value) {
  const match = /^(\d+(?:\.\d+)?)([kKmM]?)$/.exec(String(value ?? ''));
  return match ? Math.round(Number(match[1]) * { '': 1, k: 1e3, m: 1e6 }[match[2].toLowerCase()]) : null;
}

/** Some of the API's checks: enough to see faults at their fields. */
function check(raw) {
  const body = fold(raw);
  const errors = [];
  const warnings = [];
  const fault = (pointer, detail) => errors.push({ pointer, detail });
  const output = body.output ?? {};
  const videos = Array.isArray(output.video_outputs) ? output.video_outputs : [];
  if (/^(file|concat|data):/i.test(body.input?.url ?? '')) fault('/Input/Url', 'The scheme must be rtmp, rtmps, srt, rtsp, http or https.');
  if (!(output.segment_duration >= 1 && output.segment_duration <= 10)) fault('/Output/Segment_duration', 'A segment lasts 1 to 10 seconds.');
  if (videos.length < 1 || videos.length > 10) fault('/Output/Video_outputs', 'There must be 1 to 10 video outputs.');
  for (const key of Object.keys(body)) if (!['input', 'output'].includes(key)) fault(`/${key}`, 'No such key.');
  videos.forEach((video, i) => {
    const at = (key) => `/Output/Video_outputs/${i}/${key}`;
    for (const side of ['width', 'height']) {
      if (!Number.isInteger(video[side]) || video[side] % 2 || video[side] < 2) fault(at(side), 'Must be an even whole number, as the codec needs it.');
    }
    const [mean, max] = [bits(video.bitrate), bits(video.max_bitrate)];
    if (mean === null) fault(at('Bitrate'), 'Write a bitrate as "550k", "2.5M" or a number of bit/s.');
    if (max > 2 * mean) warnings.push({ pointer: `/output/video_outputs/${i}/max_bitrate`, detail: 'More than twice the mean bitrate: players will see it swing.' });
  });
  const spec = {
    input: { url: body.input?.url, reconnect_window: 30, idle_stop_minutes: 0, ...body.input },
    output: { stream_type: 'both', segment_format: 'fmp4', segment_duration: 4, fragment_duration: 2, low_latency_mode: false, time_shift_buffer_depth: 120, ...output },
  };
  spec.output.video_outputs = videos.map((video) => ({ ...video, bitrate: bits(video.bitrate), max_bitrate: bits(video.max_bitrate ?? video.bitrate), buf_size: bits(video.buf_size ?? video.bitrate) }));
  spec.output.audio_outputs = (output.audio_outputs ?? []).map((audio, i) => ({ label: `audio${i + 1}`, sample_rate: 48000, channels: 2, ...audio, bitrate: bits(audio.bitrate) }));
  return { spec, warnings, errors };
}

/** Real HLS of a test picture, in `dir`; gives the FFmpeg process. */
function encode(dir, more) {
  const args = ['-hide_banner', '-loglevel', 'error', '-nostdin', '-re', '-f', 'lavfi', '-i', 'testsrc2=size=640x360:rate=25', '-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000'];
  const flags = ['delete_segments', 'independent_segments', 'omit_endlist', ...(more ? ['append_list', 'discont_start'] : [])].join('+');
  args.push('-c:v', 'libx264', '-preset', 'ultrafast', '-g', '50', '-b:v', '500k', '-pix_fmt', 'yuv420p', '-c:a', 'aac', '-f', 'hls', '-hls_time', '2');
  args.push('-hls_segment_type', 'fmp4', '-hls_fmp4_init_filename', `init${more}.mp4`, '-hls_segment_filename', join(dir, `${more}-%d.m4s`), '-hls_list_size', '8', '-hls_flags', flags);
  args.push('-master_pl_name', 'master.m3u8', join(dir, 'video.m3u8'));
  return spawn('ffmpeg', args, { stdio: ['ignore', 'inherit', 'inherit'] });
}

/** The API: {handle(request, response, url), control(id, what), close()}. */
export function mockApi({ dir, token = null, publishAfter = 2500 }) {
  let refusal = null;
  const jobs = new Map();
  const timers = new Set();
  const later = (ms, work) => {
    const timer = setTimeout(() => timers.delete(timer) && work(), ms);
    timers.add(timer);
  };

  const event = (job, type, from) => {
    job.events.push({ seq: job.events.length + 1, at: new Date().toISOString(), type, from, to: job.state, attempt: job.attempt, worker_id: job.worker, reason: job.reason });
    job.updated = new Date().toISOString();
  };
  const to = (job, state, type, reason = null) => {
    const from = job.state;
    Object.assign(job, { state, reason });
    event(job, type, from);
  };
  const unpublish = (job) => {
    job.ffmpeg?.kill('SIGKILL');
    job.ffmpeg = null;
    job.segment = null;
  };
  const publish = async (job) => {
    if (job.state !== 'running') return;
    await mkdir(join(dir, job.id), { recursive: true });
    job.runs += 1;
    job.since = Date.now();
    job.ffmpeg = encode(join(dir, job.id), job.runs - 1);
    to(job, 'streaming', 'input_started');
  };
  const place = (job) => {
    job.desired = 'run';
    later(ASSIGN_MS, () => {
      if (job.desired !== 'run') return;
      job.attempt += 1;
      job.worker = randomUUID();
      to(job, 'assigned', 'booked');
      later(BOOT_MS, () => {
        if (job.desired !== 'run') return;
        to(job, 'running', 'listening');
        later(publishAfter, () => publish(job));
      });
    });
  };
  const stop = (job) => {
    job.desired = 'stop';
    if (job.state !== 'created') to(job, 'stopping', 'stop_requested');
    unpublish(job);
    later(800, () => {
      job.worker = null;
      to(job, 'stopped', 'stopped');
    });
  };

  const stats = async (job) => {
    const listed = await stat(join(dir, job.id, 'master.m3u8')).catch(() => null);
    const playlist = listed && (await stat(join(dir, job.id, 'video.m3u8')).catch(() => null));
    const on = job.state === 'streaming';
    const up = on ? (Date.now() - job.since) / 1000 : 0;
    const wobble = Math.sin(Date.now() / 3000);
    return {
      fps: on ? 25 + wobble * 0.2 : 0,
      speed: on ? 1 + wobble * 0.01 : 0,
      dropped_frames: 0,
      dropped_segments: 0,
      input: on ? { video: { codec: 'h264', width: 1280, height: 720, fps: 25 }, audio: { codec: 'aac', sample_rate: 48000, channels: 2 }, bitrate_kbps: 2600 + wobble * 120 } : null,
      bytes_ingested: Math.round(up * 330_000),
      up_seconds: up,
      active_seconds: up,
      last_segment_age_ms: on && playlist ? Math.max(0, Date.now() - playlist.mtimeMs) : null,
      runs: job.runs,
    };
  };
  const json = async (job, origin, listed = false) => {
    const listens = job.worker && ['running', 'streaming', 'paused'].includes(job.state);
    const ingest = listens ? { protocol: 'rtmp', url: 'rtmp://127.0.0.1:1935/live', ...(listed ? {} : { stream_key: job.key }) } : null;
    const playback = { hls: `${origin}/live/${job.id}/master.m3u8`, dash: `${origin}/live/${job.id}/manifest.mpd` };
    const { id, state, desired, reason, spec, warnings, attempt } = job;
    return { id, state, desired, reason, spec, warnings, ingest, playback, worker_id: job.worker, attempt, stats: await stats(job), created_at: job.created, updated_at: job.updated };
  };

  const create = (spec, warnings) => {
    const hex = Date.now().toString(16).padStart(12, '0');
    const id = `${hex.slice(0, 8)}-${hex.slice(8)}-7${randomUUID().slice(15)}`;
    const now = new Date().toISOString();
    const job = { id, spec, warnings, state: 'created', desired: 'run', reason: null, attempt: 0, worker: null, runs: 0, key: randomUUID().replaceAll('-', ''), created: now, updated: now, events: [] };
    jobs.set(id, job);
    event(job, 'created', null);
    place(job);
    return job;
  };

  class Problem extends Error {
    constructor(status, detail, errors) {
      super(detail);
      Object.assign(this, { status, errors });
    }
  }
  const find = (id) => {
    const job = jobs.get(id);
    if (!job) throw new Problem(404, 'There is no such job.');
    return job;
  };

  async function body(request) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    try {
      return JSON.parse(Buffer.concat(chunks).toString());
    } catch {
      throw new Problem(400, 'The body is not valid JSON.');
    }
  }
  async function validated(request) {
    const checked = check(await body(request));
    if (checked.errors.length) throw new Problem(422, `The body has ${checked.errors.length} faults.`, checked.errors);
    return checked;
  }

  async function answer(request, url) {
    const [, kind, id, verb] = url.pathname.split('/');
    const { method } = request;
    const query = url.searchParams;
    const origin = url.origin;
    if (kind === 'workers') {
      const busy = [...jobs.values()].filter((job) => job.worker);
      return [200, { workers: busy.map((job) => ({ id: job.worker, state: 'booked', job_id: job.id, attempt: job.attempt, size: 'small', beat: Math.floor(Date.now() / 1000) % 1000, task: 'pid 4711', created_at: job.created, updated_at: job.updated })) }];
    }
    if (method === 'POST' && !id) {
      const { spec, warnings } = await validated(request);
      if (query.get('dry_run') === 'true') {
        return [200, { spec, warnings, ffmpeg: { argv: FFMPEG, command: `ffmpeg ${FFMPEG.map((word) => (word.includes('[') ? `'${word}'` : word)).join(' ')}` } }];
      }
      return [201, await json(create(spec, warnings), origin)];
    }
    if (!id) {
      const all = [...jobs.values()].reverse().filter((job) => !query.get('state') || job.state === query.get('state'));
      const start = Number(query.get('cursor') ?? 0);
      const end = start + Number(query.get('limit') ?? 20);
      return [200, { jobs: await Promise.all(all.slice(start, end).map((job) => json(job, origin, true))), next_cursor: end < all.length ? String(end) : null }];
    }
    const job = find(id);
    if (verb === 'events') return [200, { events: job.events.filter((one) => one.seq > Number(query.get('after') ?? 0)), next_cursor: null }];
    if (method === 'PATCH') {
      Object.assign(job, await validated(request));
      return [200, await json(job, origin)];
    }
    if (method === 'PUT') {
      if (verb === 'stop') stop(job);
      else if (verb === 'pause') {
        job.desired = 'pause';
        unpublish(job);
        event(job, 'pause_requested', job.state);
        to(job, 'paused', 'paused');
      } else if (verb === 'resume') {
        if (job.state === 'paused') {
          job.desired = 'run';
          to(job, 'running', 'resume_requested');
          later(publishAfter, () => publish(job));
        } else {
          to(job, 'created', 'resume_requested');
          place(job);
        }
      } else {
        job.key = randomUUID().replaceAll('-', '');
        event(job, 'key_rotated', job.state);
      }
      return [verb === 'stream-key' ? 200 : 202, await json(job, origin)];
    }
    if (method === 'DELETE') {
      if (!['stopped', 'failed'].includes(job.state) && query.get('force') !== 'true') throw new Problem(409, 'The job is live. Stop it first, or use force=true.');
      unpublish(job);
      jobs.delete(id);
      return [204, null];
    }
    return [200, await json(job, origin)];
  }

  const types = { m3u8: 'application/vnd.apple.mpegurl', mp4: 'video/mp4', m4s: 'video/iso.segment' };
  return {
    jobs,
    /** Refuses every call from now on, with this reason; null: none. */
    refuse(reason) {
      refusal = reason;
    },
    async handle(request, response, url) {
      if (url.pathname.startsWith('/live/')) {
        const [id, file] = url.pathname.split('/').slice(2);
        const data = jobs.has(id) && /^[\w.-]+$/.test(file) && (await readFile(join(dir, id, file)).catch(() => null));
        response.writeHead(data ? 200 : 404, { 'content-type': types[file.split('.').at(-1)] ?? 'text/plain', 'cache-control': 'no-store' });
        response.end(data || '');
        return;
      }
      try {
        if (token && request.headers.authorization !== `Bearer ${token}`) throw new Problem(401, 'A bearer token is needed.');
        if (refusal) throw new Problem(403, refusal);
        const [status, value] = await answer(request, url);
        response.writeHead(status, { 'content-type': 'application/json' });
        response.end(value === null ? '' : JSON.stringify(value));
      } catch (error) {
        if (!error.status) throw error;
        response.writeHead(error.status, { 'content-type': 'application/problem+json' });
        response.end(JSON.stringify({ type: 'about:blank', title: 'Refused', status: error.status, detail: error.message, errors: error.errors }));
      }
    },
    /** Makes something happen to a job: drop (its publisher), publish, trouble
     * (its store is away), recover (it is back) or fail. */
    control(id, what) {
      const job = find(id);
      if (what === 'publish') return publish(job);
      if (what === 'trouble') return to(job, job.state, 'trouble', { code: 'store_unavailable', message: 'the media store takes no segments at present' });
      if (what === 'recover') return to(job, job.state, 'trouble');
      unpublish(job);
      if (what === 'drop') to(job, 'running', 'input_lost', { code: 'input_lost', message: 'The publisher went away.' });
      else {
        job.worker = null;
        to(job, 'failed', 'failed', { code: 'input_forbidden', message: 'The input’s host resolves to a private address.' });
      }
    },
    async close() {
      for (const timer of timers) clearTimeout(timer);
      for (const job of jobs.values()) unpublish(job);
      await rm(dir, { recursive: true, force: true });
    },
  };
}
