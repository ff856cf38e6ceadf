//! Leader election with a `coordination.k8s.io` Lease, compatible with client-go.
//!
//! Only the local monotonic clock is trusted: a Lease is free if its record did not change for its whole duration *while this
//! process watched it*; the times in the record do not matter. Writes carry the `resourceVersion` that was read, so that one
//! of two competing processes wins. Leadership is a hint only: writes to the store are fenced by the store's own lease, and
//! writes to resources by their versions.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::sync::{oneshot, watch};

/// Durations of the election.
#[derive(Clone, Copy, Debug)]
pub struct Timings {
    /// Validity of a record after its last renewal.
    pub lease: Duration,
    /// Time without renewal after which a process stops leading; shorter than `lease`.
    pub renew: Duration,
    /// Interval between attempts.
    pub retry: Duration,
}

impl Default for Timings {
    fn default() -> Timings {
        Timings { lease: Duration::from_secs(15), renew: Duration::from_secs(10), retry: Duration::from_secs(2) }
    }
}

/// A candidate of the election.
#[derive(Clone, Debug)]
pub struct Election {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Identity of this process.
    pub identity: String,
    /// Durations.
    pub timings: Timings,
}

/// Next action on the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// This process holds the Lease: renew it.
    Renew,
    /// The Lease is free: acquire it.
    Acquire,
    /// Another process holds the Lease.
    Wait,
}

/// The observed record and the time of its last change.
#[derive(Debug, Default)]
struct Observed {
    record: Option<(LeaseSpec, Instant)>,
    /// Time of the last renewal by this process.
    renewed: Option<Instant>,
}

impl Observed {
    fn observe(&mut self, spec: &LeaseSpec, now: Instant) {
        if self.record.as_ref().is_none_or(|(current, _)| current != spec) {
            self.record = Some((spec.clone(), now));
        }
    }

    fn step(&self, identity: &str, lease: Duration, now: Instant) -> Step {
        let Some((record, since)) = &self.record else { return Step::Acquire };
        match record.holder_identity.as_deref() {
            None | Some("") => Step::Acquire,
            Some(holder) if holder == identity => Step::Renew,
            Some(_) if now.duration_since(*since) >= lease => Step::Acquire,
            Some(_) => Step::Wait,
        }
    }

    /// True if this process leads now. Depends on the clock, so that a suspended process notices its expiry.
    fn leads(&self, renew: Duration, now: Instant) -> bool {
        self.renewed.is_some_and(|renewed| now.duration_since(renewed) < renew)
    }

    /// Timeout of an attempt. While this process leads, a response after its expiry is useless; and after a request without a
    /// response, time remains for another one, which may reach a healthy API server.
    fn attempt_timeout(&self, renew: Duration, now: Instant) -> Duration {
        let half = renew / 2;
        let left = self.renewed.map(|renewed| renew.saturating_sub(now.duration_since(renewed)));
        match left {
            // A process that does not lead can wait: an API server is slow after an outage.
            None | Some(Duration::ZERO) => half,
            Some(left) => left.max(Duration::from_millis(100)).min(half),
        }
    }
}

impl Election {
    /// Runs until `stop` completes, then releases the Lease. `leads` is true while this process leads; it turns false before
    /// another process can lead.
    pub async fn run(self, client: Client, leads: watch::Sender<bool>, mut stop: oneshot::Receiver<()>) {
        let api: Api<Lease> = Api::namespaced(client, &self.namespace);
        let mut observed = Observed::default();
        let mut reported = String::new();
        loop {
            self.publish(&leads, &observed);
            let timeout = observed.attempt_timeout(self.timings.renew, Instant::now());
            let tried = tokio::select! {
                tried = tokio::time::timeout(timeout, self.attempt(&api, &mut observed, &leads)) => tried,
                _ = &mut stop => break,
            };
            // After a timeout, the remaining time is for another attempt.
            let pause = if tried.is_ok() { self.timings.retry } else { Duration::ZERO };
            let problem = match tried {
                Ok(Ok(())) => String::new(),
                Ok(Err(error)) => self.describe(&error),
                Err(_) => "the API server did not respond in time".to_owned(),
            };
            if problem != reported && !problem.is_empty() {
                tracing::warn!(lease = self.name, problem, "leader election failed");
            }
            reported = problem;
            self.publish(&leads, &observed);
            // A leader checks its expiry more often than it renews.
            let until = Instant::now() + pause;
            while Instant::now() < until {
                let interval = self.timings.retry.min(Duration::from_millis(250));
                tokio::select! {
                    () = tokio::time::sleep(interval) => self.publish(&leads, &observed),
                    _ = &mut stop => {
                        leads.send_replace(false);
                        return self.release(&api, &observed).await;
                    }
                }
            }
        }
        leads.send_replace(false);
        self.release(&api, &observed).await;
    }

