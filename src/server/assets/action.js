// The view of an action: its input, the request that it would send, a call, and the response with its source.

import { getAll, problemOf, send, tenantHeaders } from "./api.js";
import { MAX_SHOWN, badge, copyButton, facts, h, keepFocus, paint, problemNote, prose } from "./dom.js";
import { InputForm, freshDraft, textOf } from "./form.js";
import { count, curl, indent, matches, milliseconds, parse, routeTo, shortId, stringify, timings } from "./text.js";

const drafts = new Map();
let connectors = [], actions = new Map(), open = null;

const keyOf = (connector, action) => `${connector}/${action}`;

export async function load() {
  connectors = await getAll("/v1/connectors");
  actions = new Map();
  for (const connector of connectors) for (const action of connector.actions) actions.set(keyOf(connector.name, action.name), { connector, action });
}

/** The list of actions, grouped by connector. */
export function list(query) {
  return connectors.map((connector) => ({
    title: connector.displayName ?? connector.name,
    name: connector.displayName ? connector.name : "",
    items: connector.actions
      .filter(({ name, title, description, operation, entity }) => matches(query, connector.name, connector.displayName, name, title, description, operation, entity))
      .map((action) => ({
        key: keyOf(connector.name, action.name), route: routeTo(["actions", connector.name, action.name]), text: action.title ?? action.name,
        badge: action.operation ?? "Other", idle: !action.runnable,
      })),
  }));
}

export const keyOfRoute = ([connector, action]) => action === undefined ? null : keyOf(connector, action);
export const nothing = "No actions yet. Add a Connector to the folder to see it here.";

/** Shows the action of a key. Returns its title; null for an unknown key. */
export function show(view, key, context) {
  const known = actions.get(key);
  if (!known) {
    if (open?.key !== key) return null;
    open.gone.hidden = false;
    open.callButton.disabled = open.previewButton.disabled = true;
    return document.title;
  }
  const title = known.action.title ?? known.action.name;
  const text = stringify([known.connector.name, known.connector.displayName ?? null, known.action]);
  if (open?.key === key && open.text === text && open.node.isConnected) {
    open.gone.hidden = true;
    return title;
  }
  if (!drafts.has(key)) drafts.set(key, { ...freshDraft(known.action.input), result: null, pending: null });
  const draft = drafts.get(key);
  if (!draft.dirty) Object.assign(draft, freshDraft(known.action.input));
  keepFocus(() => {
    open = build(key, text, known, draft, context);
    view.replaceChildren(open.node);
    open.form.show();
  });
  showResult(open);
  return title;
}

