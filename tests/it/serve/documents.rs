//! Environment documents of a running server: followed like sources.

use serde_json::Value;

use super::{World, is_ready, ready, saying, status, wait};
use crate::support::write;

fn environments(world: &World) -> Vec<String> {
    let listed = world.server.get("/v1/environments").json();
    let names = listed["items"].as_array().into_iter().flatten();
    names.filter_map(|one| one["name"].as_str().map(str::to_owned)).collect()
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "timeout waiting for {what}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn an_edited_document_takes_effect_without_a_restart() {
    let labelled = saying("b", "first").replace("name: b }", "name: b, labels: { tier: live } }");
    let patch =
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nmetadata: { name: b }\nspec: { displayName: Patched }\n";
    let world =
        World::start(&[("a.yaml", &saying("a", "first")), ("b.yaml", &labelled), ("overlays/live/b.yaml", patch)]);
    world.wait(is_ready, "the first commit");
    let path = world.folder.path().join("live.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    write(&path, &format!("{text}  overlays: [overlays/live]\n"));
    let shown = || world.server.get("/v1/environments/live/definitions/Connector/b").body;
    world.wait(|status| is_ready(status) && shown().contains("Patched"), "the overlays");
    assert_eq!(world.connectors(), ["a", "b"]);
    write(
        &path,
        &format!("{text}  overlays: [overlays/live]\n  selector: {{ tier: live }}\n  variables: {{ region: eu }}\n"),
    );
    world.wait(|status| is_ready(status) && world.connectors() == ["b"], "the selector");
    write(&path, &format!("{text}  overlays: [overlays/live]\n  selector: {{ tier: live }}\n  suspend: true\n"));
    world.wait(|status| ready(status).1 == "Suspended", "the suspension");
    write(&path, &format!("{text}  overlays: [overlays/live]\n").replace("interval: 1h", "interval: 5s"));
    world.wait(|status| is_ready(status) && ready(status).1 == "Applied", "the end of the suspension");
    // The interval has changed: a commit is found without a request.
    world.repository.commit(&[("c.yaml", &saying("c", "new"))], "unannounced");
    until("the commit", || world.connectors() == ["a", "b", "c"]);
}

#[test]
fn a_broken_edit_keeps_the_last_good_document_and_the_status_names_it() {
    let world = World::start(&[("a.yaml", &saying("a", "first"))]);
    world.wait(is_ready, "the first commit");
    let path = world.folder.path().join("live.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    for (what, broken, part) in [
        ("an unknown field", format!("{text}  intervall: 5s\n"), "EK0101"),
        ("a syntax error", format!("{text}broken\n"), "live.yaml:"),
        (
            "another group",
            text.replace("evenkeel.dev/v1alpha1", "example.com/v1"),
            "now holds a document of `example.com/v1`",
        ),
        ("an empty file", String::new(), "live.yaml"),
    ] {
        write(&path, &broken);
        let status = world.wait(|status| ready(status).1 == "InvalidEnvironment", what);
        let (state, _, message) = ready(&status);
        assert_eq!(state, "False", "{what}: {status:#}");
        assert!(message.contains(part) && message.contains("last good version"), "{what}: {message}");
        // Its sources are still followed.
        let (_, status) = world.push(
            &[("a.yaml", &saying("a", "second")), ("b.yaml", &saying("b", what.split(' ').next_back().unwrap()))],
            what,
        );
        assert_eq!(
            (ready(&status).1.as_str(), world.connectors()),
            ("InvalidEnvironment", vec!["a".to_owned(), "b".to_owned()]),
            "{what}"
        );
        write(&path, &text);
        world.wait(is_ready, "the repaired document");
    }
}

#[test]
fn new_documents_start_environments_and_removed_ones_stop_them_without_losing_data() {
    let world = World::start(&[("a.yaml", &saying("a", "first"))]);
    world.wait(is_ready, "the first commit");
    let text = std::fs::read_to_string(world.folder.path().join("live.yaml")).unwrap();
    let draft = world.folder.path().join("draft.yaml");
    write(&draft, &text.replace("name: live", "name: draft"));
    until("the new environment", || environments(&world) == ["draft", "live"]);
    let before = wait(&world.server, "draft", is_ready, "its first pass");
    std::fs::remove_file(&draft).unwrap();
    until("the end of the environment", || environments(&world) == ["live"]);
    assert_eq!(world.server.get("/v1/environments/draft").status, 404);
    assert!(is_ready(&world.status()));
    // Its generations are still there when the document comes back.
    write(&draft, &text.replace("name: live", "name: draft"));
    until("the environment", || environments(&world) == ["draft", "live"]);
    let after = wait(&world.server, "draft", is_ready, "the environment again");
    assert_eq!((&after["generation"], &after["digest"]), (&before["generation"], &before["digest"]));
    // A folder without any document is not mounted rather than emptied.
    std::fs::remove_file(&draft).unwrap();
    std::fs::remove_file(world.folder.path().join("live.yaml")).unwrap();
    let invalid = |status: &Value| ready(status).1 == "InvalidEnvironment";
    let status = world.wait(invalid, "the missing documents");
    assert!(ready(&status).2.contains("holds no Environment"), "{status:#}");
    assert_eq!(environments(&world), ["draft", "live"]);
    assert_eq!(status_of(&world, "draft")["generation"], before["generation"]);
    let traced = world.server.get("/v1/environments/live/definitions/Connector/a");
    assert_eq!(traced.status, 200, "{traced:?}");
}

fn status_of(world: &World, environment: &str) -> Value {
    status(&world.server, environment)
}
