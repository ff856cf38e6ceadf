// The page of `evenkeel dev`: select an action, fill in its input, call it, and see the response and its source.
// Data reaches the page as text nodes and attributes only. The first half is pure and runs in Node as well.

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
const same = (a, b) => stringify(a) === stringify(b);
const isNumber = (value) => typeof value === "number" || value instanceof Exact;
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value) && !(value instanceof Exact);

/** Resolves `$ref` within the schema, and unwraps "this or null". Returns `null` for a dangling reference. */
export function resolve(schema, root, hops = 8) {
  if (schema === true || schema === undefined) return {};
  if (!isObject(schema) || hops === 0) return null;
  const { $ref, ...rest } = schema;
  if ($ref !== undefined) {
    if (typeof $ref !== "string" || !/^#(\/|$)/.test($ref)) return null;
    let target = root;
    for (const part of $ref.slice(2) === "" ? [] : $ref.slice(2).split("/")) {
      let key = part.replace(/~1/g, "/").replace(/~0/g, "~");
      try { key = decodeURIComponent(key); } catch { /* a literal % */ }
      if (target === null || typeof target !== "object" || !Object.hasOwn(target, key)) return null;
      target = target[key];
    }
    const found = resolve(target, root, hops - 1);
    return found && { ...found, ...rest };
  }
  for (const word of ["anyOf", "oneOf"]) {
    const choices = schema[word];
    if (!Array.isArray(choices) || choices.length !== 2 || !choices.some((each) => each?.type === "null")) continue;
    const found = resolve(choices.find((each) => each?.type !== "null"), root, hops - 1);
    return found && { ...found, ...rest, [word]: undefined };
  }
  return schema;
}

function typeOf(schema) {
  const types = [].concat(schema.type ?? []).filter((type) => type !== "null");
  return types.length === 1 ? types[0] : types.length === 0 && schema.properties ? "object" : null;
}

/** The control for a resolved schema and a value: select, string, number, lines, object or, for all others, json. */
export function kindOf(schema, root, depth = 0, value = undefined) {
  if (!schema) return "json";
  const given = value !== undefined && value !== null;
  const type = typeOf(schema);
  const options = optionsOf(schema);
  if (options) return options.every((each) => !isObject(each)) && (!given || options.some((each) => same(each, value))) ? "select" : "json";
  if (type === "string") return !given || typeof value === "string" ? "string" : "json";
  if (type === "integer" || type === "number") return !given || isNumber(value) ? "number" : "json";
  if (type === "array") {
    const items = schema.prefixItems ? null : resolve(schema.items ?? null, root);
    const fits = !given || (Array.isArray(value) && value.every((each) => typeof each === "string" && /^[^\n]+$/.test(each)));
    return items && typeOf(items) === "string" && fits ? "lines" : "json";
  }
  const deep = depth > 3 || Object.keys(schema.properties ?? {}).length === 0;
  return type === "object" && !deep && (!given || isObject(value)) ? "object" : "json";
}

export function optionsOf(schema) {
  if (Array.isArray(schema.enum)) return schema.enum;
  if (schema.const !== undefined) return [schema.const];
  return typeOf(schema) === "boolean" ? [true, false] : null;
}

/** The value that a schema suggests: its default, its first example, or the suggestions of its properties. */
export function prefill(unresolved, root, depth = 0) {
  const schema = resolve(unresolved, root);
  if (!schema || depth > 4) return undefined;
  for (const each of [schema.default, Array.isArray(schema.examples) ? schema.examples[0] : undefined]) if (each !== undefined) return each;
  if (typeOf(schema) !== "object") return undefined;
  const object = Object.create(null);
  for (const [key, each] of Object.entries(schema.properties ?? {})) {
    const value = schema.required?.includes(key) && each?.const !== undefined ? each.const : prefill(each, root, depth + 1);
    if (value !== undefined) object[key] = value;
  }
  return depth === 0 || Object.keys(object).length ? object : undefined;
}

/** Constraints in a few words. */
export function limits(schema, kind) {
  const { minimum: min, maximum: max, minLength, maxLength, minItems, maxItems } = schema;
  const range = (low, high, unit = "") => {
    if (low === undefined && high === undefined) return null;
    return (low === undefined ? `up to ${high}` : high === undefined ? `from ${low}` : low === high ? `exactly ${low}` : `${low} to ${high}`) + unit;
  };
  const type = kind === "select" ? typeOf(schema) === "boolean" && "boolean" : kind === "lines" ? "strings, one per line" : typeOf(schema) ?? "any JSON";
  return [type, schema.format, range(min, max), range(minLength, maxLength, " characters"), range(minItems, maxItems, " items"),
    schema.pattern && `matches ${schema.pattern}`, kind === "json" && typeOf(schema) && "as JSON"].filter(Boolean).join(", ");
}

export const shellQuote = (text) => /^[\w./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

export function curl({ url, body, params }) {
  const headers = ["content-type: application/json", ...(params ? [`x-path-params: ${params}`] : [])];
  const parts = [`curl -sS ${shellQuote(url)}`, ...headers.map((header) => `-H ${shellQuote(header)}`), `--data-raw ${shellQuote(body)}`];
  return parts.join(" \\\n  ");
}

/** `[name, milliseconds, description]` of every metric of a `server-timing` header. */
export function timings(header) {
  return (header?.match(/(?:[^,"]|"[^"]*")+/g) ?? []).map((metric) => {
    const duration = /;\s*dur=([\d.]+)/.exec(metric);
    return [metric.split(";")[0].trim(), duration ? Number(duration[1]) : null, /;\s*desc="([^"]*)"/.exec(metric)?.[1] ?? ""];
  }).filter(([, duration]) => duration !== null);
}

export const milliseconds = (ms) => ms >= 1000 ? `${(ms / 1000).toFixed(2)} s` : `${ms < 0.05 ? "under 0.1" : ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
export const shortId = (id) => (id ?? "").replace(/^[\w-]+:/, "").slice(0, 12);
export const place = ({ file, line, column }) => [file, line, column].filter((part) => part !== null && part !== undefined && part !== "").join(":");
export const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

export function matches(query, connector, action) {
  const { name, title, description, operation, entity } = action;
  const text = [connector.name, connector.displayName, name, title, description, operation, entity].join(" ").toLowerCase();
  return query.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

export const idOf = (kind, name) => `${kind}:${encodeURIComponent(name)}`;
export const keyOf = (connector, action) => `${encodeURIComponent(connector)}/${encodeURIComponent(action)}`;

// From here on: the page.

const MOST_LISTED = 500, MOST_COLOURED = 200_000, MOST_SHOWN = 2_000_000, POLL = 1500;
const $ = (id) => document.getElementById(id);
const state = { generation: null, connectors: [], actions: new Map(), drafts: new Map(), key: null, shown: "", report: "", current: null };

function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
  return element;
}

/** Text with `code` in backticks. */
const prose = (text) => String(text ?? "").split("`").map((part, index) => index % 2 && part ? h("code", {}, part) : part);

async function copy(button, text, block) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // Not a secure context: leave the text selected, so that the keyboard can copy it.
    getSelection().selectAllChildren(block);
    if (!document.execCommand("copy")) return;
  }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1200);
}

