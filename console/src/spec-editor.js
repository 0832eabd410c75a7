// A job body in two views, form and JSON, of one document.
import { h, setText } from './dom.js';
import { sentence } from './format.js';
import { canonical, fromPath, locate, placeFaults } from './pointer.js';
import * as body from './spec-doc.js';
import { renderForm } from './spec-form.js';
import { icon } from './icons.js';

function tab(name, label, panel) {
  return h('button', { class: 'tab', type: 'button', role: 'tab', id: `tab-${name}`, 'aria-controls': panel.id, 'aria-selected': 'false', tabindex: '-1' }, label);
}

/** The arrow keys move between tabs (ARIA tabs pattern). */
function arrowKeys(list, tabs, choose) {
  list.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = tabs[(tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length];
    if (choose(next)) next.focus();
  });
}

/**
 * An editor of `start`, a job body. `onChange` is called after each edit.
 * Gives {element, read, load, showFaults, clearFaults}.
 */
export function createEditor(start, onChange) {
  let doc = structuredClone(start);
  let view = 'form';
  let shown = [];

  const form = h('div', { class: 'panel', id: 'panel-form', role: 'tabpanel', 'aria-labelledby': 'tab-form' });
  const text = h('textarea', { id: 'json', spellcheck: 'false', autocomplete: 'off', autocapitalize: 'none', wrap: 'off', 'aria-label': 'Job as JSON', 'aria-describedby': 'json-error' });
  const textError = h('p', { class: 'faults', id: 'json-error', hidden: true });
  const json = h('div', { class: 'panel', id: 'panel-json', role: 'tabpanel', 'aria-labelledby': 'tab-json', hidden: true }, text, textError);
  const summary = h('div', { class: 'summary', id: 'fault-summary', role: 'alert', tabindex: '-1', hidden: true });
  const formTab = tab('form', 'Form', form);
  const jsonTab = tab('json', 'JSON', json);
  const tabs = h('div', { class: 'tabs', role: 'tablist', 'aria-label': 'View of the job' }, formTab, jsonTab);

  /** Reads the JSON view into the document; whether that worked. */
  const readText = () => {
    try {
      doc = body.parse(text.value);
      textError.hidden = true;
      text.removeAttribute('aria-invalid');
      return true;
    } catch (error) {
      setText(textError, error.message);
      textError.hidden = false;
      text.setAttribute('aria-invalid', 'true');
      return false;
    }
  };

  const setSlot = (slot, faults, kind) => {
    slot.replaceChildren(...faults.map((detail) => h('p', { 'data-kind': kind }, icon('warn'), detail)));
    slot.hidden = faults.length === 0;
  };
  const controlAt = (place) => form.querySelector(`[data-pointer="${CSS.escape(place)}"]`);
  const slotAt = (place) => form.querySelector(`[data-faults="${CSS.escape(place)}"]`);

  const clearAt = (place) => {
    const slot = slotAt(place);
    if (slot) setSlot(slot, []);
    controlAt(place)?.removeAttribute('aria-invalid');
    controlAt(place)?.removeAttribute('data-doubtful');
  };
  const clearFaults = () => {
    shown = [];
    summary.hidden = true;
    summary.replaceChildren();
    for (const slot of form.querySelectorAll('[data-faults]')) clearAt(slot.dataset.faults);
  };

  const changed = (path) => {
    clearAt(fromPath(path));
    onChange();
  };
  const render = () => renderForm(form, doc, changed);

  const select = (next) => {
    const name = next === formTab ? 'form' : 'json';
    if (name === view) return true;
    if (view === 'json') {
      if (!readText()) {
        text.focus();
        return false;
      }
      render();
    } else {
      text.value = JSON.stringify(doc, null, 2);
      readText();
    }
    setView(name);
    if (name === 'form') mark();
    return true;
  };
  const setView = (name) => {
    view = name;
    form.hidden = name !== 'form';
    json.hidden = name !== 'json';
    for (const each of [formTab, jsonTab]) {
      const active = (each === formTab) === (name === 'form');
      each.setAttribute('aria-selected', String(active));
      each.tabIndex = active ? 0 : -1;
    }
  };

  /** Shows the faults at their fields. */
  const mark = () => {
    const places = new Set([...form.querySelectorAll('[data-faults]')].map((slot) => slot.dataset.faults));
    const placed = placeFaults(shown, places);
    for (const place of new Set(placed.map((fault) => fault.place))) {
      const here = placed.filter((fault) => fault.place === place);
      const slot = slotAt(place);
      if (!slot) continue;
      // At a wider place than its own, a fault has to say what it is about.
      const detail = (fault) => (canonical(fault.pointer) === place ? sentence(fault.detail) : `${fault.pointer}: ${fault.detail}`);
      const kind = shown.kind;
      setSlot(slot, here.map(detail), kind);
      controlAt(place)?.setAttribute(kind === 'fault' ? 'aria-invalid' : 'data-doubtful', 'true');
    }
    return placed;
  };

  /** Leads to the place of a fault in the view that is open. */
  const goTo = (pointer) => {
    if (view === 'json') {
      text.focus();
      text.setSelectionRange(...locate(text.value, pointer));
      return;
    }
    const places = new Set([...form.querySelectorAll('[data-faults]')].map((slot) => slot.dataset.faults));
    const [{ place }] = placeFaults([{ pointer }], places);
    const target = controlAt(place) ?? form.querySelector(`[data-place="${CSS.escape(place)}"]`) ?? summary;
    target.focus();
  };

  /**
   * Shows faults ('fault') or warnings ('doubt') at their fields; the first
   * fault gets the focus.
   */
  const showFaults = (faults, kind, message) => {
    clearFaults();
    shown = Object.assign([...faults], { kind });
    const placed = mark();
    if (kind !== 'fault') return;
    const line = ({ pointer, detail }) =>
      h('li', {}, h('button', { class: 'link', type: 'button', 'data-test': 'fault-link', onclick: () => goTo(pointer) }, pointer || 'the body'), ` ${detail}`);
    summary.replaceChildren(h('p', {}, icon('warn'), message), h('ul', {}, ...placed.map(line)));
    summary.hidden = false;
    if (faults.length > 0) goTo(faults[0].pointer ?? '');
    else summary.focus();
  };

  text.addEventListener('input', () => {
    if (readText()) clearFaults();
    onChange();
  });
  for (const each of [formTab, jsonTab]) each.addEventListener('click', () => select(each));
  arrowKeys(tabs, [formTab, jsonTab], select);
  render();
  setView('form');

  return {
    element: h('div', { class: 'editor', id: 'editor' }, summary, tabs, form, json),
    /** The body as edited, or null (and the error shown) while it isn't JSON. */
    read() {
      if (view === 'json' && !readText()) {
        text.focus();
        return null;
      }
      return doc;
    },
    /** Starts over with another body. */
    load(next) {
      doc = structuredClone(next);
      clearFaults();
      render();
      text.value = JSON.stringify(doc, null, 2);
      readText();
      onChange();
    },
    showFaults,
    clearFaults,
  };
}
