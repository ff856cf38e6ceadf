//! Plans name the callers that a change breaks.

use std::sync::Arc;

use evenkeel::catalog::Catalog;
use evenkeel::plan::{ChangeClass, Inventory, Plan, PlanOptions, object, plan};

use super::{CALLEES, HEAD, validate};

/// One caller of each sort.
const CALLERS: &str = r#"apiVersion: evenkeel.dev/v1alpha1
kind: Workflow
metadata: { name: by-step }
spec:
  tier: Standard
  steps:
    - name: find
      action: crm/search
      input: { term: hello, limit: 10 }
    - name: show
      set: "{{ steps.find.output.next }}"
  tests:
    - name: finds
      actions:
        crm/search: [{ items: [], next: b }]
      expectCalls:
        - { action: crm/search, input: { term: hello, limit: 10 } }
---
apiVersion: evenkeel.dev/v1alpha1
kind: Workflow
metadata: { name: by-code }
spec:
  tier: Standard
  source:
    inline: |
      export default async function (ctx) {
        const found = await ctx.connectors.crm.search({ term: 'hello', limit: 10 });
        return found.next;
      }
---
apiVersion: evenkeel.dev/v1alpha1
kind: Workflow
metadata: { name: by-file }
spec: { tier: Standard, source: { file: by-file.ts } }
---
apiVersion: evenkeel.dev/v1alpha1
kind: Trigger
metadata: { name: by-schedule }
spec: { schedule: { interval: 1h, payload: { to: a, urgent: true }, routes: [{ workflow: send-mail }] } }
---
apiVersion: evenkeel.dev/v1alpha1
kind: Widget
metadata: { name: by-widget }
spec:
  displayName: Send
  actions:
    - { name: Send, workflow: send-mail, payload: { to: a, urgent: true } }
    - { name: Find, action: crm/search, payload: { term: hello, limit: 10 } }
"#;

const FILE: &str =
    "export default async function (ctx) {\n  await ctx.connectors.crm.search({ term: ctx.input.q, limit: 10 });\n}\n";

fn inventory(catalog: &Catalog) -> Inventory {
    let objects = catalog.entries.iter().filter_map(|entry| object(catalog, entry, "definitions"));
    objects.map(|object| (object.id.clone(), Arc::new(object))).collect()
}

fn change(edit: impl Fn(&str) -> String) -> Plan {
    let of = |callees: &str| {
        let validated = validate([("callees.yaml", callees), ("users.yaml", CALLERS), ("by-file.ts", FILE)]);
        let mut inventory = inventory(&validated.catalog);
        for object in inventory.values_mut().filter(|object| object.id.name == "by-file") {
            let files = [("by-file.ts".to_owned(), Arc::from(FILE.as_bytes()))];
            *object = Arc::new(evenkeel::plan::Object::clone(object).with_files(files.into()));
        }
        inventory
    };
    let (before, after) = (of(CALLEES), of(&edit(CALLEES)));
    assert_ne!(before, after, "the edit changed nothing");
    plan(&before, &after, &PlanOptions { environment: "live" })
}

fn reasons(plan: &Plan) -> Vec<String> {
    let breaking = plan.actions.iter().filter(|action| action.class == ChangeClass::Breaking);
    breaking.flat_map(|action| action.because.clone()).collect()
}

#[track_caller]
fn names(plan: &Plan, expected: &[&str]) {
    let reasons = reasons(plan);
    for expected in expected {
        assert!(reasons.iter().any(|reason| reason.contains(expected)), "no {expected:?} in {reasons:#?}");
    }
}

#[test]
fn removing_an_input_that_callers_pass_is_breaking_and_names_them() {
    // The schema is open: callers are not refused, and what they pass has no effect any longer.
    let plan = change(|text| text.replace("          limit: { type: integer, maximum: 100 }\n", ""));
    names(
        &plan,
        &[
            "Workflow/by-step passes `limit` to action `crm/search`, which no longer declares it (users.yaml:8)",
            "a test of Workflow/by-step passes `limit`",
            "Workflow/by-code passes `limit` to action `crm/search`, which no longer declares it (users.yaml:27)",
            "Workflow/by-file passes `limit` to action `crm/search`, which no longer declares it (by-file.ts:2)",
            "Widget/by-widget passes `limit` to action `crm/search`, which no longer declares it (users.yaml:48)",
        ],
    );
}

