//! Who is told what about an environment: its notifications, and the forge whose commits it follows.

use std::sync::Arc;

use super::clock::now;
use super::engine::Reconciler;
use super::notifications::{CommitState, OutgoingNotification, Secret, Target, status_context};
use super::reason::Reason;
use super::status::{ConditionKind, Status};
use crate::connector::resolve_secret;
use crate::definition::environment::{CommitStatus, GitSource, NotificationEvent};

impl Reconciler {
    /// Tells everybody who wants to know.
    pub(super) fn tell(&self, event: NotificationEvent, status: &Status) {
        let mut targets = self.notified(event);
        targets.extend(self.commit_status(event, status));
        if targets.is_empty() {
            return;
        }
        let ready = status.condition(ConditionKind::Ready);
        let message = ready.map_or("", |ready| ready.message.as_str());
        let what = match event {
            NotificationEvent::Applied => "is live",
            NotificationEvent::Failed => "is not live",
            NotificationEvent::Recovered => "is well again",
            NotificationEvent::Drifted => "serves what is not declared",
            NotificationEvent::PruneBlocked => "waits: a removal must be approved",
            NotificationEvent::AwaitingApproval => "waits: a plan must be approved",
        };
        let (revision, commit) = Self::attempted(status);
        self.context.notifier.tell(OutgoingNotification {
            environment: self.given.key.clone(),
            event,
            title: format!("{} {what}", self.given.key),
            text: match status.history_rewritten.is_empty() {
                true => message.to_owned(),
                false => format!("{message}; its history was rewritten: it does not follow from what was live before"),
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

    /// The first source's revision that was looked at last, and its commit.
    fn attempted(status: &Status) -> (String, String) {
        let revision = status.last_attempted.values().next().cloned().unwrap_or_default();
        let commit = revision.rsplit_once("sha1:").map(|(_, commit)| commit.to_owned()).unwrap_or_default();
        (revision, commit)
    }

    fn secret(&self, name: &str) -> Option<Secret> {
        let source = self.given.spec.secrets.get(name);
        let value = source.ok_or_else(|| format!("the environment provides no secret `{name}`"));
        let vault = self.pointer.load().map(|active| Arc::clone(&active.runtime.vault)).unwrap_or_default();
        match value.and_then(|source| resolve_secret(name, source, &vault)) {
            Ok(value) => Some(Secret::new(value)),
            Err(error) => {
                tracing::warn!(environment = self.given.key, "somebody cannot be told: {error}");
                None
            }
        }
    }

    fn notified(&self, event: NotificationEvent) -> Vec<Target> {
        let wanted = self.given.spec.notifications.iter();
        let wanted = wanted.filter(|one| one.events.is_empty() || one.events.contains(&event));
        let target = |one: &crate::definition::environment::Notification| {
            let name = one.name.clone();
            if let Some(webhook) = &one.webhook {
                let secret = self.secret(&webhook.secret.secret_ref)?;
                return Some(Target::Webhook { name, url: webhook.url.clone(), secret });
            }
            let slack = one.slack.as_ref()?;
            Some(Target::Slack { name, url: self.secret(&slack.url.secret_ref)? })
        };
        wanted.filter_map(target).collect()
    }

    /// Statuses of the commit that was looked at last, where it is known what became of it.
    fn commit_status(&self, event: NotificationEvent, status: &Status) -> Vec<Target> {
        let ready = status.condition(ConditionKind::Ready);
        let state = match event {
            NotificationEvent::Applied | NotificationEvent::Recovered => CommitState::Success,
            // A server that does not answer says nothing about a commit.
            NotificationEvent::Failed => match ready.map(|ready| ready.reason) {
                Some(Reason::InvalidDefinitions | Reason::CompileFailed | Reason::Isolated) => CommitState::Failure,
                _ => return Vec::new(),
            },
            NotificationEvent::PruneBlocked | NotificationEvent::AwaitingApproval => CommitState::Pending,
            NotificationEvent::Drifted => return Vec::new(),
        };
        let only = self.given.spec.source.iter().filter_map(|source| source.git.as_ref());
        // A commit belongs to one repository: with several sources, the first is told.
        let first = self.given.spec.sources.iter().filter_map(|source| source.git.as_ref()).take(1);
        let to = only.chain(first).filter_map(|git: &GitSource| git.commit_status.as_ref());
        let description = match state {
            CommitState::Success => format!("live as generation {}", status.generation),
            _ => ready.map(|ready| ready.message.clone()).unwrap_or_default(),
        };
        to.filter_map(|to: &CommitStatus| {
            Some(Target::CommitStatus {
                provider: to.provider,
                api_url: to.api_url.clone(),
                repository: to.repository.clone(),
                token: self.secret(&to.token.secret_ref)?,
                context: status_context(&self.given.key),
                state,
                description: description.clone(),
            })
        })
        .collect()
    }
}
