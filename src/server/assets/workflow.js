// The view of a workflow: its input, a run, and the result or the execution that goes on.

import { getAll, problemOf, send, tenantHeaders } from "./api.js";
import { badge, copyButton, facts, h, jsonBlock, keepFocus, problemNote, prose, status } from "./dom.js";
import { InputForm, freshDraft, textOf } from "./form.js";
import { curl, matches, milliseconds, routeTo, stringify } from "./text.js";

const drafts = new Map();
let workflows = new Map(), open = null;

export async function load() {
  workflows = new Map((await getAll("/v1/workflows")).map((workflow) => [workflow.name, workflow]));
}

export const names = () => [...workflows.keys()];

export function list(query) {
  const items = [...workflows.values()].filter(({ name, displayName, description }) => matches(query, name, displayName, description));
  return [{ title: "Workflows", name: "", items: items.map((workflow) => ({
    key: workflow.name, route: routeTo(["workflows", workflow.name]), text: workflow.displayName ?? workflow.name, badge: workflow.tier, idle: !workflow.active,
  })) }];
}

export const keyOfRoute = ([name]) => name ?? null;
export const nothing = "No workflows yet. Add a Workflow to the folder to see it here.";

/** Shows the workflow of a name. Returns its title; null for an unknown name. */
export function show(view, name, context) {
  const workflow = workflows.get(name);
  if (!workflow) {
    if (open?.name !== name) return null;
    open.gone.hidden = false;
    open.runButton.disabled = true;
    return document.title;
  }
  const title = workflow.displayName ?? workflow.name, text = stringify(workflow);
  if (open?.name === name && open.text === text && open.node.isConnected) {
    open.gone.hidden = true;
    return title;
  }
  if (!drafts.has(name)) drafts.set(name, { ...freshDraft(workflow.input), result: null, pending: false });
  const draft = drafts.get(name);
  if (!draft.dirty) Object.assign(draft, freshDraft(workflow.input));
  keepFocus(() => {
    open = build(workflow, text, draft, context);
    view.replaceChildren(open.node);
    open.form.show();
  });
  showResult(open);
  return title;
}

function build(workflow, text, draft, context) {
  const { name } = workflow, state = { name, text, draft };
  state.form = new InputForm({ input: workflow.input, pathParams: [], samples: workflow.samples ?? [] }, draft, () => showCurl(state));
  state.gone = h("p", { class: "note bad", role: "status", hidden: true }, "The active generation does not contain this workflow. Your input is kept.");
  state.runButton = h("button", { class: "primary", type: "button", id: "run", "aria-keyshortcuts": "Control+Enter", disabled: !workflow.active, onclick: () => run(state) },
    "Run ", h("kbd", {}, /Mac|iP/.test(navigator.platform) ? "⌘ ⏎" : "Ctrl ⏎"));
  state.outcome = h("p", { id: "outcome", role: "status" });
  state.answer = h("div", { class: "answer" });
  state.curl = h("pre", { tabindex: "0", role: "region", "aria-labelledby": "curl-title" });
  const reset = h("button", { class: "quiet", type: "button", onclick: () => state.form.fill(freshDraft(workflow.input)) }, "Start over");
  const form = h("form", { novalidate: true, autocomplete: "off", "aria-labelledby": "input-title" }, state.form.node,
    h("div", { class: "bar actions" }, state.runButton, reset));
  form.addEventListener("submit", (event) => event.preventDefault());
  state.result = h("section", { class: "result", "aria-labelledby": "result-title" },
    h("div", { class: "bar" }, h("h2", { id: "result-title" }, "Result"), state.outcome), state.answer,
    h("div", { class: "bar" }, h("h3", { id: "curl-title" }, "The same run with curl"), copyButton(state.curl)), state.curl);
  const tier = workflow.tier === "Instant" ? "The caller waits for the output" : "The caller receives the id of the execution";
  state.node = h("article", {},
    h("header", {},
      h("p", { class: "path" }, "Workflow ", h("code", {}, name)),
      h("h2", { class: "title" }, workflow.displayName ?? name),
      h("p", { class: "tags" }, badge(workflow.tier, "", tier), workflow.version && badge(`version ${workflow.version}`), workflow.requiresTenant && badge("needs a tenant"),
        h("code", { class: "place" }, context.path(workflow.source)), h("a", { href: routeTo(["executions"], { workflow: name }) }, "Its executions")),
      workflow.description && h("p", { class: "description" }, prose(workflow.description)),
      !workflow.active && h("p", { class: "note" }, "This workflow is not active, so it starts no executions.")),
    state.gone, h("div", { class: "columns" }, form, state.result));
  return state;
}

const urlOf = (name) => `${location.origin}/v1/workflows/${encodeURIComponent(name)}/runs`;

function showCurl(state) {
  state.curl.textContent = curl({ url: urlOf(state.name), body: textOf(state.draft), headers: tenantHeaders() });
}

/** Runs the open workflow, if there is one. */
export function runOpen() {
  if (open?.node.isConnected && !open.runButton.disabled) run(open);
}

export function tenantChanged() {
  if (open) showCurl(open);
}

async function run(state) {
  const { draft, form } = state, started = performance.now();
  if (draft.pending || form.complains()) return;
  draft.pending = true;
  showResult(state);
  try {
    const response = await send(urlOf(state.name), textOf(draft));
    draft.result = { response, text: await response.text(), ms: performance.now() - started };
  } catch (error) {
    draft.result = { failed: `No answer: ${error.message}` };
  }
  draft.pending = false;
  if (!state.node.isConnected) return;
  showResult(state);
  if (matchMedia("(max-width: 1179px)").matches) state.result.scrollIntoView({ block: "nearest" });
}

function showResult(state) {
  const { draft, outcome, answer, form } = state, { result } = draft;
  state.result.setAttribute("aria-busy", String(draft.pending));
  outcome.className = "";
  if (draft.pending) return outcome.replaceChildren("Running …");
  form.clear();
  if (!result || result.failed) {
    outcome.className = result ? "bad" : "";
    outcome.replaceChildren(result?.failed ?? "");
    return answer.replaceChildren(result ? "" : h("p", { class: "hint" }, "Nothing run yet."));
  }
  const { response, text, ms } = result, problem = response.ok ? null : problemOf(text);
  const execution = response.headers.get("x-evenkeel-execution") ?? problem?.execution;
  if (problem) form.refuse(problem);
  const word = response.status === 202 ? "Running" : response.ok ? "Completed" : execution ? { 504: "TimedOut", 409: "Cancelled" }[response.status] ?? "Failed" : null;
  outcome.replaceChildren(word ? status(word) : h("b", { class: "bad" }, `${response.status} ${response.statusText}`.trim()), response.status === 202 ? "" : ` in ${milliseconds(ms)}`);
  answer.replaceChildren(...[
    execution && h("p", {}, h("a", { class: "button", id: "open-execution", href: routeTo(["executions", execution]) }, response.status === 202 ? "Follow the execution" : "Open the execution")),
    problem && problemNote({ body: problem }),
    facts([["Execution", execution && h("code", {}, execution)], ["Request", response.headers.get("x-request-id")]]),
    response.status === 200 && text !== "" && output(text),
  ].filter(Boolean));
}

function output(text) {
  try { return jsonBlock("Output", text); } catch { return h("pre", {}, text); }
}
