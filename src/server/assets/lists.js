// The views of triggers, events, dead letters and findings.

import { Poll, get, getText, post } from "./api.js";
import { badge, copyButton, facts, finding, h, idLink, jsonBlock, keepFocus, problemNote, prose, status, summaryOf, table, when } from "./dom.js";
import { executionTable } from "./executions.js";
import { count, parse, routeTo, shortId, stringify } from "./text.js";

const PAGE = 100;
const KINDS = { webhook: "webhook", schedule: "schedule", appEvent: "application event", manual: "manual", workflow: "workflow" };

/** A view that polls one path and renders its JSON again when it changes. */
function live(view, head, path, render, timing = { least: 1500, most: 10_000 }) {
  const content = h("div", {}, h("p", { class: "hint" }, "Loading …"));
  view.replaceChildren(...head, content);
  let shown = null;
  const poll = new Poll(async () => {
    let text;
    try {
      text = await getText(path);
    } catch (error) {
      content.replaceChildren(problemNote(error));
      shown = null;
      throw error;
    }
    if (text === shown) return false;
    shown = text;
    keepFocus(() => content.replaceChildren(...render(parse(text)).filter(Boolean)));
    return true;
  }, timing);
  return { close: () => poll.stop(), refresh: () => poll.now() };
}

const heading = (title, hint) => [h("div", { class: "page-head" }, h("h2", { class: "title" }, title), hint && h("p", { class: "hint" }, hint))];
const crumbs = (section, title, id) => h("p", { class: "path" }, h("a", { href: routeTo([section]) }, title), " / ", h("code", {}, id));

export function showTriggers(view, context) {
  const render = ({ items }) => items.length === 0
    ? [h("p", { class: "empty" }, "No triggers yet. Add a Trigger to the folder: a webhook, a schedule or an event of an application.")]
    : [h("ul", { class: "cards" }, items.map((trigger) => triggerCard(trigger, context)))];
  const { close } = live(view, heading("Triggers", "They start workflows"), "/v1/triggers?limit=1000", render);
  return { title: "Triggers", close };
}

function triggerCard(trigger, context) {
  const { name, kind, active, reason, url, description, next, event, counts, subscriptions = [], polls = [] } = trigger;
  const state = reason ? h("span", { class: "status bad" }, h("span", { "aria-hidden": "true" }, "✕"), "cannot work")
    : active ? h("span", { class: "status good" }, h("span", { "aria-hidden": "true" }, "✓"), "active") : h("span", { class: "status" }, h("span", { "aria-hidden": "true" }, "⊘"), "not active");
  const address = url && h("code", { class: "address" }, url);
  const errors = [...subscriptions, ...polls].filter((row) => row.error);
  return h("li", { class: "card", id: `t:${name}` },
    h("div", { class: "bar" }, h("h3", {}, name), badge(KINDS[kind] ?? kind), state),
    reason && h("p", { class: "note bad" }, prose(reason)),
    address && h("div", { class: "bar address" }, address, copyButton(address)),
    facts([["Schedule", description], ["Next", next && when(next)], ["Event", event], ["Fired", counts && `${counts.fired}${counts.missed > 0 ? `, ${counts.missed} missed` : ""}${counts.late > 0 ? `, ${counts.late} late` : ""}`],
      ["Subscriptions", subscriptions.length > 0 && subscriptions.map((row) => [status(row.status), ` ${row.connection ?? ""} `])],
      ["Polls", polls.length > 0 && polls.map((row) => [`${row.connection ?? "no connection"}: next `, when(row.next), row.failures > 0 ? `, ${count(row.failures, "failure")} ` : " "])]]),
    errors.map((row) => h("p", { class: "note bad" }, prose(row.error))),
    h("div", { class: "bar" }, h("code", { class: "place" }, context.path(trigger.source)), h("a", { href: routeTo(["events"], { trigger: name }) }, "Events"), h("a", { href: routeTo(["executions"], { trigger: name }) }, "Executions")));
}

export function showEvents(view, query) {
  const trigger = query.get("trigger") ?? "";
  const head = heading("Events", trigger ? `of the trigger ${trigger}` : "as triggers received them");
  const render = ({ items, next }) => items.length === 0
    ? [h("p", { class: "empty" }, trigger ? `The trigger ${trigger} received no events yet. ` : "No events yet. ", trigger ? h("a", { href: routeTo(["events"]) }, "Show all events") : h("a", { href: routeTo(["triggers"]) }, "Show the triggers"))]
    : [trigger && h("p", {}, h("a", { href: routeTo(["events"]) }, "Show all events")),
      table("Events, newest first", ["Trigger", "Outcome", "Kind", "Received", "Event"], items.map((event) => [
        h("a", { id: `e:${event.id}`, href: routeTo(["events", event.id]) }, event.trigger), status(event.outcome), KINDS[event.kind] ?? event.kind, when(event.at), h("code", { title: event.id }, shortId(event.id)),
      ])), next && h("p", { class: "hint" }, `Only the newest ${items.length} are shown.`)];
  const { close } = live(view, head, `/v1/events?${new URLSearchParams({ limit: PAGE, ...(trigger && { trigger }) })}`, render);
  return { title: "Events", close };
}

