//! Notifications of an environment: their targets, and the commit status of the revision that was attempted last.

use super::clock::now;
use super::notifications::{CommitState, OutgoingNotification, Secret, Target, status_context};
use super::reason::Reason;
use super::scope::Scope;
use super::status::{ConditionKind, Status};
use crate::connector::{Vault, resolve_secret};
use crate::definition::environment::{CommitStatus, GitSource, Notification, NotificationEvent};

/// Queues an event for all targets of the environment. Never waits.
pub(super) fn send(scope: &Scope, vault: &Vault, event: NotificationEvent, status: &Status) {
    let mut targets = notification_targets(scope, vault, event);
    targets.extend(commit_status_targets(scope, vault, event, status));
    if targets.is_empty() {
        return;
    }
    let condition = match event {
        NotificationEvent::SecretsUnresolved | NotificationEvent::SecretsResolved => ConditionKind::SecretsResolved,
        NotificationEvent::ConnectorsUnhealthy | NotificationEvent::ConnectorsHealthy => {
            ConditionKind::ConnectorsHealthy
        }
        _ => ConditionKind::Ready,
    };
    let message = status.condition(condition).map_or("", |condition| condition.message.as_str());
    let outcome = match event {
        NotificationEvent::Applied => "is live",
        NotificationEvent::Failed => "is not live",
        NotificationEvent::Recovered => "has recovered",
        NotificationEvent::Drifted => "has drifted from its declared state",
        NotificationEvent::PruneBlocked => "waits: a removal must be approved",
        NotificationEvent::AwaitingApproval => "waits: a plan must be approved",
        NotificationEvent::SecretsUnresolved => "serves definitions whose secrets cannot be resolved",
        NotificationEvent::SecretsResolved => "can resolve all secrets again",
        NotificationEvent::ConnectorsUnhealthy => "serves connectors whose probes fail",
        NotificationEvent::ConnectorsHealthy => "reaches all probed applications again",
    };
    let (revision, commit) = attempted(status);
    scope.context.notifier.send(OutgoingNotification {
        environment: scope.key().to_owned(),
        event,
        title: format!("{} {outcome}", scope.key()),
        text: match status.history_rewritten.is_empty() {
            true => message.to_owned(),
            false => format!("{message}; the history was rewritten and does not follow from the revision before it"),
        },
        revision,
        commit,
        generation: status.generation,
        digest: status.digest.map(|digest| digest.to_string()).unwrap_or_default(),
        url: None,
        at_unix: now() / 1_000_000,
        targets,
    });
}

/// The revision of the first source that was attempted last, and its commit.
fn attempted(status: &Status) -> (String, String) {
    let revision = status.last_attempted.values().next().cloned().unwrap_or_default();
    let commit = revision.rsplit_once("sha1:").map(|(_, commit)| commit.to_owned()).unwrap_or_default();
    (revision, commit)
}

fn secret(scope: &Scope, vault: &Vault, name: &str) -> Option<Secret> {
    let source = scope.document.spec.secrets.get(name);
    let source = source.ok_or_else(|| format!("the environment provides no secret `{name}`"));
    match source.and_then(|source| resolve_secret(name, source, vault)) {
        Ok(value) => Some(Secret::new(value)),
        Err(error) => {
            tracing::warn!(environment = scope.key(), error, "resolving the secret of a notification failed");
            None
        }
    }
}

fn notification_targets(scope: &Scope, vault: &Vault, event: NotificationEvent) -> Vec<Target> {
    let all = scope.document.spec.notifications.iter();
    let wanted = all.filter(|known| known.events.is_empty() || known.events.contains(&event));
    let target = |notification: &Notification| {
        let name = notification.name.clone();
        if let Some(webhook) = &notification.webhook {
            let secret = secret(scope, vault, &webhook.secret.secret_ref)?;
            return Some(Target::Webhook { name, url: webhook.url.clone(), secret });
        }
        let slack = notification.slack.as_ref()?;
        Some(Target::Slack { name, url: secret(scope, vault, &slack.url.secret_ref)? })
    };
    wanted.filter_map(target).collect()
}

/// Commit statuses of the revision that was attempted last, if its outcome is known.
fn commit_status_targets(scope: &Scope, vault: &Vault, event: NotificationEvent, status: &Status) -> Vec<Target> {
    let ready = status.condition(ConditionKind::Ready);
    let state = match event {
        NotificationEvent::Applied | NotificationEvent::Recovered => CommitState::Success,
        // An unreachable server says nothing about a commit.
        NotificationEvent::Failed => match ready.map(|ready| ready.reason) {
            Some(
                Reason::InvalidDefinitions
                | Reason::CompileFailed
                | Reason::Isolated
                | Reason::NothingDeclared
                | Reason::SecretsUnresolved
                | Reason::PublicUrlUnknown,
            ) => CommitState::Failure,
            _ => return Vec::new(),
        },
        NotificationEvent::PruneBlocked | NotificationEvent::AwaitingApproval => CommitState::Pending,
        NotificationEvent::Drifted
        | NotificationEvent::SecretsUnresolved
        | NotificationEvent::SecretsResolved
        | NotificationEvent::ConnectorsUnhealthy
        | NotificationEvent::ConnectorsHealthy => return Vec::new(),
    };
    let spec = &scope.document.spec;
    let only = spec.source.iter().filter_map(|source| source.git.as_ref());
    // A commit belongs to one repository: of several sources, the first one gets the status.
    let first = spec.sources.iter().filter_map(|source| source.git.as_ref()).take(1);
    let wanted = only.chain(first).filter_map(|git: &GitSource| git.commit_status.as_ref());
    let description = match state {
        CommitState::Success => format!("live as generation {}", status.generation),
        _ => ready.map(|ready| ready.message.clone()).unwrap_or_default(),
    };
    let target = |wanted: &CommitStatus| {
        Some(Target::CommitStatus {
            provider: wanted.provider,
            api_url: wanted.api_url.clone(),
            repository: wanted.repository.clone(),
            token: secret(scope, vault, &wanted.token.secret_ref)?,
            context: status_context(scope.key()),
            state,
            description: description.clone(),
        })
    };
    wanted.filter_map(target).collect()
}
