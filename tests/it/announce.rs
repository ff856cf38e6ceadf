//! Notifications over a real socket, with receivers that fail, hang or send too much.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use evenkeel::definition::environment::{NotificationEvent, Provider};
use evenkeel::net::{Client, Policy};
use evenkeel::reconcile::notifications::{
    CommitState, MAX_QUEUED, MAX_TRIES, Notifier, OutgoingNotification, Secret, Settings, Target, status_context,
};
use evenkeel::telemetry::metrics::Metrics;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};

const COMMIT: &str = "82b3d5ae55f7080f1e6022629cdb57bfae7cccc7";
/// Deadline of everything that is expected to happen.
const TIMEOUT: Duration = Duration::from_mins(2);

/// A request that a receiver got.
#[derive(Clone, Debug)]
pub struct Got {
    pub line: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Got {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Response of a receiver: a status with headers, no response, or an endless body.
#[derive(Clone, Copy)]
pub enum Reply {
    Status(u16, &'static str),
    Hang,
    Endless,
}

pub const OK: Reply = Reply::Status(200, "");

/// A receiver on this machine. It responds by its script and repeats the last line; it ends when dropped.
pub struct Receiver {
    port: u16,
    got: Arc<Mutex<Vec<Got>>>,
    ended: Arc<AtomicBool>,
}

impl Receiver {
    pub fn start(script: &'static [Reply]) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let got = Arc::new(Mutex::new(Vec::new()));
        let ended = Arc::new(AtomicBool::new(false));
        let (all, end) = (Arc::clone(&got), Arc::clone(&ended));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok).take_while(|_| !end.load(Ordering::Relaxed)) {
                let (all, end) = (Arc::clone(&all), Arc::clone(&end));
                std::thread::spawn(move || {
                    let Some(request) = receive(&stream) else { return };
                    let reply = {
                        let mut all = all.lock().unwrap();
                        all.push(request);
                        script[(all.len() - 1).min(script.len() - 1)]
                    };
                    match reply {
                        Reply::Status(status, headers) => {
                            let answer = format!(
                                "HTTP/1.1 {status} X\r\n{headers}connection: close\r\ncontent-length: 2\r\n\r\nok"
                            );
                            let _ = (&stream).write_all(answer.as_bytes());
                        }
                        Reply::Endless => {
                            let _ = (&stream).write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
                            while (&stream).write_all(&[b'x'; 4096]).is_ok() {}
                        }
                        Reply::Hang => {
                            while !end.load(Ordering::Relaxed) {
                                std::thread::sleep(Duration::from_millis(5));
                            }
                        }
                    }
                });
            }
        });
        Receiver { port, got, ended }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    pub fn wait_for(&self, count: usize) {
        let deadline = std::time::Instant::now() + TIMEOUT;
        while self.got().len() < count {
            assert!(std::time::Instant::now() < deadline, "{} of {count} requests came", self.got().len());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn receive(stream: &TcpStream) -> Option<Got> {
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let mut got = Got { line: line.trim_end().to_owned(), headers, body: String::new() };
    let mut body = vec![0; got.header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    got.body = String::from_utf8(body).unwrap();
    Some(got)
}

fn notification(generation: u64, targets: Vec<Target>) -> OutgoingNotification {
    OutgoingNotification {
        environment: "live".into(),
        event: NotificationEvent::Applied,
        title: "Generation 7 is live".into(),
        text: "2 changed\n1 removed\u{7}".into(),
        revision: "main@sha1:82b3d5ae".into(),
        commit: COMMIT.into(),
        generation,
        digest: "sha256:00".into(),
        url: None,
        at_unix: 1_700_000_000,
        targets,
    }
}

fn webhook(name: &str, url: String, secret: &str) -> Target {
    Target::Webhook { name: name.into(), url, secret: Secret::new(secret.into()) }
}

fn status(provider: Provider, api: String, state: CommitState) -> Target {
    Target::CommitStatus {
        provider,
        api_url: Some(api),
        repository: "acme/flows".into(),
        token: Secret::new("t0ken-value".into()),
        context: status_context("live"),
        state,
        description: "generation 7\nis live".into(),
    }
}

fn quick() -> Settings {
    Settings {
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(20),
        timeout: Duration::from_mins(1),
    }
}

fn start(metrics: &Metrics, settings: Settings, allow_loopback: bool) -> Notifier {
    let client = Client::new(Policy { allow_loopback, ..Policy::default() }).unwrap();
    Notifier::start(client, metrics.clone(), settings)
}

/// Sends notifications and waits until each is delivered or has failed.
fn send_all(settings: Settings, notifications: Vec<OutgoingNotification>) -> Metrics {
    let metrics = Metrics::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let notifier = start(&metrics, settings, true);
        for notification in notifications {
            notifier.send(notification);
        }
        notifier.finish(TIMEOUT).await;
    });
    metrics
}

fn counted(metrics: &Metrics, result: &str) -> u64 {
    let start = format!("evenkeel_notifications_total{{result=\"{result}\"}} ");
    metrics.encode().lines().find_map(|line| line.strip_prefix(&start)?.parse().ok()).unwrap_or(0)
}

#[test]
fn a_webhook_is_signed_according_to_standard_webhooks() {
    let key = b"0123456789abcdef0123456789abcdef";
    for secret in [format!("whsec_{}", STANDARD.encode(key)), String::from_utf8_lossy(key).into_owned()] {
        let receiver = Receiver::start(&[OK]);
        let target = webhook("ops", receiver.url("/hook?a=b"), &secret);
        let metrics = send_all(quick(), vec![notification(7, vec![target])]);
        assert_eq!(counted(&metrics, "delivered"), 1);
        let [got] = receiver.got().try_into().unwrap();
        assert_eq!(got.line, "POST /hook?a=b HTTP/1.1");
        assert_eq!(got.header("content-type"), "application/json");
        assert!(got.header("webhook-id").len() > 20);
        let signed = [got.header("webhook-id"), got.header("webhook-timestamp"), &got.body].join(".");
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
        mac.update(signed.as_bytes());
        let signature = got.header("webhook-signature").strip_prefix("v1,").unwrap();
        mac.verify_slice(&STANDARD.decode(signature).unwrap()).unwrap();
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let sent: u64 = got.header("webhook-timestamp").parse().unwrap();
        assert!(now.abs_diff(sent) < 300, "{sent} is not now");
        let expected = json!({
            "type": "environment.applied",
            "timestamp": "2023-11-14T22:13:20Z",
            "data": {
                "environment": "live", "title": "Generation 7 is live", "text": "2 changed\n1 removed",
                "revision": "main@sha1:82b3d5ae", "commit": COMMIT, "generation": 7, "digest": "sha256:00", "url": null,
            },
        });
        assert_eq!(got.json(), expected);
    }
}

#[test]
fn queued_notifications_are_delivered_after_the_last_notifier_is_dropped() {
    let receiver = Receiver::start(&[Reply::Status(503, ""), OK]);
    let metrics = Metrics::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let entered = runtime.enter();
    let notifier = start(&metrics, quick(), true);
    for generation in 1..=3 {
        notifier.send(notification(generation, vec![webhook("ops", receiver.url("/"), "secret")]));
    }
    drop(notifier);
    receiver.wait_for(4);
    drop(entered);
    let generations: Vec<u64> =
        receiver.got().iter().map(|got| got.json()["data"]["generation"].as_u64().unwrap()).collect();
    assert_eq!(generations, [1, 1, 2, 3], "in their order");
}

#[test]
fn a_failed_delivery_is_retried() {
    let receiver = Receiver::start(&[
        Reply::Status(503, ""),
        Reply::Status(429, "retry-after: 1000000\r\n"),
        Reply::Status(500, "retry-after: soon\r\n"),
        Reply::Status(204, ""),
    ]);
    let metrics = send_all(quick(), vec![notification(7, vec![webhook("ops", receiver.url("/"), "secret")])]);
    let got = receiver.got();
    assert_eq!(got.len(), 4);
    let ids: std::collections::BTreeSet<&str> = got.iter().map(|got| got.header("webhook-id")).collect();
    assert_eq!(ids.len(), 1, "a repetition has the same id");
    assert_eq!((counted(&metrics, "delivered"), counted(&metrics, "failed")), (1, 0));
}

#[test]
fn an_unreachable_receiver_is_tried_four_times() {
    let receiver = Receiver::start(&[Reply::Status(500, "")]);
    let metrics = send_all(quick(), vec![notification(7, vec![webhook("ops", receiver.url("/"), "secret")])]);
    assert_eq!(receiver.got().len(), MAX_TRIES as usize);
    assert_eq!((counted(&metrics, "delivered"), counted(&metrics, "failed")), (0, 1));
    // No process listens on this port; one that was just free may be used by another test by now.
    let target = webhook("ops", "http://127.0.0.1:9/".into(), "secret");
    assert_eq!(counted(&send_all(quick(), vec![notification(7, vec![target])]), "failed"), 1);
}

#[test]
fn refusals_are_final_and_redirects_are_not_followed() {
    let other = Receiver::start(&[OK]);
    for reply in
        [Reply::Status(400, ""), Reply::Status(401, ""), Reply::Status(410, ""), Reply::Status(302, "location: /x\r\n")]
    {
        let script: &'static [Reply] = Box::leak(Box::new([reply]));
        let receiver = Receiver::start(script);
        let targets = vec![webhook("ops", receiver.url("/"), "secret"), webhook("other", other.url("/"), "secret")];
        let metrics = send_all(quick(), vec![notification(7, targets)]);
        assert_eq!(receiver.got().len(), 1);
        assert_eq!((counted(&metrics, "delivered"), counted(&metrics, "failed")), (1, 1));
    }
    assert_eq!(other.got().len(), 4);
}

#[test]
fn the_egress_policy_applies_to_targets() {
    let receiver = Receiver::start(&[OK]);
    let metrics = Metrics::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let notifier = start(&metrics, quick(), false);
        notifier.send(notification(7, vec![webhook("ops", receiver.url("/"), "secret")]));
        notifier.finish(TIMEOUT).await;
    });
    assert_eq!((receiver.got().len(), counted(&metrics, "failed")), (0, 1));
}

#[test]
fn equal_messages_in_a_row_are_sent_once() {
    let receiver = Receiver::start(&[OK]);
    let hook = || vec![webhook("ops", receiver.url("/hook"), "secret")];
    let state = |state| notification(8, vec![status(Provider::Gitea, receiver.url("/api"), state)]);
    let drifted = OutgoingNotification { event: NotificationEvent::Drifted, ..notification(7, hook()) };
    let draft = OutgoingNotification { environment: "draft".into(), ..notification(7, hook()) };
    let all = vec![
        notification(7, hook()),
        notification(7, hook()),
        draft,
        drifted.clone(),
        drifted,
        notification(7, hook()),
        notification(8, hook()),
        state(CommitState::Pending),
        state(CommitState::Pending),
        state(CommitState::Success),
    ];
    let metrics = send_all(quick(), all);
    assert_eq!((counted(&metrics, "delivered"), counted(&metrics, "duplicate")), (7, 3));
    let received = |environment: &str| -> Vec<String> {
        let got = receiver.got().into_iter().filter(|got| got.line.contains("/hook")).map(|got| got.json());
        let got = got.filter(|json| json["data"]["environment"] == environment);
        got.map(|json| format!("{} {}", json["type"].as_str().unwrap(), json["data"]["generation"])).collect()
    };
    assert_eq!(
        received("live"),
        ["environment.applied 7", "environment.drifted 7", "environment.applied 7", "environment.applied 8"]
    );
    assert_eq!(received("draft"), ["environment.applied 7"]);
    // A message that did not arrive does not count as sent.
    let failing = Receiver::start(&[Reply::Status(400, ""), OK]);
    let hook = || vec![webhook("ops", failing.url("/"), "secret")];
    let metrics = send_all(quick(), vec![notification(7, hook()), notification(7, hook())]);
    assert_eq!((failing.got().len(), counted(&metrics, "delivered")), (2, 1));
}

#[test]
fn a_hanging_receiver_delays_no_other_and_the_queue_is_bounded() {
    let (hanging, good) = (Receiver::start(&[Reply::Hang]), Receiver::start(&[OK]));
    let metrics = Metrics::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let settings = Settings { timeout: Duration::from_mins(10), ..quick() };
        let notifier = start(&metrics, settings, true);
        notifier.send(notification(1, vec![webhook("hangs", hanging.url("/"), "secret")]));
        tokio::task::block_in_place(|| hanging.wait_for(1));
        notifier
            .send(notification(2, vec![webhook("hangs", hanging.url("/"), "s"), webhook("good", good.url("/"), "s")]));
        tokio::task::block_in_place(|| good.wait_for(1));
        // The response is counted a moment later.
        let deadline = std::time::Instant::now() + TIMEOUT;
        while counted(&metrics, "delivered") < 1 {
            assert!(std::time::Instant::now() < deadline, "timeout waiting for the response");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // One delivery to the hanging receiver is in progress, and one waits.
        for generation in 3..(MAX_QUEUED as u64 + 2 + 50) {
            notifier.send(notification(generation, vec![webhook("hangs", hanging.url("/"), "s")]));
        }
        assert_eq!(counted(&metrics, "dropped"), 50);
        let clone = notifier.clone();
        clone.finish(Duration::from_millis(50)).await;
        // New notifications are refused.
        notifier.send(notification(1000, vec![webhook("good", good.url("/"), "s")]));
        assert_eq!(counted(&metrics, "dropped"), 51);
        drop(notifier);
    });
    drop(runtime);
    assert_eq!(hanging.got().len(), 1);
    assert_eq!(counted(&metrics, "delivered"), 1);
}