function build(key, text, { connector, action }, draft, context) {
  const state = { key, text, draft, path: context.path };
  state.form = new InputForm(action, draft, () => showCurl(state));
  state.gone = h("p", { class: "note bad", role: "status", hidden: true }, "The active generation does not contain this action. Your input is kept.");
  state.callButton = h("button", { class: "primary", type: "button", id: "call", "aria-keyshortcuts": "Control+Enter", disabled: !action.runnable, onclick: () => run(state) },
    "Call ", h("kbd", {}, /Mac|iP/.test(navigator.platform) ? "⌘ ⏎" : "Ctrl ⏎"));
  state.previewButton = h("button", { type: "button", id: "preview", disabled: !action.runnable, title: "Shows the request without sending it", onclick: () => preview(state) }, "Preview request");
  state.cancelButton = h("button", { type: "button", hidden: true, onclick: () => draft.pending?.abort() }, "Cancel");
  state.outcome = h("p", { id: "outcome", role: "status" });
  state.answer = h("div", { class: "answer" });
  state.curl = h("pre", { tabindex: "0", role: "region", "aria-labelledby": "curl-title" });
  const reset = h("button", { class: "quiet", type: "button", onclick: () => state.form.fill(freshDraft(action.input)) }, "Start over");
  const form = h("form", { novalidate: true, autocomplete: "off", "aria-labelledby": "input-title" }, state.form.node,
    h("div", { class: "bar actions" }, state.callButton, state.previewButton, state.cancelButton, reset));
  // Enter alone never calls: the call may reach an application.
  form.addEventListener("submit", (event) => event.preventDefault());
  state.result = h("section", { class: "result", "aria-labelledby": "result-title" },
    h("div", { class: "bar" }, h("h2", { id: "result-title" }, "Result"), state.outcome), state.answer,
    h("div", { class: "bar" }, h("h3", { id: "curl-title" }, "The same call with curl"), copyButton(state.curl)), state.curl,
    action.output && outputSchema(action));
  state.node = h("article", {},
    h("header", {},
      h("p", { class: "path" }, connector.displayName ?? connector.name, " / ", h("code", {}, key)),
      h("h2", { class: "title" }, action.title ?? action.name),
      h("p", { class: "tags" }, badge(action.operation ?? "Other", action.operation ?? "Other", "Operation"), action.entity && badge(action.entity, "", "Entity"),
        badge(action.transport, "", "Transport"), action.mocked ? badge("mocked", "mock", "Answered by its tests; no request leaves this machine") : badge("real calls", "real", "Calls reach the application itself"),
        h("code", { class: "place" }, context.path(action.source))),
      action.description && h("p", { class: "description" }, prose(action.description)),
      !action.runnable && h("p", { class: "note" }, `Actions with the transport ${action.transport} cannot be called from here.`)),
    state.gone, h("div", { class: "columns" }, form, state.result));
  return state;
}

function outputSchema(action) {
  const block = h("pre", { tabindex: "0", role: "region", "aria-label": "Output schema" });
  paint(block, stringify(action.output));
  return h("details", {}, h("summary", {}, "Output schema"), block);
}

function requestOf({ key, draft }, verb = "") {
  const [connector, action] = key.split("/").map(encodeURIComponent), params = new URLSearchParams();
  const known = actions.get(key)?.action.pathParams.map(({ name }) => name);
  for (const [name, value] of Object.entries(draft.params)) if (value !== "" && (known?.includes(name) ?? true)) params.append(name, String(value));
  const headers = params.size > 0 ? { "x-path-params": params.toString() } : {};
  return { url: `${location.origin}/v1/connectors/${connector}/actions/${action}${verb}`, headers, body: textOf(draft) };
}

function showCurl(state) {
  const { url, headers, body } = requestOf(state);
  state.curl.textContent = curl({ url, body, headers: { ...tenantHeaders(), ...headers } });
}

/** Calls the open action, if there is one. */
export function runOpen() {
  if (open?.node.isConnected && !open.callButton.disabled) run(open);
}

/** Adapts the view to another tenant. */
export function tenantChanged() {
  if (open) showCurl(open);
}

const run = (state) => exchange(state, "", "Calling …", "Cancelled. The call may have reached the application.");
const preview = (state) => exchange(state, "/render", "Rendering …", "Cancelled.");

async function exchange(state, verb, busy, cancelled) {
  const { draft, form } = state;
  if (draft.pending || form.complains()) return;
  const { url, headers, body } = requestOf(state, verb), started = performance.now();
  draft.pending = new AbortController();
  draft.busy = busy;
  showResult(state);
  try {
    const response = await send(url, body, { headers, signal: draft.pending.signal });
    const bytes = await response.arrayBuffer();
    draft.result = { response, bytes, ms: performance.now() - started, isPreview: verb !== "" };
  } catch (error) {
    draft.result = { failed: error.name === "AbortError" ? cancelled : `No answer: ${error.message}` };
  }
  draft.pending = null;
  if (!state.node.isConnected) return;
  showResult(state);
  if (matchMedia("(max-width: 1179px)").matches) state.result.scrollIntoView({ block: "nearest" });
}

