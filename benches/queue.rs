//! Costs of the queue on SQLite and PostgreSQL: `queue [--only sqlite|postgres]`.
//!
//! - Claiming one ready execution among 10,000 tenants that each have a sleeping one, compared with claiming it alone. Both
//!   are measured alternately in two environments of one database; `ratio` is that of the medians.
//! - Memory for listing 1,000 executions whose inputs have 4 MiB each: the growth of the peak resident size of a process
//!   that does nothing else (Linux only).
//!
//! Prints `{database: {alone_us, among_us, ratio, list_ms, list_growth_kib}, …}`.
#![allow(clippy::print_stdout, reason = "results are data")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a bench that cannot continue reports why and ends")]

#[path = "../tests/it/postgres.rs"]
mod postgres;

use std::time::{Duration, Instant};

use evenkeel::store::queue::{
    Change, CommitResult, Disposition, EnqueueRequest, Execution, ExecutionFilter, ExecutionStatus, NewExecution,
    new_id,
};
use evenkeel::store::{Keys, Store, open};
use serde_json::{Value, json};

const HOUR: i64 = 3_600_000_000;
const TENANTS: usize = 10_000;
const SAMPLES: usize = 400;
const LISTED: u32 = 1_000;
/// Size of each listed input; a value may have 4 MiB.
const INPUT_BYTES: usize = (4 << 20) - 64;

fn main() {
    // `cargo bench` adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("an executor starts");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["list", url] => println!("{}", executor.block_on(list(url))),
        ["--only", database] => println!("{}", executor.block_on(measure_all(Some(database)))),
        _ => println!("{}", executor.block_on(measure_all(None))),
    }
}

async fn measure_all(only: Option<&str>) -> Value {
    let mut results = serde_json::Map::new();
    let is_wanted = |name: &str| only.is_none_or(|only| only == name);
    if is_wanted("sqlite") {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("queue.db").display());
        results.insert("sqlite".into(), measure(&url).await);
    }
    if is_wanted("postgres") {
        results.insert("postgres".into(), measure(&postgres::database().await).await);
    }
    Value::Object(results)
}

async fn measure(url: &str) -> Value {
    let store = open(url, Keys::none()).await.expect("the database opens");
    for tenants in (0..TENANTS).collect::<Vec<_>>().chunks(500) {
        let sleeping = tenants.iter().map(|tenant| NewExecution {
            tenant: format!("tenant-{tenant:05}"),
            delay: HOUR,
            ..new_execution("among", json!({}))
        });
        enqueue(&*store, sleeping.collect()).await;
    }
    let (mut alone, mut among) = (Vec::new(), Vec::new());
    for sample in 0..SAMPLES + 50 {
        for (environment, times) in [("alone", &mut alone), ("among", &mut among)] {
            let time = claim_one(&*store, environment).await;
            // The first samples warm up caches and prepared statements.
            if sample >= 50 {
                times.push(time);
            }
        }
    }
    let (alone, among) = (median(alone), median(among));
    for _ in 0..LISTED {
        enqueue(&*store, vec![new_execution("listed", Value::String("x".repeat(INPUT_BYTES)))]).await;
    }
    // The file of SQLite is locked by its only process.
    drop(store);
    let mut listing = std::process::Command::new(std::env::current_exe().expect("the bench's own path"));
    let listing = listing.args(["list", url]).output().expect("the listing process starts");
    assert!(listing.status.success(), "{}", String::from_utf8_lossy(&listing.stderr));
    let listing: Value = serde_json::from_slice(&listing.stdout).expect("the listing process prints JSON");
    json!({
        "alone_us": alone.as_micros() as u64,
        "among_us": among.as_micros() as u64,
        "ratio": among.as_secs_f64() / alone.as_secs_f64(),
        "list_ms": listing["ms"],
        "list_growth_kib": listing["growth_kib"],
    })
}

/// Lists executions in a process of its own; returns the time, and the growth of the process's peak resident size.
async fn list(url: &str) -> Value {
    let store = open(url, Keys::none()).await.expect("the database opens");
    // Connects, and prepares the statement.
    let filter = |limit| ExecutionFilter { limit, ..ExecutionFilter::default() };
    assert_eq!(store.executions("listed", &filter(1)).await.unwrap().len(), 1);
    let before = peak_kib();
    let start = Instant::now();
    let executions = store.executions("listed", &filter(LISTED)).await.unwrap();
    let time = start.elapsed();
    assert_eq!(executions.len(), LISTED as usize);
    json!({"ms": time.as_secs_f64() * 1000.0, "growth_kib": peak_kib().saturating_sub(before)})
}

/// The peak resident size of this process, in KiB; 0 if the system has no `/proc`.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Enqueues an execution, claims it (measured), and ends it.
async fn claim_one(store: &dyn Store, environment: &str) -> Duration {
    let new = NewExecution { tenant: "tenant-05000".to_owned(), ..new_execution(environment, json!({})) };
    let id = new.id.clone();
    enqueue(store, vec![new]).await;
    let start = Instant::now();
    let mut claimed = store.claim(environment, "worker", 16, HOUR).await.expect("a claim");
    let time = start.elapsed();
    assert_eq!(claimed.iter().map(|execution| &execution.id).collect::<Vec<_>>(), [&id]);
    end(store, &claimed.remove(0)).await;
    time
}

fn new_execution(environment: &str, input: Value) -> NewExecution {
    NewExecution {
        id: new_id(),
        environment: environment.to_owned(),
        workflow: "bench".to_owned(),
        version: 1,
        generation: 1,
        priority: 2,
        source: "bench".to_owned(),
        input,
        headers: json!({}),
        ..NewExecution::default()
    }
}

async fn enqueue(store: &dyn Store, executions: Vec<NewExecution>) {
    let request = EnqueueRequest { executions, ..EnqueueRequest::default() };
    commit(store, Change::Accept(Box::new(request))).await;
}

async fn end(store: &dyn Store, execution: &Execution) {
    let release = Change::Release {
        claim: execution.claim(),
        disposition: Disposition::Ended(ExecutionStatus::Completed, json!("done"), Value::Null),
        steps: Vec::new(),
        logs: Vec::new(),
        follow_ups: Vec::new(),
        dead_letter: None,
        claim_next: None,
    };
    commit(store, release).await;
}

async fn commit(store: &dyn Store, change: Change) {
    let results = store.commit(&[change]).await.expect("a commit");
    assert!(matches!(results.as_slice(), [CommitResult::Stored(_)]), "{results:?}");
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
