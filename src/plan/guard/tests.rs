//! Tests of the rules that block removals.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::plan::tests::{id, inventories, object};
use crate::plan::{PlanOptions, plan};

const OPTIONS: PlanOptions<'_> = PlanOptions { environment: "live" };

fn tenants(count: usize) -> Inventory {
    let tenant = |n: usize| object(Kind::Tenant, &format!("t{n}"), json!(n), "a.yaml", &[]);
    (0..count).map(tenant).map(|object| (object.id.clone(), Arc::new(object))).collect()
}

fn reasons(observed: &Inventory, desired: &Inventory, policy: PrunePolicy, incomplete: bool) -> Vec<&'static str> {
    let plan = plan(observed, desired, &OPTIONS);
    let blocked = guard(&plan, &policy, observed, &DesiredState { inventory: desired, incomplete, deliberate: false });
    blocked.iter().map(|blocked| blocked.reason.as_str()).collect()
}

const OPEN: PrunePolicy = PrunePolicy { enabled: true, budget: Some(Budget::Percent(100)) };

#[test]
fn the_default_policy_matches_the_documentation() {
    let policy = PrunePolicy::from(&Prune::default());
    assert_eq!(policy, PrunePolicy { enabled: true, budget: None });
    let allowed: Vec<usize> = [0, 10, 15, 100].map(|observed| policy.allowed(observed)).to_vec();
    assert_eq!(allowed, [3, 3, 3, 20]);
    let allowed = |budget, observed| PrunePolicy { enabled: true, budget: Some(budget) }.allowed(observed);
    assert_eq!(
        (allowed(Budget::Percent(10), 19), allowed(Budget::Percent(10), 3), allowed(Budget::Percent(0), 100)),
        (1, 1, 0)
    );
    assert_eq!(
        (allowed(Budget::Count(0), 100), allowed(Budget::Count(7), 3), allowed(Budget::Percent(100), 9)),
        (0, 7, 9)
    );
}

#[test]
fn each_rule_blocks_removals() {
    let (ten, nine, none) = (tenants(10), tenants(9), Inventory::new());
    assert!(reasons(&ten, &nine, OPEN, false).is_empty());
    assert!(reasons(&nine, &ten, PrunePolicy { enabled: false, budget: None }, true).is_empty());
    assert_eq!(reasons(&ten, &nine, PrunePolicy { enabled: false, ..OPEN }, false), ["Disabled"]);
    assert_eq!(reasons(&ten, &nine, OPEN, true), ["Incomplete"]);
    assert_eq!(reasons(&ten, &none, OPEN, false), ["EmptySource"]);
    assert_eq!(reasons(&ten, &tenants(6), PrunePolicy { enabled: true, budget: None }, false), ["Budget"]);
    assert!(reasons(&ten, &tenants(7), PrunePolicy { enabled: true, budget: None }, false).is_empty());
}

#[test]
fn a_source_with_only_an_environment_is_empty_and_the_environment_does_not_count() {
    let live = object(Kind::Environment, "live", json!(0), "a.yaml", &[]);
    let desired: Inventory = [(live.id.clone(), Arc::new(live))].into();
    let mut observed = tenants(2);
    observed.extend(desired.clone());
    assert_eq!(reasons(&observed, &desired, OPEN, false), ["EmptySource"]);
    let nothing = PrunePolicy { enabled: true, budget: Some(Budget::Count(0)) };
    assert!(reasons(&observed, &tenants(2), nothing, false).is_empty());
}

#[test]
fn protected_and_referenced_definitions_stay() {
    let mut observed = tenants(5);
    let mut kept = object(Kind::Role, "kept", json!(0), "a.yaml", &[]);
    kept.protected = true;
    observed.insert(kept.id.clone(), Arc::new(kept));
    let desired = tenants(4);
    let plan = plan(&observed, &desired, &OPTIONS);
    // An override: no source declares it, so the plan does not contain it.
    let manual = object(Kind::Connection, "manual", json!(0), "", &[id(Kind::Tenant, "t4")]);
    observed.insert(manual.id.clone(), Arc::new(manual));
    let blocked =
        guard(&plan, &OPEN, &observed, &DesiredState { inventory: &desired, incomplete: false, deliberate: false });
    let found: Vec<_> = blocked.iter().map(|blocked| (blocked.reason, blocked.ids.clone())).collect();
    assert_eq!(
        found,
        [
            (BlockedReason::Protected, vec!["Role/kept".to_owned()]),
            (BlockedReason::StillReferenced, vec!["Tenant/t4".to_owned()]),
        ]
    );
    assert!(blocked[1].message.starts_with("`Connection/manual` would refer"), "{}", blocked[1].message);
}

proptest! {
    #[test]
    fn no_removal_violates_the_policy(
        (observed, desired) in inventories(),
        enabled in any::<bool>(),
        incomplete in any::<bool>(),
        budget in prop_oneof![
            Just(None),
            (0_u32..6).prop_map(|count| Some(Budget::Count(count))),
            (0_u8..=100).prop_map(|percent| Some(Budget::Percent(percent))),
        ],
    ) {
        let plan = plan(&observed, &desired, &OPTIONS);
        let policy = PrunePolicy { enabled, budget };
        let blocked = guard(&plan, &policy, &observed, &DesiredState { inventory: &desired, incomplete, deliberate: false });
        let held: BTreeSet<&String> = blocked.iter().flat_map(|blocked| &blocked.ids).collect();
        let deletes = plan.actions.iter().filter(|action| action.action == Verb::Delete);
        let (stay, pass): (Vec<&Action>, Vec<&Action>) = deletes.partition(|action| held.contains(&action.id.to_string()));
        prop_assert_eq!(stay.len(), held.len());
        prop_assert!(pass.is_empty() || enabled && !incomplete);
        let there = observed.keys().filter(|id| id.kind != Kind::Environment).count();
        let counted = pass.iter().filter(|action| action.id.kind != Kind::Environment).count();
        prop_assert!(counted <= policy.allowed(there));
        prop_assert!(counted == 0 || desired.keys().any(|id| id.kind != Kind::Environment));
        for action in pass {
            prop_assert!(!observed[&action.id].protected);
            for (id, object) in &observed {
                let touched = plan.actions.iter().any(|other| other.id == *id && other.action != Verb::Move);
                prop_assert!(touched || !object.needs.contains(&action.id));
            }
        }
    }
}
