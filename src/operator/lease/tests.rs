//! Tests of the decisions without an API server, and of the requests with one that injects faults.

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
fn a_lease_is_free_when_its_record_did_not_change_for_its_duration() {
    let start = Instant::now();
    // The time in the record does not matter: clocks of other processes may be years off.
    for second in [0, 1_700_000_000, 4_000_000_000] {
        let mut observed = Observed::default();
        observed.observe(&held("other", second), start);
        assert_eq!(observed.step("me", LEASE, after(start, 14)), Step::Wait);
        assert_eq!(observed.step("me", LEASE, after(start, 15)), Step::Acquire);
        // It was renewed meanwhile.
        observed.observe(&held("other", second + 1), after(start, 14));
        assert_eq!(observed.step("me", LEASE, after(start, 28)), Step::Wait);
        assert_eq!(observed.step("me", LEASE, after(start, 29)), Step::Acquire);
        // Seeing the same record again is not a renewal.
        observed.observe(&held("other", second + 1), after(start, 29));
        assert_eq!(observed.step("me", LEASE, after(start, 29)), Step::Acquire);
    }
    let mut observed = Observed::default();
    assert_eq!(observed.step("me", LEASE, start), Step::Acquire);
    observed.observe(&held("", 5), start);
    assert_eq!(observed.step("me", LEASE, start), Step::Acquire);
    observed.observe(&held("me", 6), start);
    assert_eq!(observed.step("me", LEASE, after(start, 100)), Step::Renew);
}

#[test]
fn a_suspended_process_stops_leading_before_another_one_can_lead() {
    let start = Instant::now();
    let observed = Observed { renewed: Some(start), ..Observed::default() };
    assert!(observed.leads(RENEW, after(start, 9)));
    assert!(!observed.leads(RENEW, after(start, 10)));
    let timings = Timings::default();
    assert!(timings.renew + timings.retry < timings.lease);
    assert!(!Observed::default().leads(RENEW, start));
}

#[test]
fn acquiring_counts_a_transition_and_renewing_does_not() {
    let election = Election {
        namespace: "default".into(),
        name: "evenkeel".into(),
        identity: "me".into(),
        timings: Timings::default(),
    };
    let acquired = election.record(&held("other", 1), true);
    assert_eq!((acquired.lease_transitions, acquired.holder_identity.as_deref()), (Some(1), Some("me")));
    let renewed = election.record(&acquired, false);
    assert_eq!((renewed.lease_transitions, &renewed.acquire_time), (Some(1), &acquired.acquire_time));
}

/// An API server with one Lease and injected faults.
#[derive(Default)]
struct Server {
    lease: Option<serde_json::Value>,
    version: u64,
    /// Delay of each response.
    delay: Duration,
    /// Number of next requests without a response.
    hang: usize,
    /// True if another process acquires the Lease before the next write.
    overtake: bool,
    /// True if the Lease changes, but not its holder, before the next write.
    touch: bool,
    /// True if every request is forbidden.
    forbid: bool,
}

type Shared = Arc<Mutex<Server>>;

