// The page of `evenkeel dev`: the sections, their lists, the location, and the state of the last edit.

import * as action from "./action.js";
import { Poll, get, getText, selectTenant } from "./api.js";
import { $, h, keepFocus, refreshTimes } from "./dom.js";
import { showList as showExecutions, showOne as showExecution } from "./executions.js";
import { showEvent, showEvents, showFindings, showLetter, showLetters, showTriggers } from "./lists.js";
import { count, parse, parseRoute, routeTo, shortId } from "./text.js";
import * as workflow from "./workflow.js";

const MAX_LISTED = 500;
/** Sections with a list beside the view. */
const CATALOGS = { actions: action, workflows: workflow };
const SECTIONS = { actions: "Actions", workflows: "Workflows", triggers: "Triggers", executions: "Executions", events: "Events", "dead-letters": "Dead letters", findings: "Findings" };

const state = { generation: null, loaded: false, report: "", findings: { findings: [], current: true }, folder: "", tenants: "", section: null, open: null };

/** Data that views need of the page. `path` shows a place as findings do: with the folder that was given to `dev`. */
const context = { path: (place) => place ? `${state.folder}${place}` : null };

// The sections and their lists.

function showSections() {
  const counts = { findings: state.findings.findings.length };
  $("sections").replaceChildren(...Object.entries(SECTIONS).map(([name, title]) => h("a", {
    href: routeTo([name]), id: `s:${name}`, "aria-current": name === state.section ? "page" : null,
    class: name === "findings" && !state.findings.current ? "bad" : null,
  }, title, counts[name] > 0 && h("span", { class: "count" }, counts[name]))));
}

function showItems() {
  const catalog = CATALOGS[state.section], query = $("search").value.trim();
  if (!catalog) return;
  let found = 0;
  const blocks = catalog.list(query).map(({ title, name, items }) => {
    const shown = items.slice(0, Math.max(0, MAX_LISTED - found));
    found += items.length;
    return shown.length > 0 && h("section", {}, h("h2", {}, title, name && h("code", {}, name)), h("ul", {}, shown.map((item) => h("li", {},
      h("a", { id: `a:${item.key}`, href: item.route, "data-key": item.key, "aria-current": item.key === state.key ? "true" : null, class: item.idle ? "idle" : null },
        h("span", {}, item.text), h("span", { class: `badge ${item.badge}` }, item.badge))))));
  }).filter(Boolean);
  if (found > MAX_LISTED) blocks.push(h("p", { class: "hint" }, `${found - MAX_LISTED} more: search to narrow down.`));
  if (found === 0) blocks.push(h("p", { class: "hint" }, query ? `Nothing matches “${query}”.` : catalog.nothing));
  $("found").textContent = query ? count(found, "match").replace("matchs", "matches") : "";
  $("items").replaceChildren(...blocks);
}

/** Moves the focus through the list. */
function steer(event) {
  const links = [...$("items").querySelectorAll("a")], at = links.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1 }[event.key];
  if (to === undefined) {
    if (event.key === "Enter" && event.target === $("search")) links[0]?.click();
    return;
  }
  event.preventDefault();
  (to < 0 ? $("search") : links[Math.min(to, links.length - 1)])?.focus();
}

// The location.

const isNarrow = () => matchMedia("(max-width: 760px)").matches;

function openView() {
  const { parts, query } = parseRoute(location.hash), [section = "actions", ...rest] = parts;
  if (!state.loaded) return;
  state.open?.close?.();
  state.open = null;
  const isOther = section !== state.section;
  state.section = section;
  const catalog = CATALOGS[section];
  document.body.classList.toggle("with-list", Boolean(catalog));
  if (catalog) openItem(catalog, section, rest, isOther);
  else {
    state.key = null;
    document.body.classList.add("with-item");
    state.open = openPage(section, rest, query);
    document.title = `${state.open.title} · Evenkeel`;
  }
  keepFocus(showSections);
}

function openItem(catalog, section, rest, isOther) {
  state.key = catalog.keyOfRoute(rest);
  if (isOther) $("search").value = "";
  const label = section === "actions" ? "Search actions" : "Search workflows";
  [$("search").placeholder, $("search-label").textContent] = [label, label];
  // A wide page shows the first item beside the list.
  const first = catalog.list("").flatMap(({ items }) => items)[0];
  if (state.key === null && first && !isNarrow()) {
    history.replaceState(null, "", first.route);
    state.key = first.key;
  }
  document.body.classList.toggle("with-item", state.key !== null);
  keepFocus(showItems);
  $("back").href = routeTo([section]);
  $("back").textContent = `All ${section}`;
  showItem(catalog);
}

