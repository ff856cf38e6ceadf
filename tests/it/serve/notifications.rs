//! Notifications and commit statuses of a whole server.

use serde_json::Value;

use super::{following, is_ready, look, ready, saying, serve, wait};
use crate::announce::{Got, OK, Receiver};
use crate::git_server::{GitHttp, Repository};
use crate::support::write;

/// Commit statuses in the order in which they came: the commit and its state.
fn statuses(got: &[Got]) -> Vec<(String, String)> {
    let statuses = got.iter().filter(|got| got.line.contains("/statuses/"));
    statuses
        .map(|got| {
            let commit = got.line.split("/statuses/").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
            let state = got.json()["state"].as_str().unwrap().to_owned();
            (commit.to_owned(), state)
        })
        .collect()
}

fn events(got: &[Got]) -> Vec<String> {
    let webhooks = got.iter().filter(|got| got.line.contains("/notify"));
    webhooks.filter_map(|got| got.json()["type"].as_str().map(str::to_owned)).collect()
}

#[test]
fn each_commit_is_reported_with_its_outcome() {
    let receiver = Receiver::start(&[OK]);
    let repository = Repository::with(&[("a.yaml", &saying("a", "first"))]);
    let git = GitHttp::start(repository.root());
    let folder = tempfile::tempdir().unwrap();
    let source = format!(
        "branch: main, commitStatus: {{ provider: Gitea, repository: acme/integrations, apiUrl: \"{}\", token: {{ secretRef: \
         forge }} }}",
        receiver.url("/api/v1")
    );
    let more = format!(
        "  secrets: {{ forge: {{ env: FORGE_TOKEN }}, signing: {{ env: SIGNING }} }}\n  notifications:\n    - {{ name: ops, \
         webhook: {{ url: \"{}\", secret: {{ secretRef: signing }} }} }}\n",
        receiver.url("/notify")
    );
    write(&folder.path().join("live.yaml"), &following(&git.url(), &more).replace("branch: main", &source));
    let server = serve(folder.path(), &[], |command| {
        command.env("FORGE_TOKEN", "forge-token").env("SIGNING", "whsec_c2lnbmluZy1rZXktb2YtdGhlLXRlc3Q=");
    });
    wait(&server, "live", is_ready, "the first commit");
    receiver.wait_for(2);
    let first = repository.head();
    assert_eq!(statuses(&receiver.got()), [(first.clone(), "success".to_owned())]);
    let status = receiver.got().into_iter().find(|got| got.line.contains("/statuses/")).unwrap();
    assert!(status.line.starts_with("POST /api/v1/repos/acme/integrations/statuses/"), "{}", status.line);
    assert_eq!(
        (status.header("authorization"), status.json()["context"].as_str()),
        ("token forge-token", Some("evenkeel/live"))
    );

    let broken = repository.commit(&[("a.yaml", &saying("a", "x").replace("baseUrl", "baseUlr"))], "broken");
    assert_eq!(ready(&look(&server, "live")).1, "InvalidDefinitions");
    receiver.wait_for(4);
    // An unreachable forge says nothing about a commit.
    git.fault(crate::git_server::Fault::Status(503));
    assert_eq!(ready(&look(&server, "live")).1, "FetchFailed");
    git.fault(crate::git_server::Fault::None);
    std::fs::remove_file(repository.work().join("a.yaml")).unwrap();
    let healed = repository.commit(&[("a.yaml", &saying("a", "third"))], "healed");
    assert!(is_ready(&look(&server, "live")));
    // A commit that changes no definition is live as well.
    receiver.wait_for(6);
    let readme = repository.commit(&[("README.md", "hello")], "readme");
    assert!(is_ready(&look(&server, "live")));
    receiver.wait_for(8);
    let of = |commit: &str, state: &str| (commit.to_owned(), state.to_owned());
    let wanted = [of(&first, "success"), of(&broken, "failure"), of(&healed, "success"), of(&readme, "success")];
    assert_eq!(statuses(&receiver.got()), wanted);
    // The failed fetch is not reported as a failure of the commit.
    let expected = ["applied", "failed", "recovered", "applied"].map(|word| format!("environment.{word}"));
    assert_eq!(events(&receiver.got()), expected);
    for got in receiver.got().iter().filter(|got| got.line.contains("/notify")) {
        assert!(got.header("webhook-signature").starts_with("v1,"), "{got:?}");
        let data: &Value = &got.json()["data"];
        assert_eq!(data["environment"], "live");
    }
}