function showResult(state) {
  const { draft, outcome, answer, form } = state, { result, pending } = draft;
  state.cancelButton.hidden = !pending;
  state.result.setAttribute("aria-busy", String(Boolean(pending)));
  outcome.className = "";
  if (pending) return outcome.replaceChildren(draft.busy);
  form.clear();
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
  const text = new TextDecoder().decode(result.bytes);
  const problem = result.response.ok ? null : problemOf(text);
  if (problem) form.refuse(problem);
  if (result.isPreview && result.response.ok) return showPreview(state, text);
  const { response, ms } = result, header = (name) => response.headers.get(name);
  const metrics = timings(header("server-timing")), total = metrics.find(([name]) => name === "total")?.[1] ?? ms, mock = header("x-evenkeel-mock");
  outcome.className = response.ok ? "good" : "bad";
  outcome.replaceChildren(h("b", {}, `${response.status} ${response.statusText}`.trim()), ` in ${milliseconds(total)} `, mock ? badge(`mock: ${mock}`, "mock", "The test that answered") : "");
  const shown = facts([["Request", header("x-request-id")], ["Served by", state.path(header("x-evenkeel-source"))],
    ["Generation", shortId(header("x-evenkeel-digest") ?? header("x-evenkeel-generation"))],
    ["Time", metrics.map(([name, duration, description]) => `${name} ${milliseconds(duration)}${description && ` (${description})`}`).join(", ")]]);
  const body = bodyNodes(result, text, state.key).filter(Boolean);
  answer.replaceChildren(...problem ? [problemNote({ body: problem }), shown, h("details", {}, h("summary", {}, "Response body"), body)] : [shown, ...body]);
}

function bodyNodes({ response, bytes }, text, key) {
  const type = response.headers.get("content-type") ?? "";
  const bar = (...children) => h("div", { class: "bar" }, h("small", {}, `${type || "no content type"}, ${count(bytes.byteLength, "byte")}`), ...children);
  if (/json|^text\/|xml|javascript|yaml|urlencoded/i.test(type) && bytes.byteLength > 0) {
    const block = h("pre", { class: "body", id: "response-body", tabindex: "0", role: "region", "aria-label": "Response body" });
    let shown = text;
    try { shown = indent(text); paint(block, text); } catch { block.textContent = text.slice(0, MAX_SHOWN); }
    return [bar(copyButton(block, () => shown)), block, shown.length > MAX_SHOWN && h("p", { class: "hint" }, "The rest is not shown; Copy has all of it.")];
  }
  const blob = bytes.byteLength > 0 && URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
  return [bar(blob && h("a", { href: blob, download: key.replace("/", "-") }, "Save"))];
}

/** The rendered request: method, address, headers and body. Secrets appear by their names. */
function showPreview({ outcome, answer }, text) {
  const request = parse(text);
  outcome.className = "good";
  outcome.replaceChildren(h("b", {}, "Rendered, not sent"));
  const head = h("pre", { id: "preview-request", tabindex: "0", role: "region", "aria-label": "Request" });
  head.append(h("b", {}, request.method), ` ${request.url}\n`, ...Object.entries(request.headers).flatMap(([name, value]) => [h("span", { class: "key" }, name), `: ${value}\n`]));
  const nodes = [h("div", { class: "bar" }, h("h3", {}, "The request that the call would send"), copyButton(head)), head];
  if (request.body !== null && request.body !== undefined) {
    const body = h("pre", { class: "body", tabindex: "0", role: "region", "aria-label": "Request body" });
    if (typeof request.body === "string") body.textContent = request.body.slice(0, MAX_SHOWN);
    else paint(body, stringify(request.body));
    nodes.push(h("div", { class: "bar" }, h("h3", {}, "Its body"), copyButton(body)), body);
  }
  answer.replaceChildren(...nodes, h("p", { class: "hint" }, "Secrets are shown by name. Nothing was sent."));
}
