// Small parts that several pages share.
import { copyText, h, setText } from './dom.js';
import { icon } from './icons.js';

/** A page's heading, which takes the focus when the page is opened. */
export function heading(text) {
  return h('h1', { tabindex: '-1' }, text);
}

/** A job's or worker's state. Shape and word say it too, not only the colour. */
export function badge(state, large = false) {
  return setBadge(h('span', { class: large ? 'badge large' : 'badge', 'data-test': 'state' }, h('i', { 'aria-hidden': 'true' }), h('span')), state);
}

/** Shows another state in a badge. */
export function setBadge(element, state) {
  if (element.dataset.state !== state) {
    element.dataset.state = state;
    element.lastElementChild.textContent = state;
  }
  return element;
}

/** Says something to assistive technology without showing it. */
export function announce(text) {
  setText(document.getElementById('live-region'), text);
}

/** A message that goes by itself; `kind` is 'good' or 'bad'. */
export function toast(text, kind = 'good') {
  const stack = document.getElementById('toasts');
  const close = h('button', { class: 'button quiet icon-only', type: 'button', 'aria-label': 'Dismiss', 'data-test': 'toast-close' }, '×');
  const item = h('div', { class: 'toast', 'data-kind': kind, 'data-test': 'toast' }, h('p', {}, text), close);
  const remove = () => item.remove();
  close.addEventListener('click', remove);
  setTimeout(remove, kind === 'bad' ? 12_000 : 4000);
  stack.append(item);
}

/**
 * A button that copies what `text()` gives at the press. A `brief` one says
 * so by its icon alone.
 */
export function copyButton(what, text, test, brief = false) {
  const label = h('span', { class: brief ? 'visually-hidden' : '' }, 'Copy');
  const button = h('button', { class: `button small${brief ? ' icon-only' : ''}`, type: 'button', 'aria-label': `Copy ${what}`, 'data-test': test }, icon('copy'), label);
  button.addEventListener('click', async () => {
    const done = await copyText(text());
    announce(done ? `Copied ${what}` : `Could not copy ${what}`);
    button.dataset.done = done ? 'yes' : 'no';
    setText(label, done ? 'Copied' : 'Failed');
    button.firstElementChild.replaceWith(icon(done ? 'check' : 'warn'));
    setTimeout(() => {
      delete button.dataset.done;
      setText(label, 'Copy');
      button.firstElementChild.replaceWith(icon('copy'));
    }, 1600);
  });
  return button;
}

/** A labelled value with a copy button; `set(value)` changes it. */
export function copyRow(label, test) {
  const value = h('code', { 'data-test': test });
  const row = h('div', { class: 'copy-row' }, h('span', { class: 'copy-label' }, label), value, copyButton(label, () => value.textContent, `${test}-copy`, true));
  return { row, set: (text) => setText(value, text) };
}

/** A block of code with a copy button; `source()` is what is copied. */
export function codeBlock(what, test) {
  const code = h('code', { 'data-test': test });
  let source = '';
  const block = h('div', { class: 'code-block' }, h('pre', { tabindex: '0', 'aria-label': what }, code), copyButton(what, () => source, `${test}-copy`));
  const set = (shown, copied = shown) => {
    source = copied;
    setText(code, shown);
  };
  return { block, set };
}

/** A card with a heading. */
export function card(title, attributes, ...children) {
  return h('section', { class: 'card', 'aria-label': title, ...attributes }, h('h2', {}, title), ...children);
}

/** A faded sentence where there is nothing to show. */
export function empty(title, text, ...more) {
  return h('div', { class: 'empty', 'data-test': 'empty' }, h('p', { class: 'empty-title' }, title), text && h('p', {}, text), ...more);
}

/** Shows in `place`, and nowhere else, why the server refuses what was there. */
export function showRefusal(place, error) {
  const shown = place.querySelector('[data-test=refused] p:last-child');
  // Asked again and again, it is announced once.
  if (shown?.textContent === error.message) return;
  place.replaceChildren(h('div', { class: 'empty', role: 'alert', 'data-test': 'refused' }, h('p', { class: 'empty-title' }, 'The server refuses this'), h('p', {}, error.message)));
}

/**
 * Asks before something is done. `choices` is [{name, label, hint, checked,
 * required}]; resolves to {name: checked} on yes, to null on no.
 */
export function confirm({ title, text, confirmLabel, danger = false, choices = [] }) {
  const boxes = choices.map((choice) => ({
    ...choice,
    input: h('input', { type: 'checkbox', id: `choice-${choice.name}`, checked: choice.checked ?? false }),
  }));
  const yes = h('button', { class: danger ? 'button danger' : 'button primary', id: 'dialog-confirm', value: 'yes' }, confirmLabel);
  const check = () => {
    yes.disabled = boxes.some((box) => box.required && !box.input.checked);
  };
  const rows = boxes.map(({ input, name, label, hint }) =>
    h('label', { class: 'choice', for: `choice-${name}` }, input, h('span', {}, label, hint && h('small', {}, hint))),
  );
  const form = h(
    'form',
    { method: 'dialog', onchange: check },
    h('h2', { id: 'dialog-title' }, title),
    h('p', {}, text),
    ...rows,
    h('div', { class: 'dialog-actions' }, h('button', { class: 'button', id: 'dialog-cancel', value: 'no', autofocus: true }, 'Cancel'), yes),
  );
  const dialog = h('dialog', { id: 'dialog', 'aria-labelledby': 'dialog-title' }, form);
  check();
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'yes' ? Object.fromEntries(boxes.map(({ name, input }) => [name, input.checked])) : null);
    });
  });
}

/** What went wrong, as one sentence for a toast. */
export function errorText(error) {
  return [error.message, ...(error.faults ?? []).map((fault) => fault.detail)].join(' ');
}
