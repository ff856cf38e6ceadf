//! Tables of decisions: every guard, override, approval, mode, suspension, rollback, drift and backoff.

mod endings;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::definition::{Id, Kind};
use crate::plan::{Inventory, Object, PlanOptions, SourceLocation};
use crate::reconcile::status::{Approved, Requester};

const NOW: Micros = 1_000_000;

/// Inputs of a decision. The default: generation 3 with revision `r1` serves, the sources hold `r2`, which updates one
/// definition.
struct Case {
    generation: Option<Generation>,
    document: Option<Digest>,
    unreadable: bool,
    last_applied: Revisions,
    overrides: Vec<Drift>,
    heals: usize,
    suspend: bool,
    mode: SyncMode,
    controls: Controls,
    revisions: Revisions,
    new_document: Option<Digest>,
    plan: Plan,
    blocked: Vec<BlockedRemovals>,
    withheld: Vec<BlockedRemovals>,
    held: Vec<String>,
}

fn revisions(revision: &str) -> Revisions {
    [("source".to_owned(), revision.to_owned())].into()
}

fn generation(revision: &str) -> Generation {
    Generation {
        environment: "live".into(),
        number: 3,
        digest: Digest::of(b"generation"),
        revisions: revisions(revision),
        cause: Cause::Source,
        actor: "mallory".into(),
        at: 500,
        plan: None,
        summary: Value::Null,
    }
}

/// A plan between tenants, each with a text.
fn plan(observed: &[(&str, &str)], desired: &[(&str, &str)]) -> Plan {
    let inventory = |tenants: &[(&str, &str)]| -> Inventory {
        let object = |(name, text): &(&str, &str)| {
            let id = Id { kind: Kind::Tenant, name: (*name).to_owned() };
            let document = json!({"kind": "Tenant", "spec": {"displayName": text}});
            (id.clone(), Arc::new(Object::new(id, document, SourceLocation::default(), BTreeSet::new())))
        };
        tenants.iter().map(object).collect()
    };
    let options = PlanOptions { environment: "live" };
    crate::plan::plan(&inventory(observed), &inventory(desired), &options)
}

fn update() -> Plan {
    plan(&[("a", "old")], &[("a", "new")])
}

fn no_change() -> Plan {
    plan(&[("a", "old")], &[("a", "old")])
}

fn blocked(reason: BlockedReason) -> Vec<BlockedRemovals> {
    vec![BlockedRemovals { reason, ids: vec!["Tenant/a".into()], message: format!("{reason:?} remedy") }]
}

fn expires(name: &str, until: Micros) -> Drift {
    Drift { id: format!("Tenant/{name}"), how: DriftKind::Changed, who: "alice".into(), at: 7, until: Some(until) }
}

fn request(by: &str) -> Requester {
    Requester { by: by.into(), at: 1, reason: None }
}

fn held(revision: &str) -> Option<HeldRevision> {
    Some(HeldRevision { revisions: revisions(revision), by: "alice".into(), at: 1 })
}

impl Default for Case {
    fn default() -> Case {
        let document = Some(Digest::of(b"document"));
        Case {
            generation: Some(generation("r1")),
            document,
            unreadable: false,
            last_applied: revisions("r1"),
            overrides: Vec::new(),
            heals: 0,
            suspend: false,
            mode: SyncMode::Heal,
            controls: Controls::default(),
            revisions: revisions("r2"),
            new_document: document,
            plan: update(),
            blocked: Vec::new(),
            withheld: Vec::new(),
            held: Vec::new(),
        }
    }
}

impl Case {
    /// The revision that is live already differs from the live generation.
    fn drifted() -> Case {
        Case { revisions: revisions("r1"), ..Case::default() }
    }

    fn nothing_live(mut self) -> Case {
        (self.generation, self.document, self.last_applied) = (None, None, Revisions::new());
        self
    }

    /// An operator approved the plan, or with `false` another one.
    fn approved(mut self, same: bool) -> Case {
        let plan = if same { self.plan.digest } else { Digest::of(b"another plan") };
        self.controls.approved = Some(Approved { plan, by: "alice".into(), at: 1 });
        self
    }

