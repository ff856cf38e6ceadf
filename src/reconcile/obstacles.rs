//! The reasons why definitions cannot work, and what follows from them: a pure decision before a generation is activated,
//! and the condition `SecretsResolved`.

use std::collections::BTreeSet;

use super::reason::{Reason, ReconcileError};
use super::status::ConditionStatus;
use crate::definition::environment::{ApplyMode, SecretPolicy};
use crate::definition::{Id, Kind};

/// Maximum number of obstacles, and of uses of a secret, that a message names.
const MAX_NAMED: usize = 3;

/// A reason why definitions cannot work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Obstacle {
    /// The cause.
    pub(super) cause: ObstacleCause,
    /// The definitions that it concerns.
    pub(super) uses: Vec<DefinitionUse>,
}

/// The cause of an obstacle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ObstacleCause {
    /// A secret that cannot be resolved.
    Secret {
        /// Its name.
        name: String,
        /// The provider, as the field of the Environment is named.
        provider: &'static str,
        /// The problem, never the value.
        problem: String,
        /// False if it is not known yet whether it has a value.
        is_known: bool,
    },
    /// Code that the engine cannot compile, with its message.
    Code(String),
    /// An application that cannot call this server, with the remedy.
    Address(String),
}

/// A place in a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DefinitionUse {
    /// The definition.
    pub(super) id: Id,
    /// `file:line:column`.
    pub(super) place: String,
}

/// The consequence of obstacles for a candidate.
#[derive(Debug)]
pub(super) enum Judgement {
    /// It may be activated.
    Activate,
    /// These definitions keep their last good version or are absent, for this reason.
    Hold(BTreeSet<Id>, ReconcileError),
    /// It is not activated.
    Refuse(ReconcileError),
}

/// Decides about a candidate. `changed` are the definitions that it would create or change: in `Isolate` mode only these are
/// held, as the others are live already. Secrets that only the Environment itself uses, such as for notifications, hold
/// nothing back.
pub(super) fn judge(
    obstacles: &[Obstacle],
    apply: ApplyMode,
    policy: SecretPolicy,
    changed: &BTreeSet<Id>,
) -> Judgement {
    let blocking: Vec<&Obstacle> = obstacles
        .iter()
        .filter(|obstacle| policy == SecretPolicy::Require || !obstacle.is_secret())
        .filter(|obstacle| obstacle.definitions().next().is_some())
        .collect();
    if blocking.is_empty() {
        return Judgement::Activate;
    }
    if apply == ApplyMode::Atomic {
        return Judgement::Refuse(refusal(&blocking));
    }
    let concerned = |obstacle: &&Obstacle| obstacle.definitions().any(|used| changed.contains(&used.id));
    let blocking: Vec<&Obstacle> = blocking.into_iter().filter(concerned).collect();
    let held = blocking.iter().flat_map(|obstacle| obstacle.definitions()).map(|used| &used.id);
    let held: BTreeSet<Id> = held.filter(|id| changed.contains(id)).cloned().collect();
    if held.is_empty() { Judgement::Activate } else { Judgement::Hold(held, refusal(&blocking)) }
}

/// The status of the condition `SecretsResolved`, its reason and its message; `None` if no definition references a secret.
/// `referenced` is the number of secrets that are referenced.
pub(super) fn secrets_condition(
    obstacles: &[Obstacle],
    referenced: usize,
) -> Option<(ConditionStatus, Reason, String)> {
    let secrets: Vec<&Obstacle> = obstacles.iter().filter(|obstacle| obstacle.is_secret()).collect();
    let missing: Vec<&Obstacle> = secrets.iter().copied().filter(|obstacle| obstacle.is_known()).collect();
    if !missing.is_empty() {
        return Some((ConditionStatus::False, Reason::SecretsUnresolved, sentence(&missing)));
    }
    if !secrets.is_empty() {
        return Some((ConditionStatus::Unknown, Reason::SecretsUnknown, sentence(&secrets)));
    }
    let message = match referenced {
        0 => return None,
        1 => "the secret that is referenced can be resolved".to_owned(),
        many => format!("all {many} secrets that are referenced can be resolved"),
    };
    Some((ConditionStatus::True, Reason::SecretsResolved, message))
}

