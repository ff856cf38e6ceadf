//! Several sources for one environment, and webhooks of forges.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{connectors, drain, is_ready, look, ready, saying, serve, wait};
use crate::git_server::{Fault, GitHttp, Repository};
use crate::support::{Dev, write};

/// An environment of a repository, `a`, and a folder, `b`.
struct Both {
    repository: Repository,
    git: GitHttp,
    b: TempDir,
    _folder: TempDir,
    server: Dev,
}

impl Both {
    fn start(a: &[(&str, &str)], b: &[(&str, &str)]) -> Both {
        let repository = Repository::with(a);
        let git = GitHttp::start(repository.root());
        let b = crate::support::folder(b);
        let folder = tempfile::tempdir().unwrap();
        let document = format!(
            "apiVersion: evenkeel.dev/v1alpha1\nkind: Environment\nmetadata: {{ name: live }}\nspec:\n  interval: 1h\n  sources:\n    \
             - {{ name: a, git: {{ url: \"{}\", branch: main }} }}\n    - {{ name: b, directory: {{ path: \"{}\" }} }}\n",
            git.url(),
            b.path().display()
        );
        write(&folder.path().join("live.yaml"), &document);
        let server = serve(folder.path(), &[], |_| {});
        wait(&server, "live", is_ready, "the first pass");
        // The view is published after the status.
        while server.get("/v1/environments/live/definitions").json()["items"] == json!([]) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Both { repository, git, b, _folder: folder, server }
    }

    fn look(&self) -> Value {
        look(&self.server, "live")
    }

    fn history(&self) -> Value {
        self.server.get("/v1/environments/live/history").json()["items"].clone()
    }

    fn trace(&self, name: &str) -> Value {
        self.server.get(&format!("/v1/environments/live/definitions/Connector/{name}")).json()
    }

    fn uid(&self, name: &str) -> Value {
        let listed = self.server.get("/v1/environments/live/definitions").json();
        let found = listed["items"].as_array().unwrap().iter().find(|item| item["id"] == format!("Connector/{name}"));
        found.unwrap_or_else(|| panic!("{name} is not live: {listed:#}"))["uid"].clone()
    }
}

#[test]
fn two_sources_that_claim_one_name_are_refused_with_both_places() {
    let both = Both::start(&[("one.yaml", &saying("one", "first"))], &[("two.yaml", &saying("two", "first"))]);
    assert_eq!(connectors(&both.server), ["one", "two"]);
    assert_eq!(
        (&both.trace("one")["owner"]["source"], &both.trace("two")["owner"]["source"]),
        (&"a".into(), &"b".into())
    );
    both.repository.commit(&[("deep/two.yaml", &saying("two", "stolen"))], "steal");
    let status = both.look();
    assert_eq!(ready(&status).1, "InvalidDefinitions", "{status:#}");
    let finding = &status["findings"].as_array().unwrap().iter().find(|one| one["severity"] == "error").unwrap();
    let shown = finding.to_string();
    assert!(shown.contains("a/deep/two.yaml") && shown.contains("b/two.yaml"), "{shown}");
    assert_eq!((&status["generation"], connectors(&both.server).len()), (&1.into(), 2));
    assert_eq!(both.trace("two")["owner"]["source"], "b");
    assert_eq!(super::served_by(&both.server, "two").1.unwrap(), "b/two.yaml:8");
    both.repository.git(&["revert", "--no-edit", "HEAD"]);
    let status = both.look();
    assert!(is_ready(&status) && status["generation"] == 1, "{status:#}");
}