#[test]
fn late_and_endless_responses_fail() {
    let hanging = Receiver::start(&[Reply::Hang]);
    // Time enough for a request to arrive, however busy the machine is.
    let settings = Settings { timeout: Duration::from_secs(2), ..quick() };
    let metrics = send_all(settings, vec![notification(7, vec![webhook("ops", hanging.url("/"), "secret")])]);
    hanging.wait_for(MAX_TRIES as usize);
    assert_eq!((hanging.got().len(), counted(&metrics, "failed")), (MAX_TRIES as usize, 1));
    let endless = Receiver::start(&[Reply::Endless]);
    let metrics = send_all(quick(), vec![notification(7, vec![webhook("ops", endless.url("/"), "secret")])]);
    assert_eq!((endless.got().len(), counted(&metrics, "failed")), (1, 1));
}

#[test]
fn each_forge_gets_its_commit_status() {
    let cases = [
        (
            Provider::GitHub,
            format!("POST /api/repos/acme/flows/statuses/{COMMIT} HTTP/1.1"),
            ("authorization", "Bearer t0ken-value"),
            json!({"state": "failure", "context": "evenkeel/live", "description": "generation 7 is live", "target_url": "https://evenkeel.example/live"}),
        ),
        (
            Provider::GitLab,
            format!("POST /api/projects/acme%2Fflows/statuses/{COMMIT} HTTP/1.1"),
            ("private-token", "t0ken-value"),
            json!({"state": "failed", "name": "evenkeel/live", "description": "generation 7 is live", "target_url": "https://evenkeel.example/live"}),
        ),
        (
            Provider::Gitea,
            format!("POST /api/repos/acme/flows/statuses/{COMMIT} HTTP/1.1"),
            ("authorization", "token t0ken-value"),
            json!({"state": "failure", "context": "evenkeel/live", "description": "generation 7 is live", "target_url": "https://evenkeel.example/live"}),
        ),
    ];
    for (provider, line, (name, value), body) in cases {
        let receiver = Receiver::start(&[Reply::Status(201, "")]);
        let target = status(provider, receiver.url("/api/"), CommitState::Failure);
        let url = Some("https://evenkeel.example/live".to_owned());
        let metrics = send_all(quick(), vec![OutgoingNotification { url, ..notification(7, vec![target]) }]);
        assert_eq!(counted(&metrics, "delivered"), 1);
        let [got] = receiver.got().try_into().unwrap();
        assert_eq!(got.line, line);
        assert_eq!(got.header(name), value);
        assert!(got.header("user-agent").starts_with("evenkeel/"));
        assert_eq!(got.json(), body);
    }
}

