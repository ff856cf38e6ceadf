//! What is decided, without an API server; and what is asked and told, with one that has faults.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::http::{Method, StatusCode};
use serde_json::json;

use super::*;

const LEASE: Duration = Duration::from_secs(15);
const RENEW: Duration = Duration::from_secs(10);

fn held(by: &str, renewed_at_second: i64) -> LeaseSpec {
    let time = jiff::Timestamp::from_second(renewed_at_second).unwrap();
    LeaseSpec { holder_identity: Some(by.into()), renew_time: Some(MicroTime(time)), ..LeaseSpec::default() }
}

fn after(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

#[test]
fn a_lease_is_free_when_it_was_not_renewed_as_we_watched() {
    let start = Instant::now();
    // Whatever time stands in it: clocks of others may be years off.
    for second in [0, 1_700_000_000, 4_000_000_000] {
        let mut observed = Observed::default();
        observed.see(&held("other", second), start);
        assert_eq!(observed.step("me", LEASE, after(start, 14)), Step::Wait);
        assert_eq!(observed.step("me", LEASE, after(start, 15)), Step::Acquire);
        // It was renewed meanwhile.
        observed.see(&held("other", second + 1), after(start, 14));
        assert_eq!(observed.step("me", LEASE, after(start, 28)), Step::Wait);
        assert_eq!(observed.step("me", LEASE, after(start, 29)), Step::Acquire);
        // Seeing the same record again is not a renewal.
        observed.see(&held("other", second + 1), after(start, 29));
        assert_eq!(observed.step("me", LEASE, after(start, 29)), Step::Acquire);
    }
    let mut observed = Observed::default();
    assert_eq!(observed.step("me", LEASE, start), Step::Acquire);
    observed.see(&held("", 5), start);
    assert_eq!(observed.step("me", LEASE, start), Step::Acquire);
    observed.see(&held("me", 6), start);
    assert_eq!(observed.step("me", LEASE, after(start, 100)), Step::Renew);
}

#[test]
fn one_that_stood_still_leads_no_more_before_anybody_else_can() {
    let start = Instant::now();
    let observed = Observed { renewed: Some(start), ..Observed::default() };
    assert!(observed.leads(RENEW, after(start, 9)));
    assert!(!observed.leads(RENEW, after(start, 10)));
    let timings = Timings::default();
    assert!(timings.renew + timings.retry < timings.lease);
    assert!(!Observed::default().leads(RENEW, start));
}

#[test]
fn transitions_are_counted_when_it_is_taken() {
    let election = Election {
        namespace: "default".into(),
        name: "evenkeel".into(),
        identity: "me".into(),
        timings: Timings::default(),
    };
    let taken = election.record(&held("other", 1), true);
    assert_eq!((taken.lease_transitions, taken.holder_identity.as_deref()), (Some(1), Some("me")));
    let renewed = election.record(&taken, false);
    assert_eq!((renewed.lease_transitions, &renewed.acquire_time), (Some(1), &taken.acquire_time));
}

/// An API server that keeps one Lease, and the faults it has.
#[derive(Default)]
struct Server {
    lease: Option<serde_json::Value>,
    version: u64,
    /// How long each answer takes.
    slow: Duration,
    /// Requests from now on that are never answered.
    hang: usize,
    /// Somebody else takes the Lease before the next write arrives.
    overtake: bool,
    /// Somebody touches it before the next write arrives, and it stays whose it is.
    touch: bool,
    /// Every request is refused.
    forbid: bool,
}

type Shared = Arc<Mutex<Server>>;

async fn answer(server: Shared, method: Method, body: Bytes) -> (StatusCode, axum::Json<serde_json::Value>) {
    let failed = |code: StatusCode| {
        let reason = code.canonical_reason().unwrap().replace(' ', "");
        let status = json!({"kind": "Status", "status": "Failure", "code": code.as_u16(), "reason": reason});
        (code, axum::Json(status))
    };
    let (slow, hangs) = {
        let mut server = server.lock().unwrap();
        let hangs = server.hang > 0;
        server.hang = server.hang.saturating_sub(1);
        (server.slow, hangs)
    };
    if hangs {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(slow).await;
    let mut server = server.lock().unwrap();
    if server.forbid {
        return failed(StatusCode::FORBIDDEN);
    }
    if method == Method::GET {
        return match &server.lease {
            Some(lease) => (StatusCode::OK, axum::Json(lease.clone())),
            None => failed(StatusCode::NOT_FOUND),
        };
    }
    if std::mem::take(&mut server.overtake) {
        server.lease.as_mut().unwrap()["spec"]["holderIdentity"] = json!("other");
        server.version += 1;
    }
    if std::mem::take(&mut server.touch) {
        server.version += 1;
    }
    let mut lease: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let fits = match method {
        Method::POST => server.lease.is_none(),
        _ => lease["metadata"]["resourceVersion"] == json!(server.version.to_string()),
    };
    if fits {
        server.version += 1;
        lease["metadata"]["resourceVersion"] = json!(server.version.to_string());
        server.lease = Some(lease.clone());
        return (StatusCode::OK, axum::Json(lease));
    }
    let version = server.version.to_string();
    server.lease.as_mut().unwrap()["metadata"]["resourceVersion"] = json!(version);
    failed(StatusCode::CONFLICT)
}

fn client(server: &Shared) -> Client {
    let server = Arc::clone(server);
    let answer = move |method: Method, body: Bytes| answer(Arc::clone(&server), method, body);
    Client::new(axum::Router::new().fallback(answer), "default")
}

fn election(identity: &str) -> Election {
    let timings = Timings {
        lease: Duration::from_millis(1500),
        renew: Duration::from_secs(1),
        retry: Duration::from_millis(100),
    };
    Election { namespace: "default".into(), name: "evenkeel".into(), identity: identity.into(), timings }
}

/// An election that runs: whether it leads, how it is ended, and when it has.
fn running(server: &Shared) -> (watch::Receiver<bool>, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let (lead, leads) = watch::channel(false);
    let (end, ended) = oneshot::channel();
    (leads, end, tokio::spawn(election("me").run(client(server), lead, ended)))
}

async fn turns(leads: &mut watch::Receiver<bool>, to: bool, within: Duration) -> bool {
    tokio::time::timeout(within, leads.wait_for(|leads| *leads == to)).await.is_ok()
}

fn spec(server: &Shared) -> serde_json::Value {
    server.lock().unwrap().lease.as_ref().unwrap()["spec"].clone()
}

const SOON: Duration = Duration::from_secs(3);

#[tokio::test]
async fn it_is_given_back_as_of_now() {
    let server = Shared::default();
    let (mut leads, end, ended) = running(&server);
    assert!(turns(&mut leads, true, SOON).await);
    let before = spec(&server);
    end.send(()).unwrap();
    ended.await.unwrap();
    assert!(!*leads.borrow());
    let after = spec(&server);
    assert_eq!((&after["holderIdentity"], &after["leaseTransitions"]), (&json!(""), &before["leaseTransitions"]));
    assert!(after["renewTime"].as_str() > before["renewTime"].as_str(), "{before} {after}");
}

#[tokio::test]
async fn whoever_was_slower_follows_and_takes_nothing_at_the_end() {
    let server = Shared::default();
    let free = json!({"metadata": {"name": "evenkeel", "resourceVersion": "0"}, "spec": {"holderIdentity": ""}});
    *server.lock().unwrap() = Server { lease: Some(free), overtake: true, ..Server::default() };
    let (mut leads, end, ended) = running(&server);
    assert!(!turns(&mut leads, true, Duration::from_millis(700)).await);
    assert_eq!(spec(&server)["holderIdentity"], "other");
    end.send(()).unwrap();
    ended.await.unwrap();
    assert_eq!(spec(&server)["holderIdentity"], "other");
}

#[tokio::test]
async fn one_who_leads_stays_so_though_somebody_touched_the_lease() {
    let server = Shared::default();
    let (mut leads, _end, _) = running(&server);
    assert!(turns(&mut leads, true, SOON).await);
    let before = spec(&server);
    server.lock().unwrap().touch = true;
    assert!(!turns(&mut leads, false, Duration::from_millis(1500)).await);
    let after = spec(&server);
    assert!(after["renewTime"].as_str() > before["renewTime"].as_str());
    assert_eq!(after["leaseTransitions"], before["leaseTransitions"]);
}

#[tokio::test]
async fn one_request_without_an_answer_does_not_cost_the_lead() {
    let server = Shared::default();
    let (mut leads, _end, _) = running(&server);
    assert!(turns(&mut leads, true, SOON).await);
    server.lock().unwrap().hang = 1;
    assert!(!turns(&mut leads, false, Duration::from_secs(2)).await);
}

#[tokio::test]
async fn after_an_outage_a_slow_server_is_enough_to_lead_again() {
    let server = Shared::default();
    let (mut leads, _end, _) = running(&server);
    assert!(turns(&mut leads, true, SOON).await);
    let before = spec(&server);
    server.lock().unwrap().hang = usize::MAX;
    let outage = Instant::now();
    assert!(turns(&mut leads, false, Duration::from_millis(1400)).await, "before others can lead");
    assert!(outage.elapsed() > Duration::from_millis(700), "not before it has to");
    {
        let mut server = server.lock().unwrap();
        (server.hang, server.slow) = (0, Duration::from_millis(80));
    }
    assert!(turns(&mut leads, true, SOON).await);
    // It was nobody else's meanwhile.
    assert_eq!(spec(&server)["leaseTransitions"], before["leaseTransitions"]);
}

#[tokio::test]
async fn a_late_answer_is_not_believed() {
    let server = Shared::default();
    let election = election("me");
    let api: Api<Lease> = Api::namespaced(client(&server), "default");
    let mut observed = Observed::default();
    // It stood still between the question and the answer.
    server.lock().unwrap().slow = Duration::from_millis(600);
    let (lead, leads) = watch::channel(false);
    election.attempt(&api, &mut observed, &lead).await.unwrap();
    election.say(&lead, &observed);
    assert_eq!(spec(&server)["holderIdentity"], "me");
    assert!(!*leads.borrow(), "the answer came 1.2 s after the question");
    // The clock is looked at before anything is written: false is said while the record is still the old one.
    let before = spec(&server);
    observed.renewed = Some(Instant::now().checked_sub(Duration::from_millis(500)).unwrap());
    election.say(&lead, &observed);
    assert!(*leads.borrow());
    let mut follows = leads.clone();
    let asking = tokio::spawn(async move { election.attempt(&api, &mut observed, &lead).await.map(|()| lead) });
    assert!(turns(&mut follows, false, Duration::from_millis(900)).await);
    assert_eq!(spec(&server), before);
    asking.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_missing_right_is_named() {
    let server = Shared::default();
    server.lock().unwrap().forbid = true;
    let api: Api<Lease> = Api::namespaced(client(&server), "default");
    let election = election("me");
    let (lead, _) = watch::channel(false);
    let error = election.attempt(&api, &mut Observed::default(), &lead).await.unwrap_err();
    let why = election.why(&error);
    assert!(why.contains("`update`") && why.contains("leases.coordination.k8s.io"), "{why}");
}
