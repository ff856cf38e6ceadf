//! Paths, types, defaults and examples of fields.

use super::*;

fn fields(kind: Kind) -> KindFields {
    KindFields::new(kind)
}

/// Applies `check` to every field of every kind. The fields of a type within itself are not visited again.
fn for_each_field(check: &mut dyn FnMut(&Field<'_>)) {
    fn walk<'a>(field: &Field<'a>, within: &mut Vec<&'a str>, check: &mut dyn FnMut(&Field<'_>)) {
        check(field);
        let own = field.object_type();
        if own.is_some_and(|own| within.contains(&own)) {
            return;
        }
        within.extend(own);
        for child in field.children() {
            walk(&child, within, check);
        }
        if own.is_some() {
            within.pop();
        }
    }
    for kind in Kind::ALL {
        walk(&fields(kind).root(), &mut Vec::new(), check);
    }
}

#[test]
fn every_field_of_every_kind_is_described() {
    let mut missing = Vec::new();
    let mut number = 0;
    for_each_field(&mut |field| {
        number += 1;
        let text = field.meaning();
        if text.len() < 5 || !text.ends_with('.') {
            missing.push(format!("{}.{}: {text:?}", field.kind(), field.path()));
        }
    });
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(number > 700, "{number}");
}

/// The descriptions in the schemas themselves, which editors show.
#[test]
fn every_property_of_every_schema_has_a_description() {
    fn properties(schema: &Value, path: &str, missing: &mut Vec<String>, number: &mut usize) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            *number += 1;
            if property["description"].as_str().is_none_or(str::is_empty) {
                missing.push(format!("{path}.{name}"));
            }
        }
        match schema {
            Value::Object(map) => {
                for (key, inner) in map.iter().filter(|(key, _)| *key != "examples") {
                    properties(inner, &format!("{path}/{key}"), missing, number);
                }
            }
            Value::Array(items) => {
                for inner in items {
                    properties(inner, path, missing, number);
                }
            }
            _ => {}
        }
    }
    let (mut missing, mut number) = (Vec::new(), 0);
    for kind in Kind::ALL {
        properties(&schema::of_kind(kind), kind.as_str(), &mut missing, &mut number);
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(number > 700, "{number}");
}

