//! `kill -9` at any moment while webhooks arrive: nothing that was acknowledged is lost, nothing is done twice where a key
//! says so, and order is kept where it is asked for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::{ENVIRONMENT, KEY, Place, eventually, hook, live, workflow};
use crate::serve::replicas;
use crate::support::Dev;

/// Webhooks of one test.
const EVENTS: usize = 10_000;
/// Callers; each sends its own, one after the other, in one lane.
const CALLERS: usize = 20;
/// The first of those whose events may be worked on beside each other.
const FREE: usize = 15;

fn definitions() -> String {
    // Every hundredth also writes down which came before it in its lane.
    let code = "export default async (ctx) => {
  const { lane, n } = ctx.input
  if (n % 25 === 0) {
    const seen = (await ctx.state.get(lane)) ?? []
    await ctx.state.set(lane, [...seen, n])
  }
  return n
}";
    let read = "export default async (ctx) => (await ctx.state.get(ctx.input.lane)) ?? []";
    let more = "    deduplicate: '{{ body.lane }}-{{ body.n }}'\n    executionMode: Sequential\n    orderBy: '{{ body.lane }}'\n";
    let free = "    deduplicate: '{{ body.lane }}-{{ body.n }}'\n";
    ENVIRONMENT.to_owned()
        + &workflow("take", "Standard", "", code)
        + &workflow("free", "Standard", "", "export default async (ctx) => ctx.step('n', () => ctx.input.n)")
        + &hook("free", free, "      - { workflow: free }\n")
        + &workflow("read", "Instant", "", read)
        + &hook("in", more, "      - { workflow: take }\n")
}

/// A request to whoever of some servers answers; `None` where nobody did.
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

/// Sends everything, each until it is acknowledged; some of it twice.
fn callers(addresses: &Arc<Mutex<Vec<String>>>, sent: &Arc<AtomicUsize>) -> Vec<std::thread::JoinHandle<()>> {
    (0..CALLERS)
        .map(|lane| {
            let (addresses, sent) = (Arc::clone(addresses), Arc::clone(sent));
            std::thread::spawn(move || {
                for n in 0..EVENTS / CALLERS {
                    let hook = if lane < FREE { "in" } else { "free" };
                    let body = json!({"lane": format!("lane-{lane}"), "n": n}).to_string();
                    let mut again = n % 7 == 0;
                    for attempt in 0.. {
                        let address = {
                            let addresses = addresses.lock().unwrap();
                            addresses[(lane + attempt) % addresses.len()].clone()
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
    let mut found: Vec<Value> = Vec::new();
    loop {
        let before = found.last().map_or_else(String::new, |run| format!("&before={}", run["id"].as_str().unwrap()));
        let page = super::executions(server, &format!("workflow={workflow}{before}"));
        let done = page.is_empty();
        found.extend(page);
        if done {
            return found;
        }
    }
}

fn check(server: &Dev) {
    let runs = eventually("the end of all executions", 400, || {
        let open: usize = ["Queued", "Running", "Waiting"]
            .iter()
            .map(|status| super::executions(server, &format!("status={status}")).len())
            .sum();
        (open == 0).then(|| all(server, "take"))
    });
    let mut lanes: BTreeMap<String, Vec<(i64, u64)>> = BTreeMap::new();
    let told = "an acknowledged event has no execution, or one has two";
    assert_eq!(runs.len(), EVENTS / CALLERS * FREE, "{told}");
    let free = all(server, "free");
    assert_eq!(free.len(), EVENTS / CALLERS * (CALLERS - FREE), "{told}");
    assert!(free.iter().all(|run| run["status"] == "Completed"));
    // Their inputs are read for a part: what makes them different is what the key was made of.
    for run in &runs {
        assert_eq!(run["status"], "Completed", "{run:#}");
    }
    for run in runs.iter().step_by(97) {
        let whole = super::execution(server, run["id"].as_str().unwrap());
        assert_eq!(whole["input"]["n"], whole["output"]);
        let lane = lanes.entry(whole["input"]["lane"].as_str().unwrap().to_owned()).or_default();
        lane.push((whole["finishedAt"].as_i64().unwrap(), whole["output"].as_u64().unwrap()));
    }
    for (lane, mut done) in lanes {
        done.sort_unstable();
        assert!(done.is_sorted_by_key(|(_, n)| *n), "{lane} is out of order: {done:?}");
    }
    for lane in 0..FREE {
        let input = json!({"lane": format!("lane-{lane}")}).to_string();
        let seen = server.post("/v1/workflows/read/runs", &[], &input).json();
        let wanted: Vec<usize> = (0..EVENTS / CALLERS).step_by(25).collect();
        assert_eq!(seen, json!(wanted), "lane {lane}: each once, in order");
    }
}

/// Kills servers at moments that no one chose, until everything is sent.
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
    let watching = {
        let done = Arc::clone(&done);
        std::thread::spawn(move || {
            for caller in callers {
                caller.join().unwrap();
            }
            done.store(true, Ordering::SeqCst);
        })
    };
    let kills = kill(&mut servers, &start, &addresses, &done);
    watching.join().unwrap();
    assert!(kills >= 5, "it was over before anything happened");
    servers.iter().for_each(live);
    check(&servers[0]);
}

#[test]
fn a_kill_within_the_transaction_leaves_nothing_and_the_next_try_is_taken() {
    let place = Place::new(&[("a.yaml", &definitions())]);
    let marker = place.path("reached");
    let env = [("EVENKEEL_PAUSE_AT", "work-committing"), ("EVENKEEL_PAUSE_FILE", marker.to_str().unwrap())];
    let mut stopped = place.serve_with(&[], &env);
    live(&stopped);
    let body = json!({"lane": "lane-0", "n": 1}).to_string();
    let sending = {
        let (address, body) = (stopped.address.clone(), body.clone());
        std::thread::spawn(move || send(&address, "free", &body))
    };
    eventually("the transaction", 120, || marker.exists().then_some(()));
    stopped.kill();
    assert_eq!(sending.join().unwrap(), None, "nothing is acknowledged that is not stored");
    let server = place.serve(&[]);
    live(&server);
    assert_eq!(super::executions(&server, "workflow=free").len(), 0);
    for _ in 0..2 {
        assert_eq!(send(&server.address, "free", &body), Some(202));
    }
    let runs = super::executions(&server, "workflow=free");
    assert_eq!(runs.len(), 1, "{runs:#?}");
    super::ended(&server, runs[0]["id"].as_str().unwrap());
}

#[test]
fn every_acknowledged_event_is_worked_on_once_on_sqlite() {
    let place = Place::new(&[("a.yaml", &definitions())]);
    run(1, |_| place.serve(&[]));
}

#[test]
fn every_acknowledged_event_is_worked_on_once_by_three_workers_on_postgresql() {
    let Some(database) = replicas::database() else { return };
    let place = Place::new(&[("a.yaml", &definitions())]);
    run(3, |number| {
        let state = place.path(&format!("state-{number}"));
        place.serve(&["--store", &database, "--state", state.to_str().unwrap()])
    });
}
