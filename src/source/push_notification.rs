//! Push notifications: the payloads of Git hosts' webhooks.
//!
//! A notification only triggers a fetch, and the fetch determines the revision. A payload that cannot be parsed becomes an
//! empty notification, which affects every source.

use serde::Deserialize;

use crate::definition::environment::{GitSource, WebhookProvider};

/// Maximum size of a payload that is parsed, in bytes; a larger one becomes an empty notification.
const MAX_BYTES: usize = 1 << 20;
/// Maximum number of changed references of one payload; a payload with more affects every source.
const MAX_CHANGES: usize = 100;
/// Maximum length of a name, in bytes.
const MAX_NAME_BYTES: usize = 1024;

/// The content of a payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushNotification {
    /// The changed references; empty if unknown.
    pub changes: Vec<Change>,
    /// The repository, such as `acme/integrations`, as the sender names it.
    pub repository: Option<String>,
    /// True if the host only tests the webhook.
    pub ping: bool,
}

/// A reference that was created, moved or removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The full name, such as `refs/heads/main`.
    pub reference: String,
    /// The new commit, 40 or 64 hexadecimal digits; `None` if the reference was removed or the payload has no commit.
    pub commit: Option<String>,
}

impl PushNotification {
    /// True if the push may change the revision of a source, also if that cannot be determined.
    pub fn affects(&self, source: &GitSource) -> bool {
        if self.ping {
            return false;
        }
        let any = |wanted: &dyn Fn(&str) -> bool| {
            self.changes.is_empty() || self.changes.iter().any(|change| wanted(&change.reference))
        };
        match (&source.branch, &source.tag, &source.semver, &source.commit) {
            (Some(branch), ..) => any(&|name| name.strip_prefix("refs/heads/") == Some(branch.as_str())),
            (_, Some(tag), ..) => any(&|name| name.strip_prefix("refs/tags/") == Some(tag.as_str())),
            (_, _, Some(_), _) => any(&|name| name.starts_with("refs/tags/")),
            // Any push may add the commit.
            (_, _, _, Some(_)) => true,
            // Only a fetch determines the default branch.
            _ => any(&|name| name.starts_with("refs/heads/")),
        }
    }

    /// The new commit of the first change that has one.
    pub fn commit(&self) -> Option<&str> {
        self.changes.iter().find_map(|change| change.commit.as_deref())
    }
}

/// Parses a payload. Never fails.
pub fn parse(provider: WebhookProvider, body: &[u8]) -> PushNotification {
    if body.len() > MAX_BYTES {
        return PushNotification::default();
    }
    match provider {
        WebhookProvider::GitHub | WebhookProvider::Gitea | WebhookProvider::GitLab => one_reference(body),
        WebhookProvider::Bitbucket => bitbucket(body),
        WebhookProvider::Generic => generic(body),
    }
    .unwrap_or_default()
}

