// The live figures of a job.
import { card } from './ui.js';
import { h, setText } from './dom.js';
import * as format from './format.js';
import { sparkline } from './spark.js';
import { describeInputAudio, describeInputVideo, slowness } from './states.js';

/** A newest segment older than so many segment durations means trouble. */
const LATE_SEGMENTS = 3;

const TILES = [
  { name: 'fps', label: 'Frames', unit: 'fps', value: (s, job) => format.decimal(job.state === 'streaming' ? s.fps : null, 1), sample: (s) => s.fps },
  {
    name: 'speed',
    label: 'Speed',
    value: (s, job) => (job.state === 'streaming' ? `${format.decimal(s.speed)}×` : '–'),
    sample: (s) => s.speed,
    warn: (_, __, { isSlow }) => isSlow && 'slower than real time',
  },
  { name: 'bitrate', label: 'Input bitrate', value: (s) => format.bitrate(s.input?.bitrate_kbps == null ? null : s.input.bitrate_kbps * 1000), sample: (s) => s.input?.bitrate_kbps },
  { name: 'video', label: 'Input video', value: (s) => describeInputVideo(s.input?.video) || '–' },
  { name: 'audio', label: 'Input audio', value: (s) => describeInputAudio(s.input?.audio) || '–' },
  { name: 'dropped', label: 'Dropped', unit: 'frames', value: (s) => format.count(s.dropped_frames), warn: (s, _, { before }) => s.dropped_frames > before.dropped_frames && 'dropping frames now' },
  {
    name: 'segment',
    label: 'Last segment',
    unit: 'ago',
    value: (s) => format.millis(s.last_segment_age_ms),
    warn: (s, job) => job.state === 'streaming' && s.last_segment_age_ms > LATE_SEGMENTS * 1000 * job.spec.output.segment_duration && 'late',
  },
  { name: 'bytes', label: 'Ingested', value: (s) => format.bytes(s.bytes_ingested) },
  { name: 'active', label: 'On air', value: (s) => format.duration(s.active_seconds) },
  { name: 'up', label: 'Up', value: (s) => format.duration(s.up_seconds) },
  { name: 'runs', label: 'Runs', value: (s) => format.count(s.runs) },
  { name: 'attempt', label: 'Attempt', value: (_, job) => format.count(job.attempt) },
];

/** The card: {element, update(job)}. */
export function statsCard() {
  const tiles = TILES.map((tile) => {
    const value = h('span', { 'data-test': `stat-${tile.name}` });
    const note = h('span', { class: 'tile-note' });
    const spark = tile.sample ? sparkline() : null;
    const unit = tile.unit ? h('span', { class: 'unit' }, ` ${tile.unit}`) : null;
    const element = h('div', { class: `tile tile-${tile.name}` }, h('dt', {}, tile.label), h('dd', {}, value, unit), h('dd', { class: 'tile-extra' }, note, spark?.element));
    return { ...tile, element, value, note, spark, unit, read: tile.value };
  });
  let before = {};
  const judge = slowness();
  return {
    element: card('Live figures', { id: 'stats' }, h('dl', { class: 'tiles' }, ...tiles.map(({ element }) => element))),
    update(job) {
      const stats = job.stats ?? {};
      const context = { before, isSlow: judge(job) };
      for (const tile of tiles) {
        const text = tile.read(stats, job);
        const warning = tile.warn?.(stats, job, context) || '';
        setText(tile.value, text);
        setText(tile.note, warning);
        tile.element.dataset.warn = warning ? 'yes' : 'no';
        if (tile.unit) tile.unit.hidden = text === '–';
        if (job.state === 'streaming') tile.spark?.push(tile.sample(stats));
      }
      before = stats;
    },
  };
}
