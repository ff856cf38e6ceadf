//! What an Environment document asks for, and what becomes of it in a running server.

use std::path::Path;

use serde_json::{Value, json};

use super::{World, blocked, cli, following, is_ready, look, ready, saying, serve, served_by, wait};
use crate::git_server::{GitHttp, Repository};
use crate::support::{root, write};
use crate::upstream::application;

/// The server starts anew with another Environment document.
fn change(world: &mut World, environment: &str) {
    write(&world.folder.path().join("live.yaml"), &following(&world.git.url(), environment));
    world.restart(&[]);
    world.wait(|status| status["environment"] == "live", "a look");
}

fn remove(world: &World, files: &[&str]) -> Value {
    for file in files {
        std::fs::remove_file(world.repository.work().join(file)).unwrap();
    }
    world.push(&[], "remove").1
}

fn ten() -> Vec<(String, String)> {
    (0..10).map(|number| (format!("c{number}.yaml"), saying(&format!("c{number}"), "hello"))).collect()
}

fn files(files: &[(String, String)]) -> Vec<(&str, &str)> {
    files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect()
}

fn traced(world: &World, connector: &str) -> Value {
    world.server.get(&format!("/v1/environments/live/trace/Connector/{connector}")).json()
}

/// Changes the database of a state folder behind its server's back.
fn sql(state: &Path, text: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let url = format!("sqlite:{}", state.join("evenkeel.db").display());
    runtime.block_on(async {
        use sqlx::Connection as _;
        let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(text.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}

#[test]
fn what_is_only_reported_is_shown_and_left_and_new_commits_go_live() {
    let world = World::with(&[("a.yaml", &saying("a", "first"))], "  sync: { mode: Report }\n", &[]);
    world.wait(is_ready, "the first commit");
    let (_, status) = world.push(&[("a.yaml", &saying("a", "second"))], "second");
    assert_eq!((is_ready(&status), &status["generation"]), (true, &2.into()), "{status:#}");
    let declared = traced(&world, "a")["digest"].clone();
    sql(&world.folder.path().join(".state"), "UPDATE environments SET active = 1");
    for _ in 0..3 {
        let status = world.look();
        let (_, reason, message) = ready(&status);
        assert_eq!(reason, "Drifted", "{status:#}");
        assert!(message.contains("`evenkeel apply -e live --yes` heals it"), "{message}");
        assert_eq!(status["generation"], 1, "{status:#}");
        let drift = status["drift"].as_array().unwrap();
        assert_eq!((drift.len(), &drift[0]["id"], &drift[0]["how"]), (1, &json!("Connector/a"), &json!("changed")));
        assert!(drift[0]["who"].as_str().is_some_and(|who| !who.is_empty()), "{status:#}");
        assert!(drift[0]["at"].as_i64().is_some_and(|at| at > 0), "{status:#}");
    }
    assert_ne!(traced(&world, "a")["digest"], declared);
    let history = world.server.get("/v1/environments/live/history").json();
    assert_eq!(history["generations"].as_array().unwrap().len(), 2, "nothing was healed: {history:#}");
    let metrics = world.server.get("/metrics").body;
    assert!(metrics.contains("evenkeel_drift_detected_total{environment=\"live\"} 1"), "told once: {metrics}");
    let (commit, status) = world.push(&[("b.yaml", &saying("b", "new"))], "third");
    assert_eq!((is_ready(&status), &status["generation"]), (true, &3.into()), "{status:#}");
    assert_eq!(status["drift"], json!([]));
    assert_eq!(status["lastApplied"]["source"], format!("main@sha1:{commit}"));
    assert_eq!(world.connectors(), ["a", "b"]);
    assert_eq!(traced(&world, "a")["digest"], declared, "what is declared serves again");
}

#[test]
fn more_removals_than_the_budget_has_wait_and_others_do_not() {
    let mut world = World::with(&files(&ten()), "  sync: { prune: { budget: 1 } }\n", &[]);
    world.wait(is_ready, "the first commit");
    let status = remove(&world, &["c0.yaml"]);
    assert!(is_ready(&status), "one may be removed: {status:#}");
    let status = remove(&world, &["c1.yaml", "c2.yaml"]);
    assert_eq!((ready(&status).1.as_str(), blocked(&status)), ("PruneBlocked", json!(["Budget"])), "{status:#}");
    assert!(ready(&status).2.contains("2 of 9 definitions"), "{status:#}");
    assert_eq!(world.connectors().len(), 9);
    // The operator allows half of what is there: 4 of 9.
    change(&mut world, "  sync: { prune: { budget: \"50%\" } }\n");
    let status = world.look();
    assert!(is_ready(&status), "{status:#}");
    assert_eq!(world.connectors().len(), 7);
    // Of seven, three may be removed at once and four may not.
    let status = remove(&world, &["c3.yaml", "c4.yaml", "c5.yaml", "c6.yaml"]);
    assert_eq!((ready(&status).1.as_str(), blocked(&status)), ("PruneBlocked", json!(["Budget"])), "{status:#}");
    let (_, status) = world.push(&[("c6.yaml", &saying("c6", "hello"))], "one stays");
    assert!(is_ready(&status), "{status:#}");
    assert_eq!(world.connectors(), ["c6", "c7", "c8", "c9"]);
}

#[test]
fn what_is_protected_stays_whoever_approves() {
    let mut ten = ten();
    ten[3].1 = ten[3].1.replace("{ name: c3 }", "{ name: c3, annotations: { evenkeel.dev/prune: disabled } }");
    let world = World::start(&files(&ten));
    world.wait(is_ready, "the first commit");
    let status = remove(&world, &["c3.yaml"]);
    assert_eq!((ready(&status).1.as_str(), blocked(&status)), ("PruneBlocked", json!(["Protected"])), "{status:#}");
    assert_eq!(status["blocked"][0]["ids"], json!(["Connector/c3"]), "{status:#}");
    let plan = status["pending"]["plan"].as_str().unwrap();
    let approved = world.server.post("/v1/environments/live/apply", &[], &format!("{{\"plan\":\"{plan}\"}}"));
    assert!(!is_ready(&approved.json()["status"]), "{approved:?}");
    let status = world.look();
    assert_eq!((ready(&status).1.as_str(), blocked(&status)), ("PruneBlocked", json!(["Protected"])), "{status:#}");
    assert_eq!(world.connectors().len(), 10);
    // The annotation goes first, then the definition.
    assert!(is_ready(&world.push(&[("c3.yaml", &saying("c3", "hello"))], "unprotect").1));
    let status = remove(&world, &["c3.yaml"]);
    assert!(is_ready(&status), "{status:#}");
    assert_eq!(world.connectors().len(), 9);
}

#[test]
fn where_nothing_is_pruned_everything_else_goes_live() {
    let world = World::with(&files(&ten()), "  sync: { prune: { enabled: false } }\n", &[]);
    world.wait(is_ready, "the first commit");
    world.repository.write(&[("c4.yaml", &saying("c4", "changed")), ("new.yaml", &saying("new", "x"))]);
    let status = remove(&world, &["c3.yaml"]);
    assert!(is_ready(&status), "{status:#}");
    assert_eq!(blocked(&status), json!(["Disabled"]), "{status:#}");
    assert_eq!(world.connectors().len(), 11, "what was removed is kept");
    let revision = |rev: &str| format!("main@sha1:{}", world.repository.git(&["rev-parse", rev]));
    assert_eq!(traced(&world, "c4")["owner"]["revision"], revision("HEAD"));
    assert_eq!(traced(&world, "c3")["owner"]["revision"], revision("HEAD^"), "as it was");
    // And again with nothing new: it is no drift, and no new generation.
    let again = world.look();
    assert_eq!((&again["generation"], &again["drift"]), (&2.into(), &json!([])), "{again:#}");
    assert!(is_ready(&again) && status["generation"] == 2, "{again:#}");
}

const ANSWER: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";

/// A repository with an overlay, variables and an encrypted secret, for an application at a port.
fn everything(port: u16) -> Repository {
    let connector = format!(
        r#"apiVersion: evenkeel.dev/v1alpha1
kind: Connector
metadata: {{ name: local }}
spec:
  displayName: Local
  baseUrl: http://127.0.0.1:{port}
  actions:
    read:
      http: {{ path: "/{{{{ get_variable('region') }}}}", headers: {{ X-Key: "{{{{ get_secret('key') }}}}" }} }}
      response: {{ body: {{ stage: base, region: "{{{{ get_variable('region') }}}}" }} }}
"#
    );
    let patch = "apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nmetadata: { name: local }\nspec:\n  actions: { read: { \
                 response: { body: { stage: patched } } } }\n";
    // The source says where its own encrypted file is; the operator says the rest.
    let environment = "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: { name: live }\nspec:\n  variables: { \
                       region: nowhere }\n  secrets: { key: { age: { file: ../sealed/whole.age } } }\n";
    let repository = Repository::new();
    repository.write(&[
        ("definitions/local.yaml", &connector),
        ("overlays/live/local.yaml", patch),
        ("environments/live.yaml", environment),
        ("sealed/README.md", "sealed"),
    ]);
    let sealed = std::fs::read(root().join("tests/sealed/whole.age")).unwrap();
    std::fs::write(repository.work().join("sealed/whole.age"), sealed).unwrap();
    repository.commit_all(&["-m", "first"]);
    repository
}

#[test]
fn overlays_variables_and_sealed_secrets_reach_the_application() {
    let (port, received) = application(ANSWER);
    let repository = everything(port);
    let git = GitHttp::start(repository.root());
    let folder = tempfile::tempdir().unwrap();
    let more = "  overlays: [overlays/live]\n  variables: { region: eu }\n";
    write(&folder.path().join("live.yaml"), &following(&git.url(), more));
    let mut server = serve(folder.path(), &[], |command| {
        command.env("EVENKEEL_AGE_KEY_FILE", root().join("tests/sealed/key.txt"));
    });
    wait(&server, "live", is_ready, "the first commit");
    let answer = server.post("/v1/connectors/local/actions/read", &[], "{}");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.contains("patched") && answer.body.contains("\"eu\""), "{answer:?}");
    let request = received.recv().unwrap().to_ascii_lowercase();
    assert!(request.starts_with("get /eu ") && request.contains("x-key: opened with age"), "{request}");
    // The overlay changes alone: its patch goes live.
    let patch = std::fs::read_to_string(repository.work().join("overlays/live/local.yaml")).unwrap();
    repository.commit(&[("overlays/live/local.yaml", &patch.replace("patched", "again"))], "overlay");
    let status = look(&server, "live");
    assert_eq!((is_ready(&status), &status["generation"]), (true, &2.into()), "{status:#}");
    assert!(server.post("/v1/connectors/local/actions/read", &[], "{}").body.contains("again"));
    received.recv().unwrap();
    // The encrypted file alone changes, to one that is for somebody else: the call says so and nothing is sent.
    let other = std::fs::read(root().join("tests/sealed/others.yaml")).unwrap();
    std::fs::write(repository.work().join("sealed/whole.age"), other).unwrap();
    repository.commit_all(&["-m", "other"]);
    look(&server, "live");
    let answer = server.post("/v1/connectors/local/actions/read", &[], "{}");
    assert!(answer.status >= 400 && answer.body.contains("sealed/whole.age"), "{answer:?}");
    assert!(received.try_recv().is_err(), "nothing is sent without its secret");
    assert!(!server.said().contains("opened with age"), "no secret is logged");
    // A patch of what is not there is refused with its place; what serves keeps serving.
    repository.commit(&[("overlays/live/local.yaml", &patch.replace("name: local", "name: locla"))], "mistake");
    let status = look(&server, "live");
    let (_, reason, message) = ready(&status);
    assert_eq!(reason, "InvalidDefinitions", "{status:#}");
    assert!(message.contains("overlays/live/local.yaml") && message.contains("locla"), "{message}");
}

#[test]
fn an_environment_is_promoted_from_the_one_that_it_names_only() {
    let repository = Repository::with(&[("a.yaml", &saying("a", "first"))]);
    repository.git(&["branch", "release"]);
    let git = GitHttp::start(repository.root());
    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str| following(&git.url(), "").replace("name: live", &format!("name: {name}"));
    let live = following(&git.url(), "  promoteFrom: staging\n").replace("branch: main", "branch: release");
    let documents = [of("draft"), of("staging"), live].join("---\n");
    write(&folder.path().join("environments.yaml"), &documents);
    let server = serve(folder.path(), &[], |_| {});
    for environment in ["draft", "staging", "live"] {
        wait(&server, environment, is_ready, environment);
    }
    repository.commit(&[("a.yaml", &saying("a", "second"))], "second");
    assert_eq!(look(&server, "draft")["generation"], 2);
    let refused = server.post("/v1/environments/live/promote", &[], "{\"from\":\"draft\"}");
    assert_eq!((refused.status, refused.json()["errors"]["code"].as_str()), (409, Some("WrongEnvironment")));
    let refused = cli(&server.address, &["promote", "draft", "live"]);
    assert_eq!(refused.code, 2, "{}{}", refused.out, refused.err);
    assert!(refused.err.contains("promoted from `staging` only"), "{}", refused.err);
    assert_eq!(look(&server, "live")["generation"], 1, "nothing changed");
    look(&server, "staging");
    let promoted = cli(&server.address, &["promote", "staging", "live"]);
    assert_eq!(promoted.code, 0, "{}{}", promoted.out, promoted.err);
    let path = "/v1/connectors/a/actions/say";
    let said = server.post(path, &[("x-evenkeel-environment", "live")], "{}");
    let head = format!("main@sha1:{}", repository.head());
    assert_eq!(said.header("x-evenkeel-revision"), Some(head.as_str()), "{said:?}");
}

#[test]
fn an_environment_that_is_suspended_by_its_document_applies_nothing() {
    let mut world = World::with(&[("a.yaml", &saying("a", "first"))], "  suspend: true\n", &[]);
    let status = world.look();
    let (truth, reason, message) = ready(&status);
    assert_eq!((truth.as_str(), reason.as_str()), ("False", "Suspended"), "{status:#}");
    assert!(message.contains("Environment document"), "{message}");
    assert_eq!((&status["generation"], world.connectors().len()), (&0.into(), 0));
    change(&mut world, "");
    world.wait(is_ready, "the first commit");
    change(&mut world, "  suspend: true\n");
    let (_, status) = world.push(&[("a.yaml", &saying("a", "second"))], "second");
    assert_eq!((ready(&status).1.as_str(), &status["generation"]), ("Suspended", &1.into()), "{status:#}");
    // Whoever resumes it is told the truth: the document still says so.
    assert_eq!(world.run(&["resume", "live"]).code, 0);
    let status = world.look();
    assert_eq!((ready(&status).1.as_str(), &status["generation"]), ("Suspended", &1.into()), "{status:#}");
    let first = world.repository.git(&["rev-parse", "HEAD^"]);
    assert_eq!(served_by(&world.server, "a").0, Some(format!("main@sha1:{first}")), "what served keeps serving");
}
