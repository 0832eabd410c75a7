import assert from 'node:assert/strict';
import { EventEmitter, getEventListeners, once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { nextDelay } from '../src/backoff.js';
import { readEvent, workerOf } from '../src/events.js';
import * as format from '../src/format.js';
import { nextAudio, nextVideo } from '../src/ladder.js';
import { newHistory, onFatalError, onProgress, onStall } from '../src/player-policy.js';
import { canonical, locate, placeFaults, steps } from '../src/pointer.js';
import { poll } from '../src/poll.js';
import { publishCommand } from '../src/publish-command.js';
import { href, match } from '../src/router.js';
import * as doc from '../src/spec-doc.js';
import * as states from '../src/states.js';

const sampleUrl = new URL('../../live_job.json', import.meta.url);
const sample = async () => JSON.parse(await readFile(sampleUrl, 'utf8'));
const video0 = (key) => ['output', 'video_outputs', 0, key];

test('keys are found in any case and written in the spelling that is there', async () => {
  const body = await sample();
  assert.equal(doc.get(body, video0('bitrate')), '365k');
  doc.set(body, video0('bitrate'), 400000);
  doc.set(body, video0('crf'), 23);
  assert.equal(body.Output.Video_outputs[0].Bitrate, 400000);
  assert.equal(body.Output.Video_outputs[0].Crf, 23);
  assert.equal(body.Output.Video_outputs[0].bitrate, undefined);
  const snake = { output: { video_outputs: [] } };
  doc.set(snake, ['input', 'url'], 'srt://host:1');
  assert.deepEqual(snake.input, { url: 'srt://host:1' });
});

test('removing a nested value leaves no empty object; rows and top sections stay in place', async () => {
  const body = { Output: { S3_output: { Bucket: 'b' }, Video_outputs: [{ Label: 'a' }, { Label: 'b' }] }, Input: { Url: 'x' } };
  doc.remove(body, ['output', 's3_output', 'bucket']);
  assert.deepEqual(Object.keys(body.Output), ['Video_outputs']);
  doc.remove(body, ['output', 'video_outputs', 0]);
  assert.deepEqual(body.Output.Video_outputs, [{ Label: 'b' }]);
  doc.remove(body, ['output', 'video_outputs', 0, 'label']);
  assert.deepEqual(body.Output.Video_outputs, [{}], 'a row without keys is a fault to show, not a row to drop');
  doc.remove(body, ['input', 'url']);
  assert.deepEqual(body.Input, {});
  doc.remove(body, ['nothing', 'here']);
});

test('a wrong shape on the way is replaced by the right one', () => {
  const body = { output: { video_outputs: 'no list' } };
  doc.set(body, video0('width'), 640);
  assert.deepEqual(body, { output: { video_outputs: [{ width: 640 }] } });
});

test('field text and JSON values turn into each other', () => {
  assert.equal(doc.fieldValue('number', ' 640 '), 640);
  assert.equal(doc.fieldValue('number', '29.97'), 29.97);
  assert.equal(doc.fieldValue('number', '365k'), '365k');
  assert.equal(doc.fieldValue('number', '1e9999'), '1e9999');
  assert.equal(doc.fieldValue('text', '007'), '007');
  assert.equal(doc.fieldValue('text', '  '), undefined);
  assert.equal(doc.fieldText(undefined), '');
  assert.equal(doc.fieldText(0), '0');
  assert.equal(doc.fieldText([1]), '[1]');
  assert.ok(doc.isTrue(1) && doc.isTrue(true) && !doc.isTrue(0) && !doc.isTrue('true'));
});

test('a body that is not an object, or not JSON, is refused with the place', () => {
  assert.throws(() => doc.parse('[1]'), /must be a JSON object/);
  assert.throws(() => doc.parse('{\n  "a": 1,\n}'), /Not valid JSON/);
  assert.throws(() => doc.parse(''), /Not valid JSON/);
  assert.deepEqual(doc.parse('{"a": 1}'), { a: 1 });
});

test('pointers are read with escapes and in fragment form', () => {
  assert.deepEqual(steps('/a~1b/c~0d/0'), ['a/b', 'c~d', '0']);
  assert.deepEqual(steps('#/a%20b'), ['a b']);
  assert.deepEqual(steps(''), []);
  assert.equal(canonical('/Output/Video_outputs/0/Bitrate'), '/output/video_outputs/0/bitrate');
  assert.equal(canonical('#/Input'), '/input');
});

test('faults land at their field, else at the nearest place around it', () => {
  const places = new Set(['', '/output', '/output/video_outputs/1', '/output/video_outputs/1/width']);
  const placed = placeFaults(
    [
      { pointer: '/Output/Video_outputs/1/Width', detail: 'odd' },
      { pointer: '/output/video_outputs/1/colour', detail: 'unknown' },
      { pointer: '/output/video_outputs/7/width', detail: 'far' },
      { pointer: '/who', detail: 'unknown' },
      { detail: 'no pointer at all' },
    ],
    places,
  );
  assert.deepEqual(
    placed.map(({ place }) => place),
    ['/output/video_outputs/1/width', '/output/video_outputs/1', '/output', '', ''],
  );
});

test('a pointer leads to its text in the body', async () => {
  const text = await readFile(sampleUrl, 'utf8');
  const at = (pointer) => text.slice(...locate(text, pointer));
  assert.equal(at('/Output/Video_outputs/1/Bitrate'), '"550k"');
  assert.equal(at('/output/audio_outputs/0/codec'), '"aac"');
  assert.equal(at('/output/low_latency_mode'), 'false');
  assert.ok(at('/output/video_outputs/0/missing').includes('"video365k"'), 'a missing key leads to its object');
  assert.equal(at(''), text.trim());
  assert.equal(locate('{"a\\"}": [1, {"b": -2.5}], "c": {}}', '/a"}/1/b').join(), '19,23');
});

test('numbers read well', () => {
  assert.equal(format.duration(7), '7 s');
  assert.equal(format.duration(187), '3 min 07 s');
  assert.equal(format.duration(3720), '1 h 02 min');
  assert.equal(format.duration(200000), '2 d 07 h');
  assert.equal(format.duration(null), '–');
  assert.equal(format.millis(850), '850 ms');
  assert.equal(format.millis(2440), '2.4 s');
  assert.equal(format.bytes(0), '0 B');
  assert.equal(format.bytes(999_950), '1.0 MB');
  assert.equal(format.bytes(3_210_000), '3.2 MB');
  assert.equal(format.bitrate(365_000), '365 kbit/s');
  assert.equal(format.bitrate(2_500_000), '2.5 Mbit/s');
  assert.equal(format.count(1234567), '1\u202f234\u202f567');
  assert.equal(format.decimal(1.0001), '1');
  assert.equal(format.ago('2026-01-01T00:00:00Z', Date.parse('2026-01-01T00:00:42Z')), '42 s ago');
  assert.equal(format.ago('2026-01-01T00:00:09Z', Date.parse('2026-01-01T00:00:00Z')), 'just now', 'a clock ahead of ours');
  assert.equal(format.ago('never'), '–');
  assert.equal(format.shortId('0192f3c4-1111-7222-8333-44445555abcd'), '0192f3c4…abcd');
});

test('URLs on the screen have no credentials', () => {
  assert.equal(format.publicUrl('rtmp://user:pw@host/app?token=1'), 'rtmp://host/app');
  assert.equal(format.publicUrl('not a url'), 'not a url');
});

test('a command line survives the shell', () => {
  assert.equal(format.shellCommand(['ffmpeg', '-i', "it's;rm -rf", 'a=b']), "ffmpeg -i 'it'\\''s;rm -rf' a=b");
  assert.equal(format.shellQuote(''), "''");
});

test('push and pull are told apart', () => {
  const spec = (url) => ({ spec: { input: { url } } });
  for (const url of [undefined, 'rtmp://127.0.0.1:1935/live/app', 'rtmp://0.0.0.0/live', 'RTMP://localhost/x']) {
    assert.ok(states.isPush(spec(url)), url);
  }
  for (const url of ['rtmp://127.0.0.1.example.com/live', 'srt://10.0.0.1:9', 'https://h/x.m3u8', 'rtmps://127.0.0.1/x']) {
    assert.ok(!states.isPush(spec(url)), url);
  }
  assert.equal(states.describeInput(spec('srt://u:p@h.example:9000?passphrase=x')), 'SRT pull from h.example:9000');
});

test('actions follow state and desire', () => {
  const at = (state, desired) => states.allowedActions({ state, desired, spec: { input: {} } });
  assert.deepEqual(at('streaming', 'run'), { stop: true, pause: true, resume: false, edit: false, rotate: true, deleteNeedsForce: true });
  assert.ok(at('paused', 'pause').resume && at('paused', 'pause').stop);
  assert.ok(!at('stopping', 'stop').stop && !at('stopping', 'stop').resume);
  assert.ok(at('stopped', 'stop').resume && at('stopped', 'stop').edit && !at('stopped', 'stop').deleteNeedsForce);
  assert.ok(at('failed', 'run').resume && !at('failed', 'run').stop);
  assert.ok(!at('created', 'run').resume && at('created', 'run').stop && at('created', 'run').pause);
});

test('a playlist is asked for only when it has segments', () => {
  const job = (state, age) => ({ state, stats: { last_segment_age_ms: age } });
  assert.ok(states.isPlayable(job('streaming', 0)));
  assert.ok(!states.isPlayable(job('streaming', null)));
  assert.ok(!states.isPlayable(job('running', 10)));
  assert.ok(!states.isPlayable({ state: 'streaming', stats: null }));
});

test('one low figure is no slow transcoder; several in a row, or the word of the worker, are', () => {
  const job = (speed, bytes, more = {}) => ({ state: 'streaming', attempt: 1, reason: null, stats: { speed, fps: 25, bytes_ingested: bytes }, ...more });
  const judge = states.slowness();
  assert.ok(!judge(job(0.9, 1)));
  assert.ok(!judge(job(1, 2)), 'caught up');
  assert.ok(!judge(job(0.96, 3)) && !judge(job(0.95, 4)));
  assert.ok(!judge(job(0.95, 4)), 'the same figures seen again');
  assert.ok(judge(job(0.94, 5)) && judge(job(0.94, 5)), 'three in a row');
  assert.ok(!judge(job(0, 6)), 'nothing is measured');
  const told = { reason: { code: 'transcoder_slow' } };
  assert.ok(judge(job(1, 7, told)));
  assert.ok(!judge(job(1, 8, { ...told, state: 'running' })));
  assert.ok(!judge({ state: 'streaming', stats: null }));
});

test('an event says what happened, how bad it is, and why', () => {
  const reason = { code: 'store_unavailable', message: 'the media store takes no segments at present' };
  const on = { from: 'streaming', to: 'streaming' };
  assert.deepEqual(readEvent({ ...on, type: 'trouble', reason }), { moved: false, title: 'In trouble', tone: 'warn', text: 'Store unavailable: the media store takes no segments at present' });
  assert.deepEqual(readEvent({ ...on, type: 'trouble', reason: null }), { moved: false, title: 'Out of trouble', tone: 'good', text: '' });
  assert.deepEqual(readEvent({ from: 'stopping', to: 'stopped', type: 'stopped', reason: null }), { moved: true, title: '', tone: '', text: '' });
  assert.equal(readEvent({ from: 'streaming', to: 'running', type: 'run_ended', reason: { code: 'transcoder_failed', message: '' } }).text, 'Transcoder failed');
  assert.equal(readEvent({ from: 'streaming', to: 'running', type: 'input_lost', reason: { code: 'input_lost', message: 'The publisher went away.' } }).text, 'The publisher went away.');
  assert.equal(readEvent({ ...on, type: 'not_known_yet', reason: null }).title, 'Not known yet');
  assert.equal(workerOf({ type: 'booked', worker_id: 'w1' }), 'w1');
  assert.equal(workerOf({ type: 'trouble', worker_id: 'w1' }), null);
});

test('a publisher that is connected is not waited for', () => {
  const job = { state: 'running', spec: { input: {} }, ingest: { protocol: 'rtmp' }, reason: null, stats: { input: null } };
  assert.match(states.describeState(job), /^Ready for a publisher/);
  const connected = { ...job, stats: { input: { video: {} } } };
  assert.match(states.describeState(connected), /^Input is connected/);
  assert.match(states.describeState({ ...connected, reason: { code: 'input_lost', message: '' } }), /^Ready for a publisher/);
});

test('trouble on air is told with the state', () => {
  const job = { state: 'streaming', spec: { input: {} } };
  assert.match(states.describeState({ ...job, reason: null }), /segments are going out/);
  assert.match(states.describeState({ ...job, reason: { code: 'store_unavailable', message: '' } }), /in trouble/);
});

test('ladder and input in words', () => {
  const spec = { output: { video_outputs: [{ width: 640, height: 360 }, { width: 768, height: 432 }], audio_outputs: [{ codec: 'aac' }] } };
  assert.equal(states.describeLadder(spec), '768×432, 640×360 + aac');
  assert.equal(states.describeLadder(undefined), '');
  assert.equal(states.describeInputVideo({ codec: 'h264', width: 1280, height: 720, fps: 29.97003 }), 'h264 1280×720 29.97 fps');
  assert.equal(states.describeInputAudio({ codec: 'aac', sample_rate: 44100, channels: 2 }), 'aac 44.1 kHz stereo');
});

test('an added rendition is the lowest rung missing, under a free label', () => {
  const added = nextVideo({ labels: ['video1', 'VIDEO2'], heights: [360, 432] });
  assert.equal(added.label, 'video3');
  assert.equal(added.height, 540);
  assert.equal(nextVideo({ labels: [], heights: [360, 432, 540, 720, 1080] }).height, 1080);
  assert.equal(nextAudio({ labels: [undefined] }).label, 'audio1');
});

test('routes match whole paths, and ids only as parameters', () => {
  assert.deepEqual(match('/jobs/:id/edit', '/jobs/0192-ab/edit'), { id: '0192-ab' });
  assert.deepEqual(match('/jobs', '/jobs'), {});
  for (const path of ['/jobs', '/jobs/', '/jobs/..', '/jobs/%E0%A4%A', '/jobs/a/b']) assert.equal(match('/jobs/:id', path), null, path);
  assert.equal(href('/jobs', { state: 'failed', cursor: '' }), '#/jobs?state=failed');
});

test('the publish command puts the key after the server', () => {
  const line = publishCommand({ protocol: 'rtmp', url: 'rtmp://127.0.0.1:1935/live/' }, 'k3y');
  assert.ok(line.startsWith('ffmpeg -re ') && line.endsWith(' -f flv rtmp://127.0.0.1:1935/live/k3y'), line);
  assert.equal(publishCommand({ protocol: 'srt', url: 'srt://h:1' }, 'k'), null);
});

test('tries come at longer and longer intervals, up to a bound', () => {
  assert.deepEqual([0, 1, 2, 3, 4, 99].map((n) => nextDelay(n)), [2000, 4000, 8000, 16000, 30000, 30000]);
});

/** Polls with `task(n)` until `rounds` of it have run; gives what was refused, and the listeners left. */
async function polled(rounds, task) {
  globalThis.document = { hidden: false };
  const page = new AbortController();
  const ran = new EventEmitter();
  const refused = [];
  let round = 0;
  const counted = async () => {
    round += 1;
    if (round >= rounds) ran.emit('enough');
    await task(round);
  };
  const enough = once(ran, 'enough');
  poll(counted, { signal: page.signal, interval: 1, onRefused: (error) => refused.push(error.message) });
  await enough;
  const listeners = getEventListeners(page.signal, 'abort').length;
  page.abort();
  return { refused, listeners };
}

test('polls leave nothing on the signal that ends them', async () => {
  const { listeners } = await polled(20, () => {});
  assert.ok(listeners <= 1, `${listeners} listeners`);
});

test('what the server refuses is told, and what it can’t do just now is not', async () => {
  const failure = (status, message) => Object.assign(new Error(message), { name: 'ApiError', status });
  const failures = [failure(403, 'Only this machine may call.'), failure(503, 'away'), failure(0, 'offline'), failure(400, 'No such cursor.')];
  const { refused } = await polled(6, (round) => {
    if (failures[round - 1]) throw failures[round - 1];
  });
  assert.deepEqual(refused, ['Only this machine may call.', 'No such cursor.']);
});

test('the player resets the decoder once, then reloads with backoff, and knows when to give up', () => {
  const history = newHistory();
  const media = { type: 'mediaError', details: 'bufferStalledError' };
  assert.equal(onFatalError(media, history, 0).action, 'recover-media');
  assert.deepEqual(onFatalError(media, history, 500), { action: 'reload', delay: 1000 });
  assert.deepEqual(onFatalError({ type: 'networkError', details: 'levelLoadError' }, history, 600), { action: 'reload', delay: 2000 });
  onProgress(history);
  assert.equal(onFatalError({ type: 'networkError', details: 'x' }, history, 700).delay, 1000);
  assert.equal(onFatalError(media, history, 20_000).action, 'recover-media');
  assert.equal(onFatalError({ type: 'mediaError', details: 'manifestIncompatibleCodecsError' }, history, 0).action, 'give-up');
});

test('a picture that stands still is brought to the edge, then loaded anew', () => {
  assert.equal(onStall(3000, { mediaAhead: true, sought: false }), 'none');
  assert.equal(onStall(9000, { mediaAhead: true, sought: false }), 'seek');
  assert.equal(onStall(9000, { mediaAhead: true, sought: true }), 'none');
  assert.equal(onStall(9000, { mediaAhead: false, sought: false }), 'none');
  assert.equal(onStall(25_000, { mediaAhead: false, sought: true }), 'reload');
});
