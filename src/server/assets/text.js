// JSON texts without loss, and the short texts of the page. Pure functions: they run in Node as well.

/** A number that a double cannot represent, as its text. */
export class Exact {
  constructor(text) { this.text = text; }
  toString() { return this.text; }
}

/** The tokens of a JSON text. Throws the error of `JSON.parse` for other texts. */
export function tokens(text) {
  JSON.parse(text);
  const list = [], token = /[{}[\],:"]|[^\s{}[\],:"]+/g;
  for (let found; (found = token.exec(text)); list.push(text.slice(found.index, token.lastIndex))) {
    if (found[0] !== '"') continue;
    let end = found.index + 1;
    while (text[end] !== '"') end += text[end] === "\\" ? 2 : 1;
    token.lastIndex = end + 1;
  }
  return list;
}

/** Pieces `[class, text]` of an indented JSON text. Numbers and strings stay unchanged. */
export function* layout(text) {
  const list = tokens(text);
  const line = (depth) => "\n" + "  ".repeat(depth);
  let depth = 0;
  for (let i = 0; i < list.length; i++) {
    const token = list[i], next = list[i + 1];
    if (token === "{" || token === "[") {
      const empty = next === "}" || next === "]";
      yield ["", token + (empty ? next : line(++depth))];
      if (empty) i++;
    } else if (token === "}" || token === "]") yield ["", line(--depth) + token];
    else if (token === ",") yield ["", "," + line(depth)];
    else if (token === ":") yield ["", ": "];
    else if (token[0] === '"') yield [next === ":" ? "key" : "string", token];
    else yield [/\d/.test(token) ? "number" : "word", token];
  }
}

export const indent = (text) => Array.from(layout(text), ([, piece]) => piece).join("");

/** Like `JSON.parse`, except that numbers a double cannot represent become `Exact`, and `__proto__` is an ordinary key. */
export function parse(text) {
  const list = tokens(text);
  let at = 0;
  const until = (close, take) => {
    for (; list[at] !== close; take()) if (list[at] === ",") at++;
    at++;
  };
  const value = () => {
    const token = list[at++], object = Object.create(null), array = [];
    if (token === "{") return until("}", () => { const key = JSON.parse(list[at]); at += 2; object[key] = value(); }), object;
    if (token === "[") return until("]", () => array.push(value())), array;
    if (/^[-\d]/.test(token)) return String(Number(token)) === token ? Number(token) : new Exact(token);
    return JSON.parse(token);
  };
  return value();
}

export function stringify(value) {
  if (value instanceof Exact) return value.text;
  if (Array.isArray(value)) return `[${value.map(stringify).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value ?? null);
  return `{${Object.entries(value).map(([key, each]) => `${JSON.stringify(key)}:${stringify(each)}`).join(",")}}`;
}

export const pretty = (value) => indent(stringify(value));
export const same = (a, b) => stringify(a) === stringify(b);
export const isNumber = (value) => typeof value === "number" || value instanceof Exact;
export const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value) && !(value instanceof Exact);

export const shellQuote = (text) => /^[\w./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

export function curl({ url, body, headers = {} }) {
  const all = Object.entries({ "content-type": "application/json", ...headers }).map(([name, value]) => `${name}: ${value}`);
  const parts = [`curl -sS ${shellQuote(url)}`, ...all.map((header) => `-H ${shellQuote(header)}`), `--data-raw ${shellQuote(body)}`];
  return parts.join(" \\\n  ");
}

/** `[name, milliseconds, description]` of every metric of a `server-timing` header. */
export function timings(header) {
  return (header?.match(/(?:[^,"]|"[^"]*")+/g) ?? []).map((metric) => {
    const duration = /;\s*dur=([\d.]+)/.exec(metric);
    return [metric.split(";")[0].trim(), duration ? Number(duration[1]) : null, /;\s*desc="([^"]*)"/.exec(metric)?.[1] ?? ""];
  }).filter(([, duration]) => duration !== null);
}

/** A duration in the unit that people would choose. */
export function milliseconds(ms) {
  if (ms >= 3_600_000) return `${Math.floor(ms / 3_600_000)} h ${Math.round((ms % 3_600_000) / 60_000)} min`;
  if (ms >= 60_000) return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  return `${ms < 0.05 ? "under 0.1" : ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

/** A time relative to now, such as `3 min ago` or `in 2 h`. */
export function relative(time, now = Date.now()) {
  const seconds = Math.round((Date.parse(time) - now) / 1000), size = Math.abs(seconds);
  if (!Number.isFinite(seconds)) return "";
  if (size < 2) return "now";
  const [number, unit] = size < 60 ? [size, "s"] : size < 3600 ? [Math.round(size / 60), "min"] : size < 86_400 ? [Math.round(size / 3600), "h"] : [Math.round(size / 86_400), "d"];
  return seconds < 0 ? `${number} ${unit} ago` : `in ${number} ${unit}`;
}

export const shortId = (id) => (id ?? "").replace(/^[\w-]+:/, "").slice(0, 12);
export const place = ({ file, line, column }) => [file, line, column].filter((part) => part !== null && part !== undefined && part !== "").join(":");
export const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

/** True if each word of a query is part of one of the texts. */
export function matches(query, ...texts) {
  const text = texts.join(" ").toLowerCase();
  return query.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

export const idOf = (kind, name) => `${kind}:${encodeURIComponent(name)}`;

/** The parts of a location's hash such as `#/executions/7?status=Failed`. Malformed escapes are kept as they are. */
export function parseRoute(hash) {
  const [path, query = ""] = hash.replace(/^#?\/?/, "").split(/\?(.*)/s);
  const decode = (part) => { try { return decodeURIComponent(part); } catch { return part; } };
  return { parts: path.split("/").filter((part) => part !== "").map(decode), query: new URLSearchParams(query) };
}

/** The hash of a view. Empty values of the query are omitted. */
export function routeTo(parts, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const text = new URLSearchParams(given).toString();
  return `#/${parts.map(encodeURIComponent).join("/")}${text && `?${text}`}`;
}

/**
 * Steps in the order in which they began, each with its depth: a step inside another one has the other's name and a slash
 * at the start of its name. `label` is the name without the part that repeats, and without the digest of the call.
 */
export function nested(steps) {
  const sorted = [...steps].sort((a, b) => String(a.startedAt).localeCompare(String(b.startedAt)) || b.name.length - a.name.length || a.order - b.order);
  const inside = (child, parent) => child !== parent && child.attempt === parent.attempt && child.name.startsWith(`${parent.name}/`);
  const parentOf = new Map(sorted.map((step) => {
    const parents = sorted.filter((other) => inside(step, other));
    return [step, parents.sort((a, b) => b.name.length - a.name.length)[0] ?? null];
  }));
  const result = [];
  const add = (parent, depth) => {
    for (const step of sorted.filter((each) => parentOf.get(each) === parent)) {
      const own = parent ? step.name.slice(parent.name.length + 1) : step.name;
      result.push({ step, depth, label: own.replace(/ [0-9a-f]{8}(?= #\d+$|$)/, "") });
      add(step, depth + 1);
    }
  };
  add(null, 0);
  return result;
}

/** The wait before the next poll: the least after a change, then half as much again, twice as much after an error. */
export class Backoff {
  constructor(least, most) { Object.assign(this, { least, most, wait: least }); }
  changed() { return (this.wait = this.least); }
  unchanged() { return (this.wait = Math.min(this.most, this.wait * 1.5)); }
  failed() { return (this.wait = Math.min(this.most, this.wait * 2)); }
}
