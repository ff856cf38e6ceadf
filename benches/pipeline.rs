//! One call from its input to its output, the application answering at once: `pipeline [CATALOG]`.
//!
//! With a folder of definitions, also among all of them. Prints `{name: {calls_per_second, p50_us, p99_us}, …}` with the
//! request that was sent and the output, which `benches/run` compares with those of `pipeline.py`.
#![allow(clippy::print_stdout, reason = "results are data")]
#![allow(clippy::expect_used, reason = "a bench that cannot go on has nothing better to do than to say why")]

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use evenkeel::connector::{Call, CallError, PreparedRequest, Runtime, Secrets, Upstream, UpstreamResponse, call};
use evenkeel::reconcile::validate;
use serde_json::{Value, json};

const INPUT: &[u8] = include_bytes!("pipeline/input.json");
const ANSWER: &[u8] = include_bytes!("pipeline/answer.json");
const SAMPLE: Duration = Duration::from_millis(500);
const SAMPLES: usize = 7;

/// Answers at once, and keeps the first request.
#[derive(Default)]
struct Echo {
    sent: Mutex<Option<PreparedRequest>>,
}

impl Upstream for Echo {
    fn send<'a>(
        &'a self,
        _connector: &'a str,
        _action: &'a str,
        request: &'a PreparedRequest,
    ) -> Pin<Box<dyn Future<Output = Result<UpstreamResponse, CallError>> + Send + 'a>> {
        self.sent.lock().expect("nobody panicked").get_or_insert_with(|| request.clone());
        let headers = BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]);
        let answer = UpstreamResponse { status: 201, headers, body: Bytes::from_static(ANSWER), mock: None };
        Box::pin(std::future::ready(Ok(answer)))
    }
}

struct Key;

impl Secrets for Key {
    fn get(&self, name: &str) -> Result<String, String> {
        match name {
            "bench-key" => Ok("bench-value".to_owned()),
            other => Err(format!("there is no secret `{other}`")),
        }
    }
}

fn main() {
    // `cargo bench` adds `--bench`.
    let catalog = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("an executor starts");
    let small = runtime(&Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/pipeline/connector.yaml"));
    let mut results = serde_json::Map::new();
    results.insert("alone".into(), measure(&executor, &small));
    if let Some(folder) = catalog {
        let mut large = runtime(Path::new(&folder));
        large.connectors.extend(small.connectors);
        results.insert("among".into(), measure(&executor, &large));
    }
    println!("{}", Value::Object(results));
}

fn runtime(folder: &Path) -> Runtime {
    let examined = validate::folder(folder).expect("the definitions are read");
    assert!(examined.is_valid(), "the definitions have errors: {:?}", examined.findings.first());
    Runtime::compile(&examined.catalog, None, "bench".into(), None).expect("the definitions compile")
}

fn measure(executor: &tokio::runtime::Runtime, runtime: &Runtime) -> Value {
    let upstream = Echo::default();
    let secrets: Arc<dyn Secrets> = Arc::new(Key);
    // From the bytes that came in to those that go out.
    let one = || {
        let input = serde_json::from_slice(INPUT).expect("the input is JSON");
        let body = Bytes::from_static(INPUT);
        let asked = Call { input, body, request_id: "req-1".into(), now: Some(1_767_225_600), ..Call::default() };
        let called = call(runtime, &upstream, Arc::clone(&secrets), "bench", "upsert-contact", asked);
        let output = executor.block_on(called).result.expect("the call succeeds");
        serde_json::to_vec(&output.to_value()).expect("the output is JSON")
    };
    let output: Value = serde_json::from_slice(&one()).expect("the output is JSON");
    let start = Instant::now();
    let mut runs = 0;
    while start.elapsed() < SAMPLE {
        std::hint::black_box(one());
        runs += 1;
    }
    let mut rates = Vec::new();
    let mut times = Vec::new();
    for _ in 0..SAMPLES {
        let begun = Instant::now();
        for _ in 0..runs {
            let start = Instant::now();
            std::hint::black_box(one());
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
        rates.push(f64::from(runs) / begun.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    times.sort_by(f64::total_cmp);
    let sent = upstream.sent.into_inner().expect("nobody panicked").expect("a request was sent");
    let headers: BTreeMap<String, &String> =
        sent.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    json!({
        "calls_per_second": rates[SAMPLES / 2],
        "p50_us": times[times.len() / 2],
        "p99_us": times[times.len() * 99 / 100],
        "output": output,
        "sent": {
            "method": sent.method,
            "url": sent.url.as_str(),
            "headers": headers,
            "body": serde_json::from_slice::<Value>(&sent.body).expect("the body is JSON"),
        },
    })
}
