//! The last check before an activation: a candidate must be able to work.

use std::collections::BTreeSet;

use tokio::task::block_in_place;

use super::active::Active;
use super::candidate::Candidate;
use super::decide::{Decision, PlannedChange, Stage};
use super::obstacles::{DefinitionUse, Judgement, Obstacle, ObstacleCause, judge};
use super::propose::Proposal;
use super::reason::{Reason, ReconcileError};
use super::reconciler::Reconciler;
use super::sources::MergedSources;
use super::status::{Controls, Status};
use crate::definition::environment::ApplyMode;
use crate::definition::{Id, Kind};
use crate::plan::{Plan, Verb};
use crate::trigger::readiness::unreachable_reason;
use crate::workflow::code_errors;

/// Maximum number of rounds that hold definitions: each may bring back versions that cannot work either.
const MAX_ROUNDS: usize = 8;

impl Reconciler {
    /// Makes sure that a proposal which would be applied can work: its secrets can be resolved, the engine compiles its code,
    /// and applications can call the subscriptions. In `Isolate` mode, definitions that cannot work are held.
    ///
    /// # Errors
    /// The candidate cannot work, or cannot be compiled.
    pub(super) async fn preflight(
        &mut self,
        status: &Status,
        controls: &Controls,
        mut proposal: Proposal,
        merged: &MergedSources,
    ) -> Result<Proposal, ReconcileError> {
        let approved = controls.approved.as_ref().map(|approved| approved.plan);
        let mut unready = BTreeSet::new();
        let mut reason = None;
        for _ in 0..MAX_ROUNDS {
            if !matches!(self.decide_on(status, controls, &proposal, merged), Decision::Apply { .. }) {
                proposal.unready = reason;
                return Ok(proposal);
            }
            let compiled = self.active.compile(&self.scope, &mut self.builder, &proposal.candidate)?;
            let obstacles = self.obstacles(&compiled, &proposal.candidate).await;
            let sync = &self.scope.document.spec.sync;
            match judge(&obstacles, sync.apply, sync.secrets, &changed(&proposal.plan)) {
                Judgement::Activate => {
                    (proposal.unready, proposal.compiled) = (reason, Some(Box::new(compiled)));
                    return Ok(proposal);
                }
                Judgement::Hold(ids, error) => {
                    self.secrets.remember_candidate(obstacles);
                    let before = unready.len();
                    unready.extend(ids);
                    if unready.len() == before {
                        return Err(error);
                    }
                    reason.get_or_insert(error.message);
                    proposal = self.propose_without(merged, approved, None, &unready).await.result?;
                }
                Judgement::Refuse(error) => {
                    self.secrets.remember_candidate(obstacles);
                    return Err(error);
                }
            }
        }
        let message = reason.unwrap_or_default();
        Err(ReconcileError::retryable(Reason::SecretsUnresolved, message))
    }

    /// Compiles a candidate that an operator composed, and makes sure that the definitions which it creates or changes can
    /// work. Others are live already: an operator who mends something is not stopped by them.
    ///
    /// # Errors
    /// A definition cannot work, or cannot be compiled.
    pub(super) async fn preflight_composition(
        &mut self,
        candidate: &Candidate,
        plan: &Plan,
    ) -> Result<Active, ReconcileError> {
        let compiled = self.active.compile(&self.scope, &mut self.builder, candidate)?;
        let obstacles = self.obstacles(&compiled, candidate).await;
        let policy = self.scope.document.spec.sync.secrets;
        match judge(&obstacles, ApplyMode::Isolate, policy, &changed(plan)) {
            Judgement::Activate => Ok(compiled),
            Judgement::Hold(_, error) | Judgement::Refuse(error) => Err(error),
        }
    }

    /// The decision on a proposal.
    pub(super) fn decide_on(
        &self,
        status: &Status,
        controls: &Controls,
        proposal: &Proposal,
        merged: &MergedSources,
    ) -> Decision {
        let revisions = merged.revisions();
        let change = PlannedChange {
            revisions: &revisions,
            document: proposal.candidate.inventory.get(&self.scope.own_id()).map(|object| object.digest),
            plan: &proposal.plan,
            blocked: &proposal.blocked,
            withheld: proposal.withheld.as_ref().map_or(&[][..], |(_, withheld)| withheld),
            held: &proposal.held,
        };
        self.decide(status, Stage::Planned(change), controls)
    }

    /// The reasons why definitions of a compiled candidate cannot work.
    async fn obstacles(&mut self, compiled: &Active, candidate: &Candidate) -> Vec<Obstacle> {
        let mut found = self.secrets.obstacles(&compiled.runtime, &candidate.validated).await;
        let before = self.active.runtime();
        let known = before.as_ref().map(|before| &*before.work.programs);
        for error in block_in_place(|| code_errors(&compiled.work.programs, known)) {
            let id = Id { kind: Kind::Workflow, name: error.workflow };
            let uses = vec![DefinitionUse { id, place: error.place }];
            found.push(Obstacle { cause: ObstacleCause::Code(error.message), uses });
        }
        let public_url = self.scope.context.public_url.as_deref();
        for trigger in compiled.work.triggers.values() {
            let Some(reason) = unreachable_reason(trigger, &compiled.runtime, public_url) else { continue };
            let id = Id { kind: Kind::Trigger, name: trigger.name.clone() };
            let uses = vec![DefinitionUse { id, place: trigger.source_location.clone() }];
            found.push(Obstacle { cause: ObstacleCause::Address(reason), uses });
        }
        found
    }
}

/// The definitions that a plan creates or changes.
fn changed(plan: &Plan) -> BTreeSet<Id> {
    plan.actions.iter().filter(|action| action.action != Verb::Delete).map(|action| action.id.clone()).collect()
}
