//! Settings of Environment documents in a running server.

use serde_json::{Value, json};

use super::{World, blocked, cli, following, is_ready, look, ready, saying, serve, wait};
use crate::git_server::{GitHttp, Repository};
use crate::support::{root, write};
use crate::upstream::application;

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
    world.server.get(&format!("/v1/environments/live/definitions/Connector/{connector}")).json()
}

#[test]
fn a_disabled_prune_keeps_definitions_and_applies_the_rest() {
    let world = World::with(&files(&ten()), "  sync: { prune: { enabled: false } }\n", &[]);
    world.wait(is_ready, "the first commit");
    world.repository.write(&[("c4.yaml", &saying("c4", "changed")), ("new.yaml", &saying("new", "x"))]);
    let status = remove(&world, &["c3.yaml"]);
    assert!(is_ready(&status), "{status:#}");
    assert_eq!(blocked(&status), json!(["Disabled"]), "{status:#}");
    assert_eq!(world.connectors().len(), 11, "the removed definition is kept");
    let revision = |rev: &str| format!("main@sha1:{}", world.repository.git(&["rev-parse", rev]));
    assert_eq!(traced(&world, "c4")["owner"]["revision"], revision("HEAD"));
    assert_eq!(traced(&world, "c3")["owner"]["revision"], revision("HEAD^"), "as it was");
    // A pass without changes finds no drift and activates nothing.
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
    // The source names its encrypted file; the operator sets the rest.
    let environment = "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: { name: live }\nspec:\n  variables: { \
                       region: nowhere }\n  secrets: { key: { age: { file: ../encrypted/whole.age } } }\n";
    let repository = Repository::new();
    repository.write(&[
        ("definitions/local.yaml", &connector),
        ("overlays/live/local.yaml", patch),
        ("environments/live.yaml", environment),
        ("encrypted/README.md", "encrypted"),
    ]);
    let encrypted = std::fs::read(root().join("tests/encrypted/whole.age")).unwrap();
    std::fs::write(repository.work().join("encrypted/whole.age"), encrypted).unwrap();
    repository.commit_all(&["-m", "first"]);
    repository
}

#[test]
fn overlays_variables_and_encrypted_secrets_reach_the_application() {
    let (port, received) = application(ANSWER);
    let repository = everything(port);
    let git = GitHttp::start(repository.root());
    let folder = tempfile::tempdir().unwrap();
    let more = "  overlays: [overlays/live]\n  variables: { region: eu }\n";
    write(&folder.path().join("live.yaml"), &following(&git.url(), more));
    let mut server = serve(folder.path(), &[], |command| {
        command.env("EVENKEEL_AGE_KEY_FILE", root().join("tests/encrypted/key.txt"));
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
    // The encrypted file is replaced by one for another key: the commit is refused, and the last good generation serves.
    let other = std::fs::read(root().join("tests/encrypted/others.yaml")).unwrap();
    std::fs::write(repository.work().join("encrypted/whole.age"), other).unwrap();
    repository.commit_all(&["-m", "other"]);
    let status = look(&server, "live");
    let (_, reason, message) = ready(&status);
    assert_eq!((reason.as_str(), &status["generation"]), ("SecretsUnresolved", &2.into()), "{status:#}");
    assert!(message.contains("encrypted/whole.age"), "{message}");
    assert_eq!(server.post("/v1/connectors/local/actions/read", &[], "{}").status, 200);
    received.recv().unwrap();
    assert!(!server.said().contains("opened with age"), "no secret is logged");
    // A patch of an unknown definition is refused with its place; the live generation keeps serving.
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
    assert_eq!((refused.status, refused.json()["code"].as_str()), (409, Some("WRONG_ENVIRONMENT")));
    let refused = cli(&server.address, &["promote", "--from", "draft", "-e", "live"]);
    assert_eq!(refused.code, 2, "{}{}", refused.out, refused.err);
    assert!(refused.err.contains("promoted from `staging` only"), "{}", refused.err);
    assert_eq!(look(&server, "live")["generation"], 1, "nothing changed");
    look(&server, "staging");
    let promoted = cli(&server.address, &["promote", "--from", "staging", "-e", "live"]);
    assert_eq!(promoted.code, 0, "{}{}", promoted.out, promoted.err);
    let said = server.post("/v1/environments/live/connectors/a/actions/say", &[], "{}");
    let head = format!("main@sha1:{}", repository.head());
    assert_eq!(said.header("x-evenkeel-revision"), Some(head.as_str()), "{said:?}");
}
