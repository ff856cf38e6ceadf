//! Commands of operators to a running server.

use serde_json::Value;

use super::{World, is_ready, ready, saying};

#[test]
fn a_rollback_holds_the_left_revision_back() {
    let world = World::start(&[("a.yaml", &saying("a", "first"))]);
    world.wait(is_ready, "the first commit");
    world.push(&[("a.yaml", &saying("a", "second")), ("b.yaml", &saying("b", "new"))], "second");
    let history = world.run(&["history", "-e", "live"]);
    assert_eq!(history.code, 0, "{}", history.err);
    let lines: Vec<&str> = history.out.lines().collect();
    let [header, second, first] = lines.as_slice() else { panic!("{}", history.out) };
    assert!(header.starts_with("  GENERATION  TIME ") && second.contains("+1 ~1"), "{}", history.out);
    assert!(second.starts_with("* 2 ") && first.starts_with("  1 "), "the active one is marked: {}", history.out);
    assert_eq!(world.run(&["history", "--limit", "1"]).out.lines().count(), 2, "the only environment is the default");

    let diff = world.run(&["diff", "-e", "live", "--exit-code"]);
    assert_eq!(diff.code, 1, "{}", diff.err);
    assert!(diff.err.contains("live: generation 1 -> 2"), "{}", diff.err);
    assert!(diff.out.contains("Connector/b") && diff.out.contains("Connector/a"), "{}", diff.out);
    assert_eq!(world.run(&["diff", "-e", "live", "--from", "2", "--to", "2", "--exit-code"]).code, 0);
    assert_eq!(world.run(&["diff", "-e", "live", "--from", "7"]).code, 2);

    let back = world.run(&["rollback", "1", "-e", "live"]);
    assert_eq!((back.code, back.out.starts_with("live: generation 3 is live")), (0, true), "{}{}", back.out, back.err);
    assert_eq!(world.connectors(), ["a"]);
    // The revision that was left is not applied again.
    let status = world.look();
    assert_eq!((ready(&status).1.as_str(), &status["generation"]), ("HeldBack", &3.into()), "{status:#}");
    assert_eq!(world.connectors(), ["a"]);
    // A newer one is.
    let (_, status) = world.push(&[("c.yaml", &saying("c", "new"))], "third");
    assert!(is_ready(&status) && ready(&status).1 == "Applied", "{status:#}");
    assert_eq!(world.connectors(), ["a", "b", "c"]);
    let wrong = world.run(&["rollback", "99"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("there is no generation 99"), "{}", wrong.err);
    let audit = world.server.get("/v1/environments/live/audit").json()["items"].clone();
    assert!(
        audit.as_array().unwrap().iter().any(|line| line["action"] == "Rollback" && line["actor"] == "local"),
        "{audit:#}"
    );
}

#[test]
fn a_live_definition_is_traced_to_its_commit_file_and_line() {
    let world = World::start(&[("x/a.yaml", &format!("# a comment\n---\n{}", saying("a", "first")))]);
    let first = world.repository.head();
    world.wait(is_ready, "the first commit");
    world.push(&[("b.yaml", &saying("b", "new"))], "another file");
    let traced = world.run(&["trace", "Connector/a", "-e", "live"]);
    assert_eq!(traced.code, 0, "{}", traced.err);
    assert!(traced.out.contains(&first), "the commit that it came with: {}", traced.out);
    assert!(traced.out.contains("x/a.yaml:5"), "{}", traced.out);
    let missing = world.run(&["trace", "Connector/zzz", "-e", "live"]);
    assert_eq!(missing.code, 2);
    assert!(missing.err.contains("Connector/zzz is not live"), "{}", missing.err);
}

#[test]
fn a_plan_is_read_approved_and_applied_and_a_stale_one_refused() {
    let world = World::with(&[("a.yaml", &saying("a", "first"))], "  sync: { mode: Manual }\n", &[]);
    let status = world.look();
    assert_eq!(ready(&status).1, "AwaitingApproval", "{status:#}");
    let file = world.folder.path().join("plan.json");
    let path = file.to_str().unwrap();
    let planned =
        world.run(&["plan", "--server", &world.server.address, "-e", "live", "--detailed-exitcode", "--out", path]);
    assert_eq!(planned.code, 2, "{}{}", planned.out, planned.err);
    assert!(planned.out.contains("Connector/a"), "{}", planned.out);
    // The branch moves on before the plan is approved.
    world.push(&[("b.yaml", &saying("b", "unread"))], "second");
    let stale = world.run(&["apply", path]);
    assert_eq!(stale.code, 2, "{}{}", stale.out, stale.err);
    assert!(stale.err.contains("stale"), "{}", stale.err);
    assert_eq!(world.status()["generation"], Value::Null);
    world.run(&["plan", "--server", &world.server.address, "-e", "live", "--out", path]);
    let applied = world.run(&["apply", path]);
    assert_eq!(applied.code, 0, "{}{}", applied.out, applied.err);
    assert_eq!(world.connectors(), ["a", "b"]);
    // The next one waits again.
    let (_, status) = world.push(&[("c.yaml", &saying("c", "new"))], "third");
    assert_eq!(ready(&status).1, "AwaitingApproval");
    assert_eq!(world.connectors(), ["a", "b"]);
    let shown = world.run(&["apply", "-e", "live"]);
    assert_eq!(shown.code, 2);
    assert!(shown.err.contains("--yes"), "{}", shown.err);
    assert_eq!(world.run(&["apply", "-e", "live", "--yes"]).code, 0);
    assert_eq!(world.connectors(), ["a", "b", "c"]);
}

#[test]
fn a_folder_is_planned_against_the_live_generation() {
    let world = World::start(&[("a.yaml", &saying("a", "first"))]);
    world.wait(is_ready, "the first commit");
    let mine = crate::support::folder(&[("a.yaml", &saying("a", "mine")), ("b.yaml", &saying("b", "new"))]);
    let folder = mine.path().to_str().unwrap();
    let planned = world.run(&["plan", folder, "--server", &world.server.address, "-e", "live", "-o", "json"]);
    assert_eq!(planned.code, 0, "{}{}", planned.out, planned.err);
    let plan = &serde_json::from_str::<Value>(&planned.out).unwrap()["plan"];
    assert_eq!((&plan["summary"]["create"], &plan["summary"]["update"]), (&1.into(), &1.into()), "{plan:#}");
    // The plan that a reviewer saw is the one that is applied.
    world.push(&[("a.yaml", &saying("a", "mine")), ("b.yaml", &saying("b", "new"))], "merge");
    let history = world.server.get("/v1/environments/live/history").json();
    assert_eq!(history["items"][0]["plan"], plan["digest"]);
}

#[test]
fn one_environment_is_promoted_to_another_exactly() {
    let repository = crate::git_server::Repository::with(&[("a.yaml", &saying("a", "first"))]);
    let git = crate::git_server::GitHttp::start(repository.root());
    let folder = tempfile::tempdir().unwrap();
    repository.git(&["branch", "release"]);
    let draft = super::following(&git.url(), "").replace("name: live", "name: draft");
    let live = super::following(&git.url(), "").replace("branch: main", "branch: release");
    crate::support::write(&folder.path().join("environments.yaml"), &format!("{draft}---\n{live}"));
    let server = super::serve(folder.path(), &[], |_| {});
    super::wait(&server, "live", is_ready, "live");
    super::wait(&server, "draft", is_ready, "draft");
    repository.commit(&[("a.yaml", &saying("a", "second"))], "second");
    let draft = super::look(&server, "draft");
    assert_eq!(draft["generation"], 2, "{draft:#}");
    let promoted = super::cli(&server.address, &["promote", "--from", "draft", "-e", "live"]);
    assert_eq!(promoted.code, 0, "{}{}", promoted.out, promoted.err);
    let trace =
        |environment: &str| server.get(&format!("/v1/environments/{environment}/definitions/Connector/a")).json();
    assert_eq!(trace("draft")["digest"], trace("live")["digest"]);
    assert_eq!(trace("draft")["owner"], trace("live")["owner"], "the owner is promoted too");
    // The branch of the environment does not undo the promotion.
    let live = super::look(&server, "live");
    assert_eq!(ready(&live).1, "HeldBack", "{live:#}");
    assert_eq!(trace("draft")["digest"], trace("live")["digest"]);
    // An override in the other environment is promoted with a warning.
    let quiet = server.post("/v1/environments/live/promote", &[], "{\"from\":\"draft\"}").json();
    assert_eq!(quiet["warnings"], serde_json::json!([]), "{quiet:#}");
    let path = "/v1/environments/draft/definitions/Connector/a?override=1h&reason=trying";
    let put = crate::support::request(&server.address, "PUT", path, &[], &saying("a", "by-hand"));
    assert_eq!(put.status, 200, "{put:?}");
    let promoted = super::cli(&server.address, &["promote", "--from", "draft", "-e", "live"]);
    assert_eq!(promoted.code, 0, "{}{}", promoted.out, promoted.err);
    let warning = "warning: Connector/a: the override by `local` in `draft` (trying)";
    assert!(promoted.err.contains(warning), "{}", promoted.err);
    assert_eq!(trace("draft")["digest"], trace("live")["digest"]);
    assert_eq!(trace("live")["owner"]["reason"], "trying", "the override keeps its reason");
    // Each environment has a status and is called by name.
    let all = super::cli(&server.address, &["status"]);
    assert!(all.out.contains("draft: Ready") && all.out.contains("live: Ready"), "{}", all.out);
    let path = "/v1/connectors/a/actions/say";
    assert_eq!(server.post(path, &[], "{}").status, 400, "which of the two?");
    let answer = server.post("/v1/environments/draft/connectors/a/actions/say", &[], "{}");
    assert_eq!(answer.header("x-evenkeel-environment"), Some("draft"), "{answer:?}");
}

#[test]
fn row_51_one_broken_definition_among_many_is_isolated() {
    let many: Vec<(String, String)> =
        (0..200).map(|number| (format!("c{number}.yaml"), saying(&format!("c{number}"), "first"))).collect();
    let files: Vec<(&str, &str)> = many.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let world = World::with(&files, "  sync: { apply: Isolate }\n", &[]);
    world.wait(is_ready, "the first commit");
    let broken = saying("c7", "second").replace("baseUrl", "baseUlr");
    let (_, status) =
        world.push(&[("c7.yaml", &broken), ("c8.yaml", &saying("c8", "second")), ("new.yaml", "kind: [")], "half");
    assert_eq!(ready(&status).1, "Isolated", "{status:#}");
    assert_eq!((&status["generation"], &status["held"][0]), (&2.into(), &"Connector/c7".into()), "{status:#}");
    assert_eq!(world.connectors().len(), 200, "the broken one keeps its last good version");
    let trace = |name: &str| world.server.get(&format!("/v1/environments/live/definitions/Connector/{name}")).json();
    assert_ne!(trace("c7")["owner"]["revision"], trace("c8")["owner"]["revision"]);
    let (_, status) = world.push(&[("c7.yaml", &saying("c7", "third")), ("new.yaml", &saying("new", "x"))], "repair");
    assert!(is_ready(&status), "{status:#}");
    assert_eq!(world.connectors().len(), 201);
}

#[test]
fn tokens_say_who_asks() {
    let folder = tempfile::tempdir().unwrap();
    crate::support::write(&folder.path().join("tokens"), "alice:0123456789abcdef rights=read,call,operate\n");
    let tokens = folder.path().join("tokens");
    let world = World::start(&[("a.yaml", &saying("a", "first"))]);
    world.wait(is_ready, "the first commit");
    let state = world.folder.path().join("other");
    let server = super::serve(
        world.folder.path(),
        &["--tokens", tokens.to_str().unwrap(), "--state", state.to_str().unwrap()],
        |_| {},
    );
    assert_eq!(server.get("/v1/environments/live").status, 401);
    assert_eq!(server.post("/v1/environments/live/suspend", &[], "").status, 401);
    let token = [("authorization", "Bearer 0123456789abcdef")];
    let answer = server.post("/v1/environments/live/suspend", &token, "");
    assert_eq!(answer.json()["status"]["suspended"]["by"], "alice", "{answer:?}");
}