#[test]
fn described_defaults_are_those_of_the_types() {
    let mut wrong = Vec::new();
    let mut number = 0;
    for_each_field(&mut |field| {
        let (_, written) = split_default(&field.description());
        let Some(value) = field.schema.get("default") else { return };
        let real = match value {
            Value::String(text) if !text.is_empty() => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            _ => return,
        };
        number += 1;
        if written.as_ref().is_none_or(|written| !written.starts_with(&format!("`{real}`"))) {
            wrong.push(format!("{}.{}: {written:?} is described, {real} is the default", field.kind(), field.path()));
        }
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(number > 40, "{number}");
}

#[test]
fn finds_fields_by_their_names_with_and_without_keys() {
    let connector = fields(Kind::Connector);
    for names in [
        &["spec", "actions", "http", "body"][..],
        &["spec", "actions", "create-contact", "http", "body"],
        &["spec", "actions", "*", "http", "body"],
    ] {
        let field = connector.find(names).unwrap();
        assert_eq!(field.path(), "spec.actions.*.http.body");
        assert_eq!(field.template(), Some("body"));
        assert_eq!((field.type_name().as_str(), field.required()), ("any value", false));
    }
    let tests = connector.find(&["spec", "actions", "tests", "0", "name"]).unwrap();
    assert_eq!((tests.path(), tests.required()), ("spec.actions.*.tests[].name", true));
    let (at, name) = *connector.find(&["spec", "actons", "http"]).unwrap_err();
    assert_eq!((at.path(), name), ("spec", "actons"));
    let (at, name) = *connector.find(&["spec", "actions", "htp"]).unwrap_err();
    assert_eq!((at.path(), name), ("spec.actions", "htp"));
    let step = fields(Kind::Workflow);
    assert_eq!(
        step.find(&["spec", "steps", "loop", "steps", "loop", "over"]).unwrap().path(),
        "spec.steps[].loop.steps[].loop.over"
    );
}

#[test]
fn types_defaults_words_and_examples() {
    let alert = fields(Kind::Alert);
    let find = |name| alert.find(&["spec", name]).unwrap();
    assert_eq!(find("threshold").type_name(), "number");
    assert_eq!((find("window").type_name().as_str(), find("window").default().as_deref()), ("duration", Some("`5m`")));
    assert_eq!(find("muted").default().as_deref(), Some("`false`"));
    assert_eq!(find("direction").words().iter().map(|word| &*word.word).collect::<Vec<_>>(), ["Above", "Below"]);
    assert_eq!(find("workflows").type_name(), "list of strings");
    assert_eq!(find("notify").type_name(), "list of objects");
    assert_eq!(find("threshold").example(), Some(serde_json::json!(5)));
    assert_eq!(find("window").meaning(), "Measurement window, from `1m` to `7d`.");
    let connector = fields(Kind::Connector);
    let find = |path: &str| connector.find(&path.split('.').collect::<Vec<_>>()).unwrap();
    assert_eq!(find("spec.actions").type_name(), "map of objects");
    assert_eq!(find("spec.actions.input").type_name(), "JSON Schema");
    assert_eq!(find("spec.actions.http.headers").type_name(), "map of values");
    assert_eq!(find("spec.actions.http.headers.overridable").default().as_deref(), Some("`false`"));
    let tls = find("spec.actions.sql.tls");
    assert_eq!(tls.words()[0].meaning, "TLS with a verified certificate.");
    assert_eq!(tls.meaning(), "Use of TLS.");
}

#[test]
fn a_default_is_split_from_its_description() {
    for (text, meaning, default) in [
        ("A thing. Default: `5m`.", "A thing.", Some("`5m`")),
        ("A thing. Default: `5m`. Then more.", "A thing. Then more.", Some("`5m`")),
        ("A thing.", "A thing.", None),
        ("A. Default: `8388608` (8 MiB).", "A.", Some("`8388608` (8 MiB)")),
    ] {
        assert_eq!(split_default(text), (meaning.to_owned(), default.map(str::to_owned)));
    }
}

#[test]
fn formats_references_and_limits_are_stated_in_words() {
    let find = |kind: Kind, path: &str| {
        let fields = Box::leak(Box::new(fields(kind)));
        fields.find(&path.split('.').collect::<Vec<_>>()).unwrap()
    };
    let at = find(Kind::Trigger, "spec.schedule.weekly.at");
    assert_eq!(at.format(), Some("time of day, from `00:00` to `23:59`"));
    assert_eq!(find(Kind::Trigger, "spec.schedule.jitter").limits().as_deref(), Some("from 0s to 1h"));
    assert_eq!(find(Kind::Trigger, "spec.webhook.routes").limits().as_deref(), Some("from 1 to 100 items"));
    assert_eq!(find(Kind::Connector, "spec.displayName").limits().as_deref(), Some("from 1 to 255 characters"));
    assert_eq!(find(Kind::Connector, "spec.auth.methods").limits().as_deref(), Some("from 1 to 16 entries"));
    assert_eq!(find(Kind::Connector, "spec.auth.methods").key_format(), Some("names"));
    assert_eq!(find(Kind::Alert, "spec.threshold").limits().as_deref(), Some("at least 0"));
    let workflow = find(Kind::Trigger, "spec.webhook.routes.workflow");
    assert_eq!(workflow.reference().as_deref(), Some("name of a definition of the kind Workflow"));
    // A mark of an enclosing object replaces those within, as in the validator.
    let url = find(Kind::Connector, "spec.events.webhook.subscribe.http.path");
    assert_eq!(url.template(), Some("subscription"));
    assert_eq!(find(Kind::Connector, "spec.actions.http.headers.value").template(), Some("header"));
    assert_eq!(find(Kind::Connector, "spec.actions.http.headers.overridable").template(), None);
    assert_eq!(find(Kind::Connector, "spec.auth.methods.basic.password").template(), Some("auth"));
    assert_eq!(find(Kind::Connector, "spec.auth.methods.basic.password.secretRef").template(), None);
}

#[test]
fn a_value_that_is_an_object_or_a_list_has_the_fields_of_both() {
    let widget = fields(Kind::Widget);
    let options = widget.find(&["spec", "forms", "fields", "options"]).unwrap();
    assert_eq!(options.type_name(), "list of objects, or object");
    let paths: Vec<String> = options.children().iter().map(|child| child.path().to_owned()).collect();
    assert!(paths.contains(&"spec.forms.*.fields[].options.action".to_owned()), "{paths:?}");
    assert!(paths.contains(&"spec.forms.*.fields[].options[].label".to_owned()), "{paths:?}");
    let input = widget.find(&["spec", "forms", "fields", "options", "input"]).unwrap();
    assert_eq!(input.template(), Some("form"));
}
