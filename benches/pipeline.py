#!/usr/bin/env python3
"""The same call as in `pipeline.rs`, written in Python with Jinja2's sandbox and jsonschema.

Everything is compiled once beforehand. A call validates the input, renders and authenticates the request, sends it to a
function that responds immediately, transforms the response, and validates the output.
"""

import json
import pathlib
import re
import statistics
import time
from urllib.parse import quote, urlencode

import yaml
from jinja2 import StrictUndefined
from jinja2.sandbox import SandboxedEnvironment
from jsonschema import Draft202012Validator

HERE = pathlib.Path(__file__).parent / "pipeline"
INPUT = (HERE / "input.json").read_bytes()
ANSWER = (HERE / "answer.json").read_bytes()
SECONDS = 0.5  # a sample
SAMPLES = 7

ENVIRONMENT, CONNECTOR = (one["spec"] for one in yaml.safe_load_all((HERE / "connector.yaml").read_text(encoding="utf-8")))
ACTION = CONNECTOR["actions"]["upsert-contact"]
HTTP = ACTION["http"]
SECRETS = {"bench-key": "bench-value"}

jinja = SandboxedEnvironment(autoescape=False, undefined=StrictUndefined)
jinja.globals["get_variable"] = ENVIRONMENT["variables"].get
SINGLE = re.compile(r"\s*\{\{((?:(?!\}\}).)*)\}\}\s*", re.S)


def compiled(value):
    """A function of the context; a string that is one expression keeps its type."""
    if isinstance(value, dict):
        fields = {name: compiled(inner) for name, inner in value.items()}
        return lambda context: {name: field(context) for name, field in fields.items()}
    if isinstance(value, list):
        items = [compiled(item) for item in value]
        return lambda context: [item(context) for item in items]
    if not isinstance(value, str) or "{" not in value:
        return lambda context: value
    if single := SINGLE.fullmatch(value):
        return jinja.compile_expression(single[1], undefined_to_none=False)
    return jinja.from_string(value).render


def text(value):
    return value if isinstance(value, str) else json.dumps(value)


checks = {side: Draft202012Validator(ACTION[side], format_checker=Draft202012Validator.FORMAT_CHECKER) for side in ("input", "output")}
jinja.filters["quoted"] = lambda value: quote(value, safe="")
base = jinja.from_string(CONNECTOR["baseUrl"])
path = jinja.from_string(re.sub(r"\}\}", "| string | quoted }}", HTTP["path"]))
headers, query, body, response = (compiled(part) for part in (HTTP["headers"], HTTP["query"], HTTP["body"], ACTION["response"]["body"]))
key = CONNECTOR["auth"]["methods"]["key"]["apiKey"]


def upstream(method, url, sent_headers, sent_body):
    return 201, {"content-type": "application/json"}, ANSWER


def call(raw, send=upstream):
    value = json.loads(raw)
    if errors := list(checks["input"].iter_errors(value)):
        raise ValueError(errors[0].message)
    context = {"input": value, "request": {"id": "req-1", "method": "POST"}}
    url = f"{base.render(context)}{path.render(context)}?{urlencode({k: text(v) for k, v in query(context).items()})}"
    sent = {name: text(header) for name, header in headers(context).items()}
    sent["Content-Type"] = "application/json"
    sent[key["name"]] = key["prefix"] + SECRETS[key["value"]["secretRef"]]
    status, answered, content = send(HTTP["method"], url, sent, json.dumps(body(context)).encode())
    if not 200 <= status < 300:
        raise ValueError(f"status {status}")
    context["response"] = {"status_code": status, "headers": answered, "json": json.loads(content)}
    output = response(context)
    if errors := list(checks["output"].iter_errors(output)):
        raise ValueError(errors[0].message)
    return json.dumps(output).encode()


def main():
    seen = []

    def recording(*request):
        seen.append(request)
        return upstream(*request)

    output = json.loads(call(INPUT, recording))
    end = time.perf_counter() + SECONDS
    runs = 0
    while time.perf_counter() < end:
        call(INPUT)
        runs += 1
    rates, times = [], []
    for _ in range(SAMPLES):
        begun = time.perf_counter()
        for _ in range(runs):
            start = time.perf_counter()
            call(INPUT)
            times.append((time.perf_counter() - start) * 1e6)
        rates.append(runs / (time.perf_counter() - begun))
    times.sort()
    method, url, sent, sent_body = seen[0]
    print(json.dumps({"alone": {
        "calls_per_second": statistics.median(rates), "p50_us": times[len(times) // 2], "p99_us": times[len(times) * 99 // 100],
        "output": output,
        "sent": {"method": method, "url": url, "headers": {k.lower(): v for k, v in sent.items()}, "body": json.loads(sent_body)},
    }}))


if __name__ == "__main__":
    main()
