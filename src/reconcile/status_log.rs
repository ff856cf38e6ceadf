//! Log lines about the state of an environment: faults at a falling rate, and the begin and end of other conditions.

use super::active::Active;
use super::clock::now;
use super::readiness::{self, Problem};
use super::reason::{Reason, ReconcileError};
use super::status::{BlockedPrune, ConditionKind, Pending, Status};
use crate::telemetry::repetition;
use crate::trigger::readiness::Surroundings;

/// Counts an occurrence of a fault; the number of occurrences so far if this one is to be logged.
pub(super) fn repetitions(environment: &str, error: &ReconcileError) -> Option<u64> {
    repetition::fault_occurred(&format!("{}{}: {}", fault_prefix(environment), error.reason.as_str(), error.message))
}

fn fault_prefix(environment: &str) -> String {
    format!("reconcile {environment} ")
}

/// Logs the problems of a generation that serves, except for those that are known, and returns them all.
pub(super) fn report_problems(environment: &str, active: &Active, known: Vec<Problem>) -> Vec<Problem> {
    // The public address belongs to the server, so subscriptions report it themselves.
    let problems = readiness::problems(active, Surroundings { now: now(), ..Surroundings::default() });
    for problem in problems.iter().filter(|problem| !known.contains(problem)) {
        match problem {
            Problem::Secret { name, cause, effect } => {
                tracing::warn!(environment, secret = name, cause, effect, "the secret has no value");
            }
            Problem::Trigger { name, cause } => {
                tracing::warn!(environment, trigger = name, cause, "the trigger cannot work");
            }
        }
    }
    problems
}

/// The state of an environment that the log of this process shows. A process that starts reports conditions that hold
/// already.
#[derive(Debug, Default)]
pub(super) struct StatusLog(Option<Logged>);

/// The parts of a status that are logged when they change.
#[derive(Clone, Debug, Default)]
struct Logged {
    is_ready: bool,
    reason: Option<Reason>,
    message: String,
    blocked: Vec<BlockedPrune>,
    pending: Option<Pending>,
}

/// A change of the state of an environment.
#[derive(Debug, PartialEq)]
enum Change {
    /// It is ready after a failure with this reason.
    Recovered(Reason),
    /// It is not ready for a reason that no failed pass reports.
    NotReady(Reason, String),
    /// A guard stops removals.
    PruneBlocked(BlockedPrune),
    /// No guard stops removals any more.
    PruneUnblocked,
    /// A plan waits for approval.
    AwaitingApproval(Pending),
}

impl StatusLog {
    /// Logs the differences from the state that was reported last.
    pub(super) fn report(&mut self, environment: &str, status: &Status) {
        let logged = Logged::of(status);
        let before = self.0.replace(logged.clone()).unwrap_or_default();
        for change in changes(&before, &logged) {
            change.log(environment);
        }
        if logged.is_ready {
            repetition::faults_ended(&fault_prefix(environment));
        }
    }
}

impl Logged {
    fn of(status: &Status) -> Logged {
        let ready = status.condition(ConditionKind::Ready);
        Logged {
            is_ready: status.is_ready(),
            reason: ready.map(|ready| ready.reason),
            message: ready.map(|ready| ready.message.clone()).unwrap_or_default(),
            blocked: status.blocked.clone(),
            pending: status.pending.clone(),
        }
    }
}

fn changes(before: &Logged, after: &Logged) -> Vec<Change> {
    let mut changes = Vec::new();
    let (was, is) = (before.reason, after.reason);
    if after.is_ready
        && !before.is_ready
        && let Some(reason) = was.filter(|reason| reason.is_failure())
    {
        changes.push(Change::Recovered(reason));
    }
    let is_silent = [
        Reason::Drifted,
        Reason::ConflictLoop,
        Reason::Isolated,
        Reason::HeldBack,
        Reason::NothingDeclared,
        Reason::InvalidEnvironment,
    ];
    if !after.is_ready
        && let Some(reason) = is.filter(|reason| was != is && is_silent.contains(reason))
    {
        changes.push(Change::NotReady(reason, after.message.clone()));
    }
    let new = after.blocked.iter().filter(|blocked| !before.blocked.contains(blocked));
    changes.extend(new.cloned().map(Change::PruneBlocked));
    if after.blocked.is_empty() && !before.blocked.is_empty() {
        changes.push(Change::PruneUnblocked);
    }
    if let Some(pending) = &after.pending
        && pending.reason == Reason::AwaitingApproval
        && before.pending.as_ref().map(|known| known.plan) != Some(pending.plan)
    {
        changes.push(Change::AwaitingApproval(pending.clone()));
    }
    changes
}