/// GitHub, Gitea, Forgejo and GitLab: one reference per push.
fn one_reference(body: &[u8]) -> Option<PushNotification> {
    #[derive(Deserialize)]
    struct Push {
        r#ref: Option<String>,
        after: Option<String>,
        repository: Option<Repository>,
        project: Option<Project>,
        zen: Option<String>,
        hook_id: Option<u64>,
    }
    #[derive(Deserialize)]
    struct Repository {
        full_name: Option<String>,
    }
    #[derive(Deserialize)]
    struct Project {
        path_with_namespace: Option<String>,
    }
    let push: Push = serde_json::from_slice(body).ok()?;
    let repository = push.repository.and_then(|repository| repository.full_name);
    let repository = repository.or(push.project.and_then(|project| project.path_with_namespace));
    let ping = push.r#ref.is_none() && push.zen.is_some() && push.hook_id.is_some();
    Some(notification([(push.r#ref, push.after)], repository, ping))
}

/// Bitbucket Cloud (`push.changes`) and Data Center (`changes`): several references per push.
fn bitbucket(body: &[u8]) -> Option<PushNotification> {
    #[derive(Deserialize)]
    struct Push {
        #[serde(rename = "push")]
        cloud: Option<Cloud>,
        #[serde(default)]
        changes: Vec<ServerChange>,
        repository: Option<Repository>,
        #[serde(default)]
        test: bool,
    }
    #[derive(Deserialize)]
    struct Cloud {
        #[serde(default)]
        changes: Vec<CloudChange>,
    }
    #[derive(Deserialize)]
    struct CloudChange {
        new: Option<CloudRef>,
        old: Option<CloudRef>,
    }
    #[derive(Deserialize)]
    struct CloudRef {
        r#type: Option<String>,
        name: String,
        target: Option<Target>,
    }
    #[derive(Deserialize)]
    struct Target {
        hash: Option<String>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct ServerChange {
        r#ref: ServerRef,
        to_hash: Option<String>,
    }
    #[derive(Deserialize)]
    struct ServerRef {
        id: String,
    }
    #[derive(Deserialize)]
    struct Repository {
        full_name: Option<String>,
        slug: Option<String>,
        project: Option<Project>,
    }
    #[derive(Deserialize)]
    struct Project {
        key: Option<String>,
    }
    let push: Push = serde_json::from_slice(body).ok()?;
    let cloud = push.cloud.into_iter().flat_map(|push| push.changes).filter_map(|change| {
        let removed = change.new.is_none();
        let at = change.new.or(change.old)?;
        let folder = if at.r#type.as_deref() == Some("tag") { "tags" } else { "heads" };
        let commit = at.target.and_then(|target| target.hash).filter(|_| !removed);
        Some((Some(format!("refs/{folder}/{}", at.name)), commit))
    });
    let server = push.changes.into_iter().map(|change| (Some(change.r#ref.id), change.to_hash));
    let repository = push.repository.and_then(|repository| {
        let in_project = || Some(format!("{}/{}", repository.project?.key?, repository.slug?));
        repository.full_name.or_else(in_project)
    });
    Some(notification(cloud.chain(server), repository, push.test))
}

/// Other senders: `{ "ref": "refs/heads/main", "commit": "…", "repository": "acme/integrations" }`; a `ref` without `refs/` is a
/// branch.
fn generic(body: &[u8]) -> Option<PushNotification> {
    #[derive(Deserialize)]
    struct Push {
        r#ref: Option<String>,
        commit: Option<String>,
        repository: Option<String>,
        #[serde(default)]
        ping: bool,
    }
    let push: Push = serde_json::from_slice(body).ok()?;
    let reference = push.r#ref.map(|name| if name.starts_with("refs/") { name } else { format!("refs/heads/{name}") });
    Some(notification([(reference, push.commit)], push.repository, push.ping))
}

fn notification(
    changes: impl IntoIterator<Item = (Option<String>, Option<String>)>,
    repository: Option<String>,
    ping: bool,
) -> PushNotification {
    let mut known = Vec::new();
    for (reference, commit) in changes {
        let Some(reference) = reference else { continue };
        // A reference beyond the limits may be the relevant one.
        if known.len() >= MAX_CHANGES || reference.len() > MAX_NAME_BYTES {
            known.clear();
            break;
        }
        known.push(Change { reference, commit: commit.filter(|commit| is_commit(commit)) });
    }
    PushNotification { changes: known, repository: repository.filter(|name| name.len() <= MAX_NAME_BYTES), ping }
}

/// True for a commit id. Zeroes stand for a removed reference.
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64)
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        && text.bytes().any(|byte| byte != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;
    use WebhookProvider::{Bitbucket, Generic, GitHub, GitLab, Gitea};

    const COMMIT: &str = "82b3d5ae55f7080f1e6022629cdb57bfae7cccc7";

    fn source(text: &str) -> GitSource {
        let text = format!("{{\"url\": \"https://git.example/a/b.git\" {text}}}");
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn parses_the_payload_of_every_host() {
        let github = format!(
            r#"{{"ref":"refs/heads/main","before":"{0}","after":"{COMMIT}","commits":[{{"id":"{COMMIT}"}}],"repository":{{"id":1,"full_name":"acme/flows"}},"pusher":{{"name":"a"}}}}"#,
            "0".repeat(40)
        );
        let gitlab = format!(
            r#"{{"object_kind":"push","ref":"refs/heads/main","after":"{COMMIT}","project":{{"path_with_namespace":"acme/flows"}},"repository":{{"name":"flows"}}}}"#
        );
        let cloud = format!(
            r#"{{"push":{{"changes":[{{"old":null,"new":{{"type":"branch","name":"main","target":{{"hash":"{COMMIT}"}}}}}}]}},"repository":{{"full_name":"acme/flows"}}}}"#
        );
        let server = format!(
            r#"{{"eventKey":"repo:refs_changed","repository":{{"slug":"flows","project":{{"key":"acme"}}}},"changes":[{{"ref":{{"id":"refs/heads/main","type":"BRANCH"}},"toHash":"{COMMIT}","type":"UPDATE"}}]}}"#
        );
        let generic = format!(r#"{{"ref":"main","commit":"{COMMIT}","repository":"acme/flows"}}"#);
        let cases = [
            (GitHub, &github),
            (Gitea, &github),
            (GitLab, &gitlab),
            (Bitbucket, &cloud),
            (Bitbucket, &server),
            (Generic, &generic),
        ];
        for (provider, body) in cases {
            let change = Change { reference: "refs/heads/main".into(), commit: Some(COMMIT.into()) };
            let notification = parse(provider, body.as_bytes());
            assert_eq!(
                notification,
                PushNotification { changes: vec![change], repository: Some("acme/flows".into()), ping: false },
                "{body}"
            );
            assert_eq!(notification.commit(), Some(COMMIT));
            assert!(notification.affects(&source(r#","branch":"main""#)));
            assert!(notification.affects(&source("")));
            assert!(!notification.affects(&source(r#","branch":"draft""#)));
            assert!(!notification.affects(&source(r#","tag":"main""#)));
            assert!(!notification.affects(&source(r#","semver":">=1.0.0""#)));
            assert!(notification.affects(&source(&format!(r#","commit":"{COMMIT}""#))));
        }
    }

    #[test]
    fn distinguishes_tags_and_removed_branches() {
        let tag = parse(GitHub, br#"{"ref":"refs/tags/v1.2.0","after":"0000000000000000000000000000000000000000"}"#);
        assert_eq!(tag.commit(), None, "zeroes are no commit");
        assert!(tag.affects(&source(r#","tag":"v1.2.0""#)) && !tag.affects(&source(r#","tag":"v1.2.1""#)));
        assert!(tag.affects(&source(r#","semver":">=1.0.0""#)) && !tag.affects(&source(r#","branch":"v1.2.0""#)));
        let removed = br#"{"push":{"changes":[{"old":{"type":"branch","name":"gone","target":{"hash":"82b3d5ae55f7080f1e6022629cdb57bfae7cccc7"}},"new":null},
            {"new":{"type":"tag","name":"v2"}}]}}"#;
        let notification = parse(Bitbucket, removed);
        assert_eq!(notification.changes.len(), 2);
        assert_eq!(notification.commit(), None);
        assert!(
            notification.affects(&source(r#","branch":"gone""#)) && notification.affects(&source(r#","tag":"v2""#))
        );
    }

    #[test]
    fn a_ping_affects_no_source() {
        for (provider, body) in [
            (GitHub, r#"{"zen":"Keep it logically awesome.","hook_id":1,"hook":{},"repository":{"full_name":"a/b"}}"#),
            (Bitbucket, r#"{"test":true}"#),
            (Generic, r#"{"ping":true}"#),
        ] {
            assert!(!parse(provider, body.as_bytes()).affects(&source("")), "{body}");
        }
        // A push with the fields of a ping is a push.
        let push = parse(GitHub, br#"{"zen":"x","hook_id":1,"ref":"refs/heads/main"}"#);
        assert!(push.affects(&source(r#","branch":"main""#)));
    }

    #[test]
    fn a_payload_that_cannot_be_parsed_affects_every_source() {
        let deep = "[".repeat(200_000);
        let large = format!(r#"{{"ref":"refs/heads/other","x":"{}"}}"#, "x".repeat(MAX_BYTES));
        let long = format!(r#"{{"ref":"refs/heads/{}"}}"#, "x".repeat(MAX_NAME_BYTES));
        for body in ["", "null", "[]", "{}", "payload=%7B%7D", r#"{"ref":1}"#, "\u{0}", &deep, &large, &long] {
            for provider in [GitHub, GitLab, Gitea, Bitbucket, Generic] {
                let notification = parse(provider, body.as_bytes());
                assert_eq!(notification.changes, [], "{provider:?}");
                assert!(notification.affects(&source(r#","branch":"main""#)), "{provider:?}");
            }
        }
        let one = r#"{"ref":{"id":"refs/heads/x"}}"#;
        let changes = |count: usize| format!(r#"{{"changes":[{}]}}"#, vec![one; count].join(","));
        assert_eq!(parse(Bitbucket, changes(MAX_CHANGES).as_bytes()).changes.len(), MAX_CHANGES);
        assert!(!parse(Bitbucket, changes(MAX_CHANGES).as_bytes()).affects(&source(r#","branch":"main""#)));
        assert!(parse(Bitbucket, changes(MAX_CHANGES + 1).as_bytes()).affects(&source(r#","branch":"main""#)));
    }
}
