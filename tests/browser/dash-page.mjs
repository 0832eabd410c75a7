// A page with dash.js, from an origin of its own as a customer's would be.
import { createServer } from 'node:http';
import { createReadStream } from 'node:fs';
import { fileURLToPath } from 'node:url';

const LIBRARY = fileURLToPath(new URL('node_modules/dashjs/dist/modern/umd/dash.all.min.js', import.meta.url));
// `dashjs` is played with its own defaults: what needs settings to play well
// would not do for a customer's player.
const PAGE = `<!doctype html>
<html lang="en">
<title>dash.js</title>
<link rel="icon" href="data:,">
<video muted controls width="640" height="360"></video>
<script src="/dash.js"></script>
<script>
  const player = dashjs.MediaPlayer().create();
  player.updateSettings({ debug: { logLevel: dashjs.Debug.LOG_LEVEL_ERROR } });
  player.on(dashjs.MediaPlayer.events.ERROR, ({ error }) => console.error('dash.js', error.code, error.message));
  player.initialize(document.querySelector('video'), new URLSearchParams(location.search).get('mpd'), true);
</script>
</html>`;

/** Serves it on a free port: {url(mpd), close()}. */
export async function serveDashPage() {
  const server = createServer((request, response) => {
    if (request.url === '/dash.js') {
      response.setHeader('content-type', 'text/javascript');
      createReadStream(LIBRARY).pipe(response);
    } else {
      response.setHeader('content-type', 'text/html; charset=utf-8');
      response.end(PAGE);
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: (mpd) => `http://127.0.0.1:${server.address().port}/?mpd=${encodeURIComponent(mpd)}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
