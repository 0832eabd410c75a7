// The form half of the editor: fields bound to places in a job body.
import { h } from './dom.js';
import { icon } from './icons.js';
import { nextAudio, nextVideo } from './ladder.js';
import { fromPath } from './pointer.js';
import * as body from './spec-doc.js';
import { INPUT_FIELDS, OUTPUT_FIELDS, RENDITIONS } from './spec-fields.js';

/** The id of what belongs to a place: `f-output-video_outputs-0-width`. */
const idOf = (path, prefix = 'f') => [prefix, ...path].join('-');

/** Where faults of one place are shown; hidden while there are none. */
function faultSlot(path) {
  return h('div', { class: 'faults', id: idOf(path, 'faults'), 'data-faults': fromPath(path), hidden: true });
}

function selectControl(field, doc, path, attributes) {
  const options = typeof field.options === 'function' ? field.options(body.get(doc, [...path.slice(0, -field.path.length), 'codec'])) : field.options;
  const current = body.fieldText(body.get(doc, path));
  // A spelling or a value that the form doesn't know stays selectable.
  const known = options.find((option) => option === current.toLowerCase());
  const extra = current !== '' && !known ? [current] : [];
  return h(
    'select',
    attributes,
    h('option', { value: '' }, 'default'),
    ...[...extra, ...options].map((option) => h('option', { value: option, selected: option === (known ?? current) }, option)),
  );
}

function control(field, doc, path, changed) {
  const pointer = fromPath(path);
  const common = { id: idOf(path), 'data-pointer': pointer, 'aria-describedby': `${idOf(path, 'faults')} ${field.hint ? idOf(path, 'hint') : ''}`.trim() };
  const write = (value) => {
    if (value === undefined) body.remove(doc, path);
    else body.set(doc, path, value);
    changed(path);
  };
  if (field.kind === 'boolean') {
    const box = h('input', { ...common, type: 'checkbox', checked: body.isTrue(body.get(doc, path)) });
    box.addEventListener('change', () => write(box.checked));
    return box;
  }
  if (field.kind === 'select') {
    const select = selectControl(field, doc, path, common);
    select.addEventListener('change', () => write(body.fieldValue('text', select.value)));
    return select;
  }
  const input = h('input', {
    ...common,
    type: 'text',
    value: body.fieldText(body.get(doc, path)),
    placeholder: field.placeholder,
    inputmode: field.kind === 'number' ? 'decimal' : null,
    autocomplete: 'off',
    autocapitalize: 'none',
    spellcheck: 'false',
  });
  input.addEventListener('input', () => write(body.fieldValue(field.kind, input.value)));
  return input;
}

function fieldRow(field, doc, base, changed) {
  const path = [...base, ...field.path];
  const classes = ['field', field.wide && 'wide', field.kind === 'boolean' && 'check'].filter(Boolean).join(' ');
  return h(
    'div',
    { class: classes },
    h('label', { for: idOf(path) }, field.label, field.unit && h('span', { class: 'unit' }, ` ${field.unit}`)),
    control(field, doc, path, changed),
    field.hint && h('p', { class: 'hint', id: idOf(path, 'hint') }, field.hint),
    faultSlot(path),
  );
}

function section(title, fields, doc, base, changed) {
  return h(
    'fieldset',
    { class: 'card', 'data-place': fromPath(base), tabindex: '-1' },
    h('legend', {}, title),
    faultSlot(base),
    h('div', { class: 'fields' }, ...fields.map((field) => fieldRow(field, doc, base, changed))),
  );
}

function renditionRow({ fields, noun }, doc, path, { changed, rebuild, addId }) {
  const number = path.at(-1) + 1;
  const label = body.fieldText(body.get(doc, [...path, 'label']));
  const removeButton = h(
    'button',
    { class: 'button small quiet', type: 'button', id: idOf(path, 'remove'), 'aria-label': `Remove ${noun} rendition ${number}` },
    icon('trash'),
    h('span', { class: 'wide-only' }, 'Remove'),
  );
  removeButton.addEventListener('click', () => {
    body.remove(doc, path);
    changed(path.slice(0, -1));
    rebuild(addId);
  });
  return h(
    'fieldset',
    { class: 'rendition', 'data-place': fromPath(path), 'data-test': `${noun}-row`, tabindex: '-1' },
    h('legend', {}, `${noun === 'video' ? 'Video' : 'Audio'} ${number}`, label && h('span', { class: 'legend-note' }, label)),
    removeButton,
    faultSlot(path),
    h('div', { class: 'fields dense' }, ...fields.map((field) => fieldRow(field, doc, path, changed))),
  );
}

function renditionList(list, doc, changed, rebuild) {
  const addId = `add-${list.noun}`;
  const current = body.get(doc, list.path);
  const rows = Array.isArray(current) ? current : [];
  const add = h('button', { class: 'button', type: 'button', id: addId }, icon('plus'), `Add ${list.noun}`);
  add.addEventListener('click', () => {
    const taken = (key) => rows.map((row) => body.get(row, [key]));
    const next = list.noun === 'video' ? nextVideo({ labels: taken('label'), heights: taken('height').map(Number) }) : nextAudio({ labels: taken('label') });
    const path = [...list.path, rows.length];
    if (!Array.isArray(current)) body.set(doc, list.path, []);
    body.get(doc, list.path).push({});
    // Key by key, so that the row is spelled as the body is.
    for (const [key, value] of Object.entries(next)) body.set(doc, [...path, key], value);
    changed(list.path);
    rebuild(idOf([...path, 'label']));
  });
  const wrongShape = current !== undefined && !Array.isArray(current);
  return h(
    'fieldset',
    { class: 'card', 'data-place': fromPath(list.path), tabindex: '-1' },
    h('legend', {}, list.title),
    faultSlot(list.path),
    wrongShape && h('p', { class: 'hint' }, 'Not a list: see the JSON.'),
    ...rows.map((_, i) => renditionRow(list, doc, [...list.path, i], { changed, rebuild, addId })),
    h('div', { class: 'list-actions' }, add, h('span', { class: 'hint' }, `${rows.length} of at most ${list.max}`)),
  );
}

/**
 * Fills `root` with the form of `doc`, which its fields change in place.
 * `changed(path)` is called after each change.
 */
export function renderForm(root, doc, changed) {
  const rebuild = (focusId) => {
    const lists = RENDITIONS.map((list) => renditionList(list, doc, changed, rebuild));
    root.replaceChildren(
      section('Input', INPUT_FIELDS, doc, ['input'], changed),
      section('Output', OUTPUT_FIELDS, doc, ['output'], changed),
      ...lists,
    );
    if (focusId) document.getElementById(focusId)?.focus();
  };
  // Another codec has other presets: an old one that it lacks goes.
  root.onchange = (event) => {
    const pointer = event.target.dataset.pointer ?? '';
    const row = /^\/output\/video_outputs\/(\d+)\/codec$/.exec(pointer);
    if (!row) return;
    const path = ['output', 'video_outputs', Number(row[1])];
    const options = [...document.getElementById(idOf([...path, 'preset'])).options].map((option) => option.value);
    const field = RENDITIONS[0].fields.find(({ path: [key] }) => key === 'preset');
    const fitting = field.options(body.get(doc, [...path, 'codec']));
    if (fitting.every((preset) => options.includes(preset))) return;
    body.remove(doc, [...path, 'preset']);
    rebuild(event.target.id);
  };
  rebuild();
}
