//! The request of a notification in the format of each target.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, Method, header};
use serde_json::{Value, json};
use url::Url;
use zeroize::Zeroizing;

use super::model::{CommitState, OutgoingNotification, Secret, Target, tidy};
use crate::definition::environment::{NotificationEvent, Provider};
use crate::net::Request;
use crate::text::hmac_sha256;

/// Longest description of a commit status: GitHub's limit, in characters.
const MAX_DESCRIPTION: usize = 140;
/// Longest parts of a Slack message, in characters: together less than the limit of 3000 for one block.
const MAX_SLACK_TITLE: usize = 300;
const MAX_SLACK_TEXT: usize = 2500;
const MAX_SLACK_PLACE: usize = 1000;

/// Builds the request to a target. `id` and `now` (Unix seconds) are signed besides the body of a webhook.
///
/// # Errors
/// The target is invalid; the error does not contain its secrets.
pub(super) fn request(
    notification: &OutgoingNotification,
    target: &Target,
    id: &str,
    now: u64,
) -> Result<Request, String> {
    let mut request = match target {
        Target::Webhook { url, secret, .. } => webhook(notification, url, secret, id, now)?,
        Target::Slack { url, .. } => {
            let url = absolute(url.expose()).ok_or("the Slack URL is not an absolute URL; correct the secret")?;
            post(url, &slack(notification))
        }
        Target::CommitStatus { .. } => commit_status(notification, target)?,
    };
    let agent = HeaderValue::from_static(concat!("evenkeel/", env!("CARGO_PKG_VERSION")));
    request.headers.insert(header::USER_AGENT, agent);
    Ok(request)
}

fn post(url: Url, body: &Value) -> Request {
    let mut request = Request::new(Method::POST, url);
    request.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request.body = body.to_string().into();
    request
}

fn absolute(url: &str) -> Option<Url> {
    Url::parse(url).ok().filter(Url::has_host)
}

/// Standard Webhooks: HMAC-SHA256 of `id.timestamp.body`, in base64 after `v1,`.
fn webhook(
    notification: &OutgoingNotification,
    url: &str,
    secret: &Secret,
    id: &str,
    now: u64,
) -> Result<Request, String> {
    let url = absolute(url).ok_or("the webhook's URL is not an absolute URL; correct it")?;
    let key = match secret.expose().strip_prefix("whsec_") {
        Some(encoded) => Zeroizing::new(
            STANDARD
                .decode(encoded.trim())
                .map_err(|_| "the webhook's secret is not base64 after `whsec_`; correct it")?,
        ),
        None => Zeroizing::new(secret.expose().as_bytes().to_vec()),
    };
    if key.is_empty() {
        return Err("the webhook's secret is empty; set one".to_owned());
    }
    let mut request = post(url, &payload(notification));
    let now = now.to_string();
    let mac = hmac_sha256(&key, &[id.as_bytes(), b".", now.as_bytes(), b".", &request.body]);
    for (name, value) in [
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", now),
        ("webhook-signature", format!("v1,{}", STANDARD.encode(mac))),
    ] {
        let value = HeaderValue::from_str(&value).map_err(|_| "the webhook's id cannot be sent")?;
        request.headers.insert(HeaderName::from_static(name), value);
    }
    Ok(request)
}

fn payload(notification: &OutgoingNotification) -> Value {
    let kind = match notification.event {
        NotificationEvent::Applied => "environment.applied",
        NotificationEvent::Failed => "environment.failed",
        NotificationEvent::Recovered => "environment.recovered",
        NotificationEvent::Drifted => "environment.drifted",
        NotificationEvent::PruneBlocked => "environment.prune_blocked",
        NotificationEvent::AwaitingApproval => "environment.awaiting_approval",
        NotificationEvent::SecretsUnresolved => "environment.secrets_unresolved",
        NotificationEvent::SecretsResolved => "environment.secrets_resolved",
        NotificationEvent::ConnectorsUnhealthy => "environment.connectors_unhealthy",
        NotificationEvent::ConnectorsHealthy => "environment.connectors_healthy",
    };
    json!({
        "type": kind,
        "timestamp": jiff::Timestamp::from_second(notification.at_unix).unwrap_or_default().to_string(),
        "data": {
            "environment": notification.environment,
            "title": notification.title,
            "text": notification.text,
            "revision": notification.revision,
            "commit": notification.commit,
            "generation": notification.generation,
            "digest": notification.digest,
            "url": notification.url,
        },
    })
}

