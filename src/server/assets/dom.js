// Elements, and the parts that several views share. Data becomes text nodes and attributes only.

import { count, indent, layout, place, relative, shortId } from "./text.js";

const MAX_COLOURED = 200_000;
/** Maximum number of characters of a text that is shown. */
export const MAX_SHOWN = 2_000_000;

export const $ = (id) => document.getElementById(id);

/** An element. Attributes that start with `on` are listeners; false, null and undefined ones are omitted. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
  return element;
}

/** Text with `code` in backticks. */
export const prose = (text) => String(text ?? "").split("`").map((part, index) => index % 2 && part ? h("code", {}, part) : part);

export async function copy(button, text, block) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // Not a secure context: leave the text selected, so that the keyboard can copy it.
    getSelection().selectAllChildren(block);
    if (!document.execCommand("copy")) return;
  }
  button.textContent = "Copied";
  announce("Copied");
  setTimeout(() => { button.textContent = "Copy"; }, 1200);
}

/** A button that copies the text of a block. */
export function copyButton(block, text = () => block.textContent) {
  const button = h("button", { class: "quiet", type: "button" }, "Copy");
  button.addEventListener("click", () => copy(button, text(), block));
  return button;
}

/** Lets screen readers read a text. */
export function announce(text) {
  $("announcer").textContent = text;
}

/** Shows a JSON text in colours. */
export function paint(block, text) {
  if (text.length > MAX_COLOURED) block.textContent = indent(text).slice(0, MAX_SHOWN);
  else {
    block.replaceChildren();
    for (const [kind, piece] of layout(text)) block.append(kind ? h("span", { class: kind }, piece) : piece);
  }
}

/** A titled block of JSON. */
export function jsonBlock(title, text, level = "h3") {
  const block = h("pre", { tabindex: "0", role: "region", "aria-label": title });
  paint(block, text);
  return h("div", { class: "block" }, h("div", { class: "bar" }, h(level, {}, title), copyButton(block)), block);
}

/** Changes the page and keeps the focus, with its selection, on the element of the same id. */
export function keepFocus(change) {
  const { id, selectionStart, selectionEnd } = document.activeElement ?? {};
  change();
  const again = id && $(id);
  if (!again || again === document.activeElement) return;
  again.focus({ preventScroll: true });
  try { again.setSelectionRange(selectionStart, selectionEnd); } catch { /* not every element has a caret */ }
}

export const badge = (text, kind = "", title = null) => h("span", { class: `badge ${kind}`, title }, text);

const GOOD = ["Completed", "Subscribed", "Started", "Replayed"], BAD = ["Failed", "TimedOut", "Dead", "Expired"], BUSY = ["Running", "Queued", "Subscribing"];
/** A status as a word with a mark, so that no meaning depends on colours alone. */
export function status(word) {
  const [kind, mark] = GOOD.includes(word) ? ["good", "✓"] : BAD.includes(word) ? ["bad", "✕"] : BUSY.includes(word) ? ["busy", "●"] : word === "Cancelled" ? ["", "⊘"] : ["warn", "◷"];
  const text = word === "TimedOut" ? "Timed out" : word;
  return h("span", { class: `status ${kind}` }, h("span", { "aria-hidden": "true" }, mark), text);
}

/** A time in relation to now; the tooltip has the exact one. */
export const when = (time) => time ? h("time", { datetime: time, title: time, "data-relative": true }, relative(time)) : "–";

/** Updates the relative times of the page. */
export function refreshTimes() {
  for (const element of document.querySelectorAll("time[data-relative]")) {
    const text = relative(element.dateTime);
    if (element.textContent !== text) element.textContent = text;
  }
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hour12: false });
export const clock = (time) => h("time", { datetime: time, title: time }, CLOCK.format(new Date(time)));

/** A list of names and values; those without a value are omitted. */
export function facts(pairs) {
  const given = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false);
  return h("dl", { class: "facts" }, given.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

/** An id that links to its view. */
export const idLink = (route, id) => id ? h("a", { href: route, title: id, class: "code" }, shortId(id)) : null;

/** A table; on narrow screens each row becomes a list of labels and values. A cell is a node, a text or null. */
export function table(caption, columns, rows) {
  const cell = (value, index) => h("td", { "data-label": columns[index], class: value === null || value === "–" ? "none" : null }, value ?? "–");
  return h("table", {}, h("caption", { class: "unseen" }, caption),
    h("thead", {}, h("tr", {}, columns.map((column) => h("th", { scope: "col" }, column)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map(cell)))));
}

/** A finding, with its place as the command line shows it. */
export function finding(each) {
  return h("li", { class: `finding ${each.severity}` },
    h("p", {}, h("b", {}, each.severity), " ", h("code", {}, each.code), " ", prose(each.message)),
    place(each) && h("p", {}, h("code", { class: "place" }, place(each))),
    each.help && h("p", { class: "help" }, prose(each.help)));
}

/** The error of a request: its detail, the invalid values, the findings and the reference. */
export function problemNote(problem) {
  const { detail, code, errors = [], findings = [], requestId } = problem.body ?? {};
  return h("div", { class: "note bad", role: "alert" },
    h("p", {}, code && h("code", {}, code), " ", prose(detail ?? problem.message)),
    errors.length > 1 && h("ul", {}, errors.map((each) => h("li", {}, h("code", {}, each.pointer ?? each.parameter ?? ""), " ", prose(each.detail)))),
    findings.length > 0 && h("ol", {}, findings.map(finding)),
    requestId && h("p", { class: "hint" }, `Request ${requestId}`));
}

export const summaryOf = (findings) => {
  const errors = findings.filter((each) => each.severity === "error").length;
  return [errors && count(errors, "error"), findings.length - errors && count(findings.length - errors, "warning")].filter(Boolean).join(", ");
};
