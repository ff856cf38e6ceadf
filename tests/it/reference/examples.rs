//! The examples of kinds and codes, validated with the real validator.

use std::collections::BTreeSet;

use evenkeel::definition::{Kind, examples};
use evenkeel::reconcile::validate;
use evenkeel::text::{self, ReadLimits, Severity, Source, codes};
use serde_json::Value;

use crate::support::{folder, run};

/// Findings of a folder with these files, as `CODE path: message`.
fn findings(files: &[(String, String)]) -> Vec<(&'static str, Severity, String)> {
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let folder = folder(&files);
    let validated = validate::folder(folder.path()).unwrap();
    let found = validated.findings.iter();
    found
        .map(|finding| (finding.code.id, finding.severity, format!("{}: {}", finding.code.id, finding.message)))
        .collect()
}

/// The examples of all kinds as files, as they are written.
fn written() -> Vec<(String, String)> {
    Kind::ALL.into_iter().map(|kind| (format!("{}.yaml", kind.singular()), examples::yaml(kind).to_owned())).collect()
}

#[test]
fn the_examples_of_all_kinds_are_one_valid_set_without_findings() {
    let mut found = findings(&written());
    // The examples show every field, also those that are accepted and not in effect yet.
    found.retain(|(code, ..)| *code != "EK0115");
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_tests_within_the_examples_pass() {
    let files = written();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let folder = folder(&files);
    // The first environment selects definitions by a label, which the examples do not have.
    let said = run(["test".as_ref(), folder.path().as_os_str(), "-e".as_ref(), "draft".as_ref()]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
}

#[test]
fn the_schemas_contain_the_examples_and_accept_them() {
    let any = evenkeel::definition::schema::of_any();
    for kind in Kind::ALL {
        let schema = evenkeel::definition::schema::of_kind(kind);
        let examples = schema["examples"].as_array().unwrap();
        assert!(!examples.is_empty(), "{kind}");
        assert_eq!(any["$defs"][kind.as_str()]["examples"], schema["examples"], "{kind}");
        let validator = jsonschema::validator_for(&schema).unwrap();
        for example in examples {
            let errors: Vec<String> =
                validator.iter_errors(example).map(|error| format!("{}: {error}", error.instance_path())).collect();
            assert!(errors.is_empty(), "{kind}: {errors:#?}");
        }
    }
    // The API server refuses `examples` in the schema of a resource.
    for (name, crd) in evenkeel::definition::crd::all() {
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        assert!(!schema.to_string().contains("\"examples\":"), "{name}");
    }
}

#[test]
fn the_examples_of_fields_fit_their_schemas() {
    fn walk(value: &Value, defs: &Value, path: &str, number: &mut usize) {
        if let Some(examples) = value["examples"].as_array().filter(|_| !path.is_empty()) {
            let mut schema = value.clone();
            schema["$defs"] = defs.clone();
            let validator = jsonschema::validator_for(&schema).unwrap();
            for example in examples {
                *number += 1;
                let errors: Vec<String> = validator.iter_errors(example).map(|error| error.to_string()).collect();
                assert!(errors.is_empty(), "{path}: {example}: {errors:#?}");
            }
        }
        match value {
            Value::Object(map) => {
                let inner = map.iter().filter(|(key, _)| *key != "examples");
                for (key, value) in inner {
                    walk(value, defs, &format!("{path}/{key}"), number);
                }
            }
            Value::Array(items) => {
                for value in items {
                    walk(value, defs, path, number);
                }
            }
            _ => {}
        }
    }
    let mut number = 0;
    for kind in Kind::ALL {
        let schema = evenkeel::definition::schema::of_kind(kind);
        walk(&schema, &schema["$defs"], "", &mut number);
    }
    assert!(number > 50, "{number}");
}

/// Parses a fragment of YAML.
fn value(yaml: &str) -> Value {
    let (documents, findings) = text::parse(&Source::new("fragment.yaml", yaml.to_owned()), &ReadLimits::default());
    assert!(findings.is_empty() && documents.len() == 1, "{yaml}: {findings:?}");
    documents[0].root.to_json()
}

/// The examples of all kinds with one value replaced.
fn with(definition: &str, at: &str, yaml: &str) -> Vec<(String, String)> {
    let (kind, name) = definition.split_once('/').unwrap();
    let mut replaced = false;
    let files = Kind::ALL.into_iter().flat_map(|kind| examples::of_kind(kind).into_iter().enumerate());
    let files: Vec<(String, String)> = files
        .map(|(number, mut example)| {
            if example["kind"] == kind && example["metadata"]["name"] == name {
                let place = example.pointer_mut(at).unwrap_or_else(|| panic!("{definition} has no {at}"));
                *place = value(yaml);
                replaced = true;
            }
            (format!("{}-{number}.json", example["kind"].as_str().unwrap().to_lowercase()), example.to_string())
        })
        .collect();
    assert!(replaced, "there is no {definition}");
    files
}

#[test]
fn wrong_examples_have_their_code_and_right_ones_no_error() {
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for code in codes::ALL {
        let Some(example) = code.example() else { continue };
        assert!(seen.insert(code.id));
        let files = |yaml: &str| match example.definition {
            "" => vec![("file.yaml".to_owned(), yaml.to_owned())],
            definition => with(definition, example.at, yaml),
        };
        let found = findings(&files(example.wrong));
        if !found.iter().any(|(id, ..)| *id == code.id) {
            wrong.push(format!("the wrong example of {} has {found:?}", code.id));
        }
        let found = findings(&files(example.right));
        let bad: Vec<_> =
            found.iter().filter(|(id, severity, _)| *id == code.id || *severity == Severity::Error).collect();
        if !bad.is_empty() {
            wrong.push(format!("the right example of {} has {bad:?}", code.id));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen.len() >= 40, "{}", seen.len());
}

/// Fields for which `evenkeel explain` can show an example.
#[test]
fn most_fields_occur_in_an_example() {
    use evenkeel::definition::fields::{Field, KindFields};

    fn walk<'a>(field: &Field<'a>, seen: &mut BTreeSet<&'a str>, missing: &mut Vec<String>, number: &mut usize) {
        for child in field.children() {
            *number += 1;
            if child.example().is_none() {
                missing.push(format!("{}.{}", child.kind(), child.path()));
            }
            if child.object_type().is_none_or(|name| seen.insert(name)) {
                walk(&child, seen, missing, number);
            }
        }
    }
    let (mut missing, mut number) = (Vec::new(), 0);
    for kind in Kind::ALL {
        walk(&KindFields::new(kind).root(), &mut BTreeSet::new(), &mut missing, &mut number);
    }
    assert!(missing.len() * 10 <= number, "{} of {number} fields have no example: {missing:#?}", missing.len());
}
