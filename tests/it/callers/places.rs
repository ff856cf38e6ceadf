//! The places of findings about callers, and repeated checks of callers.

use evenkeel::catalog::{Input, Snapshot};
use evenkeel::reconcile::validate::Validator;

use super::documents::{composite, script, step, workflow_test};
use super::{CALLEES, HEAD, findings, validate};

#[test]
fn a_finding_names_the_place_of_the_caller_and_of_the_declaration() {
    let document = step("action: crm/search\ninput:\n  term: hello\n  limit: many");
    let validated = validate([("callees.yaml", CALLEES), ("case.yaml", document.as_str())]);
    let finding = validated.findings.iter().find(|finding| finding.code.id == "EK0215").unwrap();
    let places: Vec<String> =
        finding.labels.iter().map(|label| validated.catalog.sources.display_position(label.span)).collect();
    assert_eq!(places, ["case.yaml:12:16", "callees.yaml:18:11"]);
}

#[test]
fn code_in_a_file_is_checked_at_its_place() {
    let document = format!(
        "{HEAD}kind: Workflow\nmetadata: {{ name: case }}\nspec: {{ tier: Standard, source: {{ file: case.ts }} }}\n"
    );
    let script =
        "export default async function (ctx) {\n  await ctx.connectors.crm.search({ term: 'hello', limit: '5' });\n}\n";
    let validated = validate([("callees.yaml", CALLEES), ("d/case.yaml", document.as_str()), ("d/case.ts", script)]);
    let finding = validated.findings.iter().find(|finding| finding.code.id == "EK0215").unwrap();
    let place = validated.catalog.sources.display_position(finding.span().unwrap());
    assert_eq!(place, "d/case.ts:2:52", "{}", finding.message);
}

#[test]
fn a_changed_callee_checks_its_callers_again() {
    let documents = [
        step("action: crm/search\ninput: { term: hello }"),
        script("await ctx.connectors.crm.search({ term: 'hello' })"),
        workflow_test("actions: { crm/search: [{}] }"),
        composite("{ name: one, action: crm/search, input: { term: hello } }"),
    ];
    for document in documents {
        let mut validator = Validator::new();
        let mut validate = |callees: &str| {
            let files = [("callees.yaml", callees.as_bytes()), ("case.yaml", document.as_bytes())];
            let input = Input { snapshot: Snapshot::of(files), ..Input::default() };
            findings(&validator.validate(&input, &[])).len()
        };
        assert_eq!(validate(CALLEES), 0, "{document}");
        assert_ne!(validate(&CALLEES.replace("required: [term]", "required: [word]")), 0, "{document}");
        assert_eq!(validate(CALLEES), 0, "{document}");
    }
}