fn slack(notification: &OutgoingNotification) -> Value {
    let mut place = format!("environment {}", notification.environment);
    if notification.generation > 0 {
        place += &format!(", generation {}", notification.generation);
    }
    if !notification.revision.is_empty() {
        place += &format!(", {}", notification.revision);
    }
    let title = mrkdwn(&notification.title, MAX_SLACK_TITLE);
    let mut text = format!("*{title}*");
    if !notification.text.is_empty() {
        text += "\n";
        text += &mrkdwn(&notification.text, MAX_SLACK_TEXT);
    }
    let mut context = mrkdwn(&place, MAX_SLACK_PLACE);
    if let Some(url) = notification.url.as_deref().and_then(absolute).filter(|url| url.as_str().len() < MAX_SLACK_PLACE)
    {
        // Characters that would end the link are encoded.
        let url = url.as_str().replace('&', "&amp;").replace('<', "%3C").replace('>', "%3E").replace('|', "%7C");
        context += &format!(" · <{url}|more>");
    }
    let block = |text: String| json!({"type": "mrkdwn", "text": text});
    json!({
        "text": title,
        // Names in foreign text mention no user.
        "parse": "none",
        "link_names": false,
        "blocks": [
            {"type": "section", "text": block(text)},
            {"type": "context", "elements": [block(context)]},
        ],
    })
}

/// Escapes text for Slack (`&`, `<`, `>`), and disarms `@channel`, `@here` and `@everyone`. Cuts it to `max` characters
/// after escaping.
fn mrkdwn(text: &str, max: usize) -> String {
    let mut escaped = String::new();
    let mut length = 0;
    for c in text.chars() {
        let mut own = [0; 4];
        let written = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            // A zero-width space, so that no name follows.
            '@' => "@\u{200b}",
            c => c.encode_utf8(&mut own),
        };
        length += written.chars().count();
        if length >= max {
            escaped.push('…');
            break;
        }
        escaped += written;
    }
    escaped
}