    fn suspended(mut self) -> Case {
        self.controls.suspended = Some(request("alice"));
        self
    }

    fn held_back(mut self, revision: &str) -> Case {
        self.controls.held_back = held(revision);
        self
    }

    fn decide<'a>(&'a self, stage: impl FnOnce(&'a Case) -> Stage<'a>) -> Decision {
        let monotonic = Instant::now();
        let mut backoff = DriftBackoff::default();
        for _ in 0..self.heals {
            backoff.healed(monotonic);
        }
        let observed = Observed {
            key: "live",
            generation: self.generation.as_ref(),
            document: self.document,
            unreadable: self.unreadable,
            last_applied: &self.last_applied,
            overrides: self.overrides.clone(),
            backoff: &backoff,
        };
        let desired = Desired { suspend: self.suspend, mode: self.mode, stage: stage(self) };
        let later = monotonic + Duration::from_secs(1);
        decide(&observed, &desired, &self.controls, Now { wall: NOW, monotonic: later })
    }

    fn planned(&self) -> Decision {
        self.decide(|case| {
            Stage::Planned(PlannedChange {
                revisions: &case.revisions,
                document: case.new_document,
                plan: &case.plan,
                blocked: &case.blocked,
                withheld: &case.withheld,
                held: &case.held,
            })
        })
    }
}

/// A decision in one line.
fn summary(decision: &Decision) -> String {
    let verdict = |verdict: &Verdict| {
        let stalled = if verdict.stalled { " stalled" } else { "" };
        let ready = if verdict.ready == ConditionStatus::True { "ready" } else { "not ready" };
        format!("{} {ready}{stalled}", verdict.reason)
    };
    match decision {
        Decision::Fetch => "fetch".into(),
        Decision::Propose => "propose".into(),
        Decision::Suspended(suspended) => verdict(suspended),
        Decision::HeldBack { verdict: held, .. } => verdict(held),
        Decision::Refuse(refused) => format!("refuse {}", verdict(refused)),
        Decision::Unchanged(_) => "unchanged".into(),
        Decision::Wait { verdict: waits, pending, .. } => {
            assert_eq!(pending.reason, waits.reason);
            format!("wait {}", verdict(waits))
        }
        Decision::Apply { cause, actor, heals_drift, uses_approval, .. } => {
            let heals = if *heals_drift { ", counts as heal" } else { "" };
            let approval = if *uses_approval { ", uses approval" } else { "" };
            format!("apply {} by {actor}{heals}{approval}", cause.as_str())
        }
    }
}

fn message(decision: &Decision) -> &str {
    match decision {
        Decision::Suspended(verdict)
        | Decision::Refuse(verdict)
        | Decision::HeldBack { verdict, .. }
        | Decision::Wait { verdict, .. } => &verdict.message,
        other => panic!("{other:?} has no message"),
    }
}

#[test]
fn suspension_stops_before_the_sources_are_fetched() {
    let by_document = || Case { suspend: true, ..Case::default() };
    for (row, case, expected) in [
        ("not suspended", Case::default(), "fetch"),
        ("by an operator", Case::default().suspended(), "Suspended ready"),
        (
            "by an operator, before the first generation",
            Case::default().suspended().nothing_live(),
            "Suspended not ready",
        ),
        ("by the document", by_document(), "Suspended ready"),
        ("by the document, before the first generation", by_document().nothing_live(), "Suspended not ready"),
        ("held back only", Case::default().held_back("r2"), "fetch"),
    ] {
        assert_eq!(summary(&case.decide(|_| Stage::NotFetched)), expected, "{row}");
    }
    let decision = Case::default().suspended().decide(|_| Stage::NotFetched);
    assert_eq!(message(&decision), "suspended by alice: nothing is applied until `evenkeel resume -e live`");
    // `evenkeel resume` does not end a suspension by the document, and the message says which one holds.
    let decision = by_document().decide(|_| Stage::NotFetched);
    assert_eq!(message(&decision), "nothing is applied while its Environment document says `suspend: true`");
    // The operator's request is named even if the document suspends too.
    let decision = by_document().suspended().decide(|_| Stage::NotFetched);
    assert!(message(&decision).starts_with("suspended by alice"), "{decision:?}");
}