// The active generation and the findings of the last edit.

async function get(path) {
  const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(10_000) });
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  return response.text();
}

let timer = 0, polling = false;
async function poll() {
  clearTimeout(timer);
  if (polling || document.hidden) return;
  polling = true;
  try {
    const text = await get("/v1/findings");
    const report = parse(text);
    if (text !== state.report) showReport(report);
    state.report = text;
    if (report.generation !== state.generation) await load();
  } catch (error) {
    state.report = "";
    pill("lost", "not reachable");
    if (state.generation === null) showEmpty(`Cannot reach evenkeel dev: ${error.message}. Trying again.`);
  }
  polling = false;
  timer = setTimeout(poll, POLL);
}

async function load() {
  const { generation, environment, connectors } = parse(await get("/v1/connectors"));
  Object.assign(state, { generation, connectors, actions: new Map() });
  for (const connector of connectors) for (const action of connector.actions) state.actions.set(keyOf(connector.name, action.name), { connector, action });
  $("environment").textContent = environment ?? "";
  keepFocus(showList);
  select();
}

function pill(kind, text) {
  const pill = $("state");
  if (pill.textContent !== text) pill.textContent = text;
  pill.className = `pill ${kind}`;
}

function showReport({ generation, current, findings, summary }) {
  pill(current ? "live" : "held", current ? "live" : generation ? "last good serving" : "nothing good yet");
  $("facts").replaceChildren(h("code", { title: generation }, shortId(generation)), ` · ${count(summary?.definitions ?? 0, "definition")}`);
  const section = $("findings"), details = section.firstElementChild, [summaryLine, list] = details.children;
  section.hidden = findings.length === 0;
  section.className = current ? "" : "held";
  if (current !== state.current) details.open = !current;
  state.current = current;
  const errors = findings.filter((finding) => finding.severity === "error").length;
  const counts = [errors && count(errors, "error"), findings.length - errors && count(findings.length - errors, "warning")].filter(Boolean).join(", ");
  summaryLine.textContent = counts + (current ? "" : " – the last good generation keeps serving until this is mended");
  list.replaceChildren(...findings.map((finding) => h("li", { class: finding.severity },
    h("p", {}, h("b", {}, finding.severity), " ", h("code", {}, finding.code), " ", prose(finding.message)),
    place(finding) && h("p", {}, h("code", { class: "place" }, place(finding))),
    finding.help && h("p", { class: "help" }, prose(finding.help)))));
}