#[test]
fn an_optional_input_that_no_caller_passes_may_be_removed() {
    let plan = change(|text| text.replace("          order: { enum: [up, down] }\n", ""));
    assert_eq!(reasons(&plan), [""; 0]);
    let widened = change(|text| text.replace("maximum: 100", "maximum: 1000"));
    assert_eq!(reasons(&widened), [""; 0]);
}

#[test]
fn a_renamed_input_names_who_passes_the_old_name() {
    let plan = change(|text| text.replace("required: [term]", "required: [word]").replace("term: {", "word: {"));
    names(
        &plan,
        &[
            "the input of action `search`: `word` is required now",
            "Workflow/by-step calls action `crm/search`, and `word` is required and missing (users.yaml:8)",
            "Workflow/by-step passes `term` to action `crm/search`, which no longer declares it (users.yaml:8)",
            "Workflow/by-code calls action `crm/search`, and `word` is required and missing (users.yaml:27)",
            "Workflow/by-file passes `term`",
            "Widget/by-widget calls action `crm/search`, and `word` is required and missing (users.yaml:48)",
        ],
    );
}

#[test]
fn a_narrower_input_names_the_callers_that_it_refuses() {
    let plan =
        change(|text| text.replace("limit: { type: integer, maximum: 100 }", "limit: { type: integer, maximum: 5 }"));
    names(&plan, &["`maximum` is stricter", "Workflow/by-step calls action `crm/search`, and"]);
    let plan = change(|text| text.replace("urgent: { type: boolean }", "urgent: { type: string }"));
    names(
        &plan,
        &[
            "Trigger/by-schedule calls workflow `send-mail`, and this takes a string, and not a boolean (users.yaml:39)",
            "Widget/by-widget calls workflow `send-mail`, and this takes a string, and not a boolean (users.yaml:47)",
        ],
    );
    // A value that is known only at run time may be refused.
    let plan = change(|text| text.replace("minLength: 2", "minLength: 4"));
    names(
        &plan,
        &["Workflow/by-file calls action `crm/search` with values that are known only when it runs (by-file.ts:2)"],
    );
    assert!(!reasons(&plan).iter().any(|reason| reason.contains("by-step")), "hello is long enough");
}

#[test]
fn a_removed_output_names_who_reads_it() {
    let plan = change(|text| text.replace("          next: { type: string }\n", ""));
    names(
        &plan,
        &[
            "the output of action `search` at `next`: it is gone",
            "Workflow/by-step reads `next` of action `crm/search`, whose output no longer declares it (users.yaml:11)",
            "Workflow/by-code reads `next` of action `crm/search`, whose output no longer declares it (users.yaml:28)",
            "a test of Workflow/by-step simulates an output of action `crm/search`, and there is no `next` (users.yaml:15)",
        ],
    );
}

#[test]
fn a_removed_callee_names_its_callers() {
    let plan = change(|text| text.replace("    search:\n", "    find:\n"));
    names(
        &plan,
        &[
            "action `search` is gone",
            "Workflow/by-step calls action `crm/search` (users.yaml:8)",
            "Workflow/by-code calls action `crm/search` (users.yaml:27)",
        ],
    );
    let plan = change(|text| text.replace("metadata: { name: send-mail }", "metadata: { name: mail }"));
    names(
        &plan,
        &["Trigger/by-schedule calls workflow `send-mail` (users.yaml:39)", "Widget/by-widget calls workflow"],
    );
}

#[test]
fn a_caller_that_adapts_in_the_same_change_is_not_named() {
    let caller = |term: &str| {
        format!(
            "{HEAD}kind: Workflow\nmetadata: {{ name: by-step }}\nspec: {{ tier: Standard, steps: [{{ name: a, action: crm/search, input: {{ {term}: hello }} }}] }}\n"
        )
    };
    let renamed = CALLEES.replace("required: [term]", "required: [word]").replace("term: {", "word: {");
    let of =
        |callees: &str, caller: &str| inventory(&validate([("callees.yaml", callees), ("user.yaml", caller)]).catalog);
    let options = PlanOptions { environment: "live" };
    let plan = plan(&of(CALLEES, &caller("term")), &of(&renamed, &caller("word")), &options);
    let reasons = reasons(&plan);
    assert!(reasons.iter().any(|reason| reason.contains("`word` is required now")), "{reasons:?}");
    assert!(!reasons.iter().any(|reason| reason.contains("by-step")), "{reasons:?}");
}