#[test]
fn a_revision_that_was_left_is_held_back_until_a_newer_one_exists() {
    let rolled_back = |live: &str| Case { generation: Some(generation(live)), ..Case::default() }.held_back("r2");
    for (row, case, expected) in [
        ("no request", Case::default(), "propose"),
        ("the sources still hold the revision that was left", rolled_back("r1"), "HeldBack ready"),
        ("a newer revision", Case { revisions: revisions("r3"), ..rolled_back("r1") }, "propose"),
        ("the revision that was left is live again", rolled_back("r2"), "propose"),
        ("nothing is live", rolled_back("r1").nothing_live(), "HeldBack ready"),
    ] {
        assert_eq!(summary(&case.decide(|case| Stage::Fetched(&case.revisions))), expected, "{row}");
    }
    let case = Case { overrides: vec![expires("a", NOW + 1)], ..rolled_back("r1") };
    let decision = case.decide(|case| Stage::Fetched(&case.revisions));
    for part in ["generation 3 serves at the request of alice", "`evenkeel resume -e live`"] {
        assert!(message(&decision).contains(part), "{decision:?}");
    }
    let Decision::HeldBack { held: by, drift, .. } = decision else { panic!("{decision:?}") };
    assert_eq!((Some(by), drift), (held("r2"), case.overrides));
}

#[test]
fn one_of_several_sources_is_enough_to_hold_back() {
    let revisions = |a: &str, b: &str| -> Revisions { [("a".into(), a.into()), ("b".into(), b.into())].into() };
    let mut case = Case { revisions: revisions("a3", "b2"), ..Case::default() };
    case.generation = Some(Generation { revisions: revisions("a1", "b1"), ..generation("r1") });
    case.controls.held_back = Some(HeldRevision { revisions: revisions("a2", "b2"), by: "alice".into(), at: 1 });
    assert_eq!(summary(&case.decide(|case| Stage::Fetched(&case.revisions))), "HeldBack ready");
}

#[test]
fn definitions_with_errors_are_refused() {
    for (row, error, expected) in [
        (
            "invalid definitions",
            ReconcileError::stalled(Reason::InvalidDefinitions, "r2: a.yaml:1: EK0101"),
            "refuse InvalidDefinitions not ready stalled",
        ),
        (
            "an unreadable file",
            ReconcileError::retryable(Reason::Source(crate::source::FetchReason::PathNotFound), "x.ts"),
            "refuse PathNotFound not ready",
        ),
        (
            "a failing store",
            ReconcileError::retryable(Reason::StoreUnavailable, "no answer"),
            "refuse StoreUnavailable not ready",
        ),
    ] {
        let case = Case::default();
        let decision = case.decide(|_| Stage::Refused(&error));
        assert_eq!((summary(&decision).as_str(), message(&decision)), (expected, error.message.as_str()), "{row}");
    }
}

#[test]
fn each_mode_treats_new_revisions_and_drift_differently() {
    use SyncMode::{Heal, Manual, Report};
    let new = |mode| Case { mode, ..Case::default() };
    let drift = |mode| Case { mode, ..Case::drifted() };
    for (row, case, expected) in [
        ("heal, new revision", new(Heal), "apply Source by reconciler"),
        ("heal, first revision", new(Heal).nothing_live(), "apply Source by reconciler"),
        ("heal, drift", drift(Heal), "apply Heal by reconciler, counts as heal"),
        ("report, new revision", new(Report), "apply Source by reconciler"),
        ("report, drift", drift(Report), "wait Drifted not ready"),
        ("report, drift, approved", drift(Report).approved(true), "apply Source by alice, uses approval"),
        (
            "report, new revision beside drift",
            Case { revisions: revisions("r3"), ..drift(Report) },
            "apply Source by reconciler",
        ),
        ("manual, new revision", new(Manual), "wait AwaitingApproval not ready stalled"),
        ("manual, first revision", new(Manual).nothing_live(), "wait AwaitingApproval not ready stalled"),
        ("manual, approved", new(Manual).approved(true), "apply Source by alice, uses approval"),
        ("manual, another plan approved", new(Manual).approved(false), "wait AwaitingApproval not ready stalled"),
        ("manual, drift", drift(Manual), "wait AwaitingApproval not ready stalled"),
        ("manual, drift, approved", drift(Manual).approved(true), "apply Source by alice, uses approval"),
    ] {
        assert_eq!(summary(&case.planned()), expected, "{row}");
    }
}

