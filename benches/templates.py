#!/usr/bin/env python3
"""Compiles and renders `templates/*.jinja` with Jinja2's sandbox: `templates.py CONTEXT OUT`. As `templates.rs` does.

Prints `{name: {compile_us, render_us, bytes}}` and writes the rendered text to `OUT/name.txt`.
"""

import json
import pathlib
import statistics
import sys
import time

from jinja2 import StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

SECONDS = 0.25  # a sample
SAMPLES = 7


def microseconds(work):
    """Median over the samples of the mean time of one run."""
    end = time.perf_counter() + SECONDS
    runs = 0
    while time.perf_counter() < end:  # warms up, and determines the number of runs of a sample
        work()
        runs += 1
    samples = []
    for _ in range(SAMPLES):
        start = time.perf_counter()
        for _ in range(runs):
            work()
        samples.append((time.perf_counter() - start) / runs * 1e6)
    return statistics.median(samples)


def main():
    context = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    out = pathlib.Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    # No cache: `from_string` never uses one, and compiled templates are kept below.
    environment = SandboxedEnvironment(autoescape=False, undefined=StrictUndefined)
    results = {}
    for path in sorted((pathlib.Path(__file__).parent / "templates").glob("*.jinja")):
        source = path.read_text(encoding="utf-8")
        template = environment.from_string(source)
        text = template.render(context)
        (out / f"{path.stem}.txt").write_text(text, encoding="utf-8")
        results[path.stem] = {
            "compile_us": microseconds(lambda: environment.from_string(source)),
            "render_us": microseconds(lambda: template.render(context)),
            "bytes": len(text.encode()),
        }
    print(json.dumps(results))


if __name__ == "__main__":
    main()
