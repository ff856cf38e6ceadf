// The environment of a script: `ctx` and a few globals. All calls leave the script through `send`, as JSON.
export default function (send, dataText, startMs, seed) {
  const stringify = JSON.stringify, parse = JSON.parse;
  const waiting = new Map();
  let last = 0;
  let nowMs = startMs;

  class CallError extends Error {
    constructor(error) {
      super(error.message);
      this.name = "CallError";
      for (const key of Object.keys(error)) if (key !== "message") this[key] = error[key];
    }
  }

  function call(op) {
    const text = stringify(op);
    return new Promise((resolve, reject) => {
      const id = ++last;
      waiting.set(id, { resolve, reject, trace: new Error("called here").stack });
      send(id, text);
    });
  }

  function settle(id, ok, text, ms) {
    const entry = waiting.get(id);
    if (!entry) return;
    waiting.delete(id);
    if (ms > nowMs) nowMs = ms;
    if (ok) return entry.resolve(text === "" ? undefined : parse(text));
    const error = new CallError(parse(text));
    error.stack = entry.trace;
    entry.reject(error);
  }

  // The time is that of the last reply, so that another run of the script from its record reads the same times.
  const RealDate = Date;
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args) => (args.length ? Reflect.construct(target, args) : new target(nowMs)),
    apply: () => new RealDate(nowMs).toString(),
    get: (target, key) => (key === "now" ? () => nowMs : Reflect.get(target, key)),
  });
  RealDate.prototype.constructor = globalThis.Date;
  let random = seed >>> 0 || 1;
  Math.random = () => {
    random = (random + 0x6d2b79f5) >>> 0;
    let x = random;
    x = Math.imul(x ^ (x >>> 15), x | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
  };
  delete globalThis.performance;

  function duration(value) {
    if (typeof value === "number") {
      if (!(value >= 0) || value === Infinity) throw new TypeError("a duration in milliseconds is 0 or more");
      return value;
    }
    const units = { ms: 1, s: 1000, m: 60000, h: 3600000, d: 86400000 };
    let rest = String(value).trim(), total = 0, any = false;
    for (let match; (match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)/.exec(rest)); rest = rest.slice(match[0].length)) {
      total += parseFloat(match[1]) * units[match[2]];
      any = true;
    }
    if (!any || rest !== "") throw new TypeError(`\`${value}\` is not a duration; write milliseconds, or text such as "30s" or "2h30m"`);
    return total;
  }

  // A wrong option must not open an approval to everyone.
  function rolesOf(options) {
    for (const name of Object.keys(options ?? {})) {
      if (!["message", "roles", "timeout"].includes(name)) {
        throw new TypeError(`\`${name}\` is not an option of an approval; expected \`message\`, \`roles\` or \`timeout\``);
      }
    }
    const roles = options?.roles;
    if (roles === undefined) return [];
    if (!Array.isArray(roles) || roles.length === 0 || roles.some((role) => typeof role !== "string")) {
      throw new TypeError("`roles` of an approval is a list of at least one name of a role; omit it for every caller who may operate");
    }
    return [...roles];
  }

  const data = parse(dataText);
  const named = (make) =>
    new Proxy(Object.freeze({}), { get: (_, name) => (typeof name === "string" && name !== "then" ? make(name) : undefined) });
  const logger = (level) => (...parts) => {
    const text = parts.map((part) => {
      if (typeof part === "string") return part;
      if (part instanceof Error) return part.stack ? `${part}\n${part.stack}` : String(part);
      try { return stringify(part) ?? String(part); } catch { return String(part); }
    }).join(" ");
    send(0, stringify({ op: "log", level, message: text }));
  };
  const log = Object.freeze({ debug: logger("debug"), info: logger("info"), warn: logger("warn"), error: logger("error") });
  globalThis.console = Object.freeze({ log: log.info, info: log.info, debug: log.debug, warn: log.warn, error: log.error });

  const state = (scope) => ({
    get: (key) => call({ op: "getState", scope, key: String(key) }).then((value) => (value === null ? undefined : value)),
    set: (key, value, options) => {
      const ttl = options && typeof options === "object" ? options.ttl : options;
      return call({ op: "setState", scope, key: String(key), value: value === undefined ? null : value, ttl: ttl === undefined ? null : duration(ttl) });
    },
    delete: (key) => call({ op: "setState", scope, key: String(key), value: null, ttl: null }),
  });

  async function step(name, options, work) {
    if (typeof options === "function") { work = options; options = {}; }
    if (typeof work !== "function") throw new TypeError("ctx.step(name, function) runs a function");
    const begun = await call({ op: "begin", name: String(name) });
    if ("output" in begun) return begun.output;
    if ("error" in begun) throw new CallError(begun.error);
    const attempts = Math.max(1, Math.min(20, options.retry?.maxAttempts ?? 1));
    let wait = duration(options.retry?.initialInterval ?? 1000);
    for (let attempt = 1; ; attempt++) {
      try {
        let output = await work();
        output = output === undefined ? null : output;
        await call({ op: "end", name: begun.name, output });
        // The result is the same as in a later run.
        return parse(stringify(output));
      } catch (error) {
        if (attempt >= attempts) {
          await call({ op: "end", name: begun.name, error: { code: error?.code ?? "STEP_FAILED", message: String(error?.message ?? error) } });
          throw error;
        }
        await call({ op: "sleep", ms: wait });
        wait *= options.retry?.backoffCoefficient ?? 2;
      }
    }
  }

  const organization = state("organization");
  const ctx = Object.freeze({
    ...data,
    connectors: named((connector) => named((action) => (input, options) => call({ op: "action", connector, action, input: input === undefined ? {} : input, options: options ?? {} }))),
    workflows: named((workflow) => (input) => call({ op: "workflow", workflow, input: input === undefined ? {} : input })),
    state: Object.freeze({ ...organization, organization, invocation: state("invocation") }),
    secrets: Object.freeze({ get: (name) => call({ op: "secret", name: String(name) }) }),
    log,
    step,
    sleep: (time) => call({ op: "sleep", ms: duration(time) }).then(() => undefined),
    waitForEvent: (name, options) => call({ op: "wait", name: String(name), timeout: options?.timeout === undefined ? null : duration(options.timeout), question: null }),
    approval: (name, options) => call({ op: "wait", name: String(name), timeout: options?.timeout === undefined ? null : duration(options.timeout), question: options?.message ?? name, roles: rolesOf(options) }),
    fetch: async (url, init) => {
      const answer = await call({ op: "fetch", url: String(url), init: init ?? {} });
      return Object.freeze({ ...answer, ok: answer.status >= 200 && answer.status < 300, text: async () => answer.body, json: async () => parse(answer.body) });
    },
    now: () => new Date(),
  });

  async function start(work) {
    if (typeof work !== "function") throw new TypeError("the script has no `export default async function (ctx)`");
    const output = await work(ctx);
    const text = stringify(output === undefined ? null : output);
    if (text === undefined) throw new TypeError(`the output is a ${typeof output}, which is not JSON`);
    return text;
  }

  return { settle, start };
}
