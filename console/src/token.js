// Asking for the token that the server wants.
import * as api from './api.js';
import { h } from './dom.js';

let open = null;

/** Asks for a token, once at a time; `onToken` is called when there is one. */
export function askForToken(onToken) {
  if (open) return;
  const refused = api.hasToken();
  const input = h('input', { type: 'password', id: 'token', autocomplete: 'current-password', required: true, autofocus: true, 'aria-describedby': 'token-hint' });
  const form = h(
    'form',
    { method: 'dialog' },
    h('h2', { id: 'token-title' }, 'This server needs a token'),
    h('p', { id: 'token-hint' }, refused ? 'The token was refused. Try another one.' : 'It is the one that ezlive was started with. It is kept until this tab is closed.'),
    h('label', { class: 'field', for: 'token' }, h('span', {}, 'Token'), input),
    h('div', { class: 'dialog-actions' }, h('button', { class: 'button primary', id: 'token-submit' }, 'Use it')),
  );
  open = h('dialog', { id: 'token-dialog', 'aria-labelledby': 'token-title' }, form);
  // There is nothing to see without a token, so Escape doesn't help.
  open.addEventListener('cancel', (event) => event.preventDefault());
  open.addEventListener('close', () => {
    api.setToken(input.value);
    open.remove();
    open = null;
    onToken();
  });
  document.body.append(open);
  open.showModal();
}
