//! Tests of actions and workflows: that they exist, and that they match the schemas.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::catalog::{CatalogView, Entry};
use crate::definition::action::Action;
use crate::definition::action_test::{ActionTest, ERROR_CODES};
use crate::definition::common::SchemaValue;
use crate::definition::json_schema::{JsonSchema, SchemaScope, entity_schemas};
use crate::definition::schema_validator::{nearest, quoted_list};
use crate::definition::{Json, Kind, Spec};
use crate::text::{Code, Finding, Range, Span, codes, escaped};

pub(super) fn check(catalog: CatalogView<'_>, entry: &Entry, findings: &mut Vec<Finding>) {
    match entry.spec() {
        Some(Spec::Connector(spec)) => {
            let entities = entity_schemas(&spec.entities);
            for (name, action) in &spec.actions {
                action_tests(entry, name, action, &entities, findings);
            }
        }
        Some(Spec::Workflow(spec)) => {
            let names = spec.tests.iter().map(|test| test.name.as_str());
            duplicates(entry, "/spec/tests", names, findings);
            let input = spec.input.as_ref().filter(|_| !spec.tests.is_empty());
            let input = compiled(entry, input, &Map::new(), "/spec/input", findings);
            let output = spec.output.as_ref().filter(|_| !spec.tests.is_empty());
            let output = compiled(entry, output, &Map::new(), "/spec/output", findings);
            for (at, test) in spec.tests.iter().enumerate() {
                let pointer = format!("/spec/tests/{at}");
                for action in test.actions.keys().filter(|action| *action != "fetch") {
                    let span = entry.key_span(&format!("{pointer}/actions/{}", escaped(action)));
                    named_action(catalog, action, span, findings);
                }
                for (number, call) in test.expect_calls.iter().flatten().enumerate() {
                    let span = entry.value_span(&format!("{pointer}/expectCalls/{number}/action"));
                    if call.action != "fetch" {
                        named_action(catalog, &call.action, span, findings);
                    }
                }
                let value = given_input(test.input.as_ref(), spec.input.as_ref(), &Map::new());
                // The trigger decides which input an event becomes.
                if test.expect_error.is_none() && test.event.is_none() {
                    fits(entry, input.as_ref(), &value, &pointer, "input", &codes::TEST_INPUT, findings);
                }
                if let Some(value) = &test.expect_output {
                    fits(
                        entry,
                        output.as_ref(),
                        &value.value(),
                        &pointer,
                        "expectOutput",
                        &codes::TEST_OUTPUT,
                        findings,
                    );
                }
            }
        }
        _ => {}
    }
}

fn action_tests(
    entry: &Entry,
    name: &str,
    action: &Action,
    entities: &Map<String, Value>,
    findings: &mut Vec<Finding>,
) {
    let base = format!("/spec/actions/{}", escaped(name));
    if action.tests.is_empty() && action.http.is_some() {
        findings.push(
            Finding::new(&codes::UNTESTED, entry.key_span(&base), format!("action `{name}` has no test"))
                .help("add `tests:` with an input, the request that it makes, an answer and the output"),
        );
        return;
    }
    duplicates(entry, &format!("{base}/tests"), action.tests.iter().map(|test| test.name.as_str()), findings);
    // Compiled only for tests: the schema check validates keywords without compiling.
    let tested = !action.tests.is_empty();
    let shown = action.tests.iter().any(|test| test.expect_output.is_some());
    let input = action.input.as_ref().filter(|_| tested);
    let input = compiled(entry, input, entities, &format!("{base}/input"), findings);
    let output = action.output.as_ref().filter(|_| shown);
    let output = compiled(entry, output, entities, &format!("{base}/output"), findings);
    for (at, test) in action.tests.iter().enumerate() {
        let pointer = format!("{base}/tests/{at}");
        if !expects_refusal(test) {
            let value = given_input(test.input.as_ref(), action.input.as_ref(), entities);
            fits(entry, input.as_ref(), &value, &pointer, "input", &codes::TEST_INPUT, findings);
        }
        if let Some(value) = &test.expect_output {
            fits(entry, output.as_ref(), &value.value(), &pointer, "expectOutput", &codes::TEST_OUTPUT, findings);
        }
        expectations(entry, test, &pointer, findings);
        let path_params = action.http.as_ref().map(|http| &http.path_params);
        let empty = BTreeMap::new();
        for name in test.path_params.keys() {
            if !path_params.unwrap_or(&empty).contains_key(name) {
                let span = entry.key_span(&format!("{pointer}/pathParams/{name}"));
                let message = format!("the action has no path parameter `{name}`");
                findings.push(Finding::new(&codes::TEST_INPUT, span, message).help("declare it in `pathParams`"));
            }
        }
    }
}

/// Reports an action that a test names and that does not exist.
fn named_action(catalog: CatalogView<'_>, action: &str, span: Span, findings: &mut Vec<Finding>) {
    let parts = action.split_once('/');
    let connector = parts.and_then(|(connector, _)| catalog.find(Kind::Connector, connector));
    let found = parts.zip(connector).and_then(|((_, name), found)| found.node("/spec/actions")?.get(name));
    // A connector that is not loaded may have the action.
    let may_exist =
        connector.is_none() && parts.is_some_and(|(connector, _)| catalog.is_alone() || catalog.is_nameless(connector));
    if found.is_none() && !may_exist {
        let message = format!("there is no action `{action}`");
        findings.push(
            Finding::new(&codes::UNKNOWN_REFERENCE, span, message)
                .help("correct the name, or define it; it is written as `connector/action`"),
        );
    }
}