#[test]
fn slack_gets_its_own_format() {
    let receiver = Receiver::start(&[OK]);
    let target = Target::Slack { name: "team".into(), url: Secret::new(receiver.url("/services/T0/B0/s3cret")) };
    let notification = OutgoingNotification { title: "<@U123> & co".into(), ..notification(7, vec![target]) };
    assert_eq!(counted(&send_all(quick(), vec![notification]), "delivered"), 1);
    let [got] = receiver.got().try_into().unwrap();
    assert_eq!(got.line, "POST /services/T0/B0/s3cret HTTP/1.1");
    assert_eq!(got.json()["text"], "&lt;@\u{200b}U123&gt; &amp; co");
    assert_eq!(got.json()["blocks"][0]["text"]["type"], "mrkdwn");
}

#[test]
fn no_secret_reaches_the_log() {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    // With one dispatcher only, a log line that another test reaches first on a thread without one is disabled for all.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let receiver = Receiver::start(&[Reply::Status(500, ""), Reply::Status(400, ""), OK, Reply::Status(403, "")]);
    let targets = vec![
        webhook("ops", receiver.url("/p4th-secret?q=qu3ry-secret"), "h00k-secret"),
        Target::Slack { name: "team".into(), url: Secret::new("http://127.0.0.1:9/sl4ck-secret".into()) },
        Target::Slack { name: "broken".into(), url: Secret::new("sl4ck-secret".into()) },
        status(Provider::GitHub, receiver.url(""), CommitState::Success),
        webhook("odd", receiver.url("/"), "whsec_h00k-secret"),
    ];
    tracing::subscriber::with_default(subscriber, || send_all(quick(), vec![notification(7, targets)]));
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for said in [
        "notification failed",
        "notification failed and is retried",
        "name=\"team\"",
        "environment=\"live\"",
        "the target responded with status 500",
    ] {
        assert!(text.contains(said), "{said} is not in\n{text}");
    }
    for secret in ["h00k", "sl4ck", "t0ken", "qu3ry", "p4th"] {
        assert!(!text.contains(secret), "{secret} is in\n{text}");
    }
}
