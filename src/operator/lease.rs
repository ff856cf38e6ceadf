//! Which of several processes leads: a `coordination.k8s.io` Lease, as client-go's leader election uses it.
//!
//! Nobody's clock is trusted but our own monotonic one: a Lease is free when its record has not changed for its whole duration
//! *as we watched it*, whatever times stand in it. Writes carry the `resourceVersion` that was read, so that of two that
//! reach for it one gets it. Leading is only a licence to try: what is written to the store is fenced by the store's own lease,
//! and what is written to resources by their versions.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::sync::{oneshot, watch};

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub struct Timings {
    /// How long a record counts after it was written.
    pub lease: Duration,
    /// Time after which whoever could not renew leads no more; shorter than `lease`.
    pub renew: Duration,
    /// Time between tries.
    pub retry: Duration,
}

impl Default for Timings {
    fn default() -> Timings {
        Timings { lease: Duration::from_secs(15), renew: Duration::from_secs(10), retry: Duration::from_secs(2) }
    }
}

/// One process's part in the election.
#[derive(Clone, Debug)]
pub struct Election {
    /// The Lease's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Who this process is.
    pub identity: String,
    /// How long things take.
    pub timings: Timings,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It is ours: say so again.
    Renew,
    /// It is free: take it.
    Acquire,
    /// It is somebody's.
    Wait,
}

/// What was seen of the record, and since when.
#[derive(Debug, Default)]
struct Observed {
    record: Option<(LeaseSpec, Instant)>,
    /// When this process renewed it last.
    renewed: Option<Instant>,
}

impl Observed {
    fn see(&mut self, spec: &LeaseSpec, now: Instant) {
        if self.record.as_ref().is_none_or(|(known, _)| known != spec) {
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

    /// Does this process lead at this moment? Asked of the clock, so that one that stood still knows it.
    fn leads(&self, renew: Duration, now: Instant) -> bool {
        self.renewed.is_some_and(|renewed| now.duration_since(renewed) < renew)
    }

    /// How long an attempt may take. While this process leads, an answer after its time is none; and one that never comes
    /// leaves time for another question, which may reach an API server that is well.
    fn patience(&self, renew: Duration, now: Instant) -> Duration {
        let half = renew / 2;
        let left = self.renewed.map(|renewed| renew.saturating_sub(now.duration_since(renewed)));
        match left {
            // Whoever leads no more has all the time: an API server that comes back is slow at first.
            None | Some(Duration::ZERO) => half,
            Some(left) => left.max(Duration::from_millis(100)).min(half),
        }
    }
}

impl Election {
    /// Runs until `end` is told, and gives the Lease back then. `leads` says at every moment whether this process leads; it
    /// turns false before anybody else can lead.
    pub async fn run(self, client: Client, leads: watch::Sender<bool>, mut end: oneshot::Receiver<()>) {
        let api: Api<Lease> = Api::namespaced(client, &self.namespace);
        let mut observed = Observed::default();
        let mut told = String::new();
        loop {
            self.say(&leads, &observed);
            let patience = observed.patience(self.timings.renew, Instant::now());
            let tried = tokio::select! {
                tried = tokio::time::timeout(patience, self.attempt(&api, &mut observed, &leads)) => tried,
                _ = &mut end => break,
            };
            // Whoever waited for an answer in vain has waited: what is left is for another question.
            let rest = if tried.is_ok() { self.timings.retry } else { Duration::ZERO };
            let problem = match tried {
                Ok(Ok(())) => String::new(),
                Ok(Err(error)) => self.why(&error),
                Err(_) => "the API server does not answer in time".to_owned(),
            };
            if problem != told && !problem.is_empty() {
                tracing::warn!(lease = self.name, "who leads cannot be settled: {problem}");
            }
            told = problem;
            self.say(&leads, &observed);
            // While this process leads, it looks at the clock more often than it renews.
            let until = Instant::now() + rest;
            while Instant::now() < until {
                let nap = self.timings.retry.min(Duration::from_millis(250));
                tokio::select! {
                    () = tokio::time::sleep(nap) => self.say(&leads, &observed),
                    _ = &mut end => {
                        leads.send_replace(false);
                        return self.release(&api, &observed).await;
                    }
                }
            }
        }
        leads.send_replace(false);
        self.release(&api, &observed).await;
    }

    fn say(&self, leads: &watch::Sender<bool>, observed: &Observed) {
        let now = observed.leads(self.timings.renew, Instant::now());
        leads.send_if_modified(|leads| {
            let changed = *leads != now;
            if changed {
                tracing::info!(
                    lease = self.name,
                    identity = self.identity,
                    "{}",
                    if now { "leads" } else { "leads no more" }
                );
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
        let asked = Instant::now();
        let found = api.get_opt(&self.name).await?;
        let spec = found.as_ref().map(|lease| lease.spec.clone().unwrap_or_default());
        let now = Instant::now();
        let step = match &spec {
            Some(spec) => {
                observed.see(spec, now);
                observed.step(&self.identity, self.timings.lease, now)
            }
            None => Step::Acquire,
        };
        if step != Step::Renew {
            observed.renewed = None;
        }
        // The answer may be late, or say that it is not ours: that is told before anything is written.
        self.say(leads, observed);
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
        written_at(written, observed, asked)
    }

    fn record(&self, before: &LeaseSpec, taken: bool) -> LeaseSpec {
        let now = MicroTime(jiff::Timestamp::now());
        let transitions = before.lease_transitions.unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.timings.lease.as_secs().max(1)).ok(),
            acquire_time: if taken { Some(now.clone()) } else { before.acquire_time.clone() },
            lease_transitions: Some(if taken { transitions.saturating_add(1) } else { transitions }),
            renew_time: Some(now),
            ..before.clone()
        }
    }

    async fn release(&self, api: &Api<Lease>, observed: &Observed) {
        if !observed.leads(self.timings.renew, Instant::now()) {
            return;
        }
        let given_back = async {
            let Some(mut lease) = api.get_opt(&self.name).await? else { return Ok(()) };
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() != Some(&self.identity) {
                return Ok(());
            }
            spec.holder_identity = Some(String::new());
            spec.renew_time = Some(MicroTime(jiff::Timestamp::now()));
            api.replace(&self.name, &PostParams::default(), &lease).await.map(|_| ())
        };
        match tokio::time::timeout(self.timings.renew, given_back).await {
            Ok(Ok(())) => {}
            Ok(Err(kube::Error::Api(answer))) if answer.code == 409 => {}
            Ok(Err(error)) => tracing::warn!(lease = self.name, "it is not given back: {error}"),
            Err(_) => tracing::warn!(lease = self.name, "it is not given back in time"),
        }
    }

    fn why(&self, error: &kube::Error) -> String {
        match error {
            kube::Error::Api(answer) if answer.code == 403 => {
                format!(
                    "the operator needs the verbs `get`, `create` and `update` for leases.coordination.k8s.io in namespace {}",
                    self.namespace
                )
            }
            error => error.to_string(),
        }
    }
}

/// Takes up the answer to a write. Leading counts from the moment before the first request was sent: others see it later.
fn written_at(written: kube::Result<Lease>, observed: &mut Observed, asked: Instant) -> kube::Result<()> {
    match written {
        Ok(lease) => {
            observed.see(&lease.spec.unwrap_or_default(), Instant::now());
            observed.renewed = Some(asked);
            Ok(())
        }
        // Somebody was faster: what they wrote is read at the next try. Nobody can lead by it before our time is over.
        Err(kube::Error::Api(answer)) if answer.code == 409 => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
