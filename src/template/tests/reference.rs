//! The reference lists the names that the engine knows, and its examples render to the results that it states.

use std::collections::BTreeSet;

use super::*;
use crate::definition::Kind;
use crate::definition::fields::{Field, KindFields};
use crate::template::reference::{
    Callable, FILTERS, FUNCTIONS, LOCATIONS, SAMPLE, TESTS, VARIABLES, locations_of_function,
};
use crate::template::{FieldLocation, filters, functions, location, predicates};

/// The host of the examples.
struct SampleHost;

impl TemplateHost for SampleHost {
    fn secret(&self, name: &str) -> Result<String, String> {
        if name == "orbit-key" { Ok("k-123".to_owned()) } else { Err("it is not set".to_owned()) }
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name == "region").then(|| "eu".to_owned())
    }

    fn now(&self) -> i64 {
        1_772_366_400
    }
}

fn sample() -> Context {
    let values: Value = serde_json::from_str(SAMPLE).unwrap();
    let mut context = Context::new(Arc::new(SampleHost));
    for variable in VARIABLES {
        match variable.name {
            "response" => context.set_response(
                201,
                BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]),
                Bytes::from_static(br#"{"data":{"id":7}}"#),
            ),
            "body_raw" => context.set_bytes("body_raw", values["body_raw"].as_str().unwrap().to_owned().into()),
            name => {
                assert!(values.get(name).is_some(), "the sample has no {name}");
                context.set(name, &values[name]);
            }
        }
    }
    context
}

fn rendered(example: &str) -> String {
    let template = Template::compile(example).unwrap_or_else(|problem| panic!("{example}: {problem}"));
    template.render_text(&sample(), &Limits::default()).unwrap_or_else(|error| format!("error: {error}"))
}

/// Compares the names of a table with the known ones. The table has each name once, in order.
fn same_names<'a>(table: &[Callable], known: impl Iterator<Item = &'a str>) {
    let names: Vec<&str> = table.iter().map(|entry| entry.name).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(names, sorted, "the table is not in order");
    assert_eq!(BTreeSet::from_iter(names), known.collect::<BTreeSet<_>>());
}

#[test]
fn the_tables_list_all_filters_functions_and_tests() {
    same_names(FILTERS, filters::names());
    same_names(FUNCTIONS, functions::FUNCTIONS.iter().map(|function| function.name));
    same_names(TESTS, predicates::names());
}

#[test]
fn the_tables_list_all_variables_attributes_and_locations() {
    let known: BTreeSet<&str> = FieldLocation::all().flat_map(|location| location.roots().iter().copied()).collect();
    let names: Vec<&str> = VARIABLES.iter().map(|variable| variable.name).collect();
    assert_eq!(names.len(), known.len());
    assert_eq!(BTreeSet::from_iter(names), known);
    for variable in VARIABLES {
        if let Some(known) = location::attributes(variable.name) {
            let names: BTreeSet<&str> = variable.attributes.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, known.iter().copied().collect(), "{}", variable.name);
        }
    }
    assert_eq!(
        LOCATIONS.iter().map(|entry| entry.location).collect::<Vec<_>>(),
        FieldLocation::all().collect::<Vec<_>>()
    );
}

#[test]
fn every_example_renders_to_its_result_and_uses_its_name() {
    let callables = [FILTERS, FUNCTIONS, TESTS].into_iter().flatten();
    let callables = callables.map(|entry| (entry.name, entry.meaning, entry.example, entry.result));
    let variables = VARIABLES.iter().map(|entry| (entry.name, entry.meaning, entry.example, entry.result));
    let mut wrong = Vec::new();
    for (name, meaning, example, result) in callables.chain(variables) {
        let actual = rendered(example);
        if actual != result {
            wrong.push(format!("{example}\n  stated {result:?}\n  got    {actual:?}"));
        }
        assert!(example.contains(name), "{name}: {example}");
        assert!(meaning.ends_with('.') && !meaning.contains("  "), "{name}: {meaning}");
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The checker accepts each example where the reference states that its name may be used, and refuses it elsewhere.
#[test]
fn the_stated_locations_are_those_of_the_checker() {
    for variable in VARIABLES {
        for at in FieldLocation::all() {
            let problems = super::super::analyse(&format!("{{{{ {} }}}}", variable.name), at, false).problems;
            assert_eq!(
                problems.is_empty(),
                variable.locations().contains(&at),
                "{} in {at}: {problems:?}",
                variable.name
            );
        }
    }
    for function in FUNCTIONS {
        for at in FieldLocation::all() {
            let problems = super::super::analyse(function.example, at, false).problems;
            let is_allowed = locations_of_function(function.name).contains(&at);
            assert_eq!(problems.is_empty(), is_allowed, "{} in {at}: {problems:?}", function.name);
        }
    }
}

#[test]
fn signatures_name_the_parameters_of_functions() {
    for entry in FUNCTIONS {
        let function = functions::find(entry.name).unwrap();
        let inside = entry.signature.strip_prefix(entry.name).unwrap().trim_matches(['(', ')']);
        let mut stated = inside.split(", ").filter(|part| !part.is_empty());
        for (at, name) in function.parameters.iter().enumerate() {
            let part = stated.next().unwrap_or_default();
            let (stated, has_default) = part.split_once('=').map_or((part, false), |(name, _)| (name, true));
            assert_eq!((stated, has_default), (*name, at >= function.required), "{}", entry.signature);
        }
        assert_eq!(stated.next().is_some(), function.open, "{}", entry.signature);
    }
}

/// Every mark of templates in the schemas belongs to a location, and every location to a field.
#[test]
fn every_field_with_templates_has_a_location() {
    fn walk(field: &Field<'_>, depth: usize, found: &mut BTreeSet<FieldLocation>) {
        if let Some(mark) = field.template() {
            let location = FieldLocation::of_mark(mark);
            found.insert(location.unwrap_or_else(|| panic!("{}: no location has the mark {mark}", field.path())));
        }
        if depth < 9 {
            for child in field.children() {
                walk(&child, depth + 1, found);
            }
        }
    }
    let mut found = BTreeSet::new();
    for kind in Kind::ALL {
        walk(&KindFields::new(kind).root(), 0, &mut found);
    }
    assert_eq!(found, FieldLocation::all().collect::<BTreeSet<_>>());
}
