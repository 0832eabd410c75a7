// Bundles src/ into dist/, which `ezlive` embeds and serves.
import { cp, mkdir, rm } from 'node:fs/promises';
import { build } from 'esbuild';

const out = new URL('./dist/', import.meta.url);
const src = new URL('./src/', import.meta.url);

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
await build({
  entryPoints: ['main.js', 'theme.js', 'style.css'].map((name) => new URL(name, src).pathname),
  outdir: out.pathname,
  bundle: true,
  // hls.js is most of the weight and only the player needs it: its own chunk.
  splitting: true,
  format: 'esm',
  chunkNames: '[name]-[hash]',
  target: ['chrome123', 'firefox120', 'safari17.5'],
  minify: true,
  logLevel: 'info',
});
for (const name of ['index.html', 'icon.svg']) {
  await cp(new URL(name, src), new URL(name, out));
}
// What is served holds hls.js, and so its licence.
await cp(new URL('node_modules/hls.js/LICENSE', import.meta.url), new URL('hls.js-LICENSE.txt', out));
