// JSON pointers (RFC 6901) of faults, and where they lead. Pure.

/** The steps of a pointer; also in its URI fragment form (`#/a/b`). */
export function steps(pointer) {
  const text = pointer.startsWith('#') ? decodeURIComponent(pointer.slice(1)) : pointer;
  if (text === '') return [];
  return text.replace(/^\//, '').split('/').map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** A pointer by which two spellings of one place are equal: `/output/0`. */
export function canonical(pointer) {
  return fromPath(steps(pointer));
}

/** The canonical pointer of a path. */
export function fromPath(path) {
  return path.map((step) => `/${String(step).toLowerCase().replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

/**
 * Puts every fault at a place that can show it: its own, or the nearest one
 * around it; '' stands for the whole body. `places` is a set of canonical
 * pointers. Gives [{place, pointer, detail}] in the order of the faults.
 */
export function placeFaults(faults, places) {
  return faults.map(({ pointer, detail }) => {
    const path = steps(pointer ?? '');
    while (path.length > 0 && !places.has(fromPath(path))) path.pop();
    return { place: fromPath(path), pointer: pointer ?? '', detail };
  });
}

/**
 * The range [start, end) of the value at a pointer in a JSON text, or of the
 * nearest value around it. Keys match without regard to case. The text must
 * be valid JSON.
 */
export function locate(text, pointer) {
  const wanted = steps(pointer).map((step) => step.toLowerCase());
  let found = [0, text.length];
  let at = 0;
  const space = () => {
    while (/\s/.test(text[at] ?? '')) at += 1;
  };
  const string = () => {
    const start = at;
    at += 1;
    while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
    at += 1;
    return JSON.parse(text.slice(start, at));
  };
  // `depth` steps of the pointer have matched so far; -1 off the track.
  const value = (depth) => {
    space();
    const start = at;
    if (text[at] === '{' || text[at] === '[') members(depth);
    else if (text[at] === '"') string();
    else while (at < text.length && !/[\s,\]}]/.test(text[at])) at += 1;
    if (depth >= 0 && depth > found.depth) found = Object.assign([start, at], { depth });
  };
  const members = (depth) => {
    const list = text[at] === '[';
    at += 1;
    for (let index = 0; ; index += 1) {
      space();
      if (text[at] === (list ? ']' : '}')) break;
      let key = String(index);
      if (!list) {
        key = string().toLowerCase();
        space();
        at += 1; // the colon
      }
      value(depth >= 0 && key === wanted[depth] ? depth + 1 : -1);
      space();
      if (text[at] === ',') at += 1;
    }
    at += 1;
  };
  found = Object.assign(found, { depth: -1 });
  value(0);
  return [found[0], found[1]];
}
