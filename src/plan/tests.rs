//! The algebra of plans on random inventories, and the absence of secrets in plans.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::catalog::{Catalog, Snapshot, load};
use crate::definition::{Id, Kind};
use crate::text::Digest;

const OPTIONS: PlanOptions<'_> = PlanOptions { environment: "live" };

pub(super) fn id(kind: Kind, name: &str) -> Id {
    Id { kind, name: name.to_owned() }
}

/// A definition whose spec holds a value.
pub(super) fn object(kind: Kind, name: &str, value: Value, path: &str, needs: &[Id]) -> Object {
    let document = json!({"kind": kind.as_str(), "metadata": {"name": name}, "spec": {"value": value}});
    let place = SourceLocation { source: "s".into(), path: path.into(), line: 1 };
    Object::new(id(kind, name), document, place, needs.iter().cloned().collect())
}

const KINDS: [Kind; 5] = [Kind::Connector, Kind::Workflow, Kind::Tenant, Kind::Alert, Kind::Environment];

/// Value, file, another source, line, needs, protected.
type Random = (usize, usize, bool, u32, Vec<usize>, bool);

/// Up to 16 definitions. With `upward` a definition needs only those of smaller number, so that there are no cycles.
fn random_inventory(upward: bool) -> impl Strategy<Value = Inventory> {
    let definition =
        (0_usize..4, 0_usize..3, any::<bool>(), 0_u32..3, prop::collection::vec(0_usize..24, 0..4), any::<bool>());
    prop::collection::btree_map(0_usize..24, definition, 0..16).prop_map(move |definitions| {
        let id_of = |n: usize| id(KINDS[n % KINDS.len()], &format!("n{n}"));
        let random = |(n, (value, file, other, line, needs, protected)): (usize, Random)| {
            let needs: Vec<Id> =
                needs.into_iter().filter(|need| *need != n && (!upward || *need < n)).map(id_of).collect();
            let id = id_of(n);
            let mut object =
                object(id.kind, &id.name, json!({"n": value, "l": [value]}), &format!("f{file}.yaml"), &needs);
            object.place.source = if other { "other" } else { "s" }.into();
            object.place.line = line;
            object.protected = protected && value == 0;
            (id, Arc::new(object))
        };
        definitions.into_iter().map(random).collect()
    })
}

pub(super) fn inventories() -> impl Strategy<Value = (Inventory, Inventory)> {
    (random_inventory(false), random_inventory(false))
}

/// Contents and files, without lines, which change with every edit above them.
fn contents(state: &BTreeMap<Id, DefinitionState>) -> Vec<(Id, Digest, String, String)> {
    let content = |(id, known): (&Id, &DefinitionState)| {
        (id.clone(), known.digest, known.place.source.clone(), known.place.path.clone())
    };
    state.iter().map(content).collect()
}