#[test]
fn row_48_a_definition_moves_to_another_source_as_the_same() {
    let both = Both::start(
        &[("one.yaml", &saying("one", "first")), ("moves.yaml", &saying("moves", "first"))],
        &[("two.yaml", &saying("two", "first"))],
    );
    let uid = both.uid("moves");
    std::fs::remove_file(both.repository.work().join("moves.yaml")).unwrap();
    both.repository.commit_all(&["-m", "move it out"]);
    write(&both.b.path().join("from-a/moves.yaml"), &saying("moves", "first"));
    let status = both.look();
    assert!(is_ready(&status), "{status:#}");
    let history = both.history();
    let summary = &history[0]["summary"];
    assert_eq!((&history[0]["generation"], &summary["move"]), (&2.into(), &1.into()), "{history:#}");
    assert_eq!((&summary["create"], &summary["delete"], &summary["update"]), (&0.into(), &0.into(), &0.into()));
    assert_eq!(both.uid("moves"), uid);
    assert_eq!(both.trace("moves")["owner"]["source"], "b");
    assert_eq!(super::status(&both.server, "live")["tombstones"], json!([]), "it was never gone");
    // Moved and changed at once, within one source: still the same.
    std::fs::rename(both.b.path().join("from-a"), both.b.path().join("own")).unwrap();
    write(&both.b.path().join("own/moves.yaml"), &saying("moves", "changed"));
    let status = both.look();
    assert!(is_ready(&status), "{status:#}");
    let summary = both.history()[0]["summary"].clone();
    assert_eq!((&summary["create"], &summary["delete"]), (&0.into(), &0.into()), "{summary}");
    assert_eq!(both.uid("moves"), uid);
}

#[test]
fn a_source_that_fails_is_named_and_nothing_is_pruned() {
    let both = Both::start(&[("one.yaml", &saying("one", "first"))], &[("two.yaml", &saying("two", "first"))]);
    both.git.fault(Fault::Status(503));
    write(&both.b.path().join("three.yaml"), &saying("three", "new"));
    let status = both.look();
    let (_, reason, message) = ready(&status);
    assert_eq!(reason, "FetchFailed", "{status:#}");
    assert!(message.contains("source a"), "{message}");
    assert_eq!(connectors(&both.server), ["one", "two"], "part of an environment is not applied");
    both.git.fault(Fault::None);
    assert!(is_ready(&both.look()));
    assert_eq!(connectors(&both.server), ["one", "three", "two"]);
    // And the other one.
    let hidden = both.b.path().with_extension("hidden");
    std::fs::rename(both.b.path(), &hidden).unwrap();
    let status = both.look();
    std::fs::rename(&hidden, both.b.path()).unwrap();
    let (_, reason, message) = ready(&status);
    assert_eq!(reason, "FetchFailed", "{status:#}");
    assert!(message.contains("source b"), "{message}");
    assert_eq!(connectors(&both.server), ["one", "three", "two"]);
    assert!(is_ready(&both.look()));
}

const SECRET: &str = "webhook-secret";
const HOOK: &str = "/v1/environments/live/webhook";

