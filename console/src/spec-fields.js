// The fields of the job form. Paths are canonical (lower case). A `rate` is a
// number of bits or text like "365k".

const X264 = ['ultrafast', 'superfast', 'veryfast', 'faster', 'fast', 'medium', 'slow', 'slower', 'veryslow', 'placebo'];
const SVT_AV1 = Array.from({ length: 14 }, (_, n) => String(n));

/** The encoder's own names of its presets. */
export function presets(codec) {
  return String(codec ?? '').toLowerCase() === 'av1' ? SVT_AV1 : X264;
}

export const INPUT_FIELDS = [
  {
    path: ['url'],
    label: 'URL',
    kind: 'text',
    wide: true,
    placeholder: 'rtmp://127.0.0.1:1935/live/app',
    hint: 'Empty, or RTMP on 127.0.0.1: you push, and the job gives you the address. Any other rtmp(s), srt, rtsp or http(s) URL is pulled.',
  },
  { path: ['reconnect_window'], label: 'Reconnect window', unit: 's', kind: 'number', placeholder: '30' },
  { path: ['idle_stop_minutes'], label: 'Stop when idle', unit: 'min', kind: 'number' },
];

export const OUTPUT_FIELDS = [
  { path: ['stream_type'], label: 'Stream type', kind: 'select', options: ['hls', 'dash', 'both'] },
  { path: ['segment_format'], label: 'Segment format', kind: 'select', options: ['fmp4'] },
  { path: ['segment_duration'], label: 'Segment', unit: 's', kind: 'number', placeholder: '4' },
  { path: ['fragment_duration'], label: 'Fragment', unit: 's', kind: 'number' },
  { path: ['time_shift_buffer_depth'], label: 'DVR window', unit: 's', kind: 'number', placeholder: '120' },
  { path: ['s3_output', 'bucket'], label: 'S3 bucket', kind: 'text', placeholder: 'the default store' },
  { path: ['low_latency_mode'], label: 'Low latency', kind: 'boolean' },
];

export const VIDEO_FIELDS = [
  { path: ['label'], label: 'Label', kind: 'text' },
  { path: ['codec'], label: 'Codec', kind: 'select', options: ['h264', 'h265', 'av1'] },
  { path: ['width'], label: 'Width', unit: 'px', kind: 'number' },
  { path: ['height'], label: 'Height', unit: 'px', kind: 'number' },
  { path: ['framerate'], label: 'Frame rate', unit: 'fps', kind: 'number', placeholder: 'as input' },
  { path: ['bitrate'], label: 'Bitrate', unit: 'bit/s', kind: 'rate' },
  { path: ['max_bitrate'], label: 'Max bitrate', unit: 'bit/s', kind: 'rate' },
  { path: ['buf_size'], label: 'Buffer', unit: 'bit', kind: 'rate' },
  { path: ['preset'], label: 'Preset', kind: 'select', options: presets },
  { path: ['gop_size'], label: 'GOP', unit: 's', kind: 'number', placeholder: '2' },
  { path: ['crf'], label: 'CRF', kind: 'number', placeholder: 'off' },
  { path: ['threads'], label: 'Threads', kind: 'number' },
];

export const AUDIO_FIELDS = [
  { path: ['label'], label: 'Label', kind: 'text' },
  { path: ['codec'], label: 'Codec', kind: 'select', options: ['aac'] },
  { path: ['bitrate'], label: 'Bitrate', unit: 'bit/s', kind: 'rate' },
  { path: ['sample_rate'], label: 'Sample rate', unit: 'Hz', kind: 'number', placeholder: '48000' },
  { path: ['channels'], label: 'Channels', kind: 'number', placeholder: '2' },
];

/** The lists of renditions. */
export const RENDITIONS = [
  { path: ['output', 'video_outputs'], title: 'Video renditions', noun: 'video', fields: VIDEO_FIELDS, max: 10 },
  { path: ['output', 'audio_outputs'], title: 'Audio renditions', noun: 'audio', fields: AUDIO_FIELDS, max: 5 },
];
