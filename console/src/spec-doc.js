// A job body as the client wrote it. The API matches keys without regard to
// case, so reading does too, and writing keeps the spelling that is there.
// Paths are arrays in the canonical spelling: ['output', 'video_outputs', 0].

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function findKey(object, key) {
  if (Array.isArray(object)) return Number.isInteger(key) && key < object.length ? key : undefined;
  if (!isObject(object)) return undefined;
  return Object.keys(object).find((own) => own.toLowerCase() === key);
}

/** How a new key is spelled: as the body spells its others. */
function spell(root, object, key) {
  const model = Object.keys(object)[0] ?? Object.keys(root)[0] ?? '';
  return /^[A-Z]/.test(model) ? key.charAt(0).toUpperCase() + key.slice(1) : key;
}

/** The value at a path, or undefined. */
export function get(doc, path) {
  let at = doc;
  for (const step of path) {
    const key = findKey(at, step);
    if (key === undefined) return undefined;
    at = at[key];
  }
  return at;
}

/**
 * Sets the value at a path in place, making the objects and lists on the way.
 * Something else in their place (`"output": 7`) is replaced.
 */
export function set(doc, path, value) {
  let at = doc;
  path.forEach((step, i) => {
    const key = findKey(at, step) ?? (Array.isArray(at) ? at.length : spell(doc, at, step));
    if (i === path.length - 1) {
      at[key] = value;
      return;
    }
    const wantsList = typeof path[i + 1] === 'number';
    const fits = wantsList ? Array.isArray(at[key]) : isObject(at[key]);
    if (!fits) at[key] = wantsList ? [] : {};
    at = at[key];
  });
}

/** Removes what is at a path, and the objects that this leaves empty. */
export function remove(doc, path) {
  const parent = get(doc, path.slice(0, -1));
  const key = findKey(parent, path.at(-1));
  if (key === undefined) return;
  if (Array.isArray(parent)) parent.splice(key, 1);
  else delete parent[key];
  // An emptied `s3_output: {}` says nothing; an emptied row or section stays, as a fault to be shown.
  const droppable = path.length > 2 && typeof path.at(-2) === 'string' && isObject(parent);
  if (droppable && Object.keys(parent).length === 0) remove(doc, path.slice(0, -1));
}

/** Reads a body; an error's message names line and column where it is known. */
export function parse(text) {
  let doc;
  try {
    doc = JSON.parse(text);
  } catch (error) {
    const position = /position (\d+)/.exec(error.message);
    if (!position) throw new Error(`Not valid JSON: ${error.message}.`);
    const before = text.slice(0, Number(position[1])).split('\n');
    throw new Error(`Not valid JSON at line ${before.length}, column ${before.at(-1).length + 1}.`);
  }
  if (!isObject(doc)) throw new Error('The body must be a JSON object.');
  return doc;
}

/**
 * What a field's text stands for in JSON. All but `text` fields hold a number
 * where the text is one and keep anything else as text, so that it is the
 * server that says what is wrong with it; empty means absent.
 */
export function fieldValue(kind, text) {
  const trimmed = text.trim();
  if (trimmed === '') return undefined;
  if (kind !== 'text' && /^-?\d+(\.\d+)?$/.test(trimmed)) return Number(trimmed);
  return trimmed;
}

/** The text that shows a JSON value in a field. */
export function fieldText(value) {
  if (value === undefined || value === null) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** Booleans as the API reads them: true, false, 0, 1. */
export function isTrue(value) {
  return value === true || value === 1;
}
