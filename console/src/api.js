// The HTTP API of ezlive. Every call may reject with ApiError.

import { sentence } from './format.js';

const TOKEN_KEY = 'ezlive-token';

/** A failed call: an RFC 9457 problem, or no answer at all (status 0). */
export class ApiError extends Error {
  constructor(status, problem) {
    const text = problem.detail || problem.title || (status ? `The server answered ${status}.` : 'The server can’t be reached.');
    super(sentence(text));
    this.name = 'ApiError';
    /** The HTTP status; 0 where there was no answer. */
    this.status = status;
    /** [{pointer, detail}]: every fault of the body. */
    this.faults = Array.isArray(problem.errors) ? problem.errors : [];
  }
}

const listeners = new Set();

/** Calls `listener` with each call's outcome: 'ok', 'unauthorized', 'failing' or 'offline'. */
export function onOutcome(listener) {
  listeners.add(listener);
}

function report(outcome) {
  for (const listener of listeners) listener(outcome);
}

let token = null;
try {
  token = sessionStorage.getItem(TOKEN_KEY);
} catch {
  // No storage: the token lives as long as the page.
}

/** Whether calls carry a token. */
export function hasToken() {
  return token !== null;
}

/** Sets the bearer token of all later calls; null for none. */
export function setToken(next) {
  token = next;
  try {
    if (next === null) sessionStorage.removeItem(TOKEN_KEY);
    else sessionStorage.setItem(TOKEN_KEY, next);
  } catch {
    // As above.
  }
}

function outcome(status) {
  if (status === 401) return 'unauthorized';
  return status >= 500 ? 'failing' : 'ok';
}

async function readBody(response) {
  const text = await response.text();
  if (text === '') return null;
  try {
    return JSON.parse(text);
  } catch {
    // A proxy's HTML page, say.
    return undefined;
  }
}

async function call(method, path, { query = {}, body, headers = {}, signal } = {}) {
  const url = new URL(path, document.baseURI);
  url.hash = '';
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== '' && value !== false) url.searchParams.set(key, String(value));
  }
  if (token !== null) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  let response;
  let answer;
  try {
    response = await fetch(url, { method, headers, body, signal, cache: 'no-store' });
    answer = await readBody(response);
  } catch (error) {
    if (signal?.aborted) throw error;
    report('offline');
    throw new ApiError(0, {});
  }
  report(outcome(response.status));
  if (!response.ok) throw new ApiError(response.status, answer ?? {});
  if (answer === undefined) throw new ApiError(response.status, { detail: 'The server’s answer is not JSON.' });
  return answer;
}

const job = (id) => `jobs/${encodeURIComponent(id)}`;
const worker = (id) => `workers/${encodeURIComponent(id)}`;

export const listJobs = (query, signal) => call('GET', 'jobs', { query, signal });
export const getJob = (id, signal) => call('GET', job(id), { signal });
/** The events after the one with this number, oldest first. */
export const listEvents = (id, after, signal) => call('GET', `${job(id)}/events`, { query: { after }, signal });
/** Checks a body: {spec, warnings, ffmpeg: {argv, command}}. */
export const checkJob = (body) => call('POST', 'jobs', { query: { dry_run: true }, body: JSON.stringify(body) });
export const createJob = (body, idempotencyKey) =>
  call('POST', 'jobs', { body: JSON.stringify(body), headers: { 'Idempotency-Key': idempotencyKey } });
export const replaceSpec = (id, body) => call('PATCH', job(id), { body: JSON.stringify(body) });
/** `verb` is stop, pause or resume. */
export const setDesired = (id, verb) => call('PUT', `${job(id)}/${verb}`);
export const rotateKey = (id) => call('PUT', `${job(id)}/stream-key`);
export const deleteJob = (id, { force, media }) => call('DELETE', job(id), { query: { force, media } });
export const listWorkers = (signal) => call('GET', 'workers', { signal });
export const drainWorker = (id) => call('DELETE', worker(id));
