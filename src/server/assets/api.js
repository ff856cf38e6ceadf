// The HTTP API: requests, problem documents (RFC 9457), and polls that wait longer while nothing changes.

import { Backoff, parse } from "./text.js";

const TIMEOUT = 10_000;

/** An error response. `body` is its problem document, if it has one. */
export class Problem extends Error {
  constructor(response, body) {
    super(body?.detail ?? `the server answered ${response.status} ${response.statusText}`);
    Object.assign(this, { status: response.status, body });
  }
}

/** The problem document of a text; null for any other text. */
export function problemOf(text) {
  try {
    const body = JSON.parse(text);
    return body && typeof body === "object" && typeof body.code === "string" ? body : null;
  } catch {
    return null;
  }
}

/** The text of a response. Throws `Problem` for an error response. */
export async function getText(path) {
  const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT) });
  const text = await response.text();
  if (!response.ok) throw new Problem(response, problemOf(text));
  return text;
}

export const get = async (path) => parse(await getText(path));

/** All items of a list, page by page. */
export async function getAll(path, max = 10_000) {
  const items = [];
  for (let cursor = ""; cursor !== null && items.length < max;) {
    const page = await get(`${path}?limit=1000${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
    items.push(...page.items);
    cursor = page.next;
  }
  return items;
}

/** Sends a request with a JSON text. The tenant is the selected one. */
export async function send(path, body, { headers = {}, signal } = {}) {
  const all = { "content-type": "application/json", ...tenantHeaders(), ...headers };
  return fetch(path, { method: "POST", headers: all, body, signal, cache: "no-store" });
}

/** Sends a request and returns the JSON of its response. Throws `Problem` for an error response. */
export async function post(path, body = "{}", options = {}) {
  const response = await send(path, body, options), text = await response.text();
  if (!response.ok) throw new Problem(response, problemOf(text));
  return text === "" ? null : parse(text);
}

let tenant = "";
export const tenantHeaders = () => tenant === "" ? {} : { "x-evenkeel-tenant": tenant };
export function selectTenant(name) {
  tenant = name;
}

/** Repeats a task. It returns true if something changed, and null to end. Hidden pages pause. */
export class Poll {
  constructor(task, { least = 1500, most = 15_000 } = {}) {
    Object.assign(this, { task, backoff: new Backoff(least, most), timer: 0, running: false, stopped: false });
    this.resume = () => this.now();
    document.addEventListener("visibilitychange", this.resume);
    this.now();
  }

  async now() {
    clearTimeout(this.timer);
    if (this.running || this.stopped || document.hidden) return;
    this.running = true;
    let wait;
    try {
      const changed = await this.task();
      if (changed === null) this.stop();
      wait = changed ? this.backoff.changed() : this.backoff.unchanged();
    } catch {
      wait = this.backoff.failed();
    }
    this.running = false;
    if (!this.stopped) this.timer = setTimeout(this.resume, wait);
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.resume);
  }
}
