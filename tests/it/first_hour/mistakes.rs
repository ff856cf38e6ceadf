//! The mistakes of a first hour: each is one finding, with its place and its remedy.

use evenkeel::catalog::Snapshot;
use evenkeel::reconcile::validate::{self, Validated};
use evenkeel::text::Severity;

/// The findings of some files: code, place, `!` for an error, message and help.
fn findings(files: &[(&str, &str)]) -> Vec<String> {
    let Validated { findings, catalog, .. } =
        &validate::with(&Snapshot::of(files.iter().map(|&(path, text)| (path, text.as_bytes()))), Vec::new());
    let described = findings.iter().map(|finding| {
        let place = finding.span().map(|span| catalog.sources.display_position(span)).unwrap_or_default();
        let mark = if finding.severity == Severity::Error { "!" } else { "" };
        format!("{}{mark} {place} {} = {}", finding.code.id, finding.message, finding.help.clone().unwrap_or_default())
    });
    described.collect()
}

/// A connector whose action has these fields. The action starts at line 8.
fn connector(action: &str) -> String {
    let action: String = action.lines().map(|line| format!("      {line}\n")).collect();
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Connector\nmetadata: {{ name: parcelo }}\nspec:\n  displayName: Parcelo\n  \
         baseUrl: https://parcelo.example\n  actions:\n    go:\n{action}"
    )
}

const INPUT: &str =
    "input: { type: object, required: [id], properties: { id: { type: string }, w: { type: string } } }\n";
const TESTS: &str = "tests: [{ name: goes, input: { id: a }, respond: { body: {} } }]\n";

/// Checks that a connector has exactly one finding beside warnings of declarations that are not in effect yet, which starts with the first text and contains the others.
fn one(action: &str, expected: &[&str]) {
    let text = connector(&format!("{INPUT}{action}\n{TESTS}"));
    let mut found = findings(&[("a.yaml", &text)]);
    found.retain(|finding| !finding.starts_with("EK0115 "));
    assert_eq!(found.len(), 1, "{action}: {found:#?}");
    assert!(found[0].starts_with(expected[0]), "{action}: {found:#?}");
    for part in expected {
        assert!(found[0].contains(part), "{action}: `{part}` is missing: {found:#?}");
    }
}

#[test]
fn single_braces_in_a_url_are_errors() {
    one("http: { path: \"/a/{id}\" }", &["EK0312! a.yaml:10:25 `{id}`", "percent-encoded", "write `{{ input.id }}`"]);
    one("http: { path: \"/a/${id}\" }", &["EK0312! a.yaml:10:25 `${id}`", "write `{{ input.id }}`"]);
    one("http: { path: \"/a/{ input.w }\" }", &["EK0312! a.yaml:10:25 `{ input.w }`", "write `{{ input.w }}`"]);
    one(
        "http: { url: \"https://a.example/{other}\" }",
        &["EK0312! a.yaml:10:39 `{other}`", "declare it in `pathParams`"],
    );
    // The path parameter that is meant is declared, and is not reported as unused.
    one(
        "http: { path: \"/a/{order}\", pathParams: { order: {} } }",
        &["EK0312! a.yaml:10:25", "write `{{ pathParams.order }}`"],
    );
    let base =
        connector(&format!("{INPUT}http: {{ path: /a }}\n{TESTS}")).replace("parcelo.example", "${REGION}.example");
    let found = findings(&[("a.yaml", &base)]);
    assert!(found.len() == 1 && found[0].contains("get_variable('region')"), "{found:#?}");
}

