"""Workflows and triggers, compared with Node doing the same work at the same time.

Evenkeel answers webhooks from an Instant workflow of two durable steps, stored in SQLite with every commit on the disk.
Node checks the same key, runs the same two functions, and appends the result to a file that it flushes to the disk.
"""

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request

KEY = "a-long-random-text"

DEFINITIONS = """apiVersion: evenkeel.dev/v1alpha1
kind: Environment
metadata: { name: live }
spec: { secrets: { hook-key: { env: HOOK_KEY } } }
---
apiVersion: evenkeel.dev/v1alpha1
kind: Workflow
metadata: { name: two-steps }
spec:
  tier: Instant
  source:
    inline: |
      export default async function (ctx) {
        const total = await ctx.step("sum", async () => ctx.input.items.reduce((sum, item) => sum + item.price, 0));
        const order = await ctx.step("order", async () => ({ id: ctx.input.id, total, at: ctx.now().toISOString() }));
        return order;
      }
---
apiVersion: evenkeel.dev/v1alpha1
kind: Workflow
metadata: { name: store-only }
spec:
  tier: Standard
  source: { inline: "export default async (ctx) => ctx.input.id" }
---
apiVersion: evenkeel.dev/v1alpha1
kind: Workflow
metadata: { name: fib }
spec:
  tier: Standard
  source: { inline: "const fib = (n) => (n < 2 ? n : fib(n - 1) + fib(n - 2)); export default (ctx) => fib(ctx.input.n)" }
---
apiVersion: evenkeel.dev/v1alpha1
kind: Workflow
metadata: { name: nothing }
spec:
  tier: Instant
  source: { inline: "export default () => 1" }
---
apiVersion: evenkeel.dev/v1alpha1
kind: Trigger
metadata: { name: orders }
spec: { webhook: { verify: { apiKey: { secretRef: hook-key } }, routes: [{ workflow: two-steps }] } }
---
apiVersion: evenkeel.dev/v1alpha1
kind: Trigger
metadata: { name: store }
spec: { webhook: { verify: { apiKey: { secretRef: hook-key } }, routes: [{ workflow: store-only }] } }
"""

NODE = """
const http = require("node:http"), fs = require("node:fs"), crypto = require("node:crypto");
const key = Buffer.from(process.env.HOOK_KEY);
const log = fs.openSync(process.argv[2], "a");
// What waits is written and flushed together, as a database does it.
let waiting = [], writing = false;
function keep(line) { return new Promise((done) => { waiting.push([line, done]); if (!writing) write(); }); }
function write() {
  writing = true;
  const some = waiting; waiting = [];
  fs.write(log, some.map(([line]) => line + "\\n").join(""), () => fs.fdatasync(log, () => {
    for (const [, done] of some) done();
    if (waiting.length) write(); else writing = false;
  }));
}
async function flow(input) {
  const total = await (async () => input.items.reduce((sum, item) => sum + item.price, 0))();
  return await (async () => ({ id: input.id, total, at: new Date().toISOString() }))();
}
http.createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", async () => {
    const given = Buffer.from(request.headers["x-evenkeel-key"] ?? "");
    if (given.length !== key.length || !crypto.timingSafeEqual(given, key)) { response.statusCode = 401; return response.end(); }
    const input = JSON.parse(Buffer.concat(parts));
    await keep(JSON.stringify({ event: input }));
    const output = await flow(input);
    await keep(JSON.stringify({ output }));
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(output));
  });
}).listen(0, "127.0.0.1", function () { console.log("listening on http://127.0.0.1:" + this.address().port); });
"""

LUA = """
wrk.method = "POST"
wrk.headers["x-evenkeel-key"] = "%s"
wrk.headers["content-type"] = "application/json"
local n = 0
request = function()
  n = n + 1
  return wrk.format(nil, nil, nil, '{"id":' .. n .. ',"items":[{"price":5},{"price":7.5},{"price":1}],"note":"' .. string.rep("x", 200) .. '"}')
end
"""

FIB_NODE = """
const fib = (n) => (n < 2 ? n : fib(n - 1) + fib(n - 2));
const [n, count] = process.argv.slice(2).map(Number);
const started = performance.now();
for (let at = 0; at < count; at++) fib(n);
console.log((performance.now() - started) / 1000);
"""


def listening(process):
    line = process.stdout.readline()
    return re.search(r"http://\S+", line).group(0)


def load(url, path, script, connections=32, seconds=8):
    """Requests per second, p50 and p99 in milliseconds, errors."""
    said = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script, url + path],
        check=True, text=True, stdout=subprocess.PIPE).stdout
    number = lambda pattern: re.search(pattern, said)
    ms = lambda text: float(re.match(r"[\d.]+", text).group(0)) * {"us": 0.001, "ms": 1, "s": 1000}[re.search(r"[a-z]+$", text).group(0)]
    errors = number(r"Non-2xx or 3xx responses: (\d+)")
    return {
        "per_second": float(number(r"Requests/sec:\s+([\d.]+)").group(1)),
        "p50_ms": ms(number(r"\n +50% +(\S+)").group(1)),
        "p99_ms": ms(number(r"\n +99% +(\S+)").group(1)),
        "errors": int(errors.group(1)) if errors else 0,
    }