export function showEvent(view, id) {
  const started = h("div", {});
  const render = (event) => [
    facts([["Outcome", status(event.outcome)], ["Trigger", event.trigger], ["Kind", KINDS[event.kind] ?? event.kind], ["Received", when(event.at)], ["Request", event.request]]),
    jsonBlock("Payload", stringify(event.payload)), jsonBlock("Headers", stringify(event.headers)), started,
  ];
  const view1 = live(view, [crumbs("events", "Events", id), ...heading("Event")], `/v1/events/${encodeURIComponent(id)}`, render);
  const poll = new Poll(async () => {
    const { items } = await get(`/v1/executions?${new URLSearchParams({ event: id, limit: PAGE })}`);
    started.replaceChildren(h("h3", {}, "Executions that it started"), items.length > 0 ? executionTable(items) : h("p", { class: "hint" }, "None."));
    return false;
  }, { least: 2000, most: 10_000 });
  return { title: `Event ${shortId(id)}`, close: () => { view1.close(); poll.stop(); } };
}

export function showLetters(view) {
  const render = ({ items, next }) => items.length === 0
    ? [h("p", { class: "empty" }, "No dead letters. An event that no route matched, or whose workflow failed, is kept here for a replay.")]
    : [table("Dead letters, newest first", ["Trigger", "Status", "Reason", "Workflow", "Created", "Details"], items.map((letter) => [
      h("a", { id: `d:${letter.id}`, href: routeTo(["dead-letters", letter.id]) }, letter.trigger ?? letter.workflow ?? shortId(letter.id)), status(letter.status), letter.reason, letter.workflow, when(letter.at),
      h("span", { class: "excerpt", title: letter.message }, letter.message),
    ])), next && h("p", { class: "hint" }, `Only the newest ${items.length} are shown.`)];
  const { close } = live(view, heading("Dead letters", "kept for a replay"), `/v1/dead-letters?limit=${PAGE}`, render);
  return { title: "Dead letters", close };
}

export function showLetter(view, id) {
  const path = `/v1/dead-letters/${encodeURIComponent(id)}`, notice = h("div", { role: "status" });
  const replay = async () => {
    try {
      const { executions } = await post(`${path}/replay`);
      notice.replaceChildren(h("p", { class: "note good" }, "Replayed: ", executions.map((each) => [idLink(routeTo(["executions", each]), each), " "])));
      refresh();
    } catch (error) {
      notice.replaceChildren(problemNote(error));
    }
  };
  const render = (letter) => [
    h("p", { class: "note bad" }, prose(letter.message)),
    letter.status === "Pending" && h("div", { class: "bar" }, h("button", { class: "primary", type: "button", id: "replay", onclick: replay }, "Replay")),
    facts([["Status", status(letter.status)], ["Reason", letter.reason], ["Trigger", letter.trigger], ["Workflow", letter.workflow], ["Tenant", letter.tenant], ["Created", when(letter.at)], ["Kept until", letter.expiresAt && when(letter.expiresAt)],
      ["Event", letter.event && idLink(routeTo(["events", letter.event]), letter.event)], ["Execution", letter.execution && idLink(routeTo(["executions", letter.execution]), letter.execution)], ["Replays", letter.replays > 0 && String(letter.replays)]]),
    jsonBlock("Payload", stringify(letter.payload)), jsonBlock("Headers", stringify(letter.headers)),
  ];
  const { close, refresh } = live(view, [crumbs("dead-letters", "Dead letters", id), ...heading("Dead letter"), notice], path, render);
  return { title: `Dead letter ${shortId(id)}`, close };
}

/** Shows the findings of the last edit. `show` renders them again when they change. */
export function showFindings(view, report) {
  const show = ({ findings }) => {
    const content = findings.length === 0 ? h("p", { class: "empty" }, "No findings: every definition is valid.") : h("ol", { class: "findings" }, findings.map(finding));
    view.replaceChildren(h("div", { class: "page-head" }, h("h2", { class: "title" }, "Findings"), h("p", { class: "hint" }, summaryOf(findings))), content);
  };
  show(report);
  return { title: "Findings", show, close() {} };
}