proptest! {
    #[test]
    fn a_plan_gives_the_desired_state_and_its_inverse_the_observed_one((observed, desired) in inventories()) {
        let plan = plan(&observed, &desired, &OPTIONS);
        let after = apply(&state(&observed), &plan).unwrap();
        prop_assert_eq!(contents(&after), contents(&state(&desired)));
        let inverse = plan.inverse();
        prop_assert_eq!(contents(&apply(&after, &inverse).unwrap()), contents(&state(&observed)));
        prop_assert_eq!(inverse.inverse(), plan.clone());
        prop_assert_eq!((inverse.from, inverse.to), (plan.to, plan.from));
        let touched: BTreeSet<&Id> = plan.actions.iter().map(|action| &action.id).collect();
        prop_assert_eq!(touched.len(), plan.actions.len());
        let all: BTreeSet<&Id> = observed.keys().chain(desired.keys()).collect();
        prop_assert_eq!(plan.unchanged + touched.len(), all.len());
        prop_assert_eq!(plan.is_empty(), contents(&state(&observed)) == contents(&state(&desired)));
    }

    #[test]
    fn equal_inventories_give_equal_bytes((observed, desired) in inventories()) {
        let first = plan(&observed, &desired, &OPTIONS);
        // Equal definitions at other addresses.
        let copy = |inventory: &Inventory| -> Inventory {
            inventory.iter().map(|(id, object)| (id.clone(), Arc::new((**object).clone()))).collect()
        };
        let second = plan(&copy(&observed), &copy(&desired), &OPTIONS);
        prop_assert_eq!(first.to_json(), second.to_json());
        let review = render::Review::from(&render::Revisions { from: "a", to: "b", folder: "" });
        prop_assert_eq!(render::human(&first, &review, true), render::human(&second, &review, true));
        prop_assert_eq!(render::markdown(&first, &review), render::markdown(&second, &review));
        prop_assert!(plan(&desired, &copy(&desired), &OPTIONS).is_empty());
    }

    #[test]
    fn a_plan_equals_the_one_read_from_its_json((observed, desired) in inventories()) {
        let plan = plan(&observed, &desired, &OPTIONS);
        prop_assert_eq!(Plan::from_json(&plan.to_json()).unwrap(), plan.clone());
        prop_assert_eq!(Plan::from_json(&plan.inverse().to_json()).unwrap(), plan.inverse());
    }

    #[test]
    fn needed_definitions_come_first((observed, desired) in (random_inventory(true), random_inventory(true))) {
        let plan = plan(&observed, &desired, &OPTIONS);
        let first_delete = plan.actions.iter().position(|action| action.action == Verb::Delete);
        let place = |id: &Id| plan.actions.iter().position(|action| action.id == *id);
        for (at, action) in plan.actions.iter().enumerate() {
            let delete = action.action == Verb::Delete;
            prop_assert_eq!(delete, first_delete.is_some_and(|first| at >= first));
            let side = if delete { &observed } else { &desired };
            for need in &side[&action.id].needs {
                let Some(other) = place(need) else { continue };
                let other_deleted = plan.actions[other].action == Verb::Delete;
                prop_assert!(delete != other_deleted || (at > other) != delete, "{} and {need}", action.id);
            }
        }
    }

    #[test]
    fn dependants_are_all_definitions_that_reach_it((observed, desired) in inventories()) {
        let plan = plan(&observed, &desired, &OPTIONS);
        for action in plan.actions.iter().filter(|action| matches!(action.action, Verb::Update | Verb::Delete)) {
            let needs = |id: &Id| {
                let direct = |inventory: &Inventory| inventory.get(id).map(|object| object.needs.clone()).unwrap_or_default();
                direct(&observed).into_iter().chain(direct(&desired)).collect::<BTreeSet<Id>>()
            };
            let reaches = |from: &Id| {
                let mut seen = BTreeSet::new();
                let mut open = vec![from.clone()];
                while let Some(id) = open.pop() {
                    open.extend(needs(&id).into_iter().filter(|need| seen.insert(need.clone())));
                }
                seen.contains(&action.id)
            };
            let all: BTreeSet<&Id> = observed.keys().chain(desired.keys()).collect();
            let expected: Vec<String> =
                all.into_iter().filter(|id| **id != action.id && reaches(id)).map(ToString::to_string).collect();
            prop_assert_eq!(&action.dependants, &expected);
            prop_assert_eq!(action.dependants_total, expected.len());
        }
    }
}

fn inventory_of<const N: usize>(objects: [Object; N]) -> Inventory {
    objects.map(|object| (object.id.clone(), Arc::new(object))).into()
}

#[test]
fn each_action_states_its_reason() {
    let tenant = |name: &str, value: i32, path: &str| object(Kind::Tenant, name, json!(value), path, &[]);
    let observed = inventory_of([
        tenant("changed", 1, "a.yaml"),
        tenant("gone", 2, "a.yaml"),
        tenant("moved", 3, "a.yaml"),
        tenant("old-name", 4, "a.yaml"),
        tenant("same", 5, "a.yaml"),
    ]);
    let desired = inventory_of([
        tenant("changed", 9, "b.yaml"),
        tenant("moved", 3, "b.yaml"),
        tenant("new", 6, "a.yaml"),
        tenant("new-name", 4, "a.yaml"),
        tenant("same", 5, "a.yaml"),
    ]);
    let plan = plan(&observed, &desired, &OPTIONS);
    let reasons: Vec<String> =
        plan.actions.iter().map(|action| format!("{} {}: {}", action.action, action.id.name, action.reason)).collect();
    let expected = [
        "update changed: one field differs from the declaration in another file",
        "move moved: it is declared in another file",
        "create new: it is declared and not there",
        "create new-name: it is declared and not there; its spec is that of `Tenant/old-name`, which is removed",
        "delete old-name: it is no longer declared; its spec is that of `Tenant/new-name`, which is created",
        "delete gone: it is no longer declared",
    ];
    assert_eq!(reasons, expected);
    assert_eq!(plan.unchanged, 1);
    let summary = Summary { create: 2, update: 1, delete: 2, moved: 1, adopt: 0, breaking: 2 };
    assert_eq!(plan.summary, summary);
}