#[test]
fn a_difference_is_drift_only_if_neither_source_nor_document_changed() {
    for (row, case, expected) in [
        ("the generation has the revision", Case::drifted(), "apply Heal by reconciler, counts as heal"),
        (
            "the status has the revision, an older generation is active",
            Case { generation: Some(generation("r0")), ..Case::drifted() },
            "apply Heal by reconciler, counts as heal",
        ),
        (
            "the document changed",
            Case { new_document: Some(Digest::of(b"changed")), ..Case::drifted() },
            "apply Source by reconciler",
        ),
        (
            "nothing is live, so no document changed",
            Case { generation: None, document: None, ..Case::drifted() },
            "apply Heal by reconciler, counts as heal",
        ),
        ("approved", Case::drifted().approved(true), "apply Source by alice, uses approval"),
        ("nothing differs", Case { plan: no_change(), ..Case::drifted() }, "unchanged"),
        ("a new revision that changes nothing", Case { plan: no_change(), ..Case::default() }, "unchanged"),
    ] {
        assert_eq!(summary(&case.planned()), expected, "{row}");
    }
}

#[test]
fn a_generation_that_cannot_be_read_is_replaced_even_without_changes() {
    let case = Case { unreadable: true, plan: no_change(), ..Case::default() };
    assert_eq!(summary(&case.planned()), "apply Heal by reconciler");
    let case = Case { unreadable: true, ..Case::default() };
    assert_eq!(summary(&case.planned()), "apply Source by reconciler");
    let case = Case { unreadable: true, plan: no_change(), mode: SyncMode::Manual, ..Case::default() };
    assert_eq!(summary(&case.planned()), "wait AwaitingApproval not ready stalled");
}

#[test]
fn guards_stop_removals_and_an_approval_permits_some() {
    use BlockedReason::{Budget, Disabled, EmptySource, Incomplete, Protected, StillReferenced};
    let waits = "wait PruneBlocked not ready stalled";
    for (reason, plain, approved) in [
        (Budget, waits, "apply Source by alice, uses approval"),
        (StillReferenced, waits, "apply Source by alice, uses approval"),
        (Protected, waits, "apply Source by alice, uses approval"),
        (EmptySource, waits, "apply Source by alice, uses approval"),
        (Incomplete, waits, waits),
        // Removals that the environment never makes are withheld before this decision.
        (Disabled, "apply Source by reconciler", "apply Source by alice, uses approval"),
    ] {
        let case = || Case { blocked: blocked(reason), ..Case::default() };
        assert_eq!(summary(&case().planned()), plain, "{reason:?}");
        assert_eq!(summary(&case().approved(true).planned()), approved, "{reason:?}, approved");
        assert_eq!(summary(&case().approved(false).planned()), plain, "{reason:?}, another plan approved");
        let manual = Case { mode: SyncMode::Manual, ..case() };
        let manual_plain = if reason == Disabled { "wait AwaitingApproval not ready stalled" } else { plain };
        assert_eq!(summary(&manual.planned()), manual_plain, "{reason:?}, manual");
    }
    // A guard that no approval passes is named first.
    let both = [blocked(EmptySource), blocked(Incomplete)].concat();
    let case = Case { blocked: both, ..Case::default() };
    let decision = case.planned();
    let expected = "Incomplete remedy: the removal of Tenant/a waits; `evenkeel plan --server … -e live` shows it";
    assert_eq!(message(&decision), expected);
    assert_eq!(summary(&case.approved(true).planned()), waits, "unknown definitions are never removed");
    let Decision::Wait { status, pending, .. } = decision else { panic!("{decision:?}") };
    assert_eq!(status.blocked.iter().map(|blocked| blocked.reason).collect::<Vec<_>>(), [EmptySource, Incomplete]);
    assert_eq!((pending.plan, pending.reason), (update().digest, Reason::PruneBlocked));
    assert_eq!(pending.summary["update"], 1);
}

