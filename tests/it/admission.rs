//! Tests of the admission review without an API server: the tests build the requests.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use evenkeel::catalog::{File, Input, Snapshot};
use evenkeel::definition::{API_GROUP, API_VERSION, Kind};
use evenkeel::operator::admission::certificate::CertificateManager;
use evenkeel::operator::admission::{Admission, OwnerLookup};
use evenkeel::operator::resources::{Key, Resources};
use evenkeel::reconcile::validate::Validator;
use evenkeel::server::admission::{Pem, Reviewer, serve};
use evenkeel::text::{Severity, codes};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

const DAY: i64 = 24 * 3600;

fn resource(kind: Kind, name: &str, spec: Value) -> Value {
    json!({"apiVersion": API_VERSION, "kind": kind.as_str(),
           "metadata": {"name": name, "namespace": "ns", "uid": "1"}, "spec": spec})
}

fn connector(name: &str) -> Value {
    let say = json!({"http": {"path": "/say"}, "response": {"body": {"said": "hi"}}});
    let spec = json!({"displayName": name, "baseUrl": "https://api.example.com", "actions": {"say": say}});
    resource(Kind::Connector, name, spec)
}

/// A workflow with one step.
fn workflow(name: &str, action: &str, with: Value) -> Value {
    let mut step = json!({"name": "one", "action": action});
    step.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
    resource(Kind::Workflow, name, json!({"tier": "Instant", "steps": [step]}))
}

fn annotated(mut object: Value, name: &str, value: &str) -> Value {
    object["metadata"]["annotations"][name] = json!(value);
    object
}

fn no_owner() -> OwnerLookup {
    Arc::new(|_| None)
}

fn resources(objects: &[Value]) -> Arc<Resources> {
    Resources::fixed(objects.iter().map(|object| {
        let kind: Kind = object["kind"].as_str().unwrap().parse().unwrap();
        (kind, serde_json::from_value(object.clone()).unwrap())
    }))
}

fn admission(objects: &[Value]) -> Arc<Admission> {
    Admission::new(resources(objects), no_owner(), false)
}

fn review(operation: &str, old: Option<&Value>, new: Option<&Value>) -> Value {
    let object = new.or(old).unwrap();
    let kind = &object["kind"];
    let plural = kind.as_str().unwrap().parse::<Kind>().map_or("others", Kind::plural);
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "705ab4f5", "kind": {"group": API_GROUP, "version": "v1alpha1", "kind": kind},
        "resource": {"group": API_GROUP, "version": "v1alpha1", "resource": plural},
        "name": object["metadata"]["name"], "namespace": "ns", "operation": operation,
        "userInfo": {"username": "jane"}, "dryRun": false, "object": new, "oldObject": old}})
}

async fn ask(admission: &Arc<Admission>, review: &Value) -> Value {
    let answer = Arc::clone(admission).review(review.to_string().as_bytes()).await.unwrap();
    assert_eq!((&answer["kind"], &answer["apiVersion"]), (&json!("AdmissionReview"), &json!("admission.k8s.io/v1")));
    assert_eq!(answer["response"]["uid"], "705ab4f5");
    answer["response"].clone()
}

async fn created(admission: &Arc<Admission>, object: &Value) -> Value {
    ask(admission, &review("CREATE", None, Some(object))).await
}

async fn updated(admission: &Arc<Admission>, old: &Value, new: &Value) -> Value {
    ask(admission, &review("UPDATE", Some(old), Some(new))).await
}

async fn deleted(admission: &Arc<Admission>, old: &Value) -> Value {
    ask(admission, &review("DELETE", Some(old), None)).await
}

fn message(response: &Value) -> &str {
    response["status"]["message"].as_str().unwrap_or_default()
}