#[test]
fn single_braces_elsewhere_are_warnings_if_the_name_is_known() {
    let post = |body: &str| format!("http: {{ method: POST, path: /a, body: {{ a: \"{body}\" }} }}");
    one(&post("${input.id}"), &["EK0312 a.yaml:10:51 `${input.id}` is sent as it is", "write `{{ input.id }}`"]);
    one(&post("for { input.w }"), &["EK0312 a.yaml:10:55", "write `{{ input.w }}`"]);
    one(&post("${id}"), &["EK0312 a.yaml", "write `{{ input.id }}`"]);
    one(&post("{id}"), &["EK0312 a.yaml", "write `{{ input.id }}`"]);
    one("http: { path: /a, query: { q: \"{ input.id }\" } }", &["EK0312 a.yaml", "write `{{ input.id }}`"]);
    one("http: { path: /a, headers: { X-Id: \"${id}\" } }", &["EK0312 a.yaml", "write `{{ input.id }}`"]);
    for text in [
        "Hello {name}, and {id} too",
        "query { viewer { id } }",
        "mutation($id: ID!) { remove(id: $id) { id } }",
        "{unknown}",
        "${HOME}",
        "{% raw %}{id}{% endraw %}",
        "{{ input.id }}",
        "{}",
    ] {
        let text = connector(&format!("{INPUT}{}\n{TESTS}", post(text)));
        assert_eq!(findings(&[("a.yaml", &text)]), [""; 0], "{text}");
    }
}

#[test]
fn a_response_body_has_no_fields() {
    let response = |text: &str| format!("http: {{ path: /a }}\nresponse: {{ body: \"{text}\" }}");
    one(
        &response("{{ response.body.shipment.id }}"),
        &["EK0302! a.yaml:11:29", "did you mean `response.json.shipment.id`?"],
    );
    one(&response("{{ response.body['a'] }}"), &["EK0302! a.yaml:11:29", "did you mean `response.json.a`?"]);
    for text in
        ["{{ response.body }}", "{{ response.body | upper }}", "{{ response.body.upper() }}", "{{ response.json.a }}"]
    {
        let text = connector(&format!("{INPUT}{}\n{TESTS}", response(text)));
        assert_eq!(findings(&[("a.yaml", &text)]), [""; 0], "{text}");
    }
}

#[test]
fn names_of_headers_are_in_lower_case() {
    let response = |text: &str| format!("http: {{ path: /a }}\nresponse: {{ body: \"{text}\" }}");
    for text in [
        "{{ response.headers['X-Total'] }}",
        "{{ response.headers['X-Total'] | default(0) }}",
        "{{ response.headers.get('X-Total') }}",
    ] {
        one(
            &response(text),
            &["EK0302! a.yaml:11:29", "`X-Total` is never found", "write `response.headers['x-total']`"],
        );
    }
    let text = connector(&format!("{INPUT}{}\n{TESTS}", response("{{ response.headers['x-total'] }}")));
    assert_eq!(findings(&[("a.yaml", &text)]), [""; 0]);
}

#[test]
fn keys_are_not_templates() {
    one(
        "http: { method: POST, path: /a, body: { \"{{ input.id }}\": \"{{ input.id }}\" } }",
        &["EK0311 a.yaml:10:47 a key is not a template", "computed keys"],
    );
}

#[test]
fn optional_inputs_are_guarded() {
    let post = |body: &str| format!("http: {{ method: POST, path: /a, body: {{ a: \"{body}\" }} }}");
    for text in ["{{ input.w }}", "{{ input.w | upper }}", "{% if input.w %}x{% endif %}", "{{ input.w or 'x' }}"] {
        one(&post(text), &["EK0313 a.yaml:10", "does not require `w`", "| default(none)", "`required`"]);
    }
    // One finding for an input, however often it is read.
    one(&post("{{ input.w }}{{ input.w }} {{ input.w | lower }}"), &["EK0313"]);
    for text in [
        "{{ input.id }}",
        "{{ input.w | default('') }}",
        "{{ input.w | default('') | upper }}",
        "{% if input.w is defined %}{{ input.w }}{% endif %}",
        "{{ input.w if input.w is defined else 'x' }}",
        "{{ input.w if 'w' in input else 'x' }}",
        "{{ input.get('w') }}",
    ] {
        let text = connector(&format!("{INPUT}{}\n{TESTS}", post(text)));
        assert_eq!(findings(&[("a.yaml", &text)]), [""; 0], "{text}");
    }
    let defaulted = connector(&format!("{INPUT}{}\n{TESTS}", post("{{ input.w }}")))
        .replace("w: { type: string }", "w: { default: a }");
    assert_eq!(findings(&[("a.yaml", &defaulted)]), [""; 0]);
    let nested = connector(&format!("{INPUT}{}\n{TESTS}", post("{{ input.w.x }}")))
        .replace("required: [id]", "required: [id, w]")
        .replace("w: { type: string }", "w: { type: object, properties: { x: {} } }")
        .replace("{ id: a }", "{ id: a, w: {} }");
    let found = findings(&[("a.yaml", &nested)]);
    assert!(found.len() == 1 && found[0].contains("does not require `x`"), "{found:#?}");
}

