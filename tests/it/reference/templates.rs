//! The page about templates.

use evenkeel::template::FieldLocation;
use evenkeel::template::reference::{
    Callable, FILTERS, FUNCTIONS, LOCATIONS, SAMPLE, TESTS, VARIABLES, locations_of_function,
};

use super::kinds;
use super::markdown::{anchor, block, code, head, id, table};

/// The page.
pub fn page() -> String {
    let mut text = head(
        "Templates",
        "Text with values in it, in [Jinja](https://jinja.palletsprojects.com/en/stable/templates/). \
         `evenkeel explain templates` prints the names on the command line, `evenkeel explain NAME` one of them.",
    );
    text += "## The dialect\n\n\
             - `{{ expression }}` prints a value. `{% if … %}`, `{% for … %}`, `{% set … %}` and `{% macro … %}` control the \
             text; `{# … #}` is a comment.\n\
             - Values are printed as JSON: `true`, `null`, `[1,2]`, `{\"a\":1}`.\n\
             - A template that is exactly one `{{ expression }}` keeps the type of its value: a number stays a number in a JSON \
             body.\n\
             - Reading a value that does not exist is an error that names its path. `default` gives another value.\n\
             - In a loop, `loop.index`, `loop.index0`, `loop.first`, `loop.last` and `loop.length` describe the item.\n\
             - Texts, lists and maps have the methods of Python that change nothing outside of the template, such as \
             `'a-b'.split('-')`, `map.get('key')`, `map.items()`, `list.append(1)`.\n\
             - `include`, `import`, `extends`, `block` and `autoescape` are refused.\n\
             - Size, steps and memory of a render are limited; a render beyond them fails.\n\n";
    text += "The examples below use these values, the variable `region` with the value `eu`, the secret `orbit-key`, and \
             2026-03-01T12:00:00Z as the time:\n\n";
    text += &block("json", SAMPLE);
    text += &variables();
    text += "## Functions\n\n";
    text += &callables(FUNCTIONS, "function", |name| allowed(&locations_of_function(name)));
    text += "## Filters\n\nFilters may be used in all templates.\n\n";
    text += &callables(FILTERS, "filter", |_| String::new());
    text += "## Tests\n\nTests may be used in all templates: `{% if value is defined %}`. `is not` negates a test.\n\n";
    text += &callables(TESTS, "test", |_| String::new());
    text += &locations();
    text.trim_end().to_owned() + "\n"
}

fn link(location: FieldLocation) -> String {
    format!("[{location}](#location-{location})")
}

fn allowed(locations: &[FieldLocation]) -> String {
    if locations.len() == FieldLocation::all().count() {
        return "all".to_owned();
    }
    locations.iter().map(|location| link(*location)).collect::<Vec<_>>().join(", ")
}

fn variables() -> String {
    let mut text =
        "## Variables\n\nThe field decides which variables its template may read; see [locations](#locations).\n\n"
            .to_owned();
    for variable in VARIABLES {
        text += &anchor(&format!("variable-{}", variable.name));
        text += &format!("### `{}`\n\n{}\n\n", variable.name, variable.meaning);
        let attributes: Vec<[String; 2]> =
            variable.attributes.iter().map(|(name, meaning)| [code(name), (*meaning).to_owned()]).collect();
        text += &table(["attribute", "meaning"], &attributes);
        text += &format!("Locations: {}.\n\n", allowed(&variable.locations()));
        text += &format!("Example: {} renders to {}.\n\n", code(variable.example), code(variable.result));
    }
    text
}

fn callables(all: &[Callable], what: &str, allowed: impl Fn(&str) -> String) -> String {
    let mut text = String::new();
    for (number, entry) in all.iter().enumerate() {
        // Names such as `<=` have no letters for an anchor.
        let name = if id(entry.name).is_empty() { format!("operator-{number}") } else { id(entry.name) };
        text += &anchor(&format!("{what}-{name}"));
        text += &format!("### {}\n\n{}\n\n", code(entry.name), entry.meaning);
        text += &block("jinja", &format!("{{# {} #}}\n{}", entry.signature, entry.example));
        text += &format!("Renders to:\n\n{}", block("text", entry.result));
        let allowed = allowed(entry.name);
        if !allowed.is_empty() {
            text += &format!("Locations: {allowed}.\n\n");
        }
    }
    text
}

fn locations() -> String {
    let fields = kinds::fields_with_templates();
    let mut text = anchor("locations") + "## Locations\n\n";
    text += "The location of a field decides which variables and functions its template may use. `range`, `dict` and \
             `namespace` may be called everywhere. Secrets reach headers, query parameters and authentication only.\n\n";
    for entry in LOCATIONS {
        let location = entry.location;
        text += &anchor(&format!("location-{location}"));
        text += &format!("### {location}\n\n{}\n\n", entry.meaning);
        let names = location.roots().iter().map(|name| format!("[`{name}`](#variable-{name})"));
        text += &format!("- Variables: {}\n", names.collect::<Vec<_>>().join(", "));
        let functions = location.functions().iter().map(|name| format!("[`{name}`](#function-{})", id(name)));
        let functions: Vec<String> = functions.collect();
        if !functions.is_empty() {
            text += &format!("- Functions: {}\n", functions.join(", "));
        }
        let fields = fields.get(&location).map(Vec::as_slice).unwrap_or_default();
        text += &format!("- Fields: {}\n\n", fields.iter().map(|field| code(field)).collect::<Vec<_>>().join(", "));
    }
    text
}

#[test]
fn every_location_names_its_fields() {
    let fields = kinds::fields_with_templates();
    assert_eq!(fields.len(), FieldLocation::all().count());
    let header = &fields[&FieldLocation::Header];
    assert!(header.contains(&"Connector.spec.actions.*.http.headers".to_owned()), "{header:?}");
    let subscription = &fields[&FieldLocation::Subscription];
    assert!(subscription.iter().any(|field| field.ends_with("subscribe.http")), "{subscription:?}");
}
