// Serves dist/ as `ezlive up` does, strict CSP included, over a mock API.
// node dev/mock-server.mjs [--port 8080] [--token SECRET]
// POST /dev/jobs/ID/drop, /publish or /fail makes that happen to a job.
import { createServer } from 'node:http';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { mockApi } from './mock-api.mjs';

const CSP = "default-src 'self'; media-src 'self' blob: *; connect-src 'self' *; worker-src blob:; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
const TYPES = { html: 'text/html; charset=utf-8', js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml', txt: 'text/plain' };
const DIST = new URL('../dist/', import.meta.url);

async function page(url, response) {
  const name = url.pathname === '/' ? 'index.html' : url.pathname.slice(1);
  const data = /^[\w.-]+$/.test(name) && (await readFile(new URL(name, DIST)).catch(() => null));
  response.writeHead(data ? 200 : 404, { 'content-type': TYPES[name.split('.').at(-1)] ?? 'text/plain', 'content-security-policy': CSP, 'cache-control': 'no-store' });
  response.end(data || '');
}

/** Starts the server on a port (0: a free one); gives {origin, api, close}. */
export async function startMock({ port = 0, ...options } = {}) {
  const api = mockApi({ dir: await mkdtemp(join(tmpdir(), 'ezlive-mock-')), ...options });
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, `http://${request.headers.host}`);
    const control = /^\/dev\/jobs\/([^/]+)\/(drop|publish|trouble|recover|fail)$/.exec(url.pathname);
    if (control && request.method === 'POST') {
      await api.control(control[1], control[2]);
      response.writeHead(204).end();
    } else if (/^\/(jobs|workers|live)(\/|$)/.test(url.pathname)) await api.handle(request, response, url);
    else await page(url, response);
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    api,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await api.close();
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { port: { type: 'string', default: '8080' }, token: { type: 'string' } } });
  const mock = await startMock({ port: Number(values.port), token: values.token });
  console.log(`ready ${mock.origin}`);
  const end = () => mock.close().then(() => process.exit(0));
  process.once('SIGINT', end).once('SIGTERM', end);
}
