//! Probes of connectors: the process that leads an environment calls the action that a connector names, on its interval.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::active::Active;
use super::clock::now;
use super::reason::Reason;
use super::reconciler::Reconciler;
use super::schedule::{PassOutcome, jittered};
use super::status::{ConditionKind, ConditionStatus, Status};
use crate::connector::{Call, Caller, ErrorCode, Mocking};

/// Interval of probes unless the connector says otherwise.
const DEFAULT_INTERVAL: Duration = Duration::from_mins(1);
/// Longest wait before the first probe of a connector, so that the probes of many are spread.
const MAX_FIRST_WAIT: Duration = Duration::from_secs(5);
/// Timeout of one probe.
const MAX_PROBE: Duration = Duration::from_secs(10);
/// Maximum number of concurrent probes of one environment.
const MAX_CONCURRENT: usize = 4;
/// Maximum number of connectors that a message names.
const MAX_NAMED: usize = 3;

/// The probes of the connectors of one environment.
#[derive(Default)]
pub(super) struct ConnectorProbes {
    active: Option<Arc<Active>>,
    probes: BTreeMap<String, Probe>,
    running: JoinSet<(String, ProbeResult)>,
}

/// The outcome of a probe; an error is a code.
type ProbeResult = Result<(), &'static str>;

/// The probe of one connector.
struct Probe {
    action: String,
    interval: Duration,
    /// `None` while it runs.
    next: Option<Instant>,
    last: Option<ProbeResult>,
}

impl ConnectorProbes {
    /// Probes the connectors of a generation; without one, none. Outcomes of connectors that keep their probe are kept.
    /// Returns true if the generation is another one than before.
    pub(super) fn follow(&mut self, active: Option<Arc<Active>>) -> bool {
        let is_same = match (&self.active, &active) {
            (Some(known), Some(active)) => Arc::ptr_eq(known, active),
            (known, active) => known.is_none() && active.is_none(),
        };
        if is_same {
            return false;
        }
        let mut before = std::mem::take(&mut self.probes);
        let connectors = active.iter().flat_map(|active| active.runtime.connectors.values());
        for connector in connectors {
            let Some(health) = &connector.spec.health else { continue };
            let interval = health.interval.map_or(DEFAULT_INTERVAL, |interval| interval.0);
            let is_kept = |known: &Probe| known.action == health.action && known.interval == interval;
            let probe = before.remove(&connector.name).filter(is_kept).unwrap_or_else(|| Probe {
                action: health.action.clone(),
                interval,
                next: Some(Instant::now() + MAX_FIRST_WAIT.min(interval).mul_f64(rand::random())),
                last: None,
            });
            self.probes.insert(connector.name.clone(), probe);
        }
        if self.probes.is_empty() {
            self.running.abort_all();
        }
        self.active = active;
        true
    }

    /// Runs the probes until an outcome changes. Dropping the future loses no outcome.
    pub(super) async fn changed(&mut self) {
        loop {
            let next = self.probes.values().filter_map(|probe| probe.next).min();
            let next = next.filter(|_| self.running.len() < MAX_CONCURRENT);
            tokio::select! {
                Some(ended) = self.running.join_next() => match ended {
                    Ok((name, result)) if self.record(&name, result) => return,
                    Ok(_) => {}
                    Err(_) => self.schedule_ended(),
                },
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => self.start_due(),
                else => std::future::pending().await,
            }
        }
    }

    /// Records an outcome; true if it differs from the one before.
    fn record(&mut self, name: &str, result: ProbeResult) -> bool {
        let Some(probe) = self.probes.get_mut(name) else { return false };
        probe.next = Some(Instant::now() + jittered(probe.interval, rand::random()));
        // A probe that a rate limit or quota of ours holds back says nothing about the application.
        let limits = [ErrorCode::RateLimited, ErrorCode::CallsPerMinute].map(ErrorCode::as_str);
        if result.is_err_and(|code| limits.contains(&code)) {
            return false;
        }
        probe.last.replace(result) != Some(result)
    }

    /// Schedules probes again whose task ended without an outcome. The task does not name its connector: a probe that still
    /// runs may be called a second time.
    fn schedule_ended(&mut self) {
        for probe in self.probes.values_mut().filter(|probe| probe.next.is_none()) {
            probe.next = Some(Instant::now() + jittered(probe.interval, rand::random()));
        }
    }

    fn start_due(&mut self) {
        let Some(active) = &self.active else { return };
        let due = Instant::now();
        for (name, probe) in &mut self.probes {
            if self.running.len() >= MAX_CONCURRENT || probe.next.is_none_or(|next| next > due) {
                continue;
            }
            probe.next = None;
            let (active, name, action) = (Arc::clone(active), name.clone(), probe.action.clone());
            self.running.spawn(async move {
                let result = run(&active, &name, &action).await;
                (name, result)
            });
        }
    }