/// The input of a test with the defaults of its schema.
fn given_input(input: Option<&Json>, schema: Option<&SchemaValue>, entities: &Map<String, Value>) -> Value {
    let mut value = input.map_or_else(|| json!({}), Json::value);
    if let Some(schema) = schema.filter(|schema| schema.0.to_string().contains("\"default\"")) {
        SchemaScope { root: &schema.0.value(), entities }.fill_defaults(&mut value);
    }
    value
}

/// True for a test that expects the input to be refused. Its input need not match the schema.
fn expects_refusal(test: &ActionTest) -> bool {
    test.expect_error.as_ref().is_some_and(|error| error.code == "INVALID_INPUT")
}

fn compiled(
    entry: &Entry,
    schema: Option<&SchemaValue>,
    entities: &Map<String, Value>,
    pointer: &str,
    findings: &mut Vec<Finding>,
) -> Option<JsonSchema> {
    let schema = schema?;
    // A schema with errors is not evaluated, because the errors may make the evaluation endless.
    let known = [&codes::SCHEMA, &codes::SCHEMA_REF, &codes::SCHEMA_PATTERN];
    let own = entry.node(pointer).map_or(Range::default(), |node| node.span);
    let at = [entry.span(own), entry.key_span(pointer)];
    let within = |finding: &Finding| {
        let inside = |at: &Span, span: Span| at.source == span.source && at.start <= span.start && span.start < at.end;
        // Parts of a patched schema may be in several files.
        let patched = !entry.source.parts().is_empty();
        patched || finding.span().is_some_and(|span| at.iter().any(|at| inside(at, span)))
    };
    if findings.iter().any(|finding| known.contains(&finding.code) && within(finding)) {
        return None;
    }
    match JsonSchema::compile(&schema.0.value(), entities) {
        Ok(schema) => Some(schema),
        Err(reason) => {
            // The schema may refer to a part that was removed because of its own errors.
            if !entry.partial {
                findings.push(
                    Finding::new(
                        &codes::SCHEMA,
                        entry.key_span(pointer),
                        format!("this schema cannot be used: {reason}"),
                    )
                    .help("see the JSON Schema specification, draft 2020-12"),
                );
            }
            None
        }
    }
}

/// Reports impossible expectations.
fn expectations(entry: &Entry, test: &ActionTest, pointer: &str, findings: &mut Vec<Finding>) {
    if let Some(error) = &test.expect_error
        && !ERROR_CODES.contains(&error.code.as_str())
    {
        let help = match nearest(&error.code, ERROR_CODES.into_iter()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("codes are {}", quoted_list(&ERROR_CODES)),
        };
        let span = entry.value_span(&format!("{pointer}/expectError/code"));
        let message = format!("no call fails with the code `{}`", error.code);
        findings.push(Finding::new(&codes::NOT_ALLOWED, span, message).help(help));
    }
    let urls = test.expect_request.iter().map(|request| (format!("{pointer}/expectRequest/url"), request));
    let more = test.expect_requests.iter().enumerate();
    let urls = urls.chain(more.map(|(at, request)| (format!("{pointer}/expectRequests/{at}/url"), request)));
    for (pointer, request) in urls {
        if let Some(url) = &request.url
            && !url.starts_with("https://")
            && !url.starts_with("http://")
        {
            let message = format!("`{url}` is not a whole URL");
            let help = "write all of it, with `https://` and the host";
            findings.push(Finding::new(&codes::BAD_URL, entry.value_span(&pointer), message).help(help));
        }
    }
}

fn fits(
    entry: &Entry,
    schema: Option<&JsonSchema>,
    value: &Value,
    test: &str,
    field: &str,
    code: &'static Code,
    findings: &mut Vec<Finding>,
) {
    for violation in schema.into_iter().flat_map(|schema| schema.violations(value, 20)) {
        let at = format!("{test}/{field}{}", violation.pointer);
        let whole = format!("{test}/{field}");
        let there = [at.as_str(), whole.as_str(), test].into_iter().find(|pointer| entry.node(pointer).is_some());
        let span = entry.value_span(there.unwrap_or(test));
        let what = if field == "input" { "the input schema" } else { "the output schema" };
        findings.push(
            Finding::new(code, span, format!("this does not fit {what}: {}", violation.message))
                .help("correct the test, or the schema"),
        );
    }
}

fn duplicates<'a>(entry: &Entry, pointer: &str, names: impl Iterator<Item = &'a str>, findings: &mut Vec<Finding>) {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, name) in names.enumerate() {
        if let Some(first) = seen.get(name) {
            findings.push(
                Finding::new(
                    &codes::DUPLICATE_TEST,
                    entry.value_span(&format!("{pointer}/{at}/name")),
                    format!("there are two tests named `{name}`"),
                )
                .also(entry.value_span(&format!("{pointer}/{first}/name")), "first here")
                .help("give one of them another name"),
            );
        } else {
            seen.insert(name, at);
        }
    }
}
