//! Tables of what ends without another writer: overrides that expire, and removals that an operator approves by digest.

use super::*;

#[test]
fn an_override_ends_at_its_time_in_every_mode_and_counts_as_no_conflict() {
    use SyncMode::{Heal, Manual, Report};
    let ended = |mode, overrides: Vec<Drift>| Case { mode, overrides, heals: 5, ..Case::drifted() };
    let two = || plan(&[("a", "old"), ("b", "old")], &[("a", "new"), ("b", "new")]);
    let ends = "apply Heal by reconciler";
    let conflict = format!("wait {} not ready", Reason::ConflictLoop);
    for (row, case, expected) in [
        ("heal", ended(Heal, vec![expires("a", NOW)]), ends),
        ("report", ended(Report, vec![expires("a", NOW - 1)]), ends),
        ("manual", ended(Manual, vec![expires("a", 1)]), ends),
        ("one of two", ended(Heal, vec![expires("a", NOW), expires("b", NOW + 1)]), ends),
        ("both at once", Case { plan: two(), ..ended(Heal, vec![expires("a", NOW), expires("b", NOW)]) }, ends),
        ("it lasts, so the change is of another writer", ended(Heal, vec![expires("a", NOW + 1)]), &*conflict),
        ("beside drift of another writer", Case { plan: two(), ..ended(Heal, vec![expires("a", NOW)]) }, &*conflict),
        ("no override", ended(Heal, vec![]), &*conflict),
    ] {
        assert_eq!(summary(&case.planned()), expected, "{row}");
    }
    // The guards hold: the source may have removed the definition, or everything, meanwhile.
    for reason in [BlockedReason::EmptySource, BlockedReason::Budget, BlockedReason::Incomplete] {
        let case = Case { blocked: blocked(reason), ..ended(Heal, vec![expires("a", NOW)]) };
        assert_eq!(summary(&case.planned()), "wait PruneBlocked not ready stalled", "{reason:?}");
    }
}

#[test]
fn the_status_names_the_removal_and_the_command_that_approves_it() {
    let ids: Vec<String> = (0..5).map(|number| format!("Tenant/t{number}")).collect();
    for (reason, is_approvable) in [
        (BlockedReason::EmptySource, true),
        (BlockedReason::Protected, true),
        (BlockedReason::Budget, true),
        (BlockedReason::StillReferenced, true),
        (BlockedReason::Incomplete, false),
    ] {
        let blocked = vec![BlockedRemovals { reason, ids: ids.clone(), message: "why".into() }];
        let case = Case { blocked: blocked.clone(), ..Case::default() };
        let decision = case.planned();
        let said = message(&decision);
        assert!(said.starts_with("why: the removal of Tenant/t0, Tenant/t1, Tenant/t2 and 2 more waits;"), "{said}");
        let command = format!("`evenkeel apply -e live --digest {}` approves it", case.plan.digest);
        assert_eq!(said.contains(&command), is_approvable, "{reason:?}: {said}");
        // In Isolate, the rest is applied, and the same is said.
        let (revisions, plan) = (revisions("r1"), case.plan.digest);
        let rollout = Rollout {
            revisions: &revisions,
            held: &[],
            unready: None,
            errors: 0,
            withheld: &blocked,
            generation: 3,
            replicas: 1,
            behind: 0,
            key: "live",
            approvable: Some(plan),
            empty: None,
            document_error: None,
        };
        assert_eq!(conclude(&rollout).message, said, "{reason:?}");
    }
}

#[test]
fn a_definition_that_a_source_adopts_goes_live_by_the_mode() {
    let adopt = || {
        let inventory = |manual: bool, text: &str| -> Inventory {
            let id = Id { kind: Kind::Tenant, name: "a".to_owned() };
            let document = json!({"kind": "Tenant", "spec": {"displayName": text}});
            let mut object = Object::new(id.clone(), document, SourceLocation::default(), BTreeSet::new());
            object.manual = manual;
            [(id, Arc::new(object))].into()
        };
        let options = PlanOptions { environment: "live" };
        crate::plan::plan(&inventory(true, "hand"), &inventory(false, "git"), &options)
    };
    assert_eq!(adopt().summary.adopt, 1);
    let case = |mode| Case { plan: adopt(), mode, ..Case::default() };
    for (mode, expected) in [
        (SyncMode::Heal, "apply Source by reconciler"),
        (SyncMode::Report, "apply Source by reconciler"),
        (SyncMode::Manual, "wait AwaitingApproval not ready stalled"),
    ] {
        assert_eq!(summary(&case(mode).planned()), expected, "{mode:?}");
    }
    assert_eq!(summary(&case(SyncMode::Manual).approved(true).planned()), "apply Source by alice, uses approval");
}
