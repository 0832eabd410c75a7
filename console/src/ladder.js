// Renditions offered when a row is added. Pure.

const RUNGS = [
  { width: 640, height: 360, bitrate: '365k', max_bitrate: '500k', buf_size: '500k' },
  { width: 768, height: 432, bitrate: '550k', max_bitrate: '750k', buf_size: '750k' },
  { width: 960, height: 540, bitrate: '1200k', max_bitrate: '1600k', buf_size: '1600k' },
  { width: 1280, height: 720, bitrate: '2500k', max_bitrate: '3300k', buf_size: '3300k' },
  { width: 1920, height: 1080, bitrate: '5000k', max_bitrate: '6500k', buf_size: '6500k' },
];

function freeLabel(labels, stem) {
  const taken = new Set(labels.map((label) => String(label).toLowerCase()));
  let n = 1;
  while (taken.has(`${stem}${n}`)) n += 1;
  return `${stem}${n}`;
}

/** The lowest rung that the ladder hasn't yet (canonical keys). */
export function nextVideo({ labels, heights }) {
  const rung = RUNGS.find(({ height }) => !heights.includes(height)) ?? RUNGS.at(-1);
  return { label: freeLabel(labels, 'video'), codec: 'h264', framerate: 25, ...rung, preset: 'faster', threads: 2, gop_size: 2 };
}

/** One more audio rendition (canonical keys). */
export function nextAudio({ labels }) {
  return { label: freeLabel(labels, 'audio'), codec: 'aac', bitrate: '128k' };
}
