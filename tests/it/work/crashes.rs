//! `kill -9` at any moment while webhooks arrive: no acknowledged event is lost, no event with a deduplication key is
//! executed twice, and executions of an ordering key keep their order.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::{DefinitionsFolder, ENVIRONMENT, KEY, eventually, hook, live, workflow};
use crate::serve::replicas;
use crate::support::{Dev, request};

/// Number of webhooks of one test.
const EVENTS: usize = 10_000;
/// Number of callers. Each sends its events in order, under an ordering key of its own.
const CALLERS: usize = 20;
/// Number of threads that read executions.
const READERS: usize = 8;
/// The first caller whose events have no ordering key.
const UNORDERED_FROM: usize = 15;

fn definitions() -> String {
    // Every 25th event also records the ones before it under its key.
    let code = "export default async (ctx) => {
  const { key, n } = ctx.input
  if (n % 25 === 0) {
    const seen = (await ctx.state.get(key)) ?? []
    await ctx.state.set(key, [...seen, n])
  }
  return n
}";
    let read = "export default async (ctx) => (await ctx.state.get(ctx.input.key)) ?? []";
    let more = "    deduplicate: '{{ body.key }}-{{ body.n }}'\n    executionMode: Sequential\n    orderBy: '{{ body.key }}'\n";
    let unordered = "    deduplicate: '{{ body.key }}-{{ body.n }}'\n";
    ENVIRONMENT.to_owned()
        + &workflow("take", "Standard", "", code)
        + &workflow("unordered", "Standard", "", "export default async (ctx) => ctx.step('n', () => ctx.input.n)")
        + &hook("unordered", unordered, "      - { workflow: unordered }\n")
        + &workflow("read", "Instant", "", read)
        + &hook("in", more, "      - { workflow: take }\n")
}