// The list of actions.

function showList() {
  const query = $("search").value.trim();
  let found = 0;
  const blocks = state.connectors.map((connector) => {
    const actions = connector.actions.filter((action) => matches(query, connector, action));
    const shown = actions.slice(0, Math.max(0, MOST_LISTED - found));
    found += actions.length;
    return shown.length > 0 && h("section", {},
      h("h2", { title: connector.source }, connector.displayName ?? connector.name, connector.displayName && h("code", {}, connector.name)),
      h("ul", {}, shown.map((action) => {
        const key = keyOf(connector.name, action.name);
        return h("li", {}, h("a", { id: `a:${key}`, href: `#${key}`, "data-key": key, "aria-current": String(key === state.key), class: action.runnable ? null : "idle" },
          h("span", {}, action.title ?? action.name), h("span", { class: `badge ${action.operation ?? "Other"}` }, action.operation ?? "Other")));
      })));
  }).filter(Boolean);
  if (found > MOST_LISTED) blocks.push(h("p", { class: "hint" }, `${found - MOST_LISTED} more: search to narrow down.`));
  if (found === 0) blocks.push(h("p", { class: "hint" }, query ? `No action matches “${query}”.` : "No actions yet."));
  $("found").textContent = query ? count(found, "action") : "";
  $("list").replaceChildren(...blocks);
}

function steer(event) {
  const links = [...$("list").querySelectorAll("a")], at = links.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1 }[event.key];
  if (to === undefined) {
    if (event.key === "Enter" && event.target === $("search")) links[0]?.click();
    return;
  }
  event.preventDefault();
  (to < 0 ? $("search") : links[Math.min(to, links.length - 1)])?.focus();
}

// The selected action. A draft is the user's input for an action; it survives changes of the generation.

function showEmpty(text) {
  $("empty").textContent = text;
  $("empty").hidden = false;
  $("action").hidden = true;
}

function select() {
  const hash = location.hash.slice(1);
  let key = hash;
  if (!hash.includes("/")) {
    key = [...state.actions.keys()].find((each) => !hash || each.startsWith(`${hash}/`)) ?? "";
    if (key) history.replaceState(null, "", `#${key}`);
  }
  const known = state.actions.get(key), changed = key !== state.key;
  if (!known && (changed || !state.drafts.has(key))) {
    state.key = null;
    return showEmpty(key ? `The active generation has no action ${key}.` : "No actions yet. Add a Connector to the folder to see it here.");
  }
  $("gone").textContent = "The active generation does not contain this action. Your input is kept.";
  $("gone").hidden = Boolean(known);
  $("call").disabled = !known?.action.runnable;
  if (!known) return;
  $("empty").hidden = true;
  $("action").hidden = false;
  state.key = key;
  document.title = `${known.action.title ?? known.action.name} · Evenkeel`;
  for (const link of $("list").querySelectorAll("a")) link.setAttribute("aria-current", link.dataset.key === key);
  const text = stringify([key, known.action]);
  if (!state.drafts.has(key)) state.drafts.set(key, { ...fresh(known.action), result: null, pending: null });
  const draft = state.drafts.get(key);
  if (text !== state.shown) {
    state.shown = text;
    if (!draft.dirty) Object.assign(draft, fresh(known.action));
    showAbout(known);
    keepFocus(() => showForm(known.action, draft));
  }
  if (!changed) return;
  showResult(draft);
  $("main").scrollTop = 0;
}

