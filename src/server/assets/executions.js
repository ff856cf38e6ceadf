// The views of executions: the list with its filters, and one execution with its steps and logs.

import { Poll, get, getText, post } from "./api.js";
import { badge, clock, copyButton, facts, h, idLink, jsonBlock, keepFocus, problemNote, prose, status, table, when } from "./dom.js";
import { area } from "./form.js";
import { count, milliseconds, nested, parse, routeTo, shortId, stringify } from "./text.js";
import { names } from "./workflow.js";

const STATUSES = ["Queued", "Running", "Waiting", "Completed", "Failed", "Cancelled", "TimedOut"];
const ENDED = ["Completed", "Failed", "Cancelled", "TimedOut"];
const ORIGINS = { manual: "a caller", webhook: "a webhook", schedule: "a schedule", appEvent: "an event of an application", workflow: "a workflow" };
const PAGE = 50;

/** Shows the list. Returns what the view needs while it is open. */
export function showList(view, query) {
  const filter = { status: query.get("status") ?? "", workflow: query.get("workflow") ?? "", text: query.get("text") ?? "", event: query.get("event") ?? "", trigger: query.get("trigger") ?? "" };
  const older = { items: [], next: null };
  const content = h("div", {}, h("p", { class: "hint" }, "Loading …")), found = h("p", { class: "hint", role: "status" });
  const change = (name) => (event) => { location.hash = routeTo(["executions"], { ...filter, [name]: event.target.value.trim() }).slice(1); };
  const select = (name, label, any, values) => {
    const control = h("select", { id: `filter-${name}`, onchange: change(name) }, h("option", { value: "" }, any), values.map((value) => h("option", { value }, value === "TimedOut" ? "Timed out" : value)));
    control.value = filter[name];
    return h("div", {}, h("label", { for: `filter-${name}` }, label), control);
  };
  const text = h("input", { id: "filter-text", type: "search", onchange: change("text"), spellcheck: "false", placeholder: "id, tenant, input, output or error" });
  text.value = filter.text;
  const workflows = [...new Set([...names(), filter.workflow].filter(Boolean))];
  const given = ["event", "trigger"].filter((name) => filter[name]).map((name) => h("a", { class: "chip", href: routeTo(["executions"], { ...filter, [name]: "" }) }, `${name} ${shortId(filter[name])} `, h("span", { "aria-hidden": "true" }, "✕"), h("span", { class: "unseen" }, "remove this filter")));
  view.replaceChildren(h("div", { class: "page-head" }, h("h2", { class: "title" }, "Executions"), found),
    h("div", { class: "filters", role: "search", "aria-label": "Filters" }, select("status", "Status", "any", STATUSES), select("workflow", "Workflow", "any", workflows), h("div", { class: "wide" }, h("label", { for: "filter-text" }, "Text"), text), given), content);
  const path = (cursor = "") => `/v1/executions?${new URLSearchParams(Object.entries({ ...filter, limit: PAGE, cursor }).filter(([, value]) => value !== ""))}`;
  let shown = null, first = null;
  const render = () => {
    const items = [...first.items, ...older.items.filter((each) => !first.items.some((known) => known.id === each.id))];
    const more = older.items.length > 0 ? older.next : first.next;
    found.textContent = `${more ? "the newest " : ""}${count(items.length, "execution")}`;
    const button = more && h("button", { type: "button", id: "older", onclick: async () => {
      const page = await get(path(more));
      older.items.push(...page.items);
      older.next = page.next;
      keepFocus(render);
    } }, "Show older ones");
    content.replaceChildren(items.length > 0 ? executionTable(items) : emptyList(filter), button || "");
  };
  const poll = new Poll(async () => {
    const answer = await getText(path()).catch((error) => {
      content.replaceChildren(problemNote(error));
      shown = null;
      throw error;
    });
    if (answer === shown) return false;
    shown = answer;
    first = parse(answer);
    keepFocus(render);
    return true;
  }, { least: 1000, most: 8000 });
  return { title: "Executions", close: () => poll.stop() };
}

function emptyList(filter) {
  const used = Object.entries(filter).filter(([, value]) => value).map(([name, value]) => `${name} “${value}”`);
  if (used.length > 0) return h("p", { class: "empty" }, `No execution has ${used.join(" and ")}. `, h("a", { href: routeTo(["executions"]) }, "Remove the filters"));
  return h("p", { class: "empty" }, "No executions yet. ", h("a", { href: routeTo(["workflows"]) }, "Run a workflow"), ", or call a webhook.");
}

export function executionTable(items) {
  return table("Executions, newest first", ["Workflow", "Status", "Started by", "Tenant", "Accepted", "Took", "Note"], items.map((each) => [
    h("span", {}, h("a", { id: `x:${each.id}`, href: routeTo(["executions", each.id]) }, each.workflow), " ", h("code", { class: "hint" }, each.id)),
    status(each.status), each.source ? `${each.triggeredBy} ${each.source}` : each.triggeredBy, each.tenant, when(each.createdAt),
    each.durationMs === null ? null : milliseconds(each.durationMs), noteOf(each),
  ]));
}