#[test]
fn withheld_removals_are_shown_and_do_not_stop_the_rest() {
    let case = Case { withheld: blocked(BlockedReason::Disabled), ..Case::default() };
    let decision = case.planned();
    assert_eq!(summary(&decision), "apply Source by reconciler");
    let Decision::Apply { status, .. } = decision else { panic!("{decision:?}") };
    assert_eq!(status.blocked, [BlockedPrune::from(&case.withheld[0])]);
    // Nothing is left to apply: the removals are still shown, and that is no drift.
    let case = Case { plan: no_change(), withheld: blocked(BlockedReason::Budget), ..Case::drifted() };
    let Decision::Unchanged(status) = case.planned() else { panic!("{:?}", case.planned()) };
    assert_eq!((status.blocked.len(), status.drift.len()), (1, 0));
}

#[test]
fn definitions_that_are_held_are_listed_up_to_a_limit() {
    let held: Vec<String> = (0..=MAX_LISTED).map(|number| format!("Tenant/t{number}")).collect();
    let decision = Case { held, ..Case::default() }.planned();
    let Decision::Apply { status, .. } = decision else { panic!("{decision:?}") };
    assert_eq!((status.held.len(), status.held[0].as_str()), (MAX_LISTED, "Tenant/t0"));
}

#[test]
fn a_conflict_loop_delays_the_next_heal_and_nothing_else() {
    let looping = |case: Case| Case { heals: 4, ..case };
    let waits = format!("wait {} not ready", Reason::ConflictLoop);
    for (row, case, expected) in [
        ("three heals are accidents", Case { heals: 3, ..Case::drifted() }, "apply Heal by reconciler, counts as heal"),
        ("the fourth heal starts the backoff", looping(Case::drifted()), waits.as_str()),
        ("a new revision does not wait", looping(Case::default()), "apply Source by reconciler"),
        ("an approval ends the wait", looping(Case::drifted()).approved(true), "apply Source by alice, uses approval"),
        (
            "drift is only reported",
            Case { mode: SyncMode::Report, ..looping(Case::drifted()) },
            "wait Drifted not ready",
        ),
    ] {
        assert_eq!(summary(&case.planned()), expected, "{row}");
    }
}

#[test]
fn drift_names_overrides_and_the_opposite_of_the_plan() {
    let desired = [("changed", "new"), ("removed", "x"), ("overridden", "x")];
    let case = Case {
        plan: plan(&[("changed", "old"), ("added", "x"), ("overridden", "y")], &desired),
        overrides: vec![expires("overridden", NOW - 1)],
        ..Case::drifted()
    };
    let Decision::Apply { status, .. } = case.planned() else { panic!("{:?}", case.planned()) };
    let shown: BTreeMap<&str, (DriftKind, &str, Micros)> =
        status.drift.iter().map(|drift| (drift.id.as_str(), (drift.how, drift.who.as_str(), drift.at))).collect();
    let expected = [
        ("Tenant/added", (DriftKind::Added, "mallory", 500)),
        ("Tenant/changed", (DriftKind::Changed, "mallory", 500)),
        ("Tenant/overridden", (DriftKind::Changed, "alice", 7)),
        ("Tenant/removed", (DriftKind::Removed, "mallory", 500)),
    ];
    assert_eq!(shown, expected.into());
    // The changes of a new revision are no drift; overrides always are.
    let Decision::Apply { status, .. } = (Case { revisions: revisions("r2"), ..case }).planned() else { panic!() };
    assert_eq!(status.drift.iter().map(|drift| drift.id.as_str()).collect::<Vec<_>>(), ["Tenant/overridden"]);
}

