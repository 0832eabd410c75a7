// Numbers and times as people read them. Pure.

const NONE = '–';

function isNumber(value) {
  return typeof value === 'number' && Number.isFinite(value);
}

/** A count with thin grouping, as `12 345`. */
export function count(value) {
  return isNumber(value) ? String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, '\u202f') : NONE;
}

/** A number with at most so many decimals, trailing zeros dropped. */
export function decimal(value, places = 2) {
  return isNumber(value) ? String(Number(value.toFixed(places))) : NONE;
}

/** Seconds as `1 h 02 min`, `3 min 07 s`, `12 s`. */
export function duration(seconds) {
  if (!isNumber(seconds) || seconds < 0) return NONE;
  const s = Math.floor(seconds);
  const pad = (n) => String(n).padStart(2, '0');
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${pad(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${pad(Math.floor((s % 3600) / 60))} min`;
  return `${Math.floor(s / 86400)} d ${pad(Math.floor((s % 86400) / 3600))} h`;
}

/** Milliseconds as `850 ms` or `2.4 s`. */
export function millis(value) {
  if (!isNumber(value)) return NONE;
  if (value < 1000) return `${Math.round(value)} ms`;
  return value < 60000 ? `${(value / 1000).toFixed(1)} s` : duration(value / 1000);
}

/** Bytes as `3.2 MB` (powers of ten, as bitrates are). */
export function bytes(value) {
  if (!isNumber(value)) return NONE;
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let n = value;
  let unit = 0;
  while (n >= 999.5 && unit < units.length - 1) {
    n /= 1000;
    unit += 1;
  }
  return `${unit === 0 || n >= 99.95 ? Math.round(n) : n.toFixed(1)} ${units[unit]}`;
}

/** A bitrate in bit/s as `365 kbit/s` or `2.5 Mbit/s`. */
export function bitrate(bitsPerSecond) {
  if (!isNumber(bitsPerSecond)) return NONE;
  if (bitsPerSecond < 1e6) return `${decimal(bitsPerSecond / 1000, 0)} kbit/s`;
  return `${decimal(bitsPerSecond / 1e6, 2)} Mbit/s`;
}

/** `12 s ago`, counted from `now` (milliseconds since the epoch). */
export function ago(rfc3339, now = Date.now()) {
  const at = Date.parse(rfc3339);
  if (Number.isNaN(at)) return NONE;
  const seconds = Math.max(0, Math.round((now - at) / 1000));
  if (seconds < 5) return 'just now';
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

/** A moment as local date and time. */
export function dateTime(rfc3339) {
  const at = new Date(rfc3339);
  return Number.isNaN(at.getTime()) ? NONE : at.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
}

/** The local time of day with milliseconds, as `14:03:07.250`. */
export function clock(rfc3339) {
  const at = new Date(rfc3339);
  if (Number.isNaN(at.getTime())) return NONE;
  const pad = (n, width = 2) => String(n).padStart(width, '0');
  return `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}.${pad(at.getMilliseconds(), 3)}`;
}

/**
 * An id short enough for a table. The head of a UUIDv7 is its time of creation
 * and says little; with the tail two jobs of one minute differ.
 */
export function shortId(id) {
  return typeof id === 'string' && id.length > 16 ? `${id.slice(0, 8)}…${id.slice(-4)}` : String(id ?? NONE);
}

/** `640×360`, or nothing where a side is unknown. */
export function size(width, height) {
  return width && height ? `${width}×${height}` : '';
}

/** A text with a capital at its start. */
export function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** `snake_case` as a sentence's start: `Snake case`. */
export function words(name) {
  return sentence(String(name ?? '').replaceAll('_', ' ').trim());
}

/** A URL fit for the screen: no credentials, no query. */
export function publicUrl(text) {
  try {
    const url = new URL(text);
    url.username = '';
    url.password = '';
    url.search = '';
    url.hash = '';
    return url.href;
  } catch {
    return String(text ?? '');
  }
}

/** One argument as a POSIX shell reads it back. */
export function shellQuote(argument) {
  const text = String(argument);
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** A command line to paste. */
export function shellCommand(argv) {
  return argv.map(shellQuote).join(' ');
}
