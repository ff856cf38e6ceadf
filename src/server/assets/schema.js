// JSON Schemas as forms: the control of each property, its constraints and its suggested value. Pure functions.

import { isNumber, isObject, same } from "./text.js";

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
