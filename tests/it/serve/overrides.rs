//! Changes besides the sources: overrides, definitions from the API, edits of the database.

use serde_json::Value;

use super::{World, is_ready, ready, saying};
use crate::support::{Answer, request};

/// Reason of a conflict loop in the status.
const LOOP: &str = "ConflictLoop";

fn put(world: &World, id: &str, query: &str, text: &str) -> Answer {
    request(&world.server.address, "PUT", &format!("/v1/environments/live/definitions/{id}{query}"), &[], text)
}

fn listed(world: &World, connector: &str) -> Value {
    let listed = world.server.get("/v1/environments/live/definitions").json();
    let items = listed["items"].as_array().unwrap().clone();
    items.into_iter().find(|item| item["id"] == format!("Connector/{connector}")).unwrap_or_default()
}

/// Changes the database of a server behind its back.
fn sql(world: &World, text: &str) {
    let database = world.folder.path().join(".state/evenkeel.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        use sqlx::Connection as _;
        let mut connection = sqlx::SqliteConnection::connect(&format!("sqlite:{}", database.display())).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(text.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}

#[test]
fn a_definition_of_a_source_is_changed_by_an_override_only() {
    let world = World::start(&[("a.yaml", &saying("a", "first"))]);
    world.wait(is_ready, "the first commit");
    let refused = put(&world, "Connector/a", "", &saying("a", "by-hand"));
    assert_eq!((refused.status, refused.json()["code"].as_str()), (409, Some("OWNED_BY_SOURCE")));
    let message = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(message.contains("a.yaml:3") && message.contains("override=2h"), "{message}");
    let before = listed(&world, "a");

    let written = put(&world, "Connector/a", "?override=1h&reason=trying", &saying("a", "by-hand"));
    assert_eq!(written.status, 200, "{written:?}");
    let status = world.status();
    let drift = &status["drift"][0];
    assert_eq!((drift["id"].as_str(), drift["who"].as_str()), (Some("Connector/a"), Some("local")), "{status:#}");
    assert!(drift["until"].as_str() > drift["at"].as_str() && drift["at"].is_string(), "{drift}");
    assert_eq!(listed(&world, "a")["owner"]["reason"], "trying");
    // A new commit does not end it.
    let (_, status) = world.push(&[("b.yaml", &saying("b", "new"))], "other");
    assert!(is_ready(&status), "{status:#}");
    assert_eq!(listed(&world, "a")["owner"]["by"], "api");

    // Once it ends, the source's definition is restored with the same identity.
    let ended = request(&world.server.address, "DELETE", "/v1/environments/live/definitions/Connector/a", &[], "");
    assert_eq!(ended.status, 200, "{ended:?}");
    let status = world.wait(|status| status["drift"] == serde_json::json!([]), "the end of the override");
    assert_eq!(listed(&world, "a")["owner"]["by"], "source", "{status:#}");
    assert_eq!(listed(&world, "a")["uid"], before["uid"]);
    let history = world.server.get("/v1/environments/live/history").json();
    assert_eq!(history["items"][0]["cause"], "Heal");
    let audit = world.server.get("/v1/environments/live/audit").json();
    assert_eq!(audit["items"][0]["actor"], "reconciler");
    let metrics = world.server.get("/metrics").body;
    assert!(metrics.contains("evenkeel_drift_detected_total{environment=\"live\"}"), "{metrics}");
}

#[test]
fn a_definition_from_the_api_is_kept_and_never_pruned() {
    let world = World::start(&[("a.yaml", &saying("a", "first")), ("b.yaml", &saying("b", "first"))]);
    world.wait(is_ready, "the first commit");
    let made = put(&world, "Connector/mine", "", &saying("mine", "by-hand"));
    assert_eq!(made.status, 201, "{made:?}");
    std::fs::remove_file(world.repository.work().join("b.yaml")).unwrap();
    let (_, status) = world.push(&[("a.yaml", &saying("a", "second"))], "change");
    assert!(is_ready(&status), "{status:#}");
    assert_eq!(world.connectors(), ["a", "mine"]);
    assert_eq!(status["drift"], serde_json::json!([]), "a definition from the API is no drift");
    // An invalid definition is refused with its findings and changes nothing.
    let broken = put(&world, "Connector/mine", "", &saying("mine", "x").replace("baseUrl", "baseUlr"));
    assert_eq!(broken.status, 422, "{broken:?}");
    assert_eq!(broken.json()["findings"][0]["code"], "EK0101");
    let gone = request(&world.server.address, "DELETE", "/v1/environments/live/definitions/Connector/mine", &[], "");
    assert_eq!(gone.status, 200, "{gone:?}");
    assert_eq!(world.connectors(), ["a"]);
}

#[test]
fn a_source_adopts_a_definition_from_the_api() {
    for same in [true, false] {
        let world = World::with(&[("a.yaml", &saying("a", "first"))], "  sync: { mode: Manual }\n", &[]);
        assert_eq!(world.run(&["apply", "-e", "live", "--yes"]).code, 0);
        put(&world, "Connector/mine", "", &saying("mine", "by-hand"));
        let uid = listed(&world, "mine")["uid"].clone();
        // It waits in Manual like each other change, and blocks nothing.
        let text = saying("mine", if same { "by-hand" } else { "from-git" });
        let (_, status) = world.push(&[("mine.yaml", &text), ("a.yaml", &saying("a", "second"))], "declare");
        assert_eq!(ready(&status).1, "AwaitingApproval", "{status:#}");
        assert_eq!(status["pending"]["summary"]["adopt"], 1, "{status:#}");
        let shown = world.run(&["plan", "--server", &world.server.address, "-e", "live"]).out;
        let expected = if same { "declared with the same content" } else { "one field differs" };
        assert!(shown.contains("^ Connector/mine  mine.yaml:") && shown.contains(expected), "{shown}");
        assert!(shown.contains("1 to change, 1 to adopt"), "{shown}");
        assert_eq!(listed(&world, "mine")["owner"]["by"], "api");
        let applied = world.run(&["apply", "-e", "live", "--yes"]);
        assert_eq!(applied.code, 0, "{}{}", applied.out, applied.err);
        let adopted = listed(&world, "mine");
        assert_eq!((&adopted["owner"]["by"], &adopted["uid"]), (&"source".into(), &uid), "{adopted:#}");
        let history = world.run(&["history", "-e", "live", "--limit", "1"]).out;
        assert!(history.contains("~1 ^1"), "{history}");
        let audit = world.server.get("/v1/environments/live/audit").json()["items"].clone();
        let is_note = |line: &&Value| line["action"] == "Adopt" && line["details"]["id"] == "Connector/mine";
        let note = audit.as_array().unwrap().iter().find(is_note).unwrap_or_else(|| panic!("{audit:#}"));
        assert_eq!(note["details"]["same"], same, "{note:#}");
        // From now on it belongs to the source.
        let refused = put(&world, "Connector/mine", "", &saying("mine", "again"));
        assert_eq!(refused.json()["code"], "OWNED_BY_SOURCE", "{refused:?}");
    }
}

#[test]
fn overrides_that_expire_end_on_time_and_are_no_conflict() {
    let world = World::start(&[("a.yaml", &saying("a", "first"))]);
    world.wait(is_ready, "the first commit");
    for round in 0..6 {
        let start = std::time::Instant::now();
        let written = put(&world, "Connector/a", "?override=1s", &saying("a", &format!("round{round}")));
        assert_eq!(written.status, 200, "{written:?}");
        world.wait(|status| status["drift"] == serde_json::json!([]) && is_ready(status), "the end of the override");
        assert!(start.elapsed() < std::time::Duration::from_secs(8), "round {round}: {:?}", start.elapsed());
        assert_eq!(listed(&world, "a")["owner"]["by"], "source");
    }
    let counted = world.server.get("/metrics").body;
    assert!(!counted.contains("evenkeel_conflict_loops_total{environment=\"live\"}"), "{counted}");
}

#[test]
fn an_override_ends_on_time_although_the_mode_waits_for_approvals() {
    let world = World::with(&[("a.yaml", &saying("a", "first"))], "  sync: { mode: Manual }\n", &[]);
    assert_eq!(world.run(&["apply", "-e", "live", "--yes"]).code, 0);
    put(&world, "Connector/a", "?override=1s", &saying("a", "by-hand"));
    world.wait(|status| status["drift"] == serde_json::json!([]) && is_ready(status), "the end of the override");
    assert_eq!(listed(&world, "a")["owner"]["by"], "source");
}

#[test]
fn an_override_that_others_need_ends_only_once_its_source_declares_the_definition() {
    let flow = "apiVersion: evenkeel.dev/v1alpha1\nkind: Workflow\nmetadata: { name: flow }\nspec:\n  tier: Instant\n  \
                steps:\n    - { name: one, action: a/say }\n";
    let (a, b) = (saying("a", "first"), saying("b", "first"));
    let world = World::start(&[("a.yaml", &a), ("b.yaml", &b), ("flow.yaml", flow)]);
    world.wait(is_ready, "the first commit");
    for name in ["a", "b"] {
        let written = put(&world, &format!("Connector/{name}"), "?override=1h", &saying(name, "by-hand"));
        assert_eq!(written.status, 200, "{written:?}");
    }
    for name in ["a.yaml", "b.yaml"] {
        std::fs::remove_file(world.repository.work().join(name)).unwrap();
    }
    world.repository.commit_all(&["-m", "remove both"]);
    let status = world.look();
    assert!(is_ready(&status), "the overrides stand in for both: {status:#}");
    let end = |name: &str| {
        let path = format!("/v1/environments/live/definitions/Connector/{name}");
        request(&world.server.address, "DELETE", &path, &[], "")
    };
    let refused = end("a");
    assert_eq!(refused.status, 422, "{refused:?}");
    let message = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(message.contains("the override of Connector/a cannot end") && message.contains("declare"), "{message}");
    let status = world.look();
    assert!(is_ready(&status), "nothing has changed: {status:#}");
    // Nothing needs the other one, so it is removed as its source says.
    assert_eq!(end("b").status, 200);
    let status = world.wait(|status| is_ready(status) && status["definitions"] == 3, "the removal");
    assert_eq!(world.connectors(), ["a"], "{status:#}");
    world.push(&[("a.yaml", &a)], "declare it again");
    assert_eq!(end("a").status, 200);
    world.wait(|status| is_ready(status) && status["drift"] == serde_json::json!([]), "the end of the override");
    assert_eq!(listed(&world, "a")["owner"]["by"], "source");
}

#[test]
fn row_46_detects_and_heals_a_change_of_the_database() {
    let mut world = World::start(&[("a.yaml", &saying("a", "first")), ("b.yaml", &saying("b", "first"))]);
    world.wait(is_ready, "the first commit");
    world.push(&[("a.yaml", &saying("a", "second"))], "second");
    // An edit of the database resets the active generation and damages an object.
    sql(&world, "UPDATE environments SET active = 1");
    let status = world.look();
    assert!(is_ready(&status), "{status:#}");
    assert_eq!(status["generation"], 3, "{status:#}");
    let history = world.server.get("/v1/environments/live/history").json();
    assert_eq!(history["items"][0]["cause"], "Heal", "{history:#}");
    sql(&world, "UPDATE objects SET content = x'00' WHERE digest = (SELECT digest FROM generations WHERE number = 3)");
    for _ in 0..12 {
        world.look();
    }
    assert_eq!(world.connectors(), ["a", "b"]);
    // The damage was detected while the generation served, and is repaired before a restart.
    sql(
        &world,
        "CREATE TABLE proof AS SELECT CASE WHEN count(*) = 0 THEN 1 END AS whole FROM objects WHERE length(content) < 2",
    );
    sql(&world, "CREATE TABLE strict_proof (whole INTEGER NOT NULL); INSERT INTO strict_proof SELECT whole FROM proof");
    world.restart(&[]);
    let status = world.wait(|status| status["generation"] == 3 && is_ready(status), "a good start");
    assert_eq!(status["definitions"], 3, "{status:#}");
}

#[test]
fn row_46_a_conflict_loop_is_slowed_down() {
    let world = World::start(&[("a.yaml", &saying("a", "first"))]);
    world.wait(is_ready, "the first commit");
    world.push(&[("a.yaml", &saying("a", "second"))], "second");
    let mut reasons = Vec::new();
    while reasons.last().is_none_or(|reason| reason == "Applied") && reasons.len() < 8 {
        // Another writer activates the first generation again and again.
        sql(&world, "UPDATE environments SET active = 1");
        reasons.push(ready(&world.look()).1);
    }
    assert_eq!(reasons[..3], ["Applied"; 3], "{reasons:?}");
    assert_eq!(reasons.last().unwrap(), LOOP, "{reasons:?}");
    let counted = world.server.get("/metrics").body;
    assert!(counted.contains("evenkeel_conflict_loops_total{environment=\"live\"}"), "{counted}");
    // An operator ends the wait.
    let resumed = world.run(&["resume", "-e", "live"]);
    assert_eq!(resumed.code, 0, "{}{}", resumed.out, resumed.err);
}

#[test]
fn a_restored_definition_has_its_former_identity() {
    let world = World::start(&[("a.yaml", &saying("a", "first")), ("b.yaml", &saying("b", "first"))]);
    world.wait(is_ready, "the first commit");
    let before = listed(&world, "b")["uid"].clone();
    std::fs::remove_file(world.repository.work().join("b.yaml")).unwrap();
    world.repository.commit_all(&["-m", "remove"]);
    let status = world.look();
    assert_eq!(status["definitions"], 2, "{status:#}");
    assert_eq!(world.status()["tombstones"][0]["id"], "Connector/b");
    world.repository.git(&["revert", "--no-edit", "HEAD"]);
    assert!(is_ready(&world.look()));
    assert_eq!(listed(&world, "b")["uid"], before);
    assert_eq!(world.status()["tombstones"], serde_json::json!([]));
    // The API restores it too, before a commit does.
    std::fs::remove_file(world.repository.work().join("b.yaml")).unwrap();
    world.repository.commit_all(&["-m", "remove again"]);
    world.look();
    let restored = world.run(&["restore", "Connector/b", "-e", "live"]);
    assert_eq!(restored.code, 0, "{}{}", restored.out, restored.err);
    assert_eq!((&listed(&world, "b")["uid"], &listed(&world, "b")["owner"]["by"]), (&before, &"api".into()));
    // A source that declares it again, unchanged, owns it, and so can remove it.
    world.repository.git(&["revert", "--no-edit", "HEAD"]);
    assert!(is_ready(&world.look()));
    assert_eq!((&listed(&world, "b")["uid"], &listed(&world, "b")["owner"]["by"]), (&before, &"source".into()));
    std::fs::remove_file(world.repository.work().join("b.yaml")).unwrap();
    world.repository.commit_all(&["-m", "remove for good"]);
    assert_eq!(world.look()["definitions"], 2);
}

#[test]
fn the_api_accepts_exactly_the_definition_that_the_url_names() {
    let world = World::start(&[("a.yaml", &saying("a", "first"))]);
    world.wait(is_ready, "the first commit");
    let two = format!("{}---\n{}", saying("x", "one"), saying("y", "two"));
    for (id, query, body, said) in [
        ("Connector/x", "", saying("y", "other"), "the body is `Connector/y`"),
        ("Connector/x", "", two, "one definition at a time"),
        ("Connector/x", "", String::new(), "holds no document"),
        ("Connector/x", "?override=1h", saying("x", "new"), "nothing to override"),
        ("Connector/x", "?override=1h", "just words".to_owned(), "the body is `/`"),
    ] {
        let refused = put(&world, id, query, &body);
        let message = refused.json()["detail"].as_str().unwrap_or_default().to_owned();
        assert!(refused.status == 400 && message.contains(said), "{refused:?}");
    }
    assert_eq!(world.status()["generation"], 1);
    // A saved plan that was edited is refused.
    let file = world.folder.path().join("plan.json");
    let path = file.to_str().unwrap();
    world.run(&["plan", "--server", &world.server.address, "-e", "live", "--out", path]);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(
        &file,
        text.replace("\"unchanged\": 2", "\"unchanged\": 3").replace("\"create\": 0", "\"create\": 1"),
    )
    .unwrap();
    let changed = world.run(&["apply", path]);
    assert_eq!(changed.code, 2, "{}", changed.out);
    assert!(changed.err.contains("was changed after it was made"), "{}", changed.err);
    for args in [&["trace", "Conector/a", "-e", "live"][..], &["status", "-e", "../x"], &["rollback", "-e", "a b", "1"]]
    {
        let refused = world.run(args);
        assert!(refused.code == 2 && refused.err.contains("invalid value"), "{}", refused.err);
    }
}