/** The error of an execution, or the steps that it waits for. */
function noteOf(each) {
  const error = each.errorMessage ?? (typeof each.error === "string" ? each.error : each.error?.message);
  if (error) return h("span", { class: "excerpt bad", title: error }, error);
  const waits = (each.waitsFor ?? []).map((wait) => `${wait.kind} ${wait.name}`).join(", ");
  return waits ? h("span", { class: "excerpt" }, `waits for ${waits}`) : null;
}

/** Shows one execution, and follows it until it ends. */
export function showOne(view, id, context) {
  const path = `/v1/executions/${encodeURIComponent(id)}`;
  const content = h("div", {}, h("p", { class: "hint" }, "Loading …")), act = h("div", { class: "bar", id: "commands" }), notice = h("div", {}), waits = h("div", {}), logs = h("div", {});
  const title = h("h2", { class: "title" }, "Execution"), state = h("span", { id: "execution-status", role: "status" });
  view.replaceChildren(h("p", { class: "path" }, h("a", { href: routeTo(["executions"]) }, "Executions"), " / ", h("code", {}, id)),
    h("div", { class: "page-head" }, title, state), notice, act, waits, content, logs);
  let shown = "", shownLogs = "", waiting = "", last = "";
  const command = async (verb, body = "{}") => {
    try {
      const answer = await post(`${path}/${verb}`, body);
      notice.replaceChildren();
      if (verb === "retry" && answer?.execution) location.hash = routeTo(["executions", answer.execution]).slice(1);
      else poll.now();
    } catch (error) {
      notice.replaceChildren(problemNote(error));
    }
  };
  const poll = new Poll(async () => {
    let text, lines;
    try {
      [text, lines] = await Promise.all([getText(path), getText(`${path}/logs?limit=1000`)]);
    } catch (error) {
      if (shown === "") content.replaceChildren(problemNote(error));
      throw error;
    }
    const execution = parse(text), changed = text !== shown || lines !== shownLogs;
    if (text !== shown) {
      title.replaceChildren(execution.workflow);
      if (execution.status !== last) state.replaceChildren(status(execution.status));
      last = execution.status;
      keepFocus(() => {
        const closed = keepOpen(content);
        content.replaceChildren(...details(execution, context));
        closed(content);
        act.replaceChildren(...commands(execution, command));
      });
      const wanted = stringify(execution.waitsFor ?? []);
      // The forms keep their text as long as the execution waits for the same.
      if (wanted !== waiting) waits.replaceChildren(...(execution.waitsFor ?? []).map((wait) => waitForm(wait, command)).filter(Boolean));
      waiting = wanted;
    }
    if (lines !== shownLogs) showLogs(logs, parse(lines));
    [shown, shownLogs] = [text, lines];
    return ENDED.includes(execution.status) ? null : changed;
  }, { least: 700, most: 5000 });
  return { title: `Execution ${shortId(id)}`, close: () => poll.stop() };
}

/** Remembers which details of a node are open; the result opens them in the node that takes its place. */
function keepOpen(node) {
  const states = new Map([...node.querySelectorAll("details[id]")].map((each) => [each.id, each.open]));
  return (next) => { for (const each of next.querySelectorAll("details[id]")) if (states.has(each.id)) each.open = states.get(each.id); };
}

function commands(execution, command) {
  if (!ENDED.includes(execution.status)) {
    return [execution.cancelRequested ? h("p", { class: "hint" }, "Cancellation requested.") : h("button", { type: "button", id: "cancel", onclick: () => command("cancel") }, "Cancel")];
  }
  return [h("button", { type: "button", id: "retry", onclick: () => command("retry") }, "Run again"),
    h("a", { class: "button", href: routeTo(["workflows", execution.workflow]) }, "Open the workflow")];
}

/** The form that answers a wait: a decision about an approval, or the payload of an event. */
function waitForm(wait, command) {
  const path = `${wait.kind === "approval" ? "approvals" : "events"}/${encodeURIComponent(wait.name)}`;
  const until = wait.until ? [" until ", when(wait.until)] : [];
  if (wait.kind === "approval") {
    return h("section", { class: "note wait" }, h("p", {}, "Waits for the approval ", h("b", {}, wait.name), until),
      h("div", { class: "bar" }, h("button", { class: "primary", type: "button", onclick: () => command(path, `{"approved":true}`) }, "Approve"),
        h("button", { type: "button", onclick: () => command(path, `{"approved":false}`) }, "Reject")));
  }
  if (wait.kind !== "event") return h("p", { class: "note wait" }, `Waits for ${wait.kind} `, h("b", {}, wait.name), until);
  const id = `signal-${wait.name}`, payload = area({ id, class: "code" }, "{}"), error = h("p", { class: "error", role: "alert" });
  return h("section", { class: "note wait" }, h("p", {}, "Waits for the event ", h("b", {}, wait.name), until),
    h("div", { class: "field" }, h("label", { for: id }, "Payload as JSON"), payload, error),
    h("div", { class: "bar" }, h("button", { class: "primary", type: "button", onclick: () => {
      try { parse(payload.value); } catch (problem) { error.textContent = problem.message; return; }
      command(path, payload.value);
    } }, "Send the event")));
}

