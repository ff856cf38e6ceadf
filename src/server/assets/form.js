// A form for an input: a control for each property of its schema, or one for JSON. A draft is the user's input; it survives
// changes of the generation.

import { $, h, keepFocus, prose } from "./dom.js";
import { kindOf, limits, optionsOf, prefill, resolve } from "./schema.js";
import { count, idOf, isObject, parse, pretty, same, stringify } from "./text.js";

/** The draft of an unedited input. */
export const freshDraft = (schema) => ({ data: prefill(schema ?? {}, schema) ?? {}, json: false, text: null, broken: {}, params: {}, dirty: false });

/** The JSON text of a draft. */
export const textOf = (draft) => draft.text ?? stringify(draft.data);

/** Marks a control as invalid with a reason, or as valid. */
export function mark(control, reason) {
  if (reason) control.setAttribute("aria-invalid", "true");
  else control.removeAttribute("aria-invalid");
  $(`${control.id}!`).textContent = reason;
}

/** A labelled control with its description and its error. */
function labelled(control, { name, title, required, hint, description }) {
  const { id } = control;
  control.setAttribute("aria-describedby", `${id}? ${id}!`);
  if (required) control.setAttribute("aria-required", "true");
  return h("div", { class: "field" },
    h("label", { for: id }, title, title ? " " : "", h("code", {}, name), " ", required && h("span", { class: "required" }, "required"), " ", h("small", {}, hint)),
    control, h("p", { class: "hint", id: `${id}?` }, prose(description)), h("p", { class: "error", id: `${id}!` }));
}

export function area(attributes, text) {
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

/** The form of one input. `about` has its schema as `input`, `pathParams` and `samples`. */
export class InputForm {
  constructor(about, draft, onChange) {
    Object.assign(this, { about, draft, onChange, root: about.input, read() {} });
    this.asJson = h("input", { type: "checkbox", id: "as-json", onchange: () => this.switchForm() });
    this.samples = h("div", { class: "chips", role: "group", "aria-label": "Fill in from a test" });
    this.params = h("div", {});
    this.paramsBox = h("fieldset", {}, h("legend", {}, "Path parameters"), this.params);
    this.fields = h("div", { class: "fields" });
    this.problem = h("p", { class: "error", id: "problem", role: "alert" });
    this.node = h("div", { class: "input" },
      h("div", { class: "bar" }, h("h2", { id: "input-title" }, "Input"), h("label", { class: "switch" }, this.asJson, " as JSON")),
      this.samples, this.paramsBox, this.fields, this.problem);
  }

  isForm(data) {
    return kindOf(resolve(this.about.input ?? undefined, this.about.input), this.about.input, 0, data) === "object";
  }

  changed() {
    this.draft.dirty = true;
    this.read();
    this.problem.textContent = "";
    this.onChange();
  }

  /** Builds the controls of the draft. The node must be part of the page. */
  show() {
    const { about, draft } = this;
    // Text that was entered before the form existed moves into the form if possible.
    if (!draft.json && draft.text !== null && this.isForm()) {
      try {
        const data = parse(draft.text);
        if (this.isForm(data)) Object.assign(draft, { data, text: null });
        else draft.json = true;
      } catch { draft.json = true; }
    }
    const formable = this.isForm(draft.json ? undefined : draft.data), asJson = draft.json || !formable;
    this.asJson.checked = asJson;
    this.asJson.disabled = !formable;
    if (asJson) this.showText();
    else {
      const top = group(this, { schema: resolve(about.input, about.input), required: true, value: draft.data, pointer: "", depth: 0 });
      this.fields.replaceChildren(top.node);
      this.read = () => { draft.broken = {}; draft.data = top.read(); };
      if (Object.keys(draft.broken).length) this.read();
    }
    this.showParams();
    this.samples.hidden = about.samples.length === 0;
    this.samples.replaceChildren(h("span", { class: "hint" }, "From a test"), ...about.samples.map((sample) => h("button", { type: "button", onclick: () => {
      this.fill({ data: sample.input ?? {}, params: { ...sample.pathParams } });
    } }, sample.name)));
    this.onChange();
  }

  showText() {
    const { draft } = this;
    draft.text ??= pretty(draft.data);
    const control = area({ id: "raw", class: "code" }, draft.text);
    const hint = this.about.input ? "sent unchanged" : "no schema: any JSON, sent unchanged";
    this.fields.replaceChildren(labelled(control, { name: "input", hint }));
    this.read = () => {
      draft.text = control.value;
      try { parse(control.value || "{}"); mark(control, ""); } catch (error) { mark(control, error.message); }
    };
    control.addEventListener("input", () => this.changed());
  }

  showParams() {
    const { about, draft } = this;
    this.paramsBox.hidden = about.pathParams.length === 0;
    this.params.replaceChildren(...about.pathParams.map(({ name, description, required }) => {
      const control = h("input", { id: idOf("p", name), type: "text", spellcheck: "false", oninput: () => {
        draft.params[name] = control.value;
        mark(control, "");
        this.changed();
      } });
      control.value = draft.params[name] ?? "";
      return labelled(control, { name, required, description, hint: "" });
    }));
  }

  /** Replaces values of the draft. */
  fill(values) {
    Object.assign(this.draft, { text: null, broken: {}, dirty: true }, values);
    this.problem.textContent = "";
    keepFocus(() => this.show());
  }

  switchForm() {
    const json = this.asJson.checked;
    if (json && this.complains()) this.asJson.checked = false;
    else if (json) this.fill({ json });
    else {
      try {
        const data = parse(this.draft.text || "{}");
        if (!this.isForm(data)) throw new Error("the form needs an object");
        this.fill({ json, data });
      } catch (error) {
        this.asJson.checked = true;
        this.problem.textContent = `This cannot be shown as a form: ${error.message}`;
      }
    }
  }

  /** Reports values that cannot be sent, and focuses the first. */
  complains() {
    const [first] = Object.keys(this.draft.broken);
    if (first === undefined || this.draft.text !== null) return false;
    this.problem.textContent = `Correct ${count(Object.keys(this.draft.broken).length, "marked field")} first.`;
    $(first)?.focus();
    return true;
  }

  /** Marks the values that a problem document names, each with its reason; focuses the first of them. */
  refuse(problem) {
    this.clear();
    let first = null;
    for (const { pointer, parameter, detail } of problem?.errors ?? []) {
      let control = typeof parameter === "string" ? $(idOf("p", parameter)) : null;
      for (let at = pointer ?? ""; !control && at.startsWith("/"); at = at.slice(0, at.lastIndexOf("/"))) control = $(idOf("f", at));
      control ??= $("raw");
      if (!control) continue;
      mark(control, control.getAttribute("aria-invalid") ? `${$(`${control.id}!`).textContent}; ${detail}` : detail);
      first ??= control;
    }
    first?.focus();
  }

  /** Removes the marks of the last problem. */
  clear() {
    for (const control of this.node.querySelectorAll("[aria-invalid]")) if (!(control.id in this.draft.broken)) mark(control, "");
  }
}
