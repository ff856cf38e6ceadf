//! One call from its input to its output, the application responding immediately: `pipeline [CATALOG]`.
//!
//! With a folder of definitions, it also measures the call in a catalog of all of them. Prints `{name: {calls_per_second, p50_us, p99_us}, …}` with the
//! request that was sent and the output, which `benches/run` compares with those of `pipeline.py`. `limited` is the same call
//! with a rate limit of 10,000 per second, counted in a SQLite file.
#![allow(clippy::print_stdout, reason = "results are data")]
#![allow(clippy::expect_used, reason = "a bench that cannot continue reports the reason")]

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use evenkeel::connector::{
    AdmissionFuture, Call, CallError, ErrorCode, PreparedRequest, Runtime, Secrets, Upstream, UpstreamResponse, call,
};
use evenkeel::definition::connector::RateLimit;
use evenkeel::quota::Limiter;
use evenkeel::reconcile::validate;
use evenkeel::store::allowance::{Allowance, Period};
use evenkeel::store::{Keys, open};
use serde_json::{Value, json};

const INPUT: &[u8] = include_bytes!("pipeline/input.json");
const ANSWER: &[u8] = include_bytes!("pipeline/answer.json");
const SAMPLE: Duration = Duration::from_millis(500);
const SAMPLES: usize = 7;

/// Responds immediately, and keeps the first request.
#[derive(Default)]
struct Echo {
    sent: Mutex<Option<PreparedRequest>>,
    limit: Option<(Arc<Limiter>, Allowance)>,
}

impl Upstream for Echo {
    fn admit<'a>(&'a self, _connector: &'a str, _limit: &'a RateLimit, deadline: Instant) -> AdmissionFuture<'a> {
        Box::pin(async move {
            let Some((limiter, allowance)) = &self.limit else { return Ok(None) };
            let admitted = limiter.wait(allowance, deadline).await;
            admitted.map(|()| None).map_err(|refusal| CallError::new(ErrorCode::RateLimited, format!("{refusal:?}")))
        })
    }

    fn send<'a>(
        &'a self,
        _connector: &'a str,
        _action: &'a str,
        request: &'a PreparedRequest,
    ) -> Pin<Box<dyn Future<Output = Result<UpstreamResponse, CallError>> + Send + 'a>> {
        self.sent.lock().expect("no thread panicked").get_or_insert_with(|| request.clone());
        let headers = BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]);
        let response = UpstreamResponse { status: 201, headers, body: Bytes::from_static(ANSWER), mock: None };
        Box::pin(std::future::ready(Ok(response)))
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
    results.insert("alone".into(), measure(&executor, &small, Echo::default()));
    let folder = tempfile::tempdir().expect("a folder is created");
    let limited = measure(&executor, &limited_runtime(folder.path()), limited_echo(&executor, folder.path()));
    results.insert("limited".into(), limited);
    if let Some(folder) = catalog {
        let mut large = runtime(Path::new(&folder));
        large.connectors.extend(small.connectors);
        results.insert("among".into(), measure(&executor, &large, Echo::default()));
    }
    println!("{}", Value::Object(results));
}

fn runtime(folder: &Path) -> Runtime {
    let validated = validate::folder(folder).expect("the definitions are read");
    assert!(validated.is_valid(), "the definitions have errors: {:?}", validated.findings.first());
    Runtime::compile(&validated.catalog, None, "bench".into(), None).expect("the definitions compile")
}

/// The same definitions with a rate limit.
fn limited_runtime(folder: &Path) -> Runtime {
    let text = include_str!("pipeline/connector.yaml");
    let text =
        text.replacen("  displayName: Bench\n", "  displayName: Bench\n  rateLimit: { requests: 10000, per: 1s }\n", 1);
    std::fs::write(folder.join("connector.yaml"), text).expect("the definition is written");
    runtime(folder)
}

fn limited_echo(executor: &tokio::runtime::Runtime, folder: &Path) -> Echo {
    let url = format!("sqlite:{}", folder.join("data/evenkeel.db").display());
    let store = executor.block_on(open(&url, Keys::none())).expect("the store opens");
    let (environment, name) = ("live".to_owned(), "rateLimit/bench".to_owned());
    let allowance = Allowance { environment, name, units: 10_000, period: Period::Sliding(1_000_000) };
    Echo { limit: Some((Limiter::of_store(store, None), allowance)), ..Echo::default() }
}

fn measure(executor: &tokio::runtime::Runtime, runtime: &Runtime, upstream: Echo) -> Value {
    let secrets: Arc<dyn Secrets> = Arc::new(Key);
    // From the received bytes to the bytes of the response.
    let run = || {
        let input = serde_json::from_slice(INPUT).expect("the input is JSON");
        let body = Bytes::from_static(INPUT);
        let arguments = Call { input, body, request_id: "req-1".into(), now: Some(1_767_225_600), ..Call::default() };
        let called = call(runtime, &upstream, Arc::clone(&secrets), "bench", "upsert-contact", arguments);
        let output = executor.block_on(called).result.expect("the call succeeds");
        serde_json::to_vec(&output.to_value()).expect("the output is JSON")
    };
    let output: Value = serde_json::from_slice(&run()).expect("the output is JSON");
    let start = Instant::now();
    let mut runs = 0;
    while start.elapsed() < SAMPLE {
        std::hint::black_box(run());
        runs += 1;
    }
    let mut rates = Vec::new();
    let mut times = Vec::new();
    for _ in 0..SAMPLES {
        let begun = Instant::now();
        for _ in 0..runs {
            let start = Instant::now();
            std::hint::black_box(run());
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
        rates.push(f64::from(runs) / begun.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    times.sort_by(f64::total_cmp);
    let sent = upstream.sent.into_inner().expect("no thread panicked").expect("a request was sent");
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
