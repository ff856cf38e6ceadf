//! Explanations of kinds and fields.

use super::explanation::{Example, Explanation, Row, Section, TopicKind, first_sentence};
use crate::definition::fields::{Field, KindFields};
use crate::definition::schema_validator::{nearest, quoted_list};
use crate::definition::{Kind, examples};
use crate::template::FieldLocation;
use crate::text::to_yaml;

/// Maximum number of lines of the example of a field.
const MAX_EXAMPLE_LINES: usize = 40;
/// Maximum number of fields that a bare name lists.
const MAX_NAMED: usize = 20;
/// Maximum depth at which fields of a bare name are searched.
const MAX_DEPTH: usize = 8;

/// The explanation of a kind without its details, for lists.
pub(super) fn summary(kind: Kind) -> Explanation {
    let fields = KindFields::new(kind);
    Explanation::new(TopicKind::Kind, kind.as_str(), first_sentence(&fields.root().meaning()))
}

/// Explains a kind, or a field such as `Connector.spec.actions`. `None` if the path does not start with a kind.
///
/// # Errors
/// The reason, with the fields that there are.
pub(super) fn find(path: &str) -> Option<Result<Explanation, String>> {
    let mut names = path.split('.');
    let first = names.next()?;
    let is_kind = |kind: &Kind| kind.as_str().eq_ignore_ascii_case(first) || kind.plural().eq_ignore_ascii_case(first);
    let kind = Kind::ALL.into_iter().find(is_kind)?;
    // Copied paths contain `[0]` and `[]` for items of lists.
    let names: Vec<&str> =
        names.map(|name| name.split('[').next().unwrap_or(name)).filter(|name| !name.is_empty()).collect();
    let fields = KindFields::new(kind);
    Some(match fields.find(&names) {
        Ok(field) if field.path().is_empty() => Ok(explain_kind(&field)),
        Ok(field) => Ok(explain_field(&field)),
        Err(place) => Err(unknown(&place.0, place.1)),
    })
}

fn unknown(field: &Field<'_>, name: &str) -> String {
    let children = field.children();
    let names: Vec<&str> = children.iter().map(Field::name).collect();
    let place = full_path(field);
    if names.is_empty() {
        return format!("`{place}` has no fields; its type is {}", field.type_name());
    }
    let near = nearest(name, names.iter().copied());
    let near = near.map_or_else(String::new, |near| format!("; did you mean `{place}.{near}`?"));
    let stop = if near.is_empty() { "." } else { "" };
    format!("`{place}` has no field `{name}`{near}{stop} Its fields are {}", quoted_list(&names))
}

/// The path with the kind. Map keys and list items need no segment.
fn full_path(field: &Field<'_>) -> String {
    std::iter::once(field.kind().as_str()).chain(field.names()).collect::<Vec<_>>().join(".")
}

fn explain_kind(root: &Field<'_>) -> Explanation {
    let kind = root.kind();
    let mut explanation = Explanation::new(TopicKind::Kind, kind.as_str(), "");
    explanation.text.push(root.meaning());
    explanation.sections.push(Section { title: "fields", rows: children(root) });
    if let Ok(spec) = KindFields::new(kind).find(&["spec"]) {
        explanation.sections.push(Section { title: "fields of spec", rows: children(&spec) });
    }
    // The first document, with its comments.
    let first = examples::yaml(kind).split("\n---\n").next().unwrap_or_default();
    explanation.examples.push(Example { title: "Example".to_owned(), text: first.to_owned() });
    explanation
}

fn explain_field(field: &Field<'_>) -> Explanation {
    let mut explanation = Explanation::new(TopicKind::Field, full_path(field), "");
    let mut facts = vec![("path", field.path().to_owned()), ("type", field.type_name())];
    facts.push(("required", if field.required() { "yes" } else { "no" }.to_owned()));
    facts.extend(field.default().map(|default| ("default", plain(default))));
    facts.extend(field.limits().map(|limits| ("limits", limits)));
    facts.extend(field.reference().map(|reference| ("refersTo", reference)));
    facts.extend(field.format().map(|format| ("format", format.to_owned())));
    facts.extend(field.key_format().map(|format| ("keys", format.to_owned())));
    if let Some(location) = field.template().and_then(FieldLocation::of_mark) {
        let functions = location.functions().iter().map(|name| format!("{name}()"));
        let names = location.roots().iter().map(|name| (*name).to_owned()).chain(functions);
        facts.push(("template", format!("may use {}", names.collect::<Vec<_>>().join(", "))));
    }
    explanation.facts = facts;
    explanation.text.push(field.meaning());
    let rows = children(field);
    // Types of objects say which fields exclude each other.
    let about = field.object_description().filter(|text| !rows.is_empty() && *text != field.meaning());
    explanation.text.extend(about.map(str::to_owned));
    let words = field.words();
    if !words.is_empty() {
        let rows = words.into_iter().map(|word| Row::new(word.word, word.meaning)).collect();
        explanation.sections.push(Section { title: "words", rows });
    }
    if !rows.is_empty() {
        explanation.sections.push(Section { title: "fields", rows });
    }
    explanation.examples.extend(example(field));
    explanation
}

/// A default without the backquotes of Markdown, if it is one word of code.
fn plain(default: String) -> String {
    let code = default.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
    code.filter(|code| !code.contains('`')).map_or(default.clone(), str::to_owned)
}

/// The fields of an object with one line each.
fn children(field: &Field<'_>) -> Vec<Row> {
    let row = |child: &Field<'_>| {
        let type_name = child.type_name() + if child.required() { ", required" } else { "" };
        Row { name: child.name().to_owned(), type_name, meaning: first_sentence(&child.meaning()) }
    };
    field.children().iter().map(row).collect()
}

fn example(field: &Field<'_>) -> Option<Example> {
    let value = field.example()?;
    let text = to_yaml(&serde_json::json!({ field.name(): value })).ok()?;
    let mut lines: Vec<&str> = text.lines().collect();
    if lines.len() > MAX_EXAMPLE_LINES {
        lines.truncate(MAX_EXAMPLE_LINES);
        lines.push("# …");
    }
    Some(Example { title: "Example".to_owned(), text: lines.join("\n") })
}

/// Fields of this name in all kinds, if there are any.
pub(super) fn named(name: &str) -> Option<Explanation> {
    fn walk<'a>(field: &Field<'a>, name: &str, within: &mut Vec<&'a str>, found: &mut Vec<Row>) {
        for child in field.children() {
            if child.name() == name && found.len() < MAX_NAMED {
                found.push(Row::new(full_path(&child), first_sentence(&child.meaning())));
            }
            let own = child.object_type();
            if within.len() >= MAX_DEPTH || own.is_some_and(|own| within.contains(&own)) {
                continue;
            }
            within.push(own.unwrap_or_default());
            walk(&child, name, within, found);
            within.pop();
        }
    }
    let mut rows = Vec::new();
    for kind in Kind::ALL {
        walk(&KindFields::new(kind).root(), name, &mut Vec::new(), &mut rows);
    }
    if rows.is_empty() {
        return None;
    }
    let mut explanation = Explanation::new(TopicKind::Group, name, "Fields of this name");
    explanation.label = "fields".to_owned();
    explanation.sections.push(Section { title: "fields", rows });
    Some(explanation)
}