impl Obstacle {
    /// True if a secret cannot be resolved.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self.cause, ObstacleCause::Secret { .. })
    }

    /// The name of the secret that cannot be resolved.
    pub(super) fn secret(&self) -> Option<&str> {
        match &self.cause {
            ObstacleCause::Secret { name, .. } => Some(name),
            _ => None,
        }
    }

    fn is_known(&self) -> bool {
        !matches!(self.cause, ObstacleCause::Secret { is_known: false, .. })
    }

    /// The definitions that it concerns, besides the Environment itself.
    fn definitions(&self) -> impl Iterator<Item = &DefinitionUse> {
        self.uses.iter().filter(|used| used.id.kind != Kind::Environment)
    }

    fn reason(&self) -> Reason {
        match self.cause {
            ObstacleCause::Secret { .. } => Reason::SecretsUnresolved,
            ObstacleCause::Code(_) => Reason::CompileFailed,
            ObstacleCause::Address(_) => Reason::PublicUrlUnknown,
        }
    }

    fn sentence(&self) -> String {
        let uses = self.uses.iter().take(MAX_NAMED).map(|used| format!("{} at {}", used.id, used.place));
        let mut uses = uses.collect::<Vec<_>>().join(", ");
        if self.uses.len() > MAX_NAMED {
            uses += &format!(" and {} more", self.uses.len() - MAX_NAMED);
        }
        match &self.cause {
            ObstacleCause::Secret { name, provider, problem, .. } => {
                format!("secret `{name}` ({provider}): {problem}; used by {uses}")
            }
            ObstacleCause::Code(problem) => format!("{uses} cannot be compiled: {problem}"),
            ObstacleCause::Address(problem) => format!("{uses}: {problem}"),
        }
    }
}

/// The error of a candidate with obstacles. A secret may be mended without a new revision, so it is tried again.
fn refusal(obstacles: &[&Obstacle]) -> ReconcileError {
    let reason = obstacles.first().map_or(Reason::SecretsUnresolved, |first| first.reason());
    let stalled = obstacles.iter().any(|obstacle| !obstacle.is_secret());
    ReconcileError { reason, message: sentence(obstacles), stalled }
}

