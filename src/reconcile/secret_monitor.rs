//! The secrets that definitions reference: which cannot be resolved, where they are used, and when they are checked again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::obstacles::{DefinitionUse, Obstacle, ObstacleCause};
use super::secret_check::SecretChecker;
use super::validate::Validated;
use crate::catalog::Entry;
use crate::connector::{Runtime, SecretState};
use crate::definition::environment::SecretSource;
use crate::definition::schema_validator::ReferenceKind;
use crate::definition::{Kind, Spec};

/// Shortest time between two checks after failed calls.
const MIN_RECHECK_WAIT: Duration = Duration::from_secs(5);

/// Checks the secrets that definitions of one environment reference.
#[derive(Debug, Default)]
pub(super) struct SecretMonitor {
    checker: SecretChecker,
    failed: Arc<Notify>,
    /// Obstacles of the candidate that is not live because of them.
    pub(super) candidate: Vec<Obstacle>,
}

impl SecretMonitor {
    /// Notified when a call needs a secret that cannot be resolved.
    pub(super) fn failed(&self) -> Arc<Notify> {
        Arc::clone(&self.failed)
    }

    /// Remembers why a candidate is not live.
    pub(super) fn remember_candidate(&mut self, obstacles: Vec<Obstacle>) {
        self.candidate = obstacles;
    }

    /// Forgets the last candidate, as the next one is proposed.
    pub(super) fn forget_candidate(&mut self) {
        self.candidate.clear();
    }

    /// The secrets that active definitions reference and that cannot be resolved.
    pub(super) async fn obstacles(&mut self, runtime: &Runtime, validated: &Validated) -> Vec<Obstacle> {
        let names: Vec<&str> = referenced(validated).collect();
        let states = self.checker.check(runtime, &names).await;
        let obstacle = |(name, state): (String, SecretState)| {
            let (problem, is_known) = match state {
                SecretState::Resolved => return None,
                SecretState::Missing(problem) => (problem, true),
                SecretState::Unknown(problem) => (problem, false),
            };
            let provider = runtime.secrets.get(&name).map_or("none", SecretSource::provider);
            let uses = uses(validated, &name);
            Some(Obstacle { cause: ObstacleCause::Secret { name, provider, problem, is_known }, uses })
        };
        states.into_iter().filter_map(obstacle).collect()
    }
}

/// The times of checks after failed calls.
pub(super) struct Rechecks {
    failed: Arc<Notify>,
    is_due: bool,
    last: Option<Instant>,
}

impl Rechecks {
    /// The checks that a monitor needs.
    pub(super) fn of(monitor: &SecretMonitor) -> Rechecks {
        Rechecks { failed: monitor.failed(), is_due: false, last: None }
    }

    /// Waits for the next check. Dropping the future loses no failure.
    pub(super) async fn next(&mut self) {
        if !self.is_due {
            self.failed.notified().await;
            self.is_due = true;
        }
        if let Some(last) = self.last {
            sleep_until(last + MIN_RECHECK_WAIT).await;
        }
        (self.is_due, self.last) = (false, Some(Instant::now()));
    }
}

/// Names of the secrets that active definitions reference.
pub(super) fn referenced(validated: &Validated) -> impl Iterator<Item = &str> {
    let all = validated.secret_uses().iter();
    all.filter(|(_, at)| entries(validated, at).next().is_some()).map(|(name, _)| &**name)
}

/// The active definitions at positions of the catalog; of Environments, only the one that the catalog is for.
fn entries<'a>(validated: &'a Validated, at: &'a [u32]) -> impl Iterator<Item = &'a Entry> {
    let chosen = validated.catalog.environment.as_deref();
    let found = at.iter().filter_map(|at| validated.catalog.entries.get(*at as usize));
    found.map(|entry| &**entry).filter(move |entry| match entry.spec() {
        Some(Spec::Environment(_)) => chosen == Some(entry.id.name.as_str()),
        Some(Spec::Trigger(spec)) => spec.active,
        Some(Spec::Workflow(spec)) => spec.active,
        Some(Spec::Connection(spec)) => spec.active,
        _ => true,
    })
}

/// The places at which active definitions use a secret, the Environment's own last.
fn uses(validated: &Validated, name: &str) -> Vec<DefinitionUse> {
    let at = validated.secret_uses().get(name).map_or(&[][..], Vec::as_slice);
    let place = |entry: &Entry| {
        let reference = entry
            .facts
            .references
            .iter()
            .find(|reference| reference.to == ReferenceKind::Secret && reference.name == name)
            .map(|reference| entry.span(reference.span));
        let template = || {
            let mut templates = entry.facts.templates.iter().filter_map(|template| {
                let node = entry.node(&template.pointer)?;
                node.as_str().filter(|text| text.contains("get_secret") && text.contains(name))?;
                Some(entry.value_span(&template.pointer))
            });
            templates.next()
        };
        let span = reference.or_else(template).unwrap_or_else(|| entry.span(entry.name_span));
        validated.catalog.sources.display_position(span)
    };
    let mut known = BTreeSet::new();
    let mut uses: Vec<DefinitionUse> = entries(validated, at)
        .filter(|entry| known.insert(entry.id.clone()))
        .map(|entry| DefinitionUse { id: entry.id.clone(), place: place(entry) })
        .collect();
    uses.sort_by_key(|used| used.id.kind == Kind::Environment);
    uses
}