#[test]
fn places_are_no_part_of_the_digest_and_lines_no_changes() {
    let mut tenant = object(Kind::Tenant, "a", json!(1), "a.yaml", &[]);
    let observed = inventory_of([tenant.clone()]);
    tenant.place.line = 7;
    assert!(plan(&observed, &inventory_of([tenant.clone()]), &OPTIONS).is_empty());
    tenant.place.path = "other.yaml".into();
    let nothing = Inventory::new();
    let (first, second) = (plan(&nothing, &observed, &OPTIONS), plan(&nothing, &inventory_of([tenant]), &OPTIONS));
    assert_ne!(first, second);
    assert_eq!(first.digest, second.digest);
    let staging = plan(&nothing, &observed, &PlanOptions { environment: "staging" });
    assert_ne!(first.digest, staging.digest);
}

#[test]
fn cycles_are_broken_deterministically() {
    let workflow =
        |name: &str, needs: &str| object(Kind::Workflow, name, json!(1), "a.yaml", &[id(Kind::Workflow, needs)]);
    let cycle = inventory_of([workflow("a", "b"), workflow("b", "c"), workflow("c", "a"), workflow("d", "a")]);
    let names = |plan: &Plan| plan.actions.iter().map(|action| action.id.name.clone()).collect::<String>();
    assert_eq!(names(&plan(&Inventory::new(), &cycle, &OPTIONS)), "cbad");
    assert_eq!(names(&plan(&cycle, &Inventory::new(), &OPTIONS)), "dabc");
}

#[test]
fn long_chains_and_wide_fans_are_bounded() {
    let name = |n: usize| format!("w{n}");
    let chain: Inventory = (0..20_000)
        .map(|n| {
            let needs: Vec<Id> = (n > 0).then(|| id(Kind::Workflow, &name(n - 1))).into_iter().collect();
            let object = object(Kind::Workflow, &name(n), json!(1), "a.yaml", &needs);
            (object.id.clone(), Arc::new(object))
        })
        .collect();
    let mut changed = chain.clone();
    let first = object(Kind::Workflow, "w0", json!(2), "a.yaml", &[]);
    changed.insert(first.id.clone(), Arc::new(first));
    let plan = plan(&chain, &changed, &OPTIONS);
    assert_eq!((plan.actions.len(), plan.unchanged), (1, 19_999));
    assert_eq!((plan.actions[0].dependants.len(), plan.actions[0].dependants_total), (MAX_DEPENDANTS, 19_999));
    assert_eq!(super::plan(&Inventory::new(), &chain, &OPTIONS).actions.len(), 20_000);
}

#[test]
fn a_stale_plan_is_refused() {
    let tenant = |value: i32| inventory_of([object(Kind::Tenant, "a", json!(value), "a.yaml", &[])]);
    let plan = plan(&tenant(1), &tenant(2), &OPTIONS);
    assert_eq!(apply(&state(&tenant(3)), &plan).unwrap_err().id, id(Kind::Tenant, "a"));
    assert!(apply(&state(&Inventory::new()), &plan).is_err());
}

#[test]
fn a_plan_that_was_changed_is_refused() {
    let tenant = |value: i32| inventory_of([object(Kind::Tenant, "a", json!(value), "a.yaml", &[])]);
    let json = plan(&tenant(1), &tenant(2), &OPTIONS).to_json();
    let error = |text: &str| Plan::from_json(text).unwrap_err();
    assert!(error(&json.replace("\"live\"", "\"prod\"")).contains("was changed"));
    assert!(error(&json.replace("\"update\": 1", "\"update\": 2")).contains("was changed"));
    assert!(error(&json.replace("\"version\": 2", "\"version\": 1")).contains("version 1, expected version 2"));
    assert!(error(&json.replace("Tenant/a", "Tenant/A")).contains("not a plan"));
    for text in ["", "{}", "[]", "null", &json[..json.len() / 2]] {
        assert!(error(text).contains("not a plan"), "{text}");
    }
}