fn sentence(obstacles: &[&Obstacle]) -> String {
    let named: Vec<String> = obstacles.iter().take(MAX_NAMED).map(|obstacle| obstacle.sentence()).collect();
    let more = match obstacles.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    named.join("; ") + &more
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> Id {
        name.parse().unwrap()
    }

    fn used(ids: &[&str]) -> Vec<DefinitionUse> {
        ids.iter().map(|name| DefinitionUse { id: id(name), place: "a.yaml:7:3".into() }).collect()
    }

    fn secret(name: &str, ids: &[&str]) -> Obstacle {
        let problem = "the environment variable KEY is not set".to_owned();
        let cause = ObstacleCause::Secret { name: name.into(), provider: "env", problem, is_known: true };
        Obstacle { cause, uses: used(ids) }
    }

    fn unread(name: &str, ids: &[&str]) -> Obstacle {
        let cause = ObstacleCause::Secret {
            name: name.into(),
            provider: "kubernetes",
            problem: "it is not read yet".into(),
            is_known: false,
        };
        Obstacle { cause, uses: used(ids) }
    }

    fn code(name: &str) -> Obstacle {
        Obstacle { cause: ObstacleCause::Code("SyntaxError: x".into()), uses: used(&[name]) }
    }

    fn address(name: &str) -> Obstacle {
        Obstacle { cause: ObstacleCause::Address("the application cannot reach it".into()), uses: used(&[name]) }
    }

    fn summary(judgement: &Judgement) -> String {
        let error = |error: &ReconcileError| format!("{}{}", error.reason, if error.stalled { " stalled" } else { "" });
        match judgement {
            Judgement::Activate => "activate".into(),
            Judgement::Hold(held, reason) => {
                let held: Vec<String> = held.iter().map(ToString::to_string).collect();
                format!("hold {} for {}", held.join(" "), error(reason))
            }
            Judgement::Refuse(reason) => format!("refuse {}", error(reason)),
        }
    }

    #[test]
    fn nothing_is_activated_that_cannot_work() {
        use ApplyMode::{Atomic, Isolate};
        use SecretPolicy::{Require, Warn};
        type Row<'a> = (&'a str, Vec<Obstacle>, ApplyMode, SecretPolicy, &'a [&'a str], &'a str);
        let of_a = || vec![secret("key", &["Connector/a"])];
        let of_both = || vec![secret("key", &["Connector/a", "Connector/b"])];
        let of_environment = || vec![secret("key", &["Environment/live"])];
        let rows: [Row<'_>; 17] = [
            ("no obstacle", vec![], Atomic, Require, &["Connector/a"], "activate"),
            ("a secret", of_a(), Atomic, Require, &["Connector/a"], "refuse SecretsUnresolved"),
            ("of a definition that does not change", of_a(), Atomic, Require, &[], "refuse SecretsUnresolved"),
            ("warn", of_a(), Atomic, Warn, &["Connector/a"], "activate"),
            (
                "not known yet",
                vec![unread("key", &["Connector/a"])],
                Atomic,
                Require,
                &["Connector/a"],
                "refuse SecretsUnresolved",
            ),
            ("the Environment's own", of_environment(), Atomic, Require, &["Environment/live"], "activate"),
            ("the Environment's own, isolated", of_environment(), Isolate, Require, &["Environment/live"], "activate"),
            (
                "isolated",
                of_a(),
                Isolate,
                Require,
                &["Connector/a", "Connector/c"],
                "hold Connector/a for SecretsUnresolved",
            ),
            ("isolated, live already", of_a(), Isolate, Require, &["Connector/c"], "activate"),
            (
                "isolated, one of two is live already",
                of_both(),
                Isolate,
                Require,
                &["Connector/b"],
                "hold Connector/b for SecretsUnresolved",
            ),
            ("isolated, warn", of_a(), Isolate, Warn, &["Connector/a"], "activate"),
            ("code", vec![code("Workflow/w")], Atomic, Require, &["Workflow/w"], "refuse CompileFailed stalled"),
            (
                "code, warn about secrets",
                vec![code("Workflow/w")],
                Atomic,
                Warn,
                &["Workflow/w"],
                "refuse CompileFailed stalled",
            ),
            (
                "code, isolated",
                vec![code("Workflow/w")],
                Isolate,
                Require,
                &["Workflow/w"],
                "hold Workflow/w for CompileFailed stalled",
            ),
            (
                "an address",
                vec![address("Trigger/t")],
                Atomic,
                Require,
                &["Trigger/t"],
                "refuse PublicUrlUnknown stalled",
            ),
            (
                "an address of a trigger that is live already, isolated",
                vec![address("Trigger/t")],
                Isolate,
                Require,
                &[],
                "activate",
            ),
            (
                "several",
                [of_a(), vec![code("Workflow/w")]].concat(),
                Isolate,
                Require,
                &["Connector/a", "Workflow/w"],
                "hold Connector/a Workflow/w for SecretsUnresolved stalled",
            ),
        ];
        for (row, obstacles, apply, policy, changed, expected) in rows {
            let changed = changed.iter().map(|name| id(name)).collect();
            assert_eq!(summary(&judge(&obstacles, apply, policy, &changed)), expected, "{row}");
        }
    }

    #[test]
    fn the_condition_names_each_secret_with_its_provider_and_uses() {
        assert_eq!(secrets_condition(&[], 0), None);
        let (status, reason, message) = secrets_condition(&[], 2).unwrap();
        assert_eq!((status, reason), (ConditionStatus::True, Reason::SecretsResolved));
        assert_eq!(message, "all 2 secrets that are referenced can be resolved");
        let (status, reason, message) = secrets_condition(&[unread("key", &["Connector/a"])], 1).unwrap();
        assert_eq!((status, reason), (ConditionStatus::Unknown, Reason::SecretsUnknown));
        assert_eq!(message, "secret `key` (kubernetes): it is not read yet; used by Connector/a at a.yaml:7:3");
        let all = [
            unread("new", &["Connector/a"]),
            secret("key", &["Connector/a", "Connector/b", "Connector/c", "Connector/d"]),
            code("Workflow/w"),
        ];
        let (status, reason, message) = secrets_condition(&all, 1).unwrap();
        assert_eq!((status, reason), (ConditionStatus::False, Reason::SecretsUnresolved));
        assert_eq!(
            message,
            "secret `key` (env): the environment variable KEY is not set; used by Connector/a at a.yaml:7:3, Connector/b at \
             a.yaml:7:3, Connector/c at a.yaml:7:3 and 1 more"
        );
        let many: Vec<Obstacle> = (0..5).map(|number| secret(&format!("s{number}"), &["Connector/a"])).collect();
        assert!(secrets_condition(&many, 5).unwrap().2.ends_with("; and 2 more"));
    }
}