/// Sends an event. Returns the status, or `None` if there is no response.
fn send(address: &str, hook: &str, body: &str) -> Option<u16> {
    use std::io::{Read as _, Write as _};
    let host = address.trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(host).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let text = format!(
        "POST /hooks/{hook} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\nx-evenkeel-key: {KEY}\r\ncontent-type: \
         application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

/// Sends all events, each until it is acknowledged, and some of them twice.
fn callers(addresses: &Arc<Mutex<Vec<String>>>, sent: &Arc<AtomicUsize>) -> Vec<std::thread::JoinHandle<()>> {
    (0..CALLERS)
        .map(|caller| {
            let (addresses, sent) = (Arc::clone(addresses), Arc::clone(sent));
            std::thread::spawn(move || {
                for n in 0..EVENTS / CALLERS {
                    let hook = if caller < UNORDERED_FROM { "in" } else { "unordered" };
                    let body = json!({"key": format!("key-{caller}"), "n": n}).to_string();
                    let mut again = n % 7 == 0;
                    for attempt in 0.. {
                        let address = {
                            let addresses = addresses.lock().unwrap();
                            addresses[(caller + attempt) % addresses.len()].clone()
                        };
                        match send(&address, hook, &body) {
                            Some(202) if again => again = false,
                            Some(202) => break,
                            _ => std::thread::sleep(Duration::from_millis(20)),
                        }
                    }
                    sent.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect()
}

/// All executions of a workflow, page by page.
fn all(server: &Dev, workflow: &str) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/v1/executions?limit=1000&workflow={workflow}{cursor}")).json();
        found.extend(page["items"].as_array().unwrap().clone());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

/// The executions of a workflow with their inputs and outputs, read by several threads.
fn all_with_payloads(server: &Dev, workflow: &str) -> Vec<Value> {
    let (list, address) = (all(server, workflow), server.address.as_str());
    let read = |entry: &Value| {
        let path = format!("/v1/executions/{}", entry["id"].as_str().unwrap());
        request(address, "GET", &path, &[], "").json()
    };
    std::thread::scope(|scope| {
        let readers: Vec<_> = list
            .chunks(list.len().div_ceil(READERS).max(1))
            .map(|part| scope.spawn(move || part.iter().map(read).collect::<Vec<Value>>()))
            .collect();
        readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect()
    })
}

/// The key and the number of the event of an execution. Its output must be the number.
fn event_of(execution: &Value) -> (String, u64) {
    assert_eq!(execution["status"], "Completed", "{execution:#}");
    assert_eq!(execution["input"]["n"], execution["output"], "{execution:#}");
    (execution["input"]["key"].as_str().unwrap().to_owned(), execution["output"].as_u64().unwrap())
}

/// Checks that the executions are exactly those of the events of some callers: none is lost, and none is doubled.
fn check_exactly_once(executions: &[Value], callers: Range<usize>) {
    let mut found: Vec<(String, u64)> = executions.iter().map(event_of).collect();
    found.sort();
    let numbers = |caller| (0..EVENTS / CALLERS).map(move |n| (format!("key-{caller}"), n as u64));
    let mut expected: Vec<(String, u64)> = callers.flat_map(numbers).collect();
    expected.sort();
    let difference = found.iter().zip(&expected).find(|(found, expected)| found != expected);
    assert_eq!((found.len(), difference), (expected.len(), None), "an acknowledged event has no execution, or two");
}

fn check(server: &Dev) {
    eventually("the end of all executions", 400, || {
        let open: usize = ["Queued", "Running", "Waiting"]
            .iter()
            .map(|status| super::executions(server, &format!("status={status}")).len())
            .sum();
        (open == 0).then_some(())
    });
    check_exactly_once(&all_with_payloads(server, "unordered"), UNORDERED_FROM..CALLERS);
    let ordered = all_with_payloads(server, "take");
    check_exactly_once(&ordered, 0..UNORDERED_FROM);
    // An execution of an ordering key starts in a transaction after the one that ended its predecessor.
    let mut keys: BTreeMap<String, Vec<(String, u64)>> = BTreeMap::new();
    for execution in &ordered {
        let (key, n) = event_of(execution);
        keys.entry(key).or_default().push((execution["finishedAt"].as_str().unwrap().to_owned(), n));
    }
    for (key, mut ends) in keys {
        ends.sort_unstable();
        let swapped = ends.windows(2).find(|pair| pair[0].1 > pair[1].1);
        assert_eq!(swapped, None, "{key} is out of order (finished at, number)");
    }
    for caller in 0..UNORDERED_FROM {
        let input = json!({"key": format!("key-{caller}")}).to_string();
        let seen = server.post("/v1/workflows/read/runs", &[], &input).json();
        let expected: Vec<usize> = (0..EVENTS / CALLERS).step_by(25).collect();
        assert_eq!(seen, json!(expected), "caller {caller}: each event once, in order");
    }
}

/// Kills servers at random moments, until all events are sent.
fn kill(
    servers: &mut [Dev],
    start: impl Fn(usize) -> Dev,
    addresses: &Arc<Mutex<Vec<String>>>,
    done: &AtomicBool,
) -> usize {
    let mut kills = 0;
    while !done.load(Ordering::SeqCst) {
        let wait = 150
            + u64::from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_micros())
                % 4000;
        std::thread::sleep(Duration::from_millis(wait));
        let at = kills % servers.len();
        servers[at].kill();
        servers[at] = start(at);
        addresses.lock().unwrap()[at] = servers[at].address.clone();
        kills += 1;
    }
    kills
}

fn run(count: usize, start: impl Fn(usize) -> Dev + Sync) {
    let mut servers: Vec<Dev> = (0..count).map(&start).collect();
    servers.iter().for_each(live);
    let addresses = Arc::new(Mutex::new(servers.iter().map(|server| server.address.clone()).collect::<Vec<_>>()));
    let (sent, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let callers = callers(&addresses, &sent);
    let observer = {
        let done = Arc::clone(&done);
        std::thread::spawn(move || {
            for caller in callers {
                caller.join().unwrap();
            }
            done.store(true, Ordering::SeqCst);
        })
    };
    let kills = kill(&mut servers, &start, &addresses, &done);
    observer.join().unwrap();
    assert!(kills >= 5, "the events were sent before enough kills happened");
    servers.iter().for_each(live);
    check(&servers[0]);
}

#[test]
fn a_kill_within_the_transaction_stores_nothing_and_a_retry_is_accepted() {
    let folder = DefinitionsFolder::new(&[("a.yaml", &definitions())]);
    let marker = folder.path("reached");
    let env = [("EVENKEEL_PAUSE_AT", "work-committing"), ("EVENKEEL_PAUSE_FILE", marker.to_str().unwrap())];
    let mut stopped = folder.serve_with(&[], &env);
    live(&stopped);
    let body = json!({"key": "key-0", "n": 1}).to_string();
    let sending = {
        let (address, body) = (stopped.address.clone(), body.clone());
        std::thread::spawn(move || send(&address, "unordered", &body))
    };
    eventually("the transaction", 120, || marker.exists().then_some(()));
    stopped.kill();
    assert_eq!(sending.join().unwrap(), None, "an event was acknowledged and not stored");
    let server = folder.serve(&[]);
    live(&server);
    assert_eq!(super::executions(&server, "workflow=unordered").len(), 0);
    for _ in 0..2 {
        assert_eq!(send(&server.address, "unordered", &body), Some(202));
    }
    let runs = super::executions(&server, "workflow=unordered");
    assert_eq!(runs.len(), 1, "{runs:#?}");
    super::ended(&server, runs[0]["id"].as_str().unwrap());
}

#[test]
fn executes_every_acknowledged_event_once_on_sqlite() {
    let folder = DefinitionsFolder::new(&[("a.yaml", &definitions())]);
    run(1, |_| folder.serve(&[]));
}

#[test]
#[cfg_attr(missing_postgres, ignore = "needs PostgreSQL: tests/run installs it")]
fn executes_every_acknowledged_event_once_with_three_workers_on_postgresql() {
    let database = replicas::database();
    let folder = DefinitionsFolder::new(&[("a.yaml", &definitions())]);
    run(3, |number| {
        let state = folder.path(&format!("state-{number}"));
        folder.serve(&["--store", &database, "--state", state.to_str().unwrap()])
    });
}