const fresh = (action) => ({ data: prefill(action.input ?? {}, action.input) ?? {}, json: false, text: null, broken: {}, params: {}, dirty: false });

function keepFocus(change) {
  const { id, selectionStart, selectionEnd } = document.activeElement ?? {};
  change();
  const again = id && $(id);
  if (!again || again === document.activeElement) return;
  again.focus({ preventScroll: true });
  try { again.setSelectionRange(selectionStart, selectionEnd); } catch { /* not every field has a caret */ }
}

function showAbout({ connector, action }) {
  const tag = (text, title, kind = "") => h("span", { class: `badge ${kind}`, title }, text);
  $("about").replaceChildren(
    h("p", { class: "path" }, connector.displayName ?? connector.name, " / ", h("code", {}, `${connector.name}/${action.name}`)),
    h("h2", {}, action.title ?? action.name),
    h("p", { class: "tags" }, tag(action.operation ?? "Other", "Operation", action.operation ?? "Other"), action.entity && tag(action.entity, "Entity"),
      tag(action.transport, "Transport"), action.mocked ? tag("mocked", "Answered by its tests; no request leaves this machine", "mock") : tag("real calls", "Calls reach the application itself", "real"),
      h("code", { class: "place" }, action.source ?? "")),
    action.description ? h("p", { class: "description" }, prose(action.description)) : "",
    action.runnable ? "" : h("p", { class: "note" }, `Actions with the transport ${action.transport} cannot be called from here.`));
  $("output").hidden = !action.output;
  if (action.output) paint($("output").lastElementChild, stringify(action.output));
}

/** Marks a control as invalid with a reason, or as valid. */
function mark(control, reason) {
  if (reason) control.setAttribute("aria-invalid", "true");
  else control.removeAttribute("aria-invalid");
  $(`${control.id}!`).textContent = reason;
}

/** A labelled control. */
function labelled(control, { name, title, required, hint, description }) {
  const { id } = control;
  control.setAttribute("aria-describedby", `${id}? ${id}!`);
  if (required) control.setAttribute("aria-required", "true");
  return h("div", { class: "field" },
    h("label", { for: id }, title, title ? " " : "", h("code", {}, name), " ", required && h("span", { class: "required" }, "required"), " ", h("small", {}, hint)),
    control, h("p", { class: "hint", id: `${id}?` }, prose(description)), h("p", { class: "error", id: `${id}!` }));
}

function area(attributes, text) {
  const control = h("textarea", { spellcheck: "false", ...attributes });
  const fit = () => { control.rows = Math.min(24, Math.max(3, control.value.split("\n").length + 1)); };
  control.value = text;
  control.addEventListener("input", fit);
  fit();
  return control;
}

/** One property: its node, and `read`, which returns `undefined` for an omitted value. An untouched value is unchanged. */
function field(form, { name, schema: unresolved, required, value, pointer, depth }) {
  const schema = resolve(unresolved, form.root), kind = kindOf(schema, form.root, depth, value), id = idOf("f", pointer);
  if (kind === "object") return group(form, { name, schema, required, value, pointer, depth });
  const about = { name, title: schema?.title, required, description: schema?.description, hint: limits(schema ?? {}, kind) };
  const options = kind === "select" ? optionsOf(schema) : [];
  const before = form.draft.broken[id] ?? (value === undefined || (value === null && !options.includes(null)) ? "" : {
    select: () => String(options.findIndex((each) => same(each, value))), string: () => value, number: () => String(value),
    lines: () => value.join("\n"), json: () => pretty(value),
  }[kind]());
  const take = {
    select: (text) => options[Number(text)],
    string: (text) => text,
    number: (text) => {
      if (!/^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(text.trim())) throw new Error("Not a number. To send something else, edit the input as JSON.");
      return parse(text.trim());
    },
    lines: (text) => text.split("\n").filter((line) => line !== ""),
    json: parse,
  }[kind];
  const placeholder = value === null ? "null" : null;
  let control;
  if (kind === "select") {
    control = h("select", { id }, h("option", { value: "" }, required ? "choose" : "not set"),
      options.map((each, index) => h("option", { value: index }, typeof each === "string" ? each : stringify(each))));
  } else if (kind === "lines" || kind === "json" || before.includes("\n") || schema.maxLength > 200) {
    control = area({ id, placeholder, class: kind === "json" ? "code" : null }, before);
  } else {
    const type = { email: "email", uri: "url", date: !before || /^\d{4}-\d\d-\d\d$/.test(before) ? "date" : "text" }[kind === "string" && schema.format] ?? "text";
    const example = { "date-time": "2026-01-31T12:00:00Z" }[schema.format];
    control = h("input", { id, type, placeholder: placeholder ?? example, spellcheck: "false", inputmode: kind === "number" ? "decimal" : null });
  }
  control.value = before;
  let touched = id in form.draft.broken;
  control.addEventListener("input", () => { touched = true; form.changed(); });
  const node = labelled(control, about);
  return { node, read() {
    if (!touched) return value;
    const text = control.value;
    try {
      const taken = text === "" ? (kind === "lines" && required ? [] : undefined) : take(text);
      mark(control, "");
      return taken;
    } catch (error) {
      form.draft.broken[id] = text;
      mark(control, error.message);
      return undefined;
    }
  } };
}