/// A workflow with these steps, after a step `list` that calls an action.
fn workflow(more: &str) -> String {
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Workflow\nmetadata: {{ name: all }}\nspec:\n  tier: Standard\n  input: {{ \
         type: object, properties: {{ q: {{ type: string }} }} }}\n  steps:\n    - {{ name: list, set: {{ items: [1] }} }}\n{more}"
    )
}

#[test]
fn results_of_steps_have_an_output() {
    let each = |over: &str| {
        workflow(&format!(
            "    - name: each\n      loop:\n        over: \"{over}\"\n        steps: [{{ name: one, set: {{ a: \"{{{{ item }}}}\" }} }}]\n"
        ))
    };
    let found = findings(&[("w.yaml", &each("{{ steps.list.items }}"))]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("EK0302! w.yaml:11:19"), "{found:#?}");
    assert!(found[0].contains("did you mean `steps.list.output.items`?"), "{found:#?}");
    let found = findings(&[("w.yaml", &each("{{ steps.list.result.items }}"))]);
    assert!(found[0].contains("did you mean `steps.list.output.items`?"), "{found:#?}");
    assert_eq!(findings(&[("w.yaml", &each("{{ steps.list.output.items }}"))]), [""; 0]);
    assert_eq!(findings(&[("w.yaml", &each("{{ steps.list.body.items }}"))]), [""; 0]);
}

#[test]
fn a_condition_guards_the_inputs_of_a_workflow() {
    let step = |more: &str| workflow(&format!("    - {{ name: say, {more}set: {{ a: \"{{{{ input.q }}}}\" }} }}\n"));
    let found = findings(&[("w.yaml", &step(""))]);
    assert!(found.len() == 1 && found[0].starts_with("EK0313 w.yaml:9"), "{found:#?}");
    assert_eq!(findings(&[("w.yaml", &step("if: \"{{ input.q is defined }}\", "))]), [""; 0]);
}

#[test]
fn one_mistake_is_one_finding() {
    let found = findings(&[("w.yaml", &workflow("    - call: parcelo/list\n"))]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("EK0101! w.yaml:9:7 unknown field `call`"), "{found:#?}");
    assert!(found[0].contains("it needs `name` and one of `action`, `workflow`"), "{found:#?}");
    // A misspelt field is not missing too, and a missing one still is.
    let found = findings(&[(
        "w.yaml",
        &workflow("    - { nmae: say, set: 1 }\n    - { set: 1 }\n    - { name: x, sett: 1 }\n"),
    )]);
    let starts: Vec<&str> = found.iter().map(|found| found.split(" = ").next().unwrap()).collect();
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(starts[0].starts_with("EK0101! w.yaml:9:9") && found[0].contains("did you mean `name`?"), "{found:#?}");
    assert!(starts[1].starts_with("EK0102! w.yaml:10:9"), "{found:#?}");
    assert!(starts[2].starts_with("EK0101! w.yaml:11:18") && found[2].contains("did you mean `set`?"), "{found:#?}");
}

#[test]
fn help_names_the_possible_keys() {
    one(
        "http: { path: /a }\nresponse: \"{{ response.json }}\"",
        &["EK0103! a.yaml:11:17", "write a map with the keys `body`, `contentType`, "],
    );
    one(
        "http: { path: /a }\npagination: { records: \"{{ output }}\", page: 1 }",
        &["EK0103! a.yaml:11:52", "write a map with the keys", "of which `input`"],
    );
}

#[test]
fn a_wrong_name_suggests_the_right_one() {
    let text = connector(&format!("http: {{ path: /a }}\n{TESTS}")).replace("    go:", "    createShipment:");
    let found = findings(&[("a.yaml", &text)]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].starts_with("EK0110! a.yaml:8:5 `createShipment` is not a name = write `create-shipment`"),
        "{found:#?}"
    );
}