function showItem(catalog) {
  const title = state.key === null ? null : catalog.show($("view"), state.key, context);
  if (title === null) $("view").replaceChildren(h("p", { class: "empty" }, state.key === null ? catalog.nothing : `The active generation has no ${state.section.slice(0, -1)} ${state.key}.`));
  document.title = `${title ?? SECTIONS[state.section]} · Evenkeel`;
}

function openPage(section, [id], query) {
  const view = $("view");
  switch (section) {
    case "triggers": return showTriggers(view, context);
    case "executions": return id ? showExecution(view, id, context) : showExecutions(view, query);
    case "events": return id ? showEvent(view, id) : showEvents(view, query);
    case "dead-letters": return id ? showLetter(view, id) : showLetters(view);
    case "findings": return showFindings(view, state.findings);
    default:
      view.replaceChildren(h("p", { class: "empty" }, "There is no such page. ", h("a", { href: routeTo(["actions"]) }, "Actions")));
      return { title: "Unknown page" };
  }
}

// The active generation, and the findings of the last edit.

async function pollFindings() {
  try {
    const text = await getText("/v1/findings");
    const isNew = text !== state.report;
    if (isNew) showReport(parse(text));
    state.report = text;
    if (state.findings.digest !== state.generation || !state.loaded) await load();
    refreshTimes();
    return true;
  } catch (error) {
    state.report = "";
    pill("lost", "not reachable");
    if (!state.loaded) $("view").replaceChildren(h("p", { class: "empty" }, `Cannot reach evenkeel dev: ${error.message}. Trying again.`));
    throw error;
  }
}

async function load() {
  const generation = state.findings.digest;
  const [about] = await Promise.all([get("/assets/context.json"), action.load(), workflow.load()]);
  const isFirst = !state.loaded;
  Object.assign(state, { generation, loaded: true, folder: about.folder });
  $("environment").textContent = about.environment ?? "";
  showTenants(about.tenants);
  if (isFirst) return openView();
  const catalog = CATALOGS[state.section];
  if (!catalog) return state.open?.refresh?.();
  keepFocus(showItems);
  showItem(catalog);
}

/** The choice of the tenant: one of the declared ones, or any text if none is declared. */
function showTenants(tenants) {
  const text = tenants.map(({ name }) => name).join();
  if (state.tenants === text && $("tenant")) return;
  state.tenants = text;
  const before = $("tenant")?.value ?? "";
  const control = tenants.length > 0
    ? h("select", { id: "tenant" }, h("option", { value: "" }, "no tenant"), tenants.map(({ name, displayName }) => h("option", { value: name }, displayName ?? name)))
    : h("input", { id: "tenant", type: "text", placeholder: "no tenant", spellcheck: "false", autocomplete: "off" });
  control.value = tenants.length === 0 || tenants.some(({ name }) => name === before) ? before : "";
  control.addEventListener("change", () => {
    selectTenant(control.value.trim());
    action.tenantChanged();
    workflow.tenantChanged();
  });
  $("tenant-box").replaceChildren(control);
  selectTenant(control.value.trim());
}

function pill(kind, text) {
  const pill = $("state");
  if (pill.textContent !== text) pill.textContent = text;
  pill.className = `pill ${kind}`;
}

function showReport(report) {
  const { digest, current, summary } = report;
  pill(current ? "live" : "held", current ? "live" : digest ? "last good serving" : "nothing good yet");
  $("facts").replaceChildren(h("code", { title: digest }, shortId(digest)), ` · ${count(summary?.definitions ?? 0, "definition")}`);
  state.findings = report;
  $("held").hidden = current;
  keepFocus(showSections);
  state.open?.show?.(report);
}

function start() {
  document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); $("main").focus(); });
  $("search").addEventListener("input", showItems);
  $("list").addEventListener("keydown", steer);
  addEventListener("hashchange", () => {
    openView();
    $("main").scrollTop = 0;
    if (isNarrow()) scrollTo(0, 0);
  });
  addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName ?? "");
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      CATALOGS[state.section]?.runOpen();
    } else if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey && CATALOGS[state.section]) {
      event.preventDefault();
      $("search").focus();
    }
  });
  new Poll(pollFindings, { least: 1500, most: 15_000 });
}

start();