/** The properties of an object. Properties outside the schema are kept and listed. */
function group(form, { name, schema, required, value, pointer, depth }) {
  const properties = Object.entries(schema.properties), given = isObject(value) ? value : {};
  const extra = Object.entries(given).filter(([key]) => !Object.hasOwn(schema.properties, key));
  const fields = properties.map(([key, each]) => [key, field(form, {
    name: key, schema: each, required: Boolean(schema.required?.includes(key)), value: Object.hasOwn(given, key) ? given[key] : undefined,
    pointer: `${pointer}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`, depth: depth + 1,
  })]);
  const more = extra.length > 0 && h("p", { class: "hint" }, "Also sent, edit as JSON: ", extra.map(([key]) => [h("code", {}, key), " "]).flat());
  const nodes = [...fields.map(([, each]) => each.node), more].filter(Boolean);
  const node = depth === 0 ? h("div", {}, nodes) : h("fieldset", {},
    h("legend", {}, schema.title ? `${schema.title} ` : "", h("code", {}, name), " ", required && h("span", { class: "required" }, "required")),
    schema.description && h("p", { class: "hint" }, prose(schema.description)), nodes);
  return { node, read() {
    const object = Object.create(null);
    for (const [key, each] of extra) object[key] = each;
    for (const [key, each] of fields) {
      const read = each.read();
      if (read !== undefined) object[key] = read;
    }
    if (Object.keys(object).length || required) return object;
    return value === null || (isObject(value) && Object.keys(value).length === 0) ? value : undefined;
  } };
}

const isForm = (action, data) => kindOf(resolve(action.input ?? undefined, action.input), action.input, 0, data) === "object";

function showForm(action, draft) {
  const changed = () => { draft.dirty = true; form.read(); $("problem").textContent = ""; showCurl(); };
  const form = { root: action.input, draft, changed, read() {} };
  // Text that was entered before the form existed moves into the form if possible.
  if (!draft.json && draft.text !== null && isForm(action)) {
    try {
      const data = parse(draft.text);
      if (isForm(action, data)) Object.assign(draft, { data, text: null });
      else draft.json = true;
    } catch { draft.json = true; }
  }
  const formable = isForm(action, draft.json ? undefined : draft.data), asJson = draft.json || !formable;
  $("as-json").checked = asJson;
  $("as-json").disabled = !formable;
  if (asJson) {
    draft.text ??= pretty(draft.data);
    const control = area({ id: "raw", class: "code" }, draft.text);
    const hint = action.input ? "sent as it stands" : "no schema: any JSON, sent as it stands";
    $("fields").replaceChildren(labelled(control, { name: "input", hint }));
    form.read = () => {
      draft.text = control.value;
      try { parse(control.value || "{}"); mark(control, ""); } catch (error) { mark(control, error.message); }
    };
    control.addEventListener("input", changed);
  } else {
    const top = group(form, { schema: resolve(action.input, action.input), required: true, value: draft.data, pointer: "", depth: 0 });
    $("fields").replaceChildren(top.node);
    form.read = () => { draft.broken = {}; draft.data = top.read(); };
    if (Object.keys(draft.broken).length) form.read();
  }
  $("params").hidden = action.pathParams.length === 0;
  $("params").lastElementChild.replaceChildren(...action.pathParams.map(({ name, description, required }) => {
    const control = h("input", { id: idOf("p", name), type: "text", spellcheck: "false", oninput: () => { draft.params[name] = control.value; mark(control, ""); changed(); } });
    control.value = draft.params[name] ?? "";
    return labelled(control, { name, required, description, hint: "" });
  }));
  $("samples").hidden = action.samples.length === 0;
  $("samples").replaceChildren(h("span", { class: "hint" }, "From a test"), ...action.samples.map((sample) => h("button", { type: "button", onclick: () => {
    fill(action, draft, { data: sample.input ?? {}, params: { ...sample.pathParams } });
  } }, sample.name)));
  showCurl();
}