async fn respond(server: Shared, method: Method, body: Bytes) -> (StatusCode, axum::Json<serde_json::Value>) {
    let failed = |code: StatusCode| {
        let reason = code.canonical_reason().unwrap().replace(' ', "");
        let status = json!({"kind": "Status", "status": "Failure", "code": code.as_u16(), "reason": reason});
        (code, axum::Json(status))
    };
    let (delay, hangs) = {
        let mut server = server.lock().unwrap();
        let hangs = server.hang > 0;
        server.hang = server.hang.saturating_sub(1);
        (server.delay, hangs)
    };
    if hangs {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(delay).await;
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
    let respond = move |method: Method, body: Bytes| respond(Arc::clone(&server), method, body);
    Client::new(axum::Router::new().fallback(respond), "default")
}

fn election(identity: &str) -> Election {
    let timings = Timings {
        lease: Duration::from_millis(1500),
        renew: Duration::from_secs(1),
        retry: Duration::from_millis(100),
    };
    Election { namespace: "default".into(), name: "evenkeel".into(), identity: identity.into(), timings }
}

/// A running election: its leadership, its stop signal and its end.
fn running(server: &Shared) -> (watch::Receiver<bool>, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let (lead, leads) = watch::channel(false);
    let (stop, stopped) = oneshot::channel();
    (leads, stop, tokio::spawn(election("me").run(client(server), lead, stopped)))
}

async fn becomes(leads: &mut watch::Receiver<bool>, value: bool, within: Duration) -> bool {
    tokio::time::timeout(within, leads.wait_for(|leads| *leads == value)).await.is_ok()
}

fn spec(server: &Shared) -> serde_json::Value {
    server.lock().unwrap().lease.as_ref().unwrap()["spec"].clone()
}

const SOON: Duration = Duration::from_secs(3);

#[tokio::test]
async fn releases_the_lease_at_the_end() {
    let server = Shared::default();
    let (mut leads, stop, stopped) = running(&server);
    assert!(becomes(&mut leads, true, SOON).await);
    let before = spec(&server);
    stop.send(()).unwrap();
    stopped.await.unwrap();
    assert!(!*leads.borrow());
    let after = spec(&server);
    assert_eq!((&after["holderIdentity"], &after["leaseTransitions"]), (&json!(""), &before["leaseTransitions"]));
    assert!(after["renewTime"].as_str() > before["renewTime"].as_str(), "{before} {after}");
}

#[tokio::test]
async fn a_process_that_lost_the_race_does_not_lead_and_releases_nothing() {
    let server = Shared::default();
    let free = json!({"metadata": {"name": "evenkeel", "resourceVersion": "0"}, "spec": {"holderIdentity": ""}});
    *server.lock().unwrap() = Server { lease: Some(free), overtake: true, ..Server::default() };
    let (mut leads, stop, stopped) = running(&server);
    assert!(!becomes(&mut leads, true, Duration::from_millis(700)).await);
    assert_eq!(spec(&server)["holderIdentity"], "other");
    stop.send(()).unwrap();
    stopped.await.unwrap();
    assert_eq!(spec(&server)["holderIdentity"], "other");
}

#[tokio::test]
async fn keeps_leading_after_a_conflict_with_a_harmless_write() {
    let server = Shared::default();
    let (mut leads, _end, _) = running(&server);
    assert!(becomes(&mut leads, true, SOON).await);
    let before = spec(&server);
    server.lock().unwrap().touch = true;
    assert!(!becomes(&mut leads, false, Duration::from_millis(1500)).await);
    let after = spec(&server);
    assert!(after["renewTime"].as_str() > before["renewTime"].as_str());
    assert_eq!(after["leaseTransitions"], before["leaseTransitions"]);
}

#[tokio::test]
async fn keeps_leading_after_one_request_without_a_response() {
    let server = Shared::default();
    let (mut leads, _end, _) = running(&server);
    assert!(becomes(&mut leads, true, SOON).await);
    server.lock().unwrap().hang = 1;
    assert!(!becomes(&mut leads, false, Duration::from_secs(2)).await);
}

#[tokio::test]
async fn leads_again_after_an_outage_with_a_slow_server() {
    let server = Shared::default();
    let (mut leads, _end, _) = running(&server);
    assert!(becomes(&mut leads, true, SOON).await);
    let before = spec(&server);
    server.lock().unwrap().hang = usize::MAX;
    let outage = Instant::now();
    assert!(becomes(&mut leads, false, Duration::from_millis(1400)).await, "before others can lead");
    assert!(outage.elapsed() > Duration::from_millis(700), "not before it has to");
    {
        let mut server = server.lock().unwrap();
        (server.hang, server.delay) = (0, Duration::from_millis(80));
    }
    assert!(becomes(&mut leads, true, SOON).await);
    // No other process held it meanwhile.
    assert_eq!(spec(&server)["leaseTransitions"], before["leaseTransitions"]);
}

#[tokio::test]
async fn a_late_response_does_not_count_as_a_renewal() {
    let server = Shared::default();
    let election = election("me");
    let api: Api<Lease> = Api::namespaced(client(&server), "default");
    let mut observed = Observed::default();
    // The response arrives after the expiry.
    server.lock().unwrap().delay = Duration::from_millis(600);
    let (lead, leads) = watch::channel(false);
    election.attempt(&api, &mut observed, &lead).await.unwrap();
    election.publish(&lead, &observed);
    assert_eq!(spec(&server)["holderIdentity"], "me");
    assert!(!*leads.borrow(), "the response came 1.2 s after the request");
    // The clock is checked before the write: leadership ends while the record is still the old one.
    let before = spec(&server);
    observed.renewed = Some(Instant::now().checked_sub(Duration::from_millis(500)).unwrap());
    election.publish(&lead, &observed);
    assert!(*leads.borrow());
    let mut follows = leads.clone();
    let attempt = tokio::spawn(async move { election.attempt(&api, &mut observed, &lead).await.map(|()| lead) });
    assert!(becomes(&mut follows, false, Duration::from_millis(900)).await);
    assert_eq!(spec(&server), before);
    attempt.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_error_names_the_missing_right() {
    let server = Shared::default();
    server.lock().unwrap().forbid = true;
    let api: Api<Lease> = Api::namespaced(client(&server), "default");
    let election = election("me");
    let (lead, _) = watch::channel(false);
    let error = election.attempt(&api, &mut Observed::default(), &lead).await.unwrap_err();
    let text = election.describe(&error);
    assert!(text.contains("`update`") && text.contains("leases.coordination.k8s.io"), "{text}");
}