    fn publish(&self, leads: &watch::Sender<bool>, observed: &Observed) {
        let now = observed.leads(self.timings.renew, Instant::now());
        leads.send_if_modified(|leads| {
            let changed = *leads != now;
            if changed {
                let message = if now { "started leading" } else { "stopped leading" };
                tracing::info!(lease = self.name, identity = self.identity, "{message}");
            }
            *leads = now;
            changed
        });
    }

    async fn attempt(
        &self,
        api: &Api<Lease>,
        observed: &mut Observed,
        leads: &watch::Sender<bool>,
    ) -> kube::Result<()> {
        let sent = Instant::now();
        let found = api.get_opt(&self.name).await?;
        let spec = found.as_ref().map(|lease| lease.spec.clone().unwrap_or_default());
        let now = Instant::now();
        let step = match &spec {
            Some(spec) => {
                observed.observe(spec, now);
                observed.step(&self.identity, self.timings.lease, now)
            }
            None => Step::Acquire,
        };
        if step != Step::Renew {
            observed.renewed = None;
        }
        // The response may be late, or name another holder: `leads` must turn false before anything is written.
        self.publish(leads, observed);
        if step == Step::Wait {
            return Ok(());
        }
        let record = self.record(&spec.unwrap_or_default(), step == Step::Acquire);
        let written = if let Some(mut lease) = found {
            lease.spec = Some(record);
            api.replace(&self.name, &PostParams::default(), &lease).await
        } else {
            let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
            api.create(&PostParams::default(), &Lease { metadata, spec: Some(record) }).await
        };
        record_renewal(written, observed, sent)
    }

    fn record(&self, before: &LeaseSpec, acquired: bool) -> LeaseSpec {
        let now = MicroTime(jiff::Timestamp::now());
        let transitions = before.lease_transitions.unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.timings.lease.as_secs().max(1)).ok(),
            acquire_time: if acquired { Some(now.clone()) } else { before.acquire_time.clone() },
            lease_transitions: Some(if acquired { transitions.saturating_add(1) } else { transitions }),
            renew_time: Some(now),
            ..before.clone()
        }
    }

    async fn release(&self, api: &Api<Lease>, observed: &Observed) {
        if !observed.leads(self.timings.renew, Instant::now()) {
            return;
        }
        let released = async {
            let Some(mut lease) = api.get_opt(&self.name).await? else { return Ok(()) };
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() != Some(&self.identity) {
                return Ok(());
            }
            spec.holder_identity = Some(String::new());
            spec.renew_time = Some(MicroTime(jiff::Timestamp::now()));
            api.replace(&self.name, &PostParams::default(), &lease).await.map(|_| ())
        };
        match tokio::time::timeout(self.timings.renew, released).await {
            Ok(Ok(())) => {}
            Ok(Err(kube::Error::Api(response))) if response.code == 409 => {}
            Ok(Err(error)) => tracing::warn!(lease = self.name, %error, "failed to release the leader lease"),
            Err(_) => tracing::warn!(lease = self.name, "releasing the leader lease timed out"),
        }
    }

    fn describe(&self, error: &kube::Error) -> String {
        match error {
            kube::Error::Api(response) if response.code == 403 => {
                format!(
                    "the operator needs the verbs `get`, `create` and `update` for leases.coordination.k8s.io in namespace {}",
                    self.namespace
                )
            }
            error => error.to_string(),
        }
    }
}

/// Records the response to a write. The renewal counts from the moment before the first request: other processes see it
/// later.
fn record_renewal(written: kube::Result<Lease>, observed: &mut Observed, sent: Instant) -> kube::Result<()> {
    match written {
        Ok(lease) => {
            observed.observe(&lease.spec.unwrap_or_default(), Instant::now());
            observed.renewed = Some(sent);
            Ok(())
        }
        // Another process wrote first; the next attempt reads its record. It cannot lead before this process's time is over.
        Err(kube::Error::Api(response)) if response.code == 409 => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