function fill(action, draft, values) {
  Object.assign(draft, { text: null, broken: {}, dirty: true }, values);
  $("problem").textContent = "";
  keepFocus(() => showForm(action, draft));
}

function switchForm() {
  const { action } = state.actions.get(state.key) ?? {}, draft = state.drafts.get(state.key);
  if (!action) return;
  const json = $("as-json").checked;
  if (json && complain(draft)) $("as-json").checked = false;
  else if (json) fill(action, draft, { json });
  else {
    try {
      const data = parse(draft.text || "{}");
      if (!isForm(action, data)) throw new Error("the form needs an object");
      fill(action, draft, { json, data });
    } catch (error) {
      $("as-json").checked = true;
      $("problem").textContent = `This cannot be shown as a form: ${error.message}`;
    }
  }
}

/** Reports fields with values that cannot be sent, and focuses the first. */
function complain(draft) {
  const [first] = Object.keys(draft.broken);
  if (first === undefined || draft.text !== null) return false;
  $("problem").textContent = `Correct ${count(Object.keys(draft.broken).length, "marked field")} first.`;
  $(first)?.focus();
  return true;
}

// Calling.

function request(key, draft) {
  const [connector, action] = key.split("/"), params = new URLSearchParams();
  const known = state.actions.get(key)?.action.pathParams.map(({ name }) => name);
  for (const [name, value] of Object.entries(draft.params)) if (value !== "" && (known?.includes(name) ?? true)) params.append(name, String(value));
  return { url: `${location.origin}/v1/connectors/${connector}/actions/${action}`, params: params.toString(), body: draft.text ?? stringify(draft.data) };
}

function showCurl() {
  $("curl").textContent = curl(request(state.key, state.drafts.get(state.key)));
}

async function call() {
  const key = state.key, draft = state.drafts.get(key);
  if (!draft || draft.pending || $("call").disabled || complain(draft)) return;
  const { url, params, body } = request(key, draft), started = performance.now();
  draft.pending = new AbortController();
  showResult(draft);
  try {
    const headers = { "content-type": "application/json", ...(params && { "x-path-params": params }) };
    const response = await fetch(url, { method: "POST", headers, body, signal: draft.pending.signal, cache: "no-store" });
    const bytes = await response.arrayBuffer();
    draft.result = { response, bytes, ms: performance.now() - started };
  } catch (error) {
    draft.result = { failed: error.name === "AbortError" ? "Cancelled. The call may have reached the application." : `No answer: ${error.message}` };
  }
  draft.pending = null;
  if (state.key !== key) return;
  showResult(draft);
  if (matchMedia("(max-width: 1179px)").matches) $("result").scrollIntoView({ block: "nearest" });
}

function paint(block, text) {
  if (text.length > MOST_COLOURED) block.textContent = indent(text).slice(0, MOST_SHOWN);
  else {
    block.replaceChildren();
    for (const [kind, piece] of layout(text)) block.append(kind ? h("span", { class: kind }, piece) : piece);
  }
}