#[test]
fn overrides_that_ended_beside_other_drift_are_named_with_the_remedy_if_nothing_heals() {
    let two = || plan(&[("a", "old"), ("z", "old")], &[("a", "new"), ("z", "new")]);
    for (row, overrides, part) in [
        ("none", vec![], "the live generation differs from the declared one;"),
        ("one lasts", vec![expires("a", NOW + 1)], "the live generation differs from the declared one;"),
        (
            "one ended",
            vec![expires("a", NOW), expires("b", NOW + 1)],
            "declared one: the override of Tenant/a has ended;",
        ),
        (
            "three ended",
            vec![expires("a", 1), expires("b", 2), expires("c", 3)],
            "declared one: the overrides of Tenant/a and 2 more have ended;",
        ),
    ] {
        for mode in [SyncMode::Manual, SyncMode::Report] {
            let decision = Case { mode, plan: two(), overrides: overrides.clone(), ..Case::drifted() }.planned();
            assert!(message(&decision).contains(part), "{row}, {mode:?}: {decision:?}");
            assert!(message(&decision).contains("`evenkeel apply -e live --yes` heals it"), "{row}: {decision:?}");
        }
        let healed = Case { plan: two(), overrides, ..Case::drifted() };
        assert_eq!(summary(&healed.planned()), "apply Heal by reconciler, counts as heal", "{row}");
    }
    let decision = Case { mode: SyncMode::Manual, ..Case::default() }.planned();
    assert_eq!(message(&decision), "a plan waits for `evenkeel apply -e live`");
}

#[test]
fn a_revision_is_ready_once_every_process_serves_it_without_errors() {
    let (revisions, held) = (revisions("r1"), ["Tenant/a".to_owned(), "Tenant/b".to_owned()]);
    let (disabled, budget) = (blocked(BlockedReason::Disabled), blocked(BlockedReason::Budget));
    let live = Rollout {
        revisions: &revisions,
        held: &[],
        unready: None,
        errors: 0,
        withheld: &[],
        generation: 3,
        replicas: 2,
        behind: 0,
        key: "live",
        approvable: None,
        empty: None,
        document_error: None,
    };
    for (row, rollout, reason, ready, stalled, reconciling, part) in [
        ("live", live, Reason::Applied, true, false, false, "r1 is live"),
        (
            "a process is behind",
            Rollout { behind: 1, ..live },
            Reason::Progressing,
            false,
            false,
            true,
            "1 of 2 processes do not serve generation 3 yet",
        ),
        (
            "definitions are held",
            Rollout { held: &held, errors: 2, behind: 1, ..live },
            Reason::Isolated,
            false,
            false,
            false,
            "r1: 2 errors; 2 definitions keep their last good version or are absent; the first is Tenant/a",
        ),
        (
            "a definition whose secret cannot be resolved",
            Rollout { held: &held, unready: Some("secret `key` (env): it is not set"), ..live },
            Reason::Isolated,
            false,
            false,
            false,
            "secret `key` (env): it is not set",
        ),
        ("errors in no definition", Rollout { errors: 1, ..live }, Reason::Isolated, false, false, false, "1 errors"),
        (
            "removals wait",
            Rollout { withheld: &budget, held: &held, ..live },
            Reason::PruneBlocked,
            false,
            true,
            false,
            "Budget remedy: the removal of Tenant/a waits",
        ),
        (
            "a source declares nothing",
            Rollout { empty: Some("nothing is declared: `defs`"), behind: 1, ..live },
            Reason::NothingDeclared,
            false,
            true,
            false,
            "nothing is declared: `defs`",
        ),
        (
            "the Environment document has errors",
            Rollout { document_error: Some("live.yaml:3:1: EK0101: x"), empty: Some("nothing"), ..live },
            Reason::InvalidEnvironment,
            false,
            true,
            false,
            "live.yaml:3:1: EK0101: x; the last good version of the Environment document is in effect",
        ),
        (
            "removals of a source that declares nothing wait",
            Rollout { withheld: &budget, empty: Some("nothing"), ..live },
            Reason::PruneBlocked,
            false,
            true,
            false,
            "Budget remedy",
        ),
        ("nothing is pruned", Rollout { withheld: &disabled, ..live }, Reason::Applied, true, false, false, "live"),
    ] {
        let verdict = conclude(&rollout);
        let is_ready = verdict.ready == ConditionStatus::True;
        assert_eq!(
            (verdict.reason, is_ready, verdict.stalled, verdict.reconciling),
            (reason, ready, stalled, reconciling),
            "{row}"
        );
        assert!(verdict.message.contains(part), "{row}: {}", verdict.message);
    }
}
