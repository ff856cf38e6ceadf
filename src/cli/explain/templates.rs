//! Explanations of the names that templates use.

use super::explanation::{Example, Explanation, Row, Section, TopicKind, first_sentence};
use crate::definition::schema_validator::{nearest, quoted_list};
use crate::template::FieldLocation;
use crate::template::reference::{
    Callable, FILTERS, FUNCTIONS, LOCATIONS, Location, TESTS, VARIABLES, Variable, locations_of_function,
};

/// All names without their details, for lists.
pub(super) fn summaries() -> Vec<Explanation> {
    let variables = VARIABLES
        .iter()
        .map(|variable| Explanation::new(TopicKind::Variable, variable.name, first_sentence(variable.meaning)));
    let callables = [(TopicKind::Function, FUNCTIONS), (TopicKind::Filter, FILTERS), (TopicKind::Test, TESTS)];
    let callables = callables.into_iter().flat_map(|(kind, all)| {
        all.iter().map(move |entry| Explanation::new(kind, entry.name, first_sentence(entry.meaning)))
    });
    let locations = LOCATIONS
        .iter()
        .map(|location| Explanation::new(TopicKind::Location, location.location.as_str(), location.meaning));
    variables.chain(callables).chain(locations).collect()
}

/// Explains a name: several explanations if it is both a filter and a test, for example.
pub(super) fn find(name: &str) -> Vec<Explanation> {
    let variables = VARIABLES.iter().filter(|entry| entry.name == name).map(explain_variable);
    let functions = FUNCTIONS.iter().filter(|entry| entry.name == name).map(|entry| {
        let mut explanation = explain_callable(TopicKind::Function, entry);
        explanation.facts.push(("allowedIn", allowed_in(&locations_of_function(entry.name))));
        explanation
    });
    let filters =
        FILTERS.iter().filter(|entry| entry.name == name).map(|entry| explain_callable(TopicKind::Filter, entry));
    let tests = TESTS.iter().filter(|entry| entry.name == name).map(|entry| explain_callable(TopicKind::Test, entry));
    let locations = LOCATIONS.iter().filter(|entry| entry.location.as_str() == name).map(explain_location);
    variables.chain(functions).chain(filters).chain(tests).chain(locations).collect()
}

/// Explains an attribute of a variable, such as `response.json`. `None` if the name does not start with a variable.
///
/// # Errors
/// The reason, with the attributes that there are.
pub(super) fn find_attribute(path: &str) -> Option<Result<Explanation, String>> {
    let (name, rest) = path.split_once('.')?;
    let variable = VARIABLES.iter().find(|variable| variable.name == name)?;
    let attribute = rest.split('.').next().unwrap_or(rest);
    if variable.attributes.is_empty() {
        return Some(Ok(explain_variable(variable)));
    }
    let Some((attribute, meaning)) = variable.attributes.iter().find(|(known, _)| *known == attribute) else {
        let names: Vec<&str> = variable.attributes.iter().map(|(name, _)| *name).collect();
        let near = nearest(attribute, names.iter().copied());
        let near = near.map_or_else(String::new, |near| format!("; did you mean `{name}.{near}`?"));
        let stop = if near.is_empty() { "." } else { "" };
        let all = quoted_list(&names);
        return Some(Err(format!("`{name}` has no attribute `{attribute}`{near}{stop} Its attributes are {all}")));
    };
    let mut explanation = explain_variable(variable);
    explanation.name = format!("{name}.{attribute}");
    explanation.text = vec![capitalized_sentence(meaning)];
    explanation.sections.clear();
    Some(Ok(explanation))
}

fn capitalized_sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

fn explain_callable(kind: TopicKind, entry: &Callable) -> Explanation {
    let mut explanation = Explanation::new(kind, entry.name, "");
    explanation.facts.push(("use", entry.signature.to_owned()));
    explanation.text.push(entry.meaning.to_owned());
    explanation.examples.push(rendered(entry.example, entry.result));
    explanation
}

/// An example with its result on the next lines.
fn rendered(example: &str, result: &str) -> Example {
    let result: Vec<String> =
        result.lines().enumerate().map(|(at, line)| format!("{}{line}", if at == 0 { "→ " } else { "  " })).collect();
    Example { title: "Example".to_owned(), text: format!("{example}\n{}", result.join("\n")) }
}

