// Drives a headless Chromium over the DevTools protocol, through pipes: node browser.mjs URL FOLDER SCENARIO
// FOLDER receives the screenshots. Each scenario fails with the first expectation that does not hold. Chromium reports
// violations of the content security policy and uncaught errors; either fails the scenario as well.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { scenarios } from "./scenarios.mjs";

const LIMIT = 30_000;
const [url, folder, name] = process.argv.slice(2);

/** A connection to a browser: commands with their results, and events by their methods. */
class Browser {
  constructor() {
    this.profile = mkdtempSync(join(tmpdir(), "page-"));
    const args = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe", `--user-data-dir=${this.profile}`, "about:blank"];
    this.process = spawn("chromium", args, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
    Object.assign(this, { next: 0, waiting: new Map(), listeners: [], rest: "" });
    this.process.stdio[4].setEncoding("utf8").on("data", (text) => this.receive(text));
    this.process.on("exit", () => { for (const { reject } of this.waiting.values()) reject(new Error("Chromium ended")); });
  }

  receive(text) {
    const messages = (this.rest + text).split("\0");
    this.rest = messages.pop();
    for (const message of messages.map((each) => JSON.parse(each))) {
      const { resolve, reject } = this.waiting.get(message.id) ?? {};
      this.waiting.delete(message.id);
      if (message.error) reject?.(new Error(`${message.error.message} ${message.error.data ?? ""}`));
      else if (message.id) resolve?.(message.result);
      else for (const listener of this.listeners) listener(message);
    }
  }

  send(method, params = {}, sessionId = undefined) {
    const id = ++this.next;
    this.process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  async close() {
    const ended = new Promise((resolve) => this.process.once("exit", resolve));
    await this.send("Browser.close").catch(() => {});
    await ended;
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** One page of a browser. */
class Page {
  static async open(browser) {
    const page = new Page();
    const { targetId } = await browser.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await browser.send("Target.attachToTarget", { targetId, flatten: true });
    Object.assign(page, { problems: [], send: (method, params) => browser.send(method, params, sessionId) });
    browser.listeners.push((message) => page.watch(message));
    for (const domain of ["Page", "Runtime", "Log", "Accessibility"]) await page.send(`${domain}.enable`);
    return page;
  }

  /** Collects uncaught errors and violations of policies. Responses with an error status are part of scenarios. */
  watch({ method, params }) {
    if (method === "Runtime.exceptionThrown") this.problems.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    if (method === "Log.entryAdded" && params.entry.level === "error" && params.entry.source !== "network") this.problems.push(params.entry.text);
  }

  async size(width, height, scheme) {
    await this.send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: width < 600 });
    await this.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }, { name: "prefers-reduced-motion", value: "reduce" }] });
  }

  async go(hash) {
    await this.send("Page.navigate", { url: `${url}/${hash}` });
  }

  /** The value of an expression in the page. */
  async value(expression) {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
    if (exceptionDetails) throw new Error(`${exceptionDetails.exception?.description ?? exceptionDetails.text}: ${expression}`);
    return result.value;
  }

  /** Waits until an expression is true. */
  async until(expression, what = expression) {
    for (const end = Date.now() + LIMIT; ; await new Promise((resolve) => setTimeout(resolve, 50))) {
      const found = await this.value(expression).catch(() => null);
      if (found) return found;
      if (Date.now() > end) assert.fail(`never: ${what}\n${await this.value("document.body.innerText")}\n${this.problems.join("\n")}`);
    }
  }

  async see(text) {
    await this.until(`document.body.innerText.includes(${JSON.stringify(text)})`, `the text ${text}`);
  }

  async click(selector) {
    await this.until(`document.querySelector(${JSON.stringify(selector)}) !== null`, `the element ${selector}`);
    await this.value(`document.querySelector(${JSON.stringify(selector)}).click()`);
  }

  async press(key, modifiers = 0) {
    const text = key.length === 1 ? key : key === "Enter" ? "\r" : undefined;
    const code = { Tab: 9, Enter: 13, ArrowDown: 40, ArrowUp: 38, " ": 32 }[key] ?? key.toUpperCase().charCodeAt(0);
    for (const type of ["keyDown", "keyUp"]) await this.send("Input.dispatchKeyEvent", { type, key, modifiers, windowsVirtualKeyCode: code, ...(type === "keyDown" && text && { text }) });
  }

  async type(text) {
    await this.send("Input.insertText", { text });
  }

  /** Replaces the value of a field as a user does. */
  async fill(id, text) {
    await this.value(`(() => { const field = document.getElementById(${JSON.stringify(id)}); field.focus(); field.select?.(); })()`);
    await this.type(text);
  }

  /** Fails if the page is wider than its window, and saves a picture of it. */
  async picture(file) {
    // Widths settle with the next frame.
    await this.value("new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))");
    const wide = await this.value(`(() => {
      const limit = document.documentElement.clientWidth, wide = [...document.querySelectorAll("body *")].filter((each) => each.getBoundingClientRect().right > limit + 1 && !each.closest("pre, .log, .unseen, .skip"));
      return document.documentElement.scrollWidth > limit || wide.length > 0 ? wide.map((each) => each.outerHTML.slice(0, 120)).join("\\n") || "the page" : null;
    })()`);
    assert.equal(wide, null, `${file} overflows: ${wide}`);
    const { data } = await this.send("Page.captureScreenshot", { format: "png", captureBeyondViewport: false });
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `${file}.png`), Buffer.from(data, "base64"));
  }

  /** The pictures of one state of the page: light and dark, wide and narrow. */
  async pictures(file) {
    for (const scheme of ["light", "dark"]) {
      for (const [width, height] of [[1280, 900], [390, 844]]) {
        await this.size(width, height, scheme);
        await this.picture(`${file}-${scheme}-${width}`);
      }
    }
    await this.size(1280, 900, "light");
  }
}

const browser = new Browser();
const late = setTimeout(() => { console.error(`${name} took longer than two minutes`); browser.process.kill("SIGKILL"); process.exit(1); }, 120_000);
try {
  const page = await Page.open(browser);
  await page.size(1280, 900, "light");
  await scenarios[name](page, url);
  assert.deepEqual(page.problems, []);
  console.log(`${name} ok`);
} finally {
  clearTimeout(late);
  await browser.close();
}
