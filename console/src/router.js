// Hash routes: `#/jobs/ID?x=y`. One page is mounted at a time.

/** What a parameter may be: ids are UUIDs. */
const PARAMETER = /^[A-Za-z0-9-]+$/;

/** Matches a path against `/jobs/:id`; gives the parameters, or null. */
export function match(pattern, path) {
  const wanted = pattern.split('/');
  const given = path.split('/');
  if (wanted.length !== given.length) return null;
  const params = {};
  for (const [i, step] of wanted.entries()) {
    if (step.startsWith(':') && PARAMETER.test(given[i])) params[step.slice(1)] = given[i];
    else if (step !== given[i]) return null;
  }
  return params;
}

/** A link within the console. */
export function href(path, query = {}) {
  const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value)).toString();
  return `#${path}${search ? `?${search}` : ''}`;
}

/** Goes to a page. */
export function go(path, query) {
  location.hash = href(path, query);
}

function parseHash() {
  const [path, search = ''] = location.hash.slice(1).split('?', 2);
  return { path: path || '/jobs', query: new URLSearchParams(search) };
}

/**
 * Mounts the page of the current hash into `root`, and again on each change.
 * `routes` is [[pattern, page]]; a page is `mount(root, {params, query,
 * signal})`, and whatever it starts ends when `signal` aborts.
 */
export function startRouter(root, routes, { notFound, onRoute }) {
  let leave = new AbortController();
  let first = true;
  const route = () => {
    if (location.hash && !location.hash.startsWith('#/')) return;
    leave.abort();
    leave = new AbortController();
    const { path, query } = parseHash();
    const focused = document.activeElement?.id;
    const [page, params] = find(routes, path) ?? [notFound, {}];
    root.replaceChildren();
    page(root, { params, query, signal: leave.signal });
    onRoute(path);
    // A filter that was pressed keeps the focus; a new page takes it.
    const same = focused && document.getElementById(focused);
    if (!first && same && root.contains(same)) same.focus();
    else if (!first) {
      scrollTo(0, 0);
      root.querySelector('h1')?.focus();
    }
    first = false;
  };
  addEventListener('hashchange', route);
  route();
  return route;
}

function find(routes, path) {
  for (const [pattern, page] of routes) {
    const params = match(pattern, path);
    if (params) return [page, params];
  }
  return null;
}
