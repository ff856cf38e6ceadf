//! Changes of Git repositories and the generation that is active after them.

use super::{World, blocked, drain, is_ready, ready, saying, served_by};
use crate::git_server::{Fault, GitSsh};
use crate::support::write;

fn ten() -> Vec<(String, String)> {
    (0..10).map(|number| (format!("definitions/c{number}.yaml"), saying(&format!("c{number}"), "hello"))).collect()
}

fn files(files: &[(String, String)]) -> Vec<(&str, &str)> {
    files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect()
}

#[test]
fn a_valid_commit_is_activated_and_an_invalid_one_is_not() {
    let ten = ten();
    let world = World::start(&files(&ten));
    let first = world.repository.head();
    let status = world.wait(is_ready, "the first commit");
    assert_eq!(status["lastApplied"]["source"], format!("main@sha1:{first}"));
    assert_eq!(world.connectors().len(), 10);

    let (second, status) = world.push(&[("definitions/c3.yaml", &saying("c3", "changed"))], "change");
    assert!(is_ready(&status), "{status:#}");
    assert_eq!(status["generation"], 2);
    assert_eq!(served_by(&world.server, "c3").0.unwrap(), format!("main@sha1:{second}"));
    assert_eq!(served_by(&world.server, "c3").1.unwrap(), "definitions/c3.yaml:8");

    let broken = saying("c3", "broken").replace("baseUrl", "baseUlr");
    let (third, status) = world.push(&[("definitions/c3.yaml", &broken)], "break");
    let (truth, reason, message) = ready(&status);
    assert_eq!((truth.as_str(), reason.as_str()), ("False", "InvalidDefinitions"), "{status:#}");
    // The message names the commit, the file, the line and the remedy.
    assert!(message.contains(&third) && message.contains("definitions/c3.yaml:6:3"), "{message}");
    assert!(message.contains("baseUlr"), "{message}");
    assert_eq!(status["findings"][0]["help"], "did you mean `baseUrl`?", "{status:#}");
    assert_eq!((&status["generation"], status["errors"].as_u64()), (&2.into(), Some(1)), "{status:#}");
    assert_eq!(served_by(&world.server, "c3").0.unwrap(), format!("main@sha1:{second}"));

    world.repository.git(&["revert", "--no-edit", "HEAD"]);
    let status = world.look();
    assert!(is_ready(&status), "{status:#}");
    assert_eq!(status["generation"], 2, "the declared definitions are live already: {status:#}");
    assert_eq!(status["lastApplied"]["source"], format!("main@sha1:{}", world.repository.head()));
}

#[test]
fn row_01_a_forced_push_prunes_nothing_unasked() {
    let ten = ten();
    let world = World::start(&files(&ten));
    world.wait(is_ready, "the first commit");
    // History is replaced by one that never had most of the definitions.
    world.repository.git(&["checkout", "--quiet", "--orphan", "other"]);
    for (path, _) in &ten[2..] {
        std::fs::remove_file(world.repository.work().join(path)).unwrap();
    }
    world.repository.commit_all(&["-m", "rewritten"]);
    world.repository.git(&["branch", "--force", "main", "other"]);
    let status = world.look();
    assert_eq!(ready(&status).1, "PruneBlocked", "{status:#}");
    assert_eq!(blocked(&status), serde_json::json!(["Budget"]));
    assert_eq!(world.connectors().len(), 10);
    let rewritten = format!("main@sha1:{}", world.repository.head());
    assert_eq!(status["historyRewritten"], serde_json::json!({"source": rewritten}));
    assert!(world.run(&["status"]).out.contains("does not descend from the previous revision"));
    assert!(world.server.get("/metrics").body.contains("evenkeel_history_rewritten_total{environment=\"live\"} 1"));
    // The plan that was read can be approved, and no other.
    let waits = status["pending"]["plan"].as_str().unwrap().to_owned();
    let other = format!("sha256:{}", "0".repeat(64));
    let refused = world.server.post("/v1/environments/live/apply", &[], &format!("{{\"plan\":\"{other}\"}}"));
    assert_eq!((refused.status, refused.json()["code"].as_str()), (409, Some("STALE_PLAN")));
    let approved = world.server.post("/v1/environments/live/apply", &[], &format!("{{\"plan\":\"{waits}\"}}"));
    assert_eq!(approved.status, 200, "{approved:?}");
    assert!(is_ready(&approved.json()["status"]), "{approved:?}");
    assert_eq!(world.connectors().len(), 2);
    // The status shows it until a commit follows.
    world.repository.git(&["checkout", "--quiet", "main"]);
    assert_eq!(world.look()["historyRewritten"], serde_json::json!({"source": rewritten}));
    let (_, status) = world.push(&[("new.yaml", &saying("new", "one"))], "a commit that follows");
    assert!(is_ready(&status) && status["historyRewritten"] == serde_json::json!({}), "{status:#}");
}

