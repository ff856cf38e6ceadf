//! Compiles and renders `templates/*.jinja`: `templates CONTEXT OUT`. `benches/run` compares it with Jinja2 (`templates.py`).
//!
//! Prints `{name: {compile_us, render_us, bytes}}` and writes the rendered text to `OUT/name.txt`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "results are data")]
#![allow(clippy::expect_used, reason = "a bench that cannot continue reports the reason")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use evenkeel::template::{Context, Limits, Template, TemplateHost};
use serde_json::{Value, json};

const SAMPLE: Duration = Duration::from_millis(250);
const SAMPLES: usize = 7;

struct Nothing;

impl TemplateHost for Nothing {
    fn secret(&self, name: &str) -> Result<String, String> {
        Err(format!("there is no secret {name}"))
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn now(&self) -> i64 {
        0
    }
}

fn main() {
    // `cargo bench` adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let (Some(context), Some(out)) = (arguments.next(), arguments.next().map(PathBuf::from)) else {
        return eprintln!("usage: templates CONTEXT OUT; `benches/run` runs all benches");
    };
    let context: Value =
        serde_json::from_slice(&fs::read(context).expect("the context is read")).expect("the context is JSON");
    let context = prepared(&context);
    fs::create_dir_all(&out).expect("the folder is made");
    let limits = Limits::default();
    let mut results = BTreeMap::new();
    for path in templates() {
        let name = path.file_stem().expect("a template has a name").to_string_lossy().into_owned();
        let source = fs::read_to_string(&path).expect("the template is read");
        let template = Template::compile(&source).expect("the template compiles");
        let text = template.render_text(&context, &limits).expect("the template renders");
        fs::write(out.join(format!("{name}.txt")), &text).expect("the text is written");
        let compile = microseconds(|| Template::compile(&source).is_ok());
        let render = microseconds(|| template.render_text(&context, &limits).is_ok());
        results.insert(name, json!({"compile_us": compile, "render_us": render, "bytes": text.len()}));
    }
    println!("{}", json!(results));
}

fn templates() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/templates");
    let entries = fs::read_dir(folder).expect("the folder of templates is read").flatten().map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "jinja")).collect();
    paths.sort();
    paths
}

/// The context of a call, with `response` from the bytes that an application sent.
fn prepared(json: &Value) -> Context {
    let mut context = Context::new(Arc::new(Nothing));
    for name in ["input", "request", "user", "tenant"] {
        context.set(name, &json[name]);
    }
    let response = &json["response"];
    let headers = response["headers"].as_object().into_iter().flatten();
    let headers = headers.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    context.set_response(200, headers.collect(), Bytes::from(response["json"].to_string()));
    context
}

/// Median over the samples of the mean time of one run.
fn microseconds(mut work: impl FnMut() -> bool) -> f64 {
    let mut runs = 0;
    let start = Instant::now();
    // Warms up, and determines the number of runs of a sample.
    while start.elapsed() < SAMPLE {
        assert!(std::hint::black_box(work()), "a run failed");
        runs += 1;
    }
    let mut samples = [0.0; SAMPLES];
    for sample in &mut samples {
        let start = Instant::now();
        for _ in 0..runs {
            assert!(std::hint::black_box(work()), "a run failed");
        }
        *sample = start.elapsed().as_secs_f64() * 1e6 / f64::from(runs);
    }
    samples.sort_by(f64::total_cmp);
    samples[SAMPLES / 2]
}