#[test]
fn the_digest_covers_all_that_a_reviewer_reads() {
    let connector = |value: i32| object(Kind::Connector, "a", json!(value), "a.yaml", &[]);
    let user = object(Kind::Workflow, "w", json!(1), "w.yaml", &[id(Kind::Connector, "a")]);
    let files = Files::from([("w.ts".to_owned(), Arc::from(&b"export default 1"[..]))]);
    let (before, after) =
        (inventory_of([connector(1), user.clone()]), inventory_of([connector(2), user.with_files(files)]));
    let plan = plan(&before, &after, &OPTIONS);
    let json: Value = serde_json::from_str(&plan.to_json()).unwrap();
    assert_eq!(Plan::from_json(&json.to_string()).unwrap(), plan);
    let changed = |pointer: &str, value: Value| {
        let mut json = json.clone();
        let place = json.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}"));
        assert_ne!(*place, value, "{pointer}");
        *place = value;
        Plan::from_json(&json.to_string())
    };
    let update = json["actions"].as_array().unwrap().iter().position(|action| action["files"].is_null()).unwrap();
    let with_files = 1 - update;
    let edits = [
        (format!("/actions/{update}/changes"), json!([])),
        (format!("/actions/{update}/changes/0/after"), json!(7)),
        (format!("/actions/{update}/reason"), json!("it is harmless")),
        (format!("/actions/{update}/class"), json!("breaking")),
        (format!("/actions/{update}/dependants"), json!([])),
        (format!("/actions/{with_files}/files/0/lines"), json!([])),
        ("/actions".to_owned(), json!([])),
        ("/unchanged".to_owned(), json!(9)),
    ];
    for (pointer, value) in edits {
        assert!(changed(&pointer, value).unwrap_err().contains("was changed"), "{pointer}");
    }
    assert!(changed("/actions/0/place/line", json!(7)).is_ok(), "the same content elsewhere is the same plan");
}

const TOKEN: &str = "hunter2-correct-horse";

