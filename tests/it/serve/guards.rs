//! Removals that are not meant, removals that are, and sources that declare nothing.

use serde_json::json;

use super::commands::git;
use super::{World, blocked, is_ready, ready, saying};
use crate::support::{evenkeel, folder, said};

const COMPOSE: &str = "services:\n  db:\n    image: postgres:17\n";

#[test]
fn a_repository_without_definitions_is_not_ready() {
    let world = World::start(&[("docker-compose.yaml", COMPOSE), ("README.md", "hello")]);
    let status = world.wait(|status| !ready(status).1.is_empty(), "the first pass");
    let (state, reason, message) = ready(&status);
    assert_eq!((state.as_str(), reason.as_str()), ("False", "NothingDeclared"), "{status:#}");
    for part in ["nothing is declared", "the repository", "`docker-compose.yaml`", "`.yaml`", "evenkeel.dev/v1alpha1"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(status["conditions"][1]["type"], "Stalled", "{status:#}");
    let (_, status) = world.push(&[("deep/a.yaml", &saying("a", "first"))], "the first definition");
    assert!(is_ready(&status), "{status:#}");
}

#[test]
fn a_folder_of_a_repository_without_definitions_is_named() {
    let source = folder(&[("other/a.yaml", &saying("a", "first")), ("README.md", "hello")]);
    std::fs::create_dir(source.path().join("definitions")).unwrap();
    let home = tempfile::tempdir().unwrap();
    let path = source.path().join("definitions").display().to_string();
    let document = format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: {{ name: live }}\nspec: {{ interval: 1h, source: {{ \
         directory: {{ path: \"{path}\" }} }} }}\n"
    );
    crate::support::write(&home.path().join("live.yaml"), &document);
    let server = super::serve(home.path(), &[], |_| {});
    let status = super::wait(&server, "live", |status| ready(status).1 == "NothingDeclared", "the first pass");
    assert!(ready(&status).2.contains(&path), "{status:#}");
}

#[test]
fn an_emptied_source_that_is_meant_is_approved_by_the_digest_of_its_plan() {
    for apply in ["Atomic", "Isolate"] {
        let files =
            [("a.yaml", saying("a", "first")), ("b.yaml", saying("b", "first")), ("README.md", "hello".to_owned())];
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        let world = World::with(&files, &format!("  sync: {{ apply: {apply} }}\n"), &[]);
        world.wait(is_ready, "the first commit");
        world.repository.git(&["rm", "--quiet", "a.yaml", "b.yaml"]);
        world.repository.commit_all(&["-m", "nothing"]);
        let status = world.look();
        let (_, reason, message) = ready(&status);
        assert_eq!(
            (reason.as_str(), blocked(&status)),
            ("PruneBlocked", json!(["EmptySource"])),
            "{apply}: {status:#}"
        );
        assert_eq!(world.connectors(), ["a", "b"], "the last good generation serves");
        assert!(message.contains("the removal of Connector/a, Connector/b waits"), "{message}");
        let digest = status["pending"]["plan"].as_str().unwrap();
        assert!(message.contains(&format!("`evenkeel apply -e live --digest {digest}` approves it")), "{message}");
        // Another digest approves nothing.
        let other = format!("sha256:{}", "0".repeat(64));
        let stale = world.run(&["apply", "-e", "live", "--digest", &other]);
        assert!(stale.code == 2 && stale.err.contains("stale"), "{}{}", stale.out, stale.err);
        assert_eq!(world.connectors(), ["a", "b"]);
        let applied = world.run(&["apply", "-e", "live", "--digest", digest]);
        assert_eq!(world.connectors(), [""; 0], "{apply}: {}{}", applied.out, applied.err);
        let status = world.status();
        assert_eq!((ready(&status).1.as_str(), blocked(&status)), ("NothingDeclared", json!([])), "{status:#}");
        assert_eq!(status["tombstones"].as_array().unwrap().len(), 2, "they can be restored");
        // The approval is used up.
        let (_, status) = world.push(&[("a.yaml", &saying("a", "again"))], "back");
        assert!(is_ready(&status), "{status:#}");
        world.repository.git(&["rm", "--quiet", "a.yaml"]);
        world.repository.commit_all(&["-m", "nothing again"]);
        assert_eq!(ready(&world.look()).1, "PruneBlocked");
        assert_eq!(world.connectors(), ["a"]);
    }
}

#[test]
fn a_protected_definition_is_removed_by_an_approved_digest_only() {
    let protected =
        saying("a", "first").replace("name: a }", "name: a, annotations: { evenkeel.dev/prune: disabled } }");
    let world = World::start(&[("a.yaml", &protected), ("b.yaml", &saying("b", "first"))]);
    world.wait(is_ready, "the first commit");
    std::fs::remove_file(world.repository.work().join("a.yaml")).unwrap();
    let (_, status) = world.push(&[("b.yaml", &saying("b", "second"))], "remove");
    let (_, reason, message) = ready(&status);
    assert_eq!(reason, "PruneBlocked", "{status:#}");
    assert!(message.contains("the removal of Connector/a waits") && message.contains("--digest sha256:"), "{message}");
    let digest = status["pending"]["plan"].as_str().unwrap();
    let applied = world.run(&["apply", "-e", "live", "--digest", digest]);
    assert_eq!(applied.code, 0, "{}{}", applied.out, applied.err);
    assert_eq!(world.connectors(), ["b"]);
}

#[test]
fn an_offline_plan_never_takes_a_damaged_definition_for_removed() {
    let repository = folder(&[("a.yaml", &saying("a", "first")), ("b.yaml", &saying("b", "first"))]);
    for args in [&["init", "--quiet"][..], &["add", "."], &["commit", "--quiet", "-m", "first"]] {
        git(repository.path(), args);
    }
    let path = repository.path().join("a.yaml");
    let list = format!("apiVersion: v1\nkind: List\nitems:\n  - {}", saying("a", "first").replace('\n', "\n    "));
    let group = saying("a", "first").replace("evenkeel.dev/v1alpha1", "example.com/v1");
    let plan = || said(&evenkeel().args(["plan", "--from", "HEAD"]).arg(repository.path()).output().unwrap());
    for text in [list, group] {
        std::fs::write(&path, text).unwrap();
        let refused = plan();
        assert_eq!(refused.code, 1, "{}{}", refused.out, refused.err);
        let all = format!("{}{}", refused.out, refused.err);
        assert!(
            all.contains("EK0111") && all.contains("a.yaml") && all.contains("this file held Connector/a"),
            "{all}"
        );
        assert!(!all.contains("1 to remove"), "{all}");
    }
    std::fs::remove_file(&path).unwrap();
    let planned = plan();
    assert!(planned.code == 0 && planned.out.contains("- Connector/a"), "{}{}", planned.out, planned.err);
}