impl Change {
    fn log(&self, environment: &str) {
        match self {
            Change::Recovered(reason) => {
                tracing::info!(environment, after = reason.as_str(), "the environment is ready again");
            }
            Change::NotReady(reason, message) => {
                tracing::warn!(environment, reason = reason.as_str(), cause = message, "the environment is not ready");
            }
            Change::PruneBlocked(blocked) => tracing::warn!(
                environment,
                reason = Reason::PruneBlocked.as_str(),
                guard = blocked.reason.as_str(),
                definitions = blocked.ids.join(", "),
                remedy = blocked.message,
                "removals are blocked"
            ),
            Change::PruneUnblocked => tracing::info!(environment, "removals are no longer blocked"),
            Change::AwaitingApproval(pending) => tracing::warn!(
                environment,
                reason = pending.reason.as_str(),
                plan = %pending.plan,
                summary = %pending.summary,
                "a plan awaits approval"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::BlockedReason;
    use crate::text::Digest;

    fn state(is_ready: bool, reason: Reason) -> Logged {
        Logged { is_ready, reason: Some(reason), message: "a cause".to_owned(), ..Logged::default() }
    }

    fn blocked(message: &str) -> BlockedPrune {
        BlockedPrune { reason: BlockedReason::Budget, ids: vec!["Connector/a".to_owned()], message: message.to_owned() }
    }

    fn pending(plan: &str, reason: Reason) -> Pending {
        Pending { plan: Digest::of(plan.as_bytes()), reason, summary: json!({}) }
    }

    #[test]
    fn reports_each_change_once() {
        let ready = state(true, Reason::Applied);
        let blocking = |blocks: &[&str]| Logged {
            blocked: blocks.iter().map(|message| blocked(message)).collect(),
            ..state(false, Reason::PruneBlocked)
        };
        let waiting =
            |plan, reason| Logged { pending: Some(pending(plan, reason)), ..state(false, Reason::AwaitingApproval) };
        let awaits = |plan| Change::AwaitingApproval(pending(plan, Reason::AwaitingApproval));
        let rows = [
            ("the start", Logged::default(), ready.clone(), vec![]),
            ("a repetition", ready.clone(), ready.clone(), vec![]),
            ("a failure, which its pass reports", ready.clone(), state(false, Reason::FetchFailed), vec![]),
            (
                "a recovery",
                state(false, Reason::InvalidDefinitions),
                ready.clone(),
                vec![Change::Recovered(Reason::InvalidDefinitions)],
            ),
            ("a rollout, which is no failure", state(false, Reason::Progressing), ready.clone(), vec![]),
            (
                "drift that is reported only",
                ready.clone(),
                state(false, Reason::Drifted),
                vec![Change::NotReady(Reason::Drifted, "a cause".to_owned())],
            ),
            ("the same drift", state(false, Reason::Drifted), state(false, Reason::Drifted), vec![]),
            ("a blocked removal", ready.clone(), blocking(&["one"]), vec![Change::PruneBlocked(blocked("one"))]),
            ("the same", blocking(&["one"]), blocking(&["one"]), vec![]),
            ("another one", blocking(&["one"]), blocking(&["one", "two"]), vec![Change::PruneBlocked(blocked("two"))]),
            ("its end", blocking(&["one"]), ready.clone(), vec![Change::PruneUnblocked]),
            ("a plan", ready.clone(), waiting("a", Reason::AwaitingApproval), vec![awaits("a")]),
            ("the same plan", waiting("a", Reason::AwaitingApproval), waiting("a", Reason::AwaitingApproval), vec![]),
            (
                "another plan",
                waiting("a", Reason::AwaitingApproval),
                waiting("b", Reason::AwaitingApproval),
                vec![awaits("b")],
            ),
            ("a plan of blocked removals", ready.clone(), waiting("a", Reason::PruneBlocked), vec![]),
        ];
        for (what, before, after, expected) in rows {
            assert_eq!(changes(&before, &after), expected, "{what}");
        }
    }
}