pub fn mac(body: &str) -> String {
    let mac = evenkeel::text::hmac_sha256(SECRET.as_bytes(), &[body.as_bytes()]);
    mac.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A server that follows `main` and accepts the webhooks of a provider.
pub fn hooked(git: &GitHttp, folder: &std::path::Path, provider: &str) -> Dev {
    let source = format!("branch: main, webhook: {{ provider: {provider}, secret: {{ secretRef: hook }} }}");
    let document = super::following(&git.url(), "  secrets: { hook: { env: TEST_HOOK } }\n");
    write(&folder.join("live.yaml"), &document.replace("branch: main", &source));
    let server = serve(folder, &[], |command| {
        command.env("TEST_HOOK", SECRET);
    });
    wait(&server, "live", is_ready, "the first commit");
    server
}

#[test]
fn a_push_to_another_branch_is_ignored_and_costs_no_fetch() {
    let repository = Repository::with(&[("a.yaml", &saying("a", "first"))]);
    let git = GitHttp::start(repository.root());
    let folder = tempfile::tempdir().unwrap();
    let server = hooked(&git, folder.path(), "GitHub");
    repository.commit(&[("a.yaml", &saying("a", "second"))], "second");
    git.requests();
    let push = |branch: &str| {
        let body = format!("{{\"ref\":\"refs/heads/{branch}\",\"after\":\"{}\"}}", repository.head());
        let signature = format!("sha256={}", mac(&body));
        server.post(HOOK, &[("x-hub-signature-256", &signature)], &body)
    };
    for branch in ["other", "main/deeper", "mainly"] {
        let answer = push(branch);
        assert_eq!((answer.status, answer.json()["result"].as_str()), (202, Some("ignored")), "{branch}: {answer:?}");
    }
    drain(&server, "live");
    let ignored = git.requests();
    assert!(ignored.is_empty(), "{ignored:?}");
    assert_eq!(push("main").json()["result"], "accepted");
    wait(&server, "live", |status| status["generation"] == 2, "the push");
    let metrics = server.get("/metrics").body;
    for line in ["result=\"ignored\"} 3", "result=\"accepted\"} 1"] {
        let found = metrics.lines().any(|known| known.contains("webhook") && known.ends_with(line));
        assert!(found, "{line}: {metrics}");
    }
}

#[test]
fn an_oversized_push_notification_is_refused() {
    let repository = Repository::with(&[("a.yaml", &saying("a", "first"))]);
    let git = GitHttp::start(repository.root());
    let folder = tempfile::tempdir().unwrap();
    let server = hooked(&git, folder.path(), "GitHub");
    git.requests();
    let body = format!("{{\"ref\":\"refs/heads/main\",\"x\":\"{}\"}}", "x".repeat(8 << 20));
    let signature = format!("sha256={}", mac(&body));
    let answer = server.post(HOOK, &[("x-hub-signature-256", &signature)], &body);
    assert_eq!(answer.status, 413, "{answer:?}");
    drain(&server, "live");
    assert!(git.requests().is_empty());
}

type Headers = Vec<(&'static str, String)>;

#[test]
fn each_forge_signs_push_notifications_in_its_own_way() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let push = "{\"ref\":\"refs/heads/main\"}";
    let bitbucket = "{\"push\":{\"changes\":[{\"new\":{\"type\":\"branch\",\"name\":\"main\"}}]}}";
    let prefixed = |body: &str| format!("sha256={}", mac(body));
    let timed = |at: u64| {
        let timestamp = at.to_string();
        let mac = mac(&format!("{timestamp}.{push}"));
        vec![("x-evenkeel-signature", format!("sha256={mac}")), ("x-evenkeel-timestamp", timestamp)]
    };
    // The provider, a push, headers that fit, and some that do not.
    let table: [(&str, &str, Headers, Vec<Headers>); 4] = [
        (
            "GitLab",
            push,
            vec![("x-gitlab-token", SECRET.to_owned())],
            vec![vec![("x-gitlab-token", SECRET[1..].to_owned())], vec![("x-hub-signature-256", prefixed(push))]],
        ),
        (
            "Gitea",
            push,
            vec![("x-gitea-signature", mac(push))],
            vec![vec![("x-gitea-signature", mac("other"))], vec![("x-gitlab-token", SECRET.to_owned())]],
        ),
        (
            "Bitbucket",
            bitbucket,
            vec![("x-hub-signature", prefixed(bitbucket))],
            vec![vec![("x-hub-signature", prefixed(push))], vec![("x-hub-signature", mac(bitbucket))]],
        ),
        (
            "Generic",
            push,
            timed(now),
            vec![
                timed(now - 600),
                vec![("x-evenkeel-timestamp", now.to_string()), ("x-evenkeel-signature", prefixed(push))],
            ],
        ),
    ];
    for (provider, body, good, bad) in table {
        let repository = Repository::with(&[("a.yaml", &saying("a", "first"))]);
        let git = GitHttp::start(repository.root());
        let folder = tempfile::tempdir().unwrap();
        let server = hooked(&git, folder.path(), provider);
        repository.commit(&[("a.yaml", &saying("a", "second"))], "second");
        git.requests();
        let send = |headers: &Headers| {
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            server.post(HOOK, &headers, body).status
        };
        for headers in bad.iter().chain([&Vec::new()]) {
            assert_eq!(send(headers), 401, "{provider}: {headers:?}");
        }
        assert!(git.requests().is_empty(), "{provider}");
        assert_eq!(send(&good), 202, "{provider}");
        wait(&server, "live", |status| status["generation"] == 2 && is_ready(status), provider);
    }
}