fn commit_status(notification: &OutgoingNotification, target: &Target) -> Result<Request, String> {
    let Target::CommitStatus { provider, api_url, repository, token, context, state, description } = target else {
        return Err("the target is not a commit status".to_owned());
    };
    let is_commit = matches!(notification.commit.len(), 40 | 64)
        && notification.commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_commit {
        return Err("the revision is not a commit, so it cannot have a status".to_owned());
    }
    let public = match provider {
        Provider::GitHub => "https://api.github.com",
        Provider::GitLab => "https://gitlab.com/api/v4",
        Provider::Gitea => "https://gitea.com/api/v1",
    };
    let mut url = absolute(api_url.as_deref().unwrap_or(public))
        .ok_or("the forge's apiUrl is not an absolute URL; correct it")?;
    let parts: Vec<&str> = repository.split('/').collect();
    if parts.len() < 2 || parts.iter().any(|part| matches!(*part, "" | "." | "..")) {
        return Err("the repository of the commit status is not written as `owner/name`; correct it".to_owned());
    }
    {
        let mut path = url.path_segments_mut().map_err(|()| "the forge's apiUrl cannot have a path; correct it")?;
        path.pop_if_empty();
        match provider {
            // GitLab takes the whole path as one encoded id.
            Provider::GitLab => path.push("projects").push(repository),
            Provider::GitHub | Provider::Gitea => path.push("repos").extend(&parts),
        };
        path.push("statuses").push(&notification.commit);
    }
    let state = match (state, provider) {
        (CommitState::Pending, _) => "pending",
        (CommitState::Success, _) => "success",
        (CommitState::Failure, Provider::GitLab) => "failed",
        (CommitState::Failure, _) => "failure",
    };
    let name = if *provider == Provider::GitLab { "name" } else { "context" };
    let description = tidy(&description.replace('\n', " "), MAX_DESCRIPTION);
    let mut body = json!({"state": state, name: context, "description": description});
    if let Some(url) = &notification.url {
        body["target_url"] = json!(url);
    }
    let mut request = post(url, &body);
    let (header_name, value) = match provider {
        Provider::GitHub => (header::AUTHORIZATION, Zeroizing::new(format!("Bearer {}", token.expose()))),
        Provider::Gitea => (header::AUTHORIZATION, Zeroizing::new(format!("token {}", token.expose()))),
        Provider::GitLab => (HeaderName::from_static("private-token"), Zeroizing::new(token.expose().to_owned())),
    };
    let mut value =
        HeaderValue::from_str(&value).map_err(|_| "the token cannot be sent in a header; correct the secret")?;
    value.set_sensitive(true);
    request.headers.insert(header_name, value);
    if *provider == Provider::GitHub {
        request.headers.insert(header::ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
        request.headers.insert("x-github-api-version", HeaderValue::from_static("2022-11-28"));
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notification() -> OutgoingNotification {
        OutgoingNotification {
            environment: "live".into(),
            event: NotificationEvent::Failed,
            title: "<!channel> a & b".into(),
            text: "see <https://evil.example|here> @everyone".into(),
            revision: "main@sha1:82b3d5ae".into(),
            commit: "82b3d5ae55f7080f1e6022629cdb57bfae7cccc7".into(),
            generation: 7,
            digest: "sha256:0".into(),
            url: Some("https://evenkeel.example/e/live?a=1&b=<|>".into()),
            at_unix: 1_700_000_000,
            targets: Vec::new(),
        }
    }

    #[test]
    fn slack_text_mentions_no_user_and_adds_no_link() {
        let message = slack(&notification());
        assert_eq!(message["text"], "&lt;!channel&gt; a &amp; b");
        let text = message["blocks"][0]["text"]["text"].as_str().unwrap();
        assert_eq!(text, "*&lt;!channel&gt; a &amp; b*\nsee &lt;https://evil.example|here&gt; @\u{200b}everyone");
        let place = message["blocks"][1]["elements"][0]["text"].as_str().unwrap();
        assert_eq!(
            place,
            "environment live, generation 7, main@\u{200b}sha1:82b3d5ae · <https://evenkeel.example/e/live?a=1&amp;b=%3C%7C%3E|more>"
        );
        let long = OutgoingNotification {
            title: "&".repeat(5000),
            text: "<".repeat(90_000),
            revision: "@".repeat(9000),
            ..notification()
        };
        let long = slack(&long);
        let max = |value: &Value| assert!(value.as_str().unwrap().chars().count() < 3000);
        max(&long["blocks"][0]["text"]["text"]);
        max(&long["blocks"][1]["elements"][0]["text"]);
        assert!(long["text"].as_str().unwrap().ends_with("&amp;…"));
    }

    fn status(provider: Provider, api_url: Option<&str>, repository: &str, token: &str) -> Target {
        Target::CommitStatus {
            provider,
            api_url: api_url.map(str::to_owned),
            repository: repository.into(),
            token: Secret::new(token.into()),
            context: "evenkeel/live".into(),
            state: CommitState::Failure,
            description: "x".repeat(200),
        }
    }

    #[test]
    fn public_forges_have_default_urls() {
        let url = |provider| {
            request(&notification(), &status(provider, None, "acme/flows", "t"), "", 0).unwrap().url.to_string()
        };
        let commit = notification().commit;
        assert_eq!(url(Provider::GitHub), format!("https://api.github.com/repos/acme/flows/statuses/{commit}"));
        assert_eq!(url(Provider::GitLab), format!("https://gitlab.com/api/v4/projects/acme%2Fflows/statuses/{commit}"));
        assert_eq!(url(Provider::Gitea), format!("https://gitea.com/api/v1/repos/acme/flows/statuses/{commit}"));
    }

    #[test]
    fn errors_of_invalid_targets_hold_no_secrets() {
        let notification = notification();
        let none = OutgoingNotification { commit: String::new(), ..notification.clone() };
        let tricky = OutgoingNotification { commit: "../../../user/keys".into(), ..notification.clone() };
        let github = |repository, token| status(Provider::GitHub, None, repository, token);
        let hook = |url: &str, secret: &str| Target::Webhook {
            name: "n".into(),
            url: url.into(),
            secret: Secret::new(secret.into()),
        };
        let cases = [
            (&none, github("acme/flows", "hush"), "not a commit"),
            (&tricky, github("acme/flows", "hush"), "not a commit"),
            (&notification, github("acme", "hush"), "owner/name"),
            (&notification, github("acme/..", "hush"), "owner/name"),
            (&notification, github("acme//x", "hush"), "owner/name"),
            (&notification, github("acme/flows", "hush\r\nx: y"), "cannot be sent in a header"),
            (&notification, status(Provider::Gitea, Some("git.example"), "a/b", "hush"), "not an absolute URL"),
            (&notification, status(Provider::Gitea, Some("mailto:a@hush"), "a/b", "hush"), "not an absolute URL"),
            (&notification, hook("hooks", "hush"), "not an absolute URL"),
            (&notification, hook("https://hooks.example", ""), "is empty"),
            (&notification, hook("https://hooks.example", "whsec_"), "is empty"),
            (&notification, hook("https://hooks.example", "whsec_hush!"), "not base64"),
            (&notification, Target::Slack { name: "n".into(), url: Secret::new("hush".into()) }, "not an absolute URL"),
        ];
        for (notification, target, reason) in cases {
            let Err(error) = request(notification, &target, "msg_1", 1) else { panic!("{reason}: accepted") };
            assert!(error.contains(reason), "{error}, not {reason}");
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
