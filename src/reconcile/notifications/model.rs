//! Notifications, their targets and the settings of their delivery.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::definition::environment::{NotificationEvent, Provider};

/// Maximum number of deliveries that wait, over all targets.
pub const MAX_QUEUED: usize = 256;
/// Maximum number of tries of one delivery.
pub const MAX_TRIES: u32 = 4;
/// Maximum number of concurrent deliveries, each to another target.
pub(super) const MAX_AT_ONCE: usize = 8;
/// Maximum number of targets whose last message is remembered.
pub(super) const MAX_REMEMBERED: usize = 1024;
/// Longest title, in characters; longer ones are cut.
pub(super) const MAX_TITLE: usize = 200;
/// Longest text, in characters; longer ones are cut.
pub(super) const MAX_TEXT: usize = 8000;

/// A secret value: it has no `Debug`, and is overwritten when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a value.
    pub fn new(value: String) -> Secret {
        Secret(Zeroizing::new(value))
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

/// A notification with its targets.
#[derive(Clone)]
pub struct OutgoingNotification {
    /// The environment.
    pub environment: String,
    /// Type of the event.
    pub event: NotificationEvent,
    /// One line, without secrets.
    pub title: String,
    /// Details, without secrets.
    pub text: String,
    /// The revision for display.
    pub revision: String,
    /// The commit, 40 or 64 hexadecimal digits; empty without one, and then there is no commit status.
    pub commit: String,
    /// Number of the generation.
    pub generation: u64,
    /// Digest of the generation.
    pub digest: String,
    /// URL of a page with details.
    pub url: Option<String>,
    /// Time of the event, in Unix seconds.
    pub at_unix: i64,
    /// Targets.
    pub targets: Vec<Target>,
}

/// The target of a notification.
#[derive(Clone)]
pub enum Target {
    /// JSON by POST, signed according to Standard Webhooks (<https://www.standardwebhooks.com>).
    Webhook {
        /// Name of the notification, for logs.
        name: String,
        /// Absolute URL.
        url: String,
        /// Signing key: raw, or `whsec_` and base64.
        secret: Secret,
    },
    /// A message in Slack's format.
    Slack {
        /// Name of the notification, for logs.
        name: String,
        /// URL of the incoming webhook, which is a secret.
        url: Secret,
    },
    /// A status of the commit.
    CommitStatus {
        /// Type of the forge.
        provider: Provider,
        /// Base URL of the forge's API; if omitted, the provider's public one.
        api_url: Option<String>,
        /// The repository there, such as `acme/integrations`.
        repository: String,
        /// A token that may write statuses.
        token: Secret,
        /// Context of the status; see [`status_context`].
        context: String,
        /// State of the commit.
        state: CommitState,
        /// One line, without secrets; cut at 140 characters.
        description: String,
    },
}

/// State of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum CommitState {
    Pending,
    Success,
    Failure,
}

/// The context of an environment's commit statuses.
pub fn status_context(environment: &str) -> String {
    format!("evenkeel/{environment}")
}

/// Timing of deliveries. The defaults are for production.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Wait before the second try; doubled for each further one, half of it random.
    pub first_wait: Duration,
    /// Longest wait that a server may request by `Retry-After`.
    pub longest_wait: Duration,
    /// Timeout of one try.
    pub timeout: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_mins(1),
            timeout: Duration::from_secs(10),
        }
    }
}

/// Cuts a text to at most `max` characters and removes control characters except line breaks.
pub(super) fn tidy(text: &str, max: usize) -> String {
    let fits = text.chars().nth(max).is_none();
    let kept = text.chars().filter(|c| !c.is_control() || *c == '\n');
    match fits {
        true => kept.collect(),
        false => kept.take(max.saturating_sub(1)).chain(['…']).collect(),
    }
}
