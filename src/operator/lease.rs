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
}

impl Election {
    /// Runs until `end` is told, and gives the Lease back then. `leads` says at every moment whether this process leads; it
    /// turns false before anybody else can lead.
    pub async fn run(self, client: Client, leads: watch::Sender<bool>, mut end: oneshot::Receiver<()>) {
        let api: Api<Lease> = Api::namespaced(client, &self.namespace);
        let mut observed = Observed::default();
        let mut told = String::new();
        loop {
            let started = Instant::now();
            let left = observed.renewed.map_or(self.timings.renew, |renewed| {
                self.timings.renew.saturating_sub(started.duration_since(renewed))
            });
            // An answer that comes too late is none.
            let patience = left.clamp(Duration::from_millis(100), self.timings.renew);
            let tried = tokio::select! {
                tried = tokio::time::timeout(patience, self.attempt(&api, &mut observed)) => tried,
                _ = &mut end => break,
            };
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
            let until = Instant::now() + self.timings.retry;
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

    async fn attempt(&self, api: &Api<Lease>, observed: &mut Observed) -> kube::Result<()> {
        let asked = Instant::now();
        let Some(mut lease) = api.get_opt(&self.name).await? else {
            let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
            let lease = Lease { metadata, spec: Some(self.record(&LeaseSpec::default(), true)) };
            return written(api.create(&PostParams::default(), &lease).await, observed, asked);
        };
        let spec = lease.spec.clone().unwrap_or_default();
        observed.see(&spec, Instant::now());
        let taken = match observed.step(&self.identity, self.timings.lease, Instant::now()) {
            // A record of ours that we do not lead by is from before this process, or from before it stood still.
            Step::Renew => !observed.leads(self.timings.renew, Instant::now()),
            Step::Acquire => true,
            Step::Wait => {
                observed.renewed = None;
                return Ok(());
            }
        };
        lease.spec = Some(self.record(&spec, taken));
        written(api.replace(&self.name, &PostParams::default(), &lease).await, observed, asked)
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
            api.replace(&self.name, &PostParams::default(), &lease).await.map(|_| ())
        };
        match tokio::time::timeout(self.timings.retry, given_back).await {
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

/// Leading counts from the moment before the request was sent: others see its answer later.
fn written(written: kube::Result<Lease>, observed: &mut Observed, asked: Instant) -> kube::Result<()> {
    match written {
        Ok(lease) => {
            observed.see(&lease.spec.unwrap_or_default(), Instant::now());
            observed.renewed = Some(asked);
            Ok(())
        }
        // Somebody was faster: what they wrote is read at the next try.
        Err(kube::Error::Api(answer)) if answer.code == 409 => {
            observed.renewed = None;
            Ok(())
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(15);
    const RENEW: Duration = Duration::from_secs(10);

    fn held(by: &str, renewed_at_second: i64) -> LeaseSpec {
        let time = jiff::Timestamp::from_second(renewed_at_second).unwrap();
        LeaseSpec { holder_identity: Some(by.into()), renew_time: Some(MicroTime(time)), ..LeaseSpec::default() }
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_lease_is_free_when_it_was_not_renewed_as_we_watched() {
        let start = Instant::now();
        // Whatever time stands in it: clocks of others may be years off.
        for second in [0, 1_700_000_000, 4_000_000_000] {
            let mut observed = Observed::default();
            observed.see(&held("other", second), start);
            assert_eq!(observed.step("me", LEASE, after(start, 14)), Step::Wait);
            assert_eq!(observed.step("me", LEASE, after(start, 15)), Step::Acquire);
            // It was renewed meanwhile.
            observed.see(&held("other", second + 1), after(start, 14));
            assert_eq!(observed.step("me", LEASE, after(start, 28)), Step::Wait);
            assert_eq!(observed.step("me", LEASE, after(start, 29)), Step::Acquire);
            // Seeing the same record again is not a renewal.
            observed.see(&held("other", second + 1), after(start, 29));
            assert_eq!(observed.step("me", LEASE, after(start, 29)), Step::Acquire);
        }
        let mut observed = Observed::default();
        assert_eq!(observed.step("me", LEASE, start), Step::Acquire);
        observed.see(&held("", 5), start);
        assert_eq!(observed.step("me", LEASE, start), Step::Acquire);
        observed.see(&held("me", 6), start);
        assert_eq!(observed.step("me", LEASE, after(start, 100)), Step::Renew);
    }

    #[test]
    fn one_that_stood_still_leads_no_more_before_anybody_else_can() {
        let start = Instant::now();
        let observed = Observed { renewed: Some(start), ..Observed::default() };
        assert!(observed.leads(RENEW, after(start, 9)));
        assert!(!observed.leads(RENEW, after(start, 10)));
        let timings = Timings::default();
        assert!(timings.renew + timings.retry < timings.lease);
        assert!(!Observed::default().leads(RENEW, start));
    }

    #[test]
    fn transitions_are_counted_when_it_is_taken() {
        let election = Election {
            namespace: "default".into(),
            name: "evenkeel".into(),
            identity: "me".into(),
            timings: Timings::default(),
        };
        let taken = election.record(&held("other", 1), true);
        assert_eq!((taken.lease_transitions, taken.holder_identity.as_deref()), (Some(1), Some("me")));
        let renewed = election.record(&taken, false);
        assert_eq!((renewed.lease_transitions, &renewed.acquire_time), (Some(1), &taken.acquire_time));
    }
}