#[test]
fn row_02_a_deleted_branch_or_refused_login_prunes_nothing() {
    let ten = ten();
    let world = World::start(&files(&ten));
    world.wait(is_ready, "the first commit");
    world.repository.git(&["branch", "-m", "main", "elsewhere"]);
    let status = world.look();
    assert_eq!(ready(&status).1, "FetchFailed", "{status:#}");
    assert!(ready(&status).2.contains("RevisionNotFound") && ready(&status).2.contains("main"), "{status:#}");
    assert_eq!(world.connectors().len(), 10);
    world.repository.git(&["branch", "-m", "elsewhere", "main"]);
    assert!(is_ready(&world.look()));
    world.git.require(Some("Bearer unknown"));
    let status = world.look();
    assert!(ready(&status).2.contains("Unauthorized"), "{status:#}");
    assert_eq!(world.connectors().len(), 10);
    world.git.require(None);
    assert!(is_ready(&world.look()));
}

#[test]
fn row_03_empty_trees_and_renamed_folders_prune_nothing() {
    let ten = ten();
    let world = World::start(&files(&ten));
    world.wait(is_ready, "the first commit");
    // A renamed folder holds the same definitions at other paths.
    world.repository.git(&["mv", "definitions", "moved"]);
    world.repository.commit_all(&["-m", "rename"]);
    let status = world.look();
    assert!(is_ready(&status), "{status:#}");
    assert_eq!(world.connectors().len(), 10);
    let history = world.server.get("/v1/environments/live/history").json();
    let summary = &history["items"][0]["summary"];
    assert_eq!(
        (&summary["move"], &summary["delete"], &summary["create"]),
        (&10.into(), &0.into(), &0.into()),
        "{summary}"
    );
    // All definitions are removed.
    world.repository.git(&["rm", "-r", "--quiet", "moved"]);
    world.repository.commit_all(&["-m", "nothing"]);
    let status = world.look();
    assert!(!is_ready(&status), "{status:#}");
    assert_eq!(world.connectors().len(), 10);
    assert_eq!(ready(&status).1, "PruneBlocked", "{status:#}");
    world.repository.git(&["revert", "--no-edit", "HEAD"]);
    assert!(is_ready(&world.look()));
}

#[test]
fn row_03_a_folder_that_vanished_prunes_nothing() {
    let text = saying("one", "hello");
    let world = World::start(&[("definitions/one.yaml", &text), ("README.md", "hello")]);
    world.wait(is_ready, "the first commit");
    let document = super::following(&world.git.url(), "").replace("branch: main", "branch: main, path: definitions");
    write(&world.folder.path().join("live.yaml"), &document);
    world.wait(|status| status["generation"] == 2 && is_ready(status), "the new document");
    world.repository.git(&["mv", "definitions", "moved"]);
    world.repository.commit_all(&["-m", "rename"]);
    let status = world.look();
    assert_eq!(ready(&status).1, "FetchFailed", "{status:#}");
    assert!(ready(&status).2.contains("PathNotFound"), "{status:#}");
    assert_eq!(world.connectors(), ["one"]);
}

#[test]
fn row_17_a_burst_of_commits_ends_at_the_newest() {
    let world = World::with(&[("a.yaml", &saying("a", "first"))], "  secrets: { hook: { env: TEST_HOOK } }\n", &[]);
    world.wait(is_ready, "the first commit");
    for number in 0..20 {
        world.repository.commit(&[("a.yaml", &saying("a", &format!("commit{number}")))], "burst");
    }
    let status = world.look();
    assert_eq!(status["lastApplied"]["source"], format!("main@sha1:{}", world.repository.head()));
    assert_eq!(status["generation"], 2, "the commits between are skipped");
}