    /// The condition ConnectorsHealthy; `None` without probes. Until the first outcome of each probe, `known` stays.
    fn condition(&self, known: Option<(ConditionStatus, Reason, String)>) -> Option<(ConditionStatus, Reason, String)> {
        let failed = |(name, probe): (&String, &Probe)| {
            let code = probe.last?.err()?;
            Some(format!("connector `{name}`: the action `{}` failed with {code}", probe.action))
        };
        let failed: Vec<String> = self.probes.iter().filter_map(failed).collect();
        if !failed.is_empty() {
            let more = match failed.len().saturating_sub(MAX_NAMED) {
                0 => String::new(),
                more => format!("; and {more} more"),
            };
            let named: Vec<String> = failed.into_iter().take(MAX_NAMED).collect();
            return Some((ConditionStatus::False, Reason::ConnectorsUnhealthy, named.join("; ") + &more));
        }
        match self.probes.len() {
            0 => None,
            _ if self.probes.values().any(|probe| probe.last.is_none()) => known,
            1 => {
                let message = "the connector with a probe responds".to_owned();
                Some((ConditionStatus::True, Reason::ConnectorsHealthy, message))
            }
            many => {
                let message = format!("all {many} connectors with a probe respond");
                Some((ConditionStatus::True, Reason::ConnectorsHealthy, message))
            }
        }
    }

    fn unhealthy(&self) -> usize {
        self.probes.values().filter(|probe| matches!(probe.last, Some(Err(_)))).count()
    }
}

/// Calls the action of a probe with the credentials that a call without a connection uses.
async fn run(active: &Active, connector: &str, action: &str) -> ProbeResult {
    let (runtime, client, limiter) = (Arc::clone(&active.runtime), active.client.clone(), Arc::clone(&active.limiter));
    let caller = Caller { runtime, client, limiter, mocking: Mocking::None };
    let request_id = format!("probe-{:016x}", rand::random::<u64>());
    let call = Call { input: serde_json::json!({}), request_id, ..Call::default() };
    match timeout(MAX_PROBE, caller.call(connector, action, call)).await {
        Ok(outcome) => outcome.result.map(drop).map_err(|error| error.code.as_str()),
        Err(_) => Err("TIMEOUT"),
    }
}

impl Reconciler {
    /// Probes the connectors of the active generation while this process leads. Returns true if it is another one than
    /// before, or if leadership changed.
    pub(super) fn follow_probes(&self, probes: &mut ConnectorProbes) -> bool {
        probes.follow(self.active.runtime().filter(|_| !self.leadership.follows()))
    }

    /// Publishes the outcomes of probes.
    pub(super) async fn publish_probes(&mut self, probes: &ConnectorProbes) {
        if self.leadership.follows() {
            return;
        }
        let mut status: Status = self.status.current().clone();
        let kind = ConditionKind::ConnectorsHealthy;
        let known = status.condition(kind).map(|known| (known.status, known.reason, known.message.clone()));
        let condition = probes.condition(known.clone());
        self.scope.metrics().connectors_unhealthy(self.scope.key(), probes.unhealthy());
        if condition == known {
            return;
        }
        if let Some((ConditionStatus::False, _, cause)) = &condition {
            tracing::warn!(environment = self.scope.key(), cause, "the probe of a connector fails");
        } else {
            tracing::info!(environment = self.scope.key(), "the probes of connectors do not fail");
        }
        status.set_condition(kind, condition, now());
        self.publish(status, PassOutcome::Waiting).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probes(outcomes: &[(&str, Option<ProbeResult>)]) -> ConnectorProbes {
        let probe = |(name, last): &(&str, Option<ProbeResult>)| {
            let probe = Probe { action: "ping".into(), interval: DEFAULT_INTERVAL, next: None, last: *last };
            ((*name).to_owned(), probe)
        };
        ConnectorProbes { probes: outcomes.iter().map(probe).collect(), ..ConnectorProbes::default() }
    }

    #[test]
    fn the_condition_names_the_connectors_that_fail_with_their_codes() {
        let known = || Some((ConditionStatus::True, Reason::ConnectorsHealthy, "before".to_owned()));
        assert_eq!(probes(&[]).condition(known()), None);
        assert_eq!(probes(&[("a", Some(Ok(()))), ("b", None)]).condition(known()), known());
        assert_eq!(probes(&[("b", None)]).condition(None), None);
        let (status, _, message) = probes(&[("a", Some(Ok(()))), ("b", Some(Ok(())))]).condition(None).unwrap();
        assert_eq!((status, message.as_str()), (ConditionStatus::True, "all 2 connectors with a probe respond"));
        let (status, reason, message) =
            probes(&[("a", Some(Err("UPSTREAM_ERROR"))), ("b", None)]).condition(known()).unwrap();
        assert_eq!((status, reason), (ConditionStatus::False, Reason::ConnectorsUnhealthy));
        assert_eq!(message, "connector `a`: the action `ping` failed with UPSTREAM_ERROR");
        let all: Vec<String> = (0..5).map(|number| format!("c{number}")).collect();
        let all: Vec<(&str, Option<ProbeResult>)> =
            all.iter().map(|name| (name.as_str(), Some(Err("TIMEOUT")))).collect();
        assert!(probes(&all).condition(None).unwrap().2.ends_with("; and 2 more"));
    }

    #[test]
    fn only_a_change_of_the_outcome_is_reported() {
        let mut probes = probes(&[("a", None)]);
        assert!(probes.record("a", Ok(())));
        assert!(!probes.record("a", Ok(())));
        assert!(probes.record("a", Err("TIMEOUT")));
        assert!(!probes.record("a", Err("TIMEOUT")));
        assert!(!probes.record("gone", Ok(())));
    }
}