function details(execution, context) {
  const { error } = execution, origin = ORIGINS[execution.triggeredBy] ?? execution.triggeredBy;
  const at = error?.file && context.path([error.file, error.line, error.column].filter(Boolean).join(":"));
  return [
    error && h("section", { class: "note bad", id: "execution-error", "aria-label": "Error" },
      h("p", {}, h("code", {}, error.code ?? "ERROR"), " ", prose(error.message)),
      at && h("p", {}, h("code", { class: "place" }, at)),
      error.stack && h("details", { id: "stack" }, h("summary", {}, "Stack"), h("pre", {}, error.stack))),
    facts([["Started by", `${origin}${execution.source && execution.triggeredBy !== "manual" ? ` ${execution.source}` : ""}`],
      ["Event", execution.event && idLink(routeTo(["events", execution.event]), execution.event)],
      ["Parent", execution.parent && idLink(routeTo(["executions", execution.parent]), execution.parent)],
      ["Tenant", execution.tenant], ["Accepted", when(execution.createdAt)], ["Took", execution.durationMs !== null && milliseconds(execution.durationMs)],
      ["Attempt", execution.attempt > 1 && String(execution.attempt)], ["Version", execution.version && String(execution.version)], ["Tier", execution.tier],
      ["Trace", execution.trace && h("code", { title: execution.trace }, execution.trace.split("-")[1] ?? execution.trace)]]),
    h("h3", { id: "steps-title" }, "Steps"), steps(execution),
    h("div", { class: "columns even" }, jsonBlock("Input", stringify(execution.input)), execution.status === "Completed" && jsonBlock("Output", stringify(execution.output))),
  ].filter(Boolean);
}

function steps(execution) {
  if (execution.steps.length === 0) return h("p", { class: "hint" }, ENDED.includes(execution.status) ? "It recorded no steps." : "No step has ended yet.");
  const times = execution.steps.flatMap(({ startedAt, finishedAt }) => [Date.parse(startedAt), Date.parse(finishedAt ?? startedAt)]).filter(Number.isFinite);
  const start = Math.min(...times), whole = Math.max(1, Math.max(...times) - start);
  const shown = nested(execution.steps);
  return h("ol", { class: "steps", "aria-labelledby": "steps-title" }, shown.map(({ step, depth, label }) => {
    const from = Date.parse(step.startedAt) - start, took = step.finishedAt ? Date.parse(step.finishedAt) - Date.parse(step.startedAt) : null;
    const bar = h("span", { class: `time-bar ${step.status === "Failed" ? "bad" : ""}`, "aria-hidden": "true" });
    bar.style.setProperty("--from", `${(100 * from) / whole}%`);
    bar.style.setProperty("--width", `${Math.max(1, (100 * (took ?? whole - from)) / whole)}%`);
    const item = h("li", {}, h("details", { id: `step:${step.name}:${step.attempt}`, open: step.status === "Failed" },
      h("summary", {}, status(step.status), h("span", { class: "step-name", title: step.name }, label), badge(step.kind),
        step.attempt > 1 && badge(`attempt ${step.attempt}`), h("span", { class: "took" }, took === null ? "" : milliseconds(took)), bar),
      step.error && h("p", { class: "bad" }, h("code", {}, step.error.code ?? "ERROR"), " ", prose(step.error.message ?? stringify(step.error))),
      step.waitsUntil && h("p", { class: "hint" }, "It waits until ", when(step.waitsUntil), "."),
      step.input !== null && jsonBlock("Input", stringify(step.input), "h4"), step.output !== null && jsonBlock("Output", stringify(step.output), "h4")));
    item.style.setProperty("--depth", String(Math.min(depth, 6)));
    return item;
  }));
}

/** The log lines. Screen readers read new ones on demand only, as they may come fast. */
function showLogs(node, page) {
  const box = node.querySelector("[role=log]"), follows = !box || box.scrollHeight - box.scrollTop - box.clientHeight < 8;
  const lines = h("div", { role: "log", "aria-live": "off", "aria-labelledby": "logs-title", tabindex: "0", class: "log" },
    page.items.map((line) => h("p", { class: line.level }, clock(line.at), " ", h("span", { class: "level" }, line.level), " ", h("span", { class: "text" }, line.message))));
  const before = box?.scrollTop ?? 0;
  const head = h("div", { class: "bar" }, h("h3", { id: "logs-title" }, "Logs"), h("span", { class: "hint" }, count(page.items.length, "line")),
    copyButton(lines, () => page.items.map((line) => `${line.at} ${line.level} ${line.message}`).join("\n")));
  const none = h("p", { class: "hint" }, "It logged nothing. Code writes lines with ", h("code", {}, "ctx.log.info(…)"), ".");
  node.replaceChildren(head, page.items.length > 0 ? lines : none, page.next ? h("p", { class: "hint" }, "Further lines are not shown.") : "");
  lines.scrollTop = follows ? lines.scrollHeight : before;
}