#[test]
fn row_16_signed_pushes_cause_a_pass_and_unsigned_ones_do_not() {
    let repository = crate::git_server::Repository::with(&[("a.yaml", &saying("a", "first"))]);
    let git = crate::git_server::GitHttp::start(repository.root());
    let folder = tempfile::tempdir().unwrap();
    let hook = "branch: main, webhook: { provider: GitHub, secret: { secretRef: hook } }";
    let document =
        super::following(&git.url(), "  secrets: { hook: { env: TEST_HOOK } }\n").replace("branch: main", hook);
    write(&folder.path().join("live.yaml"), &document);
    let server = super::serve(folder.path(), &[], |command| {
        command.env("TEST_HOOK", "webhook-secret");
    });
    super::wait(&server, "live", is_ready, "the first commit");
    let commit = repository.commit(&[("a.yaml", &saying("a", "second"))], "second");
    let body = format!("{{\"ref\":\"refs/heads/main\",\"after\":\"{commit}\"}}");
    let path = "/v1/environments/live/webhook";
    git.requests();
    for headers in [vec![], vec![("x-hub-signature-256", "sha256=00")]] {
        assert_eq!(server.post(path, &headers, &body).status, 401);
    }
    drain(&server, "live");
    assert!(git.requests().is_empty(), "an unsigned push must not cause a fetch");
    let mac = evenkeel::text::hmac_sha256(b"webhook-secret", &[body.as_bytes()]);
    let signature = format!("sha256={}", mac.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let push = || assert_eq!(server.post(path, &[("x-hub-signature-256", &signature)], &body).status, 202);
    // The first push causes a fetch, and all further ones arrive while it is in progress.
    git.fault(Fault::Hold);
    push();
    let mut requests = Vec::new();
    while requests.is_empty() {
        requests.extend(git.requests());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    for _ in 0..49 {
        push();
    }
    git.fault(Fault::None);
    let live = format!("main@sha1:{commit}");
    super::wait(&server, "live", |status| status["lastApplied"]["source"] == live.as_str(), "the push");
    drain(&server, "live");
    requests.extend(git.requests());
    let fetches = requests.iter().filter(|request| request.contains("info/refs")).count();
    assert!(fetches < 5, "50 pushes caused {fetches} fetches");
}

#[test]
#[cfg_attr(missing_sshd, ignore = "needs sshd: tests/run installs it")]
fn a_repository_over_ssh_is_followed() {
    let ssh = GitSsh::start();
    let repository = crate::git_server::Repository::with(&[("a.yaml", &saying("a", "first"))]);
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("key"), &ssh.private_key("login"));
    let document = |known: &str| {
        format!(
            "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: {{ name: live }}\nspec:\n  source:\n    git:\n      \
             url: \"{}\"\n      branch: main\n      auth: {{ ssh: {{ privateKey: {{ secretRef: key }}, knownHosts: [\"{}\"] }} }}\n  \
             interval: 1h\n  secrets: {{ key: {{ file: \"{}\" }} }}\n",
            ssh.url(&repository.git_dir()),
            ssh.known_host(known),
            folder.path().join("key").display()
        )
    };
    write(&folder.path().join("live.yaml"), &document("host"));
    let server = super::serve(folder.path(), &[], |_| {});
    super::wait(&server, "live", is_ready, "the first commit");
    let commit = repository.commit(&[("a.yaml", &saying("a", "second"))], "second");
    let status = super::look(&server, "live");
    assert_eq!(status["lastApplied"]["source"], format!("main@sha1:{commit}"));
    drop(server);
    // The known host key is another one.
    write(&folder.path().join("live.yaml"), &document("other"));
    let server = super::serve(folder.path(), &[], |_| {});
    let status = super::wait(&server, "live", |status| ready(status).1 == "FetchFailed", "the refusal");
    assert!(ready(&status).2.contains("UntrustedHost"), "{status:#}");
    assert_eq!(super::connectors(&server), ["a"], "the active generation serves again after a restart");
}