fn explain_variable(variable: &Variable) -> Explanation {
    let mut explanation = Explanation::new(TopicKind::Variable, variable.name, "");
    explanation.facts.push(("allowedIn", allowed_in(&variable.locations())));
    explanation.text.push(variable.meaning.to_owned());
    let rows: Vec<Row> = variable.attributes.iter().map(|(name, meaning)| Row::new(*name, *meaning)).collect();
    if !rows.is_empty() {
        explanation.sections.push(Section { title: "attributes", rows });
    }
    explanation.examples.push(rendered(variable.example, variable.result));
    explanation
}

fn allowed_in(locations: &[FieldLocation]) -> String {
    if locations.len() == FieldLocation::all().count() {
        return "all templates".to_owned();
    }
    locations.iter().map(|location| location.as_str()).collect::<Vec<_>>().join(", ")
}

fn explain_location(entry: &Location) -> Explanation {
    let mut explanation = Explanation::new(TopicKind::Location, entry.location.as_str(), entry.meaning);
    explanation.label = "location of templates".to_owned();
    let functions = FUNCTIONS.iter().map(|function| function.name);
    let functions = functions.filter(|name| locations_of_function(name).contains(&entry.location));
    explanation.facts.push(("variables", entry.location.roots().join(", ")));
    explanation.facts.push(("functions", functions.collect::<Vec<_>>().join(", ")));
    explanation
}

/// Explains `templates`: the dialect, and all names.
pub(super) fn overview() -> Explanation {
    let mut explanation = Explanation::new(TopicKind::Group, "templates", "Text with values in it");
    explanation.label = "Jinja".to_owned();
    explanation.text = vec![
        "`{{ expression }}` prints a value, `{% if … %}`, `{% for … %}` and `{% set … %}` control the text. A template that is \
         exactly one `{{ expression }}` keeps the type of its value. Values are printed as JSON: `true`, `null`, `[1,2]`. \
         Reading a value that does not exist is an error; `default` gives another one."
            .to_owned(),
        "The field decides which variables and functions a template may use: `evenkeel explain NAME` lists the fields of a \
         variable or function, `evenkeel explain KIND.FIELD` the names of a field. Filters and tests are the same \
         everywhere."
            .to_owned(),
    ];
    let rows = |all: &[Callable]| all.iter().map(|entry| Row::new(entry.name, first_sentence(entry.meaning))).collect();
    let variables = VARIABLES.iter().map(|entry| Row::new(entry.name, first_sentence(entry.meaning))).collect();
    let locations = LOCATIONS.iter().map(|entry| Row::new(entry.location.as_str(), entry.meaning)).collect();
    explanation.sections = vec![
        Section { title: "variables", rows: variables },
        Section { title: "functions", rows: rows(FUNCTIONS) },
        Section { title: "filters", rows: rows(FILTERS) },
        Section { title: "tests", rows: rows(TESTS) },
        Section { title: "locations", rows: locations },
    ];
    explanation.examples = vec![
        rendered("Welcome, {{ input.name | default('friend') }}!", "Welcome, Ada!"),
        rendered("{% for tag in input.tags %}{{ loop.index }}={{ tag }} {% endfor %}", "1=vip 2=new"),
    ];
    explanation
}

/// Explains one list of names: `filters`, `functions`, `tests` or `variables`.
pub(super) fn group(name: &str) -> Option<Explanation> {
    let kind = match name {
        "filters" => TopicKind::Filter,
        "functions" => TopicKind::Function,
        "tests" => TopicKind::Test,
        "variables" => TopicKind::Variable,
        "locations" => TopicKind::Location,
        _ => return None,
    };
    let rows =
        summaries().into_iter().filter(|entry| entry.kind == kind).map(|entry| Row::new(entry.name, entry.summary));
    let mut explanation = Explanation::new(TopicKind::Group, name, "");
    explanation.label = "templates".to_owned();
    explanation.sections.push(Section { title: "names", rows: rows.collect() });
    Some(explanation)
}