/// Documents with secrets in every place where one can be written by mistake.
fn planted(token: &str) -> String {
    let known = format!("ghp_{token:a<36}").replace('-', "x");
    [
        format!("Connection\nmetadata: {{ name: c }}\nspec: {{ connector: x, credentials: {{ apiKey: \"{token}\", pin: \"1{token}\", ref: {{ secretRef: shown-name }} }} }}"),
        format!("Tenant\nmetadata: {{ name: t, annotations: {{ note: \"{known}\", api-token: \"{token}\" }} }}\nspec: {{ displayName: T, variables: {{ db_password: \"{token}\", url: \"https://u:{token}@h.example\", q: \"https://h.example/?api_key={token}\" }} }}"),
        format!("Trigger\nmetadata: {{ name: w }}\nspec: {{ webhook: {{ verify: {{ none: {{}} }}, webhookId: 0b5e7c7a-1111-4000-8000-0123456789ab, routes: [{{ workflow: f, headers: {{ Cookie: \"{token}\", x-auth-token: \"Bearer {token} {{{{ event.id }}}}\" }} }}] }} }}"),
        format!("Connector
metadata: {{ name: x }}
spec:
  displayName: X
  baseUrl: https://x.example
  auth: {{ methods: {{
    key: {{ apiKey: {{ name: K, value: \"{token}\" }} }},
    basic: {{ basic: {{ username: shown, password: \"{token}\" }} }},
    jwt: {{ jwt: {{ key: \"{token}\", claims: {{}} }} }},
    own: {{ custom: {{ fields: {{ a: {{ type: Password, default: \"{token}\" }} }}, headers: {{ X-Any: \"{token}\" }}, query: {{ any: \"{token}\" }} }} }} }} }}
  defaults: {{ headers: {{ Authorization: \"Bearer {token}\", X-API-Key: {{ value: \"{token}\", omitEmpty: true }} }} }}
  actions:
    a:
      input: {{ properties: {{ password: {{ type: string, default: \"{token}\", examples: [\"{token}\"] }} }} }}
      http: {{ method: POST, path: /, body: {{ client_secret: \"{token}\", list: [{{ name: a, token: \"{token}\" }}, {{ name: b, token: \"{{{{ get_secret('shown-secret') }}}}\" }}] }} }}
      tests: [{{ name: t, input: {{ password: \"{token}\" }} }}]"),
    ]
    .map(|rest| format!("---\napiVersion: evenkeel.dev/v1alpha1\nkind: {rest}\n"))
    .concat()
}

/// The objects of a catalog; the first one of an identity.
pub(super) fn inventory(catalog: &Catalog, source: &str) -> Inventory {
    let mut inventory = Inventory::new();
    for object in catalog.entries.iter().filter_map(|entry| super::object(catalog, entry, source)) {
        inventory.entry(object.id.clone()).or_insert_with(|| Arc::new(object));
    }
    inventory
}

fn inventory_of_text(text: &str) -> Inventory {
    let (catalog, findings) = load(&Snapshot::of([("a.yaml", text.as_bytes())]));
    assert!(findings.is_empty(), "{findings:?}");
    inventory(&catalog, "s")
}

#[test]
fn no_secret_is_shown() {
    let before = inventory_of_text(&planted(TOKEN));
    let other = TOKEN.replace("horse", "donkey");
    let after = inventory_of_text(&planted(&other));
    let renamed =
        inventory_of_text(&planted(&other).replace("name: b,", "name: c,").replace("name: a, token", "name: d, token"));
    let nothing = Inventory::new();
    for (before, after) in [(&before, &after), (&nothing, &after), (&before, &nothing), (&before, &renamed)] {
        let plan = plan(before, after, &OPTIONS);
        let review = render::Review::from(&render::Revisions { from: "a", to: "b", folder: "" });
        for text in [plan.to_json(), render::human(&plan, &review, false), render::markdown(&plan, &review)] {
            assert!(!text.contains("hunter2") && !text.contains("correct"), "{text}");
            assert!(!text.contains("ghp_") && !text.contains("0b5e7c7a"), "{text}");
            assert!(!text.contains("hmac:"), "{text}");
        }
        assert!(plan.to_json().contains("\"secret\": \"hidden\""));
    }
    let json = plan(&nothing, &after, &OPTIONS).to_json();
    assert!(json.contains("shown-name") && json.contains("get_secret('shown-secret')") && json.contains("shown"));
}

#[test]
fn needs_and_places_come_from_the_catalog() {
    let text = "apiVersion: evenkeel.dev/v1alpha1\nkind: Workflow\nmetadata: { name: a }\nspec: { tier: Long, onFailure: b, steps: [{ name: s, workflow: a }] }\n---\n\
                apiVersion: evenkeel.dev/v1alpha1\nkind: Workflow\nmetadata: { name: b }\nspec: { tier: Long, steps: [{ name: s, set: 1 }] }\n";
    let inventory = inventory_of_text(text);
    let a = &inventory[&id(Kind::Workflow, "a")];
    assert_eq!(a.needs, BTreeSet::from([id(Kind::Workflow, "b")]));
    let place = &inventory[&id(Kind::Workflow, "b")].place;
    assert_eq!((place.path.as_str(), place.line, place.source.as_str()), ("a.yaml", 6, "s"));
}

#[test]
fn a_definition_from_the_api_that_is_declared_is_adopted() {
    let made = |value: u32, manual: bool| -> Inventory {
        let path = if manual { "by-hand/tenant-a.yaml" } else { "a.yaml" };
        let mut object = object(Kind::Tenant, "a", json!(value), path, &[]);
        object.manual = manual;
        [(object.id.clone(), Arc::new(object))].into()
    };
    for (row, before, after, verb, reason) in [
        ("same content", made(1, true), made(1, false), Verb::Adopt, "declared with the same content"),
        ("other content", made(1, true), made(2, false), Verb::Adopt, "now declared; one field differs"),
        ("edited through the API", made(1, true), made(2, true), Verb::Update, "one field differs"),
        ("declared before", made(1, false), made(2, false), Verb::Update, "one field differs"),
    ] {
        let plan = plan(&before, &after, &OPTIONS);
        let [action] = &plan.actions[..] else { panic!("{row}: {plan:?}") };
        assert_eq!(action.action, verb, "{row}");
        assert!(action.reason.contains(reason), "{row}: {}", action.reason);
        assert_eq!(plan.summary.adopt, usize::from(verb == Verb::Adopt), "{row}");
        assert_eq!(
            plan.from == plan.to,
            before.values().next().unwrap().digest == after.values().next().unwrap().digest
        );
        assert_eq!(plan.inverse().inverse(), plan, "{row}");
        assert_eq!(apply(&state(&before), &plan).map(|state| contents(&state)), Ok(contents(&state(&after))), "{row}");
        let json = plan.to_json();
        assert_eq!(
            json.contains("\"adopt\""),
            verb == Verb::Adopt,
            "plans without adoptions stay as they were: {json}"
        );
        assert_eq!(Plan::from_json(&json).as_ref(), Ok(&plan));
        if verb == Verb::Adopt {
            let review = render::Review::default();
            let human = render::human(&plan, &review, false);
            assert!(human.contains("1 to adopt") && human.contains("^ Tenant/a"), "{human}");
            assert!(render::markdown(&plan, &review).contains("^ Tenant/a"));
        }
    }
}