fn warnings(response: &Value) -> Vec<&str> {
    response["warnings"].as_array().into_iter().flatten().map(|warning| warning.as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_mistake_is_refused_with_its_place_and_help() {
    let admission = admission(&[]);
    let mut wrong = connector("one");
    wrong["spec"]["baseUlr"] = wrong["spec"]["baseUrl"].take();
    wrong["spec"].as_object_mut().unwrap().remove("baseUrl");
    wrong["spec"]["actions"]["say"]["http"]["method"] = json!("FETCH");
    let response = created(&admission, &wrong).await;
    assert_eq!(response["allowed"], false);
    let text = message(&response);
    assert!(text.starts_with("Connector ns/one has "), "{text}");
    for words in
        ["\n  EK0101 at /spec/baseUlr: ", "did you mean `baseUrl`?", "EK0104 at /spec/actions/say/http/method: "]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    let good = created(&admission, &connector("one")).await;
    assert_eq!(good["allowed"], true, "{good}");
    // Resources of other groups are not reviewed.
    let mut other = review("CREATE", None, Some(&wrong));
    other["request"]["kind"]["group"] = json!("rbac.example.com");
    assert_eq!(ask(&admission, &other).await["allowed"], true);
}

#[tokio::test]
async fn text_of_a_resource_cannot_control_a_terminal() {
    let mut wrong = connector("one");
    wrong["spec"]["a\u{1b}[2Jb\nc"] = json!(1);
    let response = created(&admission(&[]), &wrong).await;
    let lines: Vec<&str> = message(&response).lines().collect();
    assert!(lines.len() == 2 && !lines[1].contains(char::is_control), "{lines:?}");
}

#[tokio::test]
async fn an_error_that_another_resource_can_fix_only_warns() {
    let strict = Admission::new(resources(&[]), no_owner(), true);
    let early = workflow("greet", "hello/say", json!({}));
    let response = created(&admission(&[]), &early).await;
    assert_eq!(response["allowed"], true, "{response}");
    assert!(warnings(&response).iter().any(|one| one.starts_with("EK0202 at /spec/steps/0/action: ")), "{response}");
    assert_eq!(created(&strict, &early).await["allowed"], false);
    // A missing action of an existing connector counts like a missing connector.
    let response = created(&admission(&[connector("hello")]), &workflow("greet", "hello/shout", json!({}))).await;
    assert!(response["allowed"] == true && warnings(&response)[0].starts_with("EK0202"), "{response}");
    let mut shipping = connector("shipping");
    shipping["spec"]["entities"] = json!({"parcel": {"canonical": "Shipment", "fields": {"id": {"type": "string"}}}});
    let response = created(&admission(&[]), &shipping).await;
    let warns = warnings(&response).iter().any(|one| one.contains("there is no canonical entity `Shipment`"));
    assert!(response["allowed"] == true && warns, "{response}");
    let response = created(&admission(&[connector("hello")]), &early).await;
    assert!(response["allowed"] == true && !warnings(&response).iter().any(|one| one.contains("EK0202")), "{response}");
}

#[tokio::test]
async fn a_declaration_that_is_not_in_effect_yet_is_warned_of_once() {
    let widget = resource(Kind::Widget, "hub", json!({"displayName": "Hub", "settings": {"historyLogs": true}}));
    let response = created(&admission(&[]), &widget).await;
    let warned: Vec<&str> = warnings(&response).into_iter().filter(|one| one.starts_with("EK0115")).collect();
    assert!(response["allowed"] == true && warned.len() == 1, "{response}");
    assert!(warned[0].contains("not in effect yet") && warned[0].contains("/kind"), "{response}");
    // Kubernetes adds the defaults of a schema to each resource; they ask for nothing.
    let mut defaults = connector("hello");
    for (field, value) in [("scope", json!("Workspace")), ("visibility", json!("Private")), ("activation", json!(true))]
    {
        defaults["spec"][field] = value;
    }
    let response = created(&admission(&[]), &defaults).await;
    assert!(!warnings(&response).iter().any(|one| one.starts_with("EK0115")), "{response}");
}

#[tokio::test]
async fn an_error_that_no_other_resource_can_fix_is_denied_with_any_code() {
    let hello = admission(&[connector("hello")]);
    let nowhere = json!({"input": {"x": "{{ steps.nowhere.y }}"}});
    let response = created(&hello, &workflow("greet", "hello/say", nowhere)).await;
    let names_step = message(&response).contains("there is no step `nowhere`");
    assert!(response["allowed"] == false && names_step, "{response}");
    // Either of two resources closes a cycle, so neither is denied.
    let environment = |name: &str, from: &str| resource(Kind::Environment, name, json!({"promoteFrom": from}));
    let one = admission(&[environment("a", "b")]);
    let response = created(&one, &environment("b", "a")).await;
    assert_eq!(response["allowed"], true, "{response}");
    assert!(warnings(&response).iter().any(|one| one.contains("EK0804")), "{response}");
}

/// No code denies because of other resources: the resources of a set can arrive in any order.
#[tokio::test]
async fn every_planted_resource_is_denied_for_its_own_errors_only() {
    let validated = evenkeel::reconcile::validate::folder(&crate::support::root().join("tests/planted")).unwrap();
    let documents = validated.catalog.entries.iter().map(|entry| entry.document.root.to_json());
    let mut objects: Vec<Value> = Vec::new();
    for mut object in documents {
        let kind = object["kind"].as_str().and_then(|kind| kind.parse::<Kind>().ok());
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let same = |one: &&Value| one["kind"] == object["kind"] && one["metadata"]["name"] == name.as_str();
        let is_object = serde_json::from_value::<kube::api::DynamicObject>(object.clone()).is_ok();
        if kind.is_none() || !is_object || !evenkeel::definition::is_name(&name) || objects.iter().any(|one| same(&one))
        {
            continue;
        }
        object["metadata"]["namespace"] = json!("ns");
        objects.push(object);
    }
    assert!(objects.len() > 100, "{}", objects.len());
    let admission = admission(&objects);
    let (mut refused, mut warned) = (0, 0);
    for object in &objects {
        let response = created(&admission, object).await;
        let (kind, name) = (object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
        let key = Key { kind: kind.parse().unwrap(), namespace: "ns".into(), name: name.into() };
        let file = admission_file(&key, object);
        let mut snapshot = Snapshot::of([(file.path, file.bytes)]);
        snapshot.alone = true;
        let alone = Validator::new().validate(&Input { snapshot, ..Input::default() }, &[]);
        let mut own = alone.findings.iter().filter(|finding| {
            let is_fixable =
                [&codes::UNKNOWN_SECRET, &codes::UNKNOWN_VARIABLE, &codes::ENTITY_FIELD].contains(&finding.code);
            finding.severity == Severity::Error && !is_fixable
        });
        let expected = own.next().is_none();
        assert_eq!(response["allowed"], expected, "{key}: {response}");
        refused += usize::from(!expected);
        warned += usize::from(expected && warnings(&response).iter().any(|warning| warning.starts_with("EK")));
    }
    assert!(refused > 60 && warned > 5, "{refused} refused, {warned} warned");
}

fn admission_file(key: &Key, object: &Value) -> File {
    let object = serde_json::from_value(object.clone()).unwrap();
    let document = evenkeel::operator::resources::document(key.kind, &object);
    File { path: key.path().into(), bytes: document.to_string().into_bytes().into() }
}

#[tokio::test]
async fn metadata_and_status_may_always_change() {
    let mut broken = connector("one");
    broken["spec"]["oops"] = json!(1);
    let owner: OwnerLookup = Arc::new(|_| Some("it comes from another source".into()));
    let admission = Admission::new(resources(&[broken.clone()]), owner, true);
    let mut status = broken.clone();
    status["status"] = json!({"conditions": []});
    let noted = annotated(broken.clone(), "kubectl.kubernetes.io/restartedAt", "now");
    let mut finalized = broken.clone();
    finalized["metadata"]["finalizers"] = json!(["finalizers.evenkeel.dev"]);
    let mut going = broken.clone();
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    going["spec"]["more"] = json!(1);
    for new in [status, noted, finalized, going] {
        assert_eq!(updated(&admission, &broken, &new).await["allowed"], true, "{new}");
    }
    let mut worse = broken.clone();
    worse["spec"]["more"] = json!(1);
    assert_eq!(updated(&admission, &broken, &worse).await["allowed"], false);
}

#[tokio::test]
async fn a_deletion_names_the_definitions_that_it_breaks_and_is_allowed() {
    let objects = [connector("hello"), workflow("greet", "hello/say", json!({}))];
    let both = admission(&objects);
    let response = deleted(&both, &objects[0]).await;
    assert_eq!(response["allowed"], true);
    assert!(
        warnings(&response).iter().any(|one| one.starts_with("this breaks Workflow ns/greet: EK0202")),
        "{response}"
    );
    assert!(warnings(&deleted(&both, &objects[1]).await).is_empty());
    // A change that removes an action in use warns as well.
    let mut renamed = objects[0].clone();
    let actions = renamed["spec"]["actions"].as_object_mut().unwrap();
    let say = actions.remove("say").unwrap();
    actions.insert("shout".into(), say);
    let response = updated(&both, &objects[0], &renamed).await;
    assert_eq!(response["allowed"], true);
    assert!(warnings(&response).iter().any(|one| one.starts_with("this breaks Workflow ns/greet")), "{response}");
    // An error that existed before the change causes no warning.
    let mut same = objects[0].clone();
    same["spec"]["displayName"] = json!("Hello");
    let one = admission(&[objects[0].clone(), workflow("greet", "unknown/say", json!({}))]);
    let response = updated(&one, &objects[0], &same).await;
    assert!(!warnings(&response).iter().any(|one| one.starts_with("this breaks")), "{response}");
}

#[tokio::test]
async fn a_protected_definition_is_deleted_only_with_its_namespace() {
    let protected = annotated(connector("protected"), "evenkeel.dev/prune", "disabled");
    let admission = admission(std::slice::from_ref(&protected));
    let response = deleted(&admission, &protected).await;
    assert!(response["allowed"] == false && message(&response).contains("evenkeel.dev/prune"), "{response}");
    for user in [
        "system:serviceaccount:kube-system:namespace-controller",
        "system:serviceaccount:kube-system:generic-garbage-collector",
        "system:kube-controller-manager",
    ] {
        let mut review = review("DELETE", Some(&protected), None);
        review["request"]["userInfo"]["username"] = json!(user);
        assert_eq!(ask(&admission, &review).await["allowed"], true, "{user}");
    }
}

#[tokio::test]
async fn a_definition_of_another_source_is_read_only() {
    let one = connector("one");
    let owner: OwnerLookup =
        Arc::new(|key| (key.name == "one").then(|| format!("{key} comes from main@sha1:abc, a.yaml:1")));
    let admission = Admission::new(resources(std::slice::from_ref(&one)), owner, false);
    let mut changed = one.clone();
    changed["spec"]["displayName"] = json!("mine");
    for response in
        [created(&admission, &one).await, updated(&admission, &one, &changed).await, deleted(&admission, &one).await]
    {
        assert_eq!(response["allowed"], false);
        assert_eq!(message(&response), "Connector ns/one comes from main@sha1:abc, a.yaml:1; change it there");
    }
    assert_eq!(created(&admission, &connector("two")).await["allowed"], true);
}

#[tokio::test]
async fn an_unreadable_object_may_be_deleted_but_not_created() {
    let admission = admission(&[]);
    let mut strange = connector("one");
    strange["metadata"]["labels"] = json!([1, 2]);
    let response = created(&admission, &strange).await;
    assert!(response["allowed"] == false && message(&response).contains("cannot read the object"), "{response}");
    assert_eq!(deleted(&admission, &strange).await["allowed"], true);
    for body in ["", "{", "[]", "{}", r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}"#] {
        assert!(Arc::clone(&admission).review(body.as_bytes()).await.is_none(), "{body}");
    }
}

#[tokio::test]
async fn a_failure_of_the_check_denies_nothing() {
    let owner: OwnerLookup = Arc::new(|key| {
        assert!(key.name != "panic", "a bug in the check");
        None
    });
    let admission = Admission::new(resources(&[]), owner, true);
    let response = created(&admission, &connector("panic")).await;
    assert_eq!(response["allowed"], true);
    assert!(warnings(&response)[0].starts_with("evenkeel did not check this"), "{response}");
    let mut wrong = connector("next");
    wrong["spec"]["oops"] = json!(1);
    assert_eq!(created(&admission, &wrong).await["allowed"], false);
}

/// Blocks checks until it opens, at the latest at the end of the test.
#[derive(Default)]
struct Barrier {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Barrier {
    fn pass(&self) {
        let open = self.open.lock().unwrap();
        drop(self.opened.wait_while(open, |open| !*open).unwrap());
    }
}

struct OpenAtEnd(Arc<Barrier>);

impl Drop for OpenAtEnd {
    fn drop(&mut self) {
        *self.0.open.lock().unwrap() = true;
        self.0.opened.notify_all();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_check_delays_no_response_and_keeps_its_permit() {
    let barrier = OpenAtEnd(Arc::default());
    let (running, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let owner: OwnerLookup = Arc::new({
        let (barrier, running, peak) = (Arc::clone(&barrier.0), Arc::clone(&running), Arc::clone(&peak));
        move |_| {
            peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            barrier.pass();
            running.fetch_sub(1, Ordering::SeqCst);
            None
        }
    });
    let admission = Admission::new(resources(&[]), owner, true);
    let review = |n: usize| {
        let admission = Arc::clone(&admission);
        tokio::spawn(async move { created(&admission, &connector(&format!("c{n}"))).await })
    };
    // No check ends while the barrier is closed, so every response comes from the timeout: in the second round also those that
    // only waited for a permit, since the four stuck checks keep theirs.
    for round in [0..12, 12..20] {
        let reviews: Vec<_> = round.map(review).collect();
        for response in reviews {
            let response = response.await.unwrap();
            assert!(response["allowed"] == true && warnings(&response)[0].contains("timed out"), "{response}");
        }
        assert_eq!((running.load(Ordering::SeqCst), peak.load(Ordering::SeqCst)), (4, 4));
    }
    drop(barrier);
    let response = created(&admission, &connector("after")).await;
    let has_timed_out = warnings(&response).iter().any(|warning| warning.contains("timed out"));
    assert!(response["allowed"] == true && !has_timed_out, "{response}");
}

#[tokio::test]
async fn warnings_are_limited_in_number_and_length() {
    // Two bytes per letter: the limit is in bytes.
    let name = |n: usize| format!("{}{n}", "ä".repeat(150));
    let mut wrong = connector("one");
    for n in 0..60 {
        wrong["spec"]["actions"]["say"]["inputs"][name(n)] = json!({});
    }
    let steps: Vec<Value> =
        (0..60).map(|n| json!({"name": format!("s{n}"), "action": format!("{}/x", name(n))})).collect();
    let many = resource(Kind::Workflow, "many", json!({"tier": "Instant", "steps": steps}));
    let response = created(&admission(&[]), &many).await;
    assert_eq!(response["allowed"], true, "{response}");
    let warnings = warnings(&response);
    assert_eq!(warnings.len(), 21);
    assert!(warnings.iter().all(|warning| warning.len() <= 256), "{warnings:?}");
    assert!(warnings[0].ends_with('…') && warnings[20].starts_with("and "), "{warnings:?}");
    let text = message(&created(&admission(&[]), &wrong).await).to_owned();
    assert!(text.lines().count() <= 22, "{text}");
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

const HOST: &str = "hook.ek.svc";

/// A client that trusts these authorities only, as the API server does.
fn trusting(authorities: &str, port: u16) -> reqwest::Client {
    let roots = reqwest::Certificate::from_pem_bundle(authorities.as_bytes()).unwrap();
    reqwest::Client::builder()
        .tls_certs_only(roots)
        .resolve(HOST, ([127, 0, 0, 1], port).into())
        .no_proxy()
        .timeout(Duration::from_mins(1))
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_certificate_changes_without_a_gap_in_trust() {
    evenkeel::net::install_crypto_provider();
    let text = |text: &str| text.to_owned();
    let manager = CertificateManager {
        namespace: text("ek"),
        service: text("hook"),
        secret: text("s"),
        configuration: text("c"),
    };
    // The authority is due today; its certificate was renewed ten days ago.
    let first = manager.due(None, now() - 2440 * DAY).unwrap();
    let second = manager.due(Some(&first), now() - 10 * DAY).unwrap();
    assert!(second.authorities == first.authorities && second.serving != first.serving);
    let third = manager.due(Some(&second), now()).unwrap();
    assert!(third.authorities != second.authorities);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, certificate) = watch::channel::<Option<Pem>>(None);
    let reviewer: Reviewer =
        Arc::new(|body| Box::pin(async move { (&body[..] == b"question").then(|| json!({"answered": true})) }));
    let serving = tokio::spawn(serve(listener, certificate, reviewer));
    let get = async |authorities: &str| {
        let sent = trusting(authorities, port).get(format!("https://{HOST}:{port}/healthz")).send().await;
        sent.is_ok_and(|response| response.status() == 200)
    };
    assert!(!get(&second.authorities).await, "no connection succeeds before there is a certificate");
    sender.send_replace(Some(second.serving.clone()));
    assert!(get(&second.authorities).await);
    assert!(get(&third.authorities).await, "the API server trusts the new authority first");
    let before = trusting(&second.authorities, port);
    let ask = |client: &reqwest::Client, body: Vec<u8>| {
        client.post(format!("https://{HOST}:{port}/admission")).body(body).send()
    };
    assert_eq!(ask(&before, b"question".to_vec()).await.unwrap().status(), 200);
    sender.send_replace(Some(third.serving.clone()));
    assert!(get(&third.authorities).await);
    assert!(!get(&second.authorities).await, "the certificate of an untrusted authority");
    // An existing connection continues.
    assert_eq!(ask(&before, b"question".to_vec()).await.unwrap().status(), 200);
    // An invalid certificate changes nothing.
    let broken = Pem { certificate: third.serving.certificate.clone(), key: second.serving.key.clone() };
    assert!(!broken.is_usable());
    sender.send_replace(Some(broken));
    assert!(get(&third.authorities).await);
    let client = trusting(&third.authorities, port);
    assert_eq!(ask(&client, b"nonsense".to_vec()).await.unwrap().status(), 400);
    let large = ask(&client, vec![b' '; 9 << 20]).await;
    assert!(large.is_err() || large.unwrap().status() == 413);
    serving.abort();
}
