// A line of the recent past, without axes.
import { svg } from './dom.js';

const WIDTH = 100;
const HEIGHT = 24;

/** A sparkline of the last `size` samples: {element, push(number|null)}. */
export function sparkline(size = 60) {
  const samples = [];
  const line = svg('polyline', { points: '' });
  const element = svg('svg', { class: 'spark', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true', focusable: 'false' }, line);
  return {
    element,
    push(sample) {
      if (typeof sample !== 'number') return;
      samples.push(sample);
      if (samples.length > size) samples.shift();
      const top = Math.max(...samples) * 1.15 || 1;
      const x = (i) => WIDTH - (samples.length - 1 - i) * (WIDTH / (size - 1));
      const y = (value) => HEIGHT - 1 - (value / top) * (HEIGHT - 2);
      line.setAttribute('points', samples.map((value, i) => `${x(i).toFixed(1)},${y(value).toFixed(1)}`).join(' '));
    },
  };
}
