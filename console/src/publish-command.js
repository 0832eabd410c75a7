// The command line that publishes to a job. Pure.
import { shellCommand } from './format.js';

/** Where the stream goes: FFmpeg takes address and key as one URL. */
function target(url, key) {
  return `${url.replace(/\/+$/, '')}/${key}`;
}

/**
 * An FFmpeg command that publishes a moving test picture with sound over
 * RTMP, or null where the protocol is another one.
 */
export function publishCommand({ protocol, url }, key) {
  if (!/^rtmps?$/i.test(protocol ?? '')) return null;
  return shellCommand([
    ...['ffmpeg', '-re', '-f', 'lavfi', '-i', 'testsrc2=size=1280x720:rate=25'],
    ...['-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000'],
    ...['-c:v', 'libx264', '-preset', 'veryfast', '-pix_fmt', 'yuv420p', '-b:v', '2500k', '-g', '50'],
    ...['-c:a', 'aac', '-b:a', '128k', '-f', 'flv', target(url, key)],
  ]);
}