def post(url, path, body):
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def tasks(url, n, count):
    """Seconds until `count` executions of fib(n) are done."""
    started = time.monotonic()
    ids = [post(url, "/v1/workflows/fib/runs", {"n": n})["execution"] for _ in range(count)]
    while ids:
        with urllib.request.urlopen(f"{url}/v1/executions?workflow=fib&status=Completed&limit=1000") as answer:
            done = {run["id"] for run in json.load(answer)["executions"]}
        ids = [one for one in ids if one not in done]
        time.sleep(0.005)
    return time.monotonic() - started


def startup(url, count=500):
    """Median milliseconds of a request for a workflow that does nothing, one after the other."""
    import http.client
    connection = http.client.HTTPConnection(url.split("//")[1])
    times = []
    for _ in range(count):
        started = time.monotonic()
        connection.request("POST", "/v1/workflows/nothing/runs", "{}", {"content-type": "application/json"})
        connection.getresponse().read()
        times.append((time.monotonic() - started) * 1000)
    return sorted(times)[count // 2]


def measure(binary):
    for program in ("wrk", "node"):
        if not shutil.which(program):
            raise SystemExit(f"this bench needs `{program}`")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="evenkeel-bench-"))
    (folder / "definitions").mkdir()
    (folder / "definitions" / "a.yaml").write_text(DEFINITIONS)
    (folder / "load.lua").write_text(LUA % KEY)
    (folder / "node.js").write_text(NODE)
    (folder / "fib.js").write_text(FIB_NODE)
    env = {**os.environ, "HOOK_KEY": KEY, "EVENKEEL_LOG": "warn"}
    seen = {}
    ours = subprocess.Popen(
        [binary, "serve", folder / "definitions", "--port", "0", "--state", folder / "state"],
        env=env, text=True, stdout=subprocess.PIPE)
    node = subprocess.Popen(["node", folder / "node.js", folder / "log"], env=env, text=True, stdout=subprocess.PIPE)
    try:
        url, other = listening(ours), listening(node)
        for _ in range(200):
            try:
                urllib.request.urlopen(url + "/readyz")
                break
            except OSError:
                time.sleep(0.1)
        script = str(folder / "load.lua")
        load(url, "/hooks/orders", script, seconds=2)
        seen["webhook_to_answer"] = load(url, "/hooks/orders", script)
        seen["webhook_to_answer_node"] = load(other, "/", script)
        seen["ingest"] = load(url, "/hooks/store", script, connections=64)
        # Waits until the queued executions are done before the next measurement.
        while json.load(urllib.request.urlopen(url + "/v1/executions?status=Queued&limit=1"))["executions"]:
            time.sleep(0.2)
        seen["startup_ms"] = startup(url)
        for name, n, count in (("light", 10, 40), ("long", 33, 10)):
            seen[f"{name}_seconds"] = tasks(url, n, count)
            said = subprocess.run(["node", folder / "fib.js", str(n), str(count)], check=True, text=True, stdout=subprocess.PIPE)
            seen[f"{name}_seconds_node"] = float(said.stdout)
    finally:
        for process in (ours, node):
            process.terminate()
            process.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)
    return seen


def table(seen):
    ours, node, ingest = seen["webhook_to_answer"], seen["webhook_to_answer_node"], seen["ingest"]
    rows = [
        ("webhook to answer, two steps, durable", f"{ours['per_second']:.0f}/s, p50 {ours['p50_ms']:.1f} ms, p99 {ours['p99_ms']:.1f} ms",
         f"{node['per_second']:.0f}/s, p50 {node['p50_ms']:.1f} ms, p99 {node['p99_ms']:.1f} ms"),
        ("durable ingest", f"{ingest['per_second']:.0f}/s, p99 {ingest['p99_ms']:.1f} ms", "-"),
        ("40 light tasks (fib 10)", f"{seen['light_seconds']:.2f} s", f"{seen['light_seconds_node']:.4f} s in one process"),
        ("10 long tasks (fib 33)", f"{seen['long_seconds']:.2f} s", f"{seen['long_seconds_node']:.2f} s in one process"),
        ("a workflow that does nothing, one request at a time", f"{seen['startup_ms']:.2f} ms", "-"),
    ]
    errors = ours["errors"] + node["errors"] + ingest["errors"]
    lines = [f"{'workflows':50} {'evenkeel':40} node"] + [f"{a:50} {b:40} {c}" for a, b, c in rows]
    return "\n".join(lines + ([f"ERRORS: {errors}"] if errors else []))