function showResult(draft) {
  const outcome = $("outcome"), answer = $("answer"), { result, pending } = draft;
  $("cancel").hidden = !pending;
  $("result").setAttribute("aria-busy", String(Boolean(pending)));
  outcome.className = "";
  if (pending) return outcome.replaceChildren("calling …");
  for (const control of $("form").querySelectorAll("[aria-invalid]")) if (!(control.id in draft.broken) && control.id !== "raw") mark(control, "");
  for (const link of answer.querySelectorAll("a[download]")) URL.revokeObjectURL(link.href);
  if (!result) {
    outcome.replaceChildren();
    return answer.replaceChildren(h("p", { class: "hint" }, "Nothing called yet."));
  }
  if (result.failed) {
    outcome.className = "bad";
    outcome.replaceChildren(result.failed);
    return answer.replaceChildren();
  }
  const { response, bytes, ms } = result, header = (name) => response.headers.get(name);
  const metrics = timings(header("server-timing")), total = metrics.find(([name]) => name === "total")?.[1] ?? ms, mock = header("x-evenkeel-mock");
  outcome.className = response.ok ? "good" : "bad";
  outcome.replaceChildren(h("b", {}, `${response.status} ${response.statusText}`.trim()), ` in ${milliseconds(total)} `,
    mock ? h("span", { class: "badge mock", title: "The test that answered" }, `mock: ${mock}`) : "");
  const facts = [["request", header("x-request-id")], ["served by", header("x-evenkeel-source")], ["generation", shortId(header("x-evenkeel-generation"))],
    ["time", metrics.map(([name, duration, description]) => `${name} ${milliseconds(duration)}${description && ` (${description})`}`).join(", ")]];
  const type = header("content-type") ?? "", button = h("button", { class: "quiet", type: "button" }, "Copy");
  const block = h("pre", { class: "body", tabindex: "0", role: "region", "aria-label": "Response body" });
  const nodes = [h("dl", {}, facts.filter(([, value]) => value).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))))];
  const bar = (...children) => h("div", { class: "bar" }, h("small", {}, `${type || "no content type"}, ${count(bytes.byteLength, "byte")}`), ...children);
  if (/json|^text\/|xml|javascript|yaml|urlencoded/i.test(type) && bytes.byteLength > 0) {
    const text = new TextDecoder().decode(bytes);
    let shown = text;
    try { shown = indent(text); paint(block, text); explain(JSON.parse(text)); } catch { block.textContent = text.slice(0, MOST_SHOWN); }
    button.addEventListener("click", () => copy(button, shown, block));
    nodes.push(bar(button), block, shown.length > MOST_SHOWN && h("p", { class: "hint" }, "The rest is not shown; Copy has all of it."));
  } else {
    const blob = bytes.byteLength > 0 && URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
    nodes.push(bar(blob && h("a", { href: blob, download: state.key.replace("/", "-") }, "Save")));
  }
  answer.replaceChildren(...nodes.filter(Boolean));
}

/** Marks the fields that an error names. */
function explain(body) {
  const { code, params } = body?.errors ?? {};
  if (body?.success !== false || !Array.isArray(params)) return;
  for (const name of params) {
    let control = $(idOf("p", name)), pointer = name;
    for (; !control && pointer.startsWith("/"); pointer = pointer.slice(0, pointer.lastIndexOf("/"))) control = $(idOf("f", pointer));
    if (control) mark(control, code);
  }
}

function start() {
  if (/Mac|iP/.test(navigator.platform)) $("keys").textContent = "⌘ ⏎";
  document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); $("main").focus(); });
  $("search").addEventListener("input", showList);
  document.querySelector("nav").addEventListener("keydown", steer);
  $("as-json").addEventListener("change", switchForm);
  $("form").addEventListener("submit", (event) => event.preventDefault()); // Enter alone never calls: the call may reach an application.
  $("call").addEventListener("click", call);
  $("cancel").addEventListener("click", () => state.drafts.get(state.key)?.pending?.abort());
  $("reset").addEventListener("click", () => {
    const { action } = state.actions.get(state.key) ?? {};
    if (action) fill(action, state.drafts.get(state.key), fresh(action));
  });
  $("copy-curl").addEventListener("click", () => copy($("copy-curl"), $("curl").textContent, $("curl")));
  addEventListener("hashchange", () => {
    select();
    if (matchMedia("(max-width: 760px)").matches) $("main").scrollIntoView();
  });
  addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName ?? "");
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      call();
    } else if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      $("search").focus();
    }
  });
  document.addEventListener("visibilitychange", poll);
  poll();
}

if (typeof document !== "undefined") start();
