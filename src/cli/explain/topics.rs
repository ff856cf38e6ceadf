//! The topics, and the search for one.

use super::explanation::{Example, Explanation, Row, Section, TopicKind};
use super::{fields, templates};
use crate::definition::canonical::{self, CanonicalEntity};
use crate::definition::schema_validator::nearest;
use crate::definition::{Kind, canonical::Field};
use crate::text::{Code, Severity, codes};

/// Groups of topics with their meaning.
const GROUPS: [(&str, &str); 8] = [
    ("templates", "the dialect of templates, and all names"),
    ("variables", "the variables of templates"),
    ("functions", "the functions of templates"),
    ("filters", "the filters of templates"),
    ("tests", "the tests of templates"),
    ("codes", "the codes of findings"),
    ("kinds", "the kinds of definitions"),
    ("canonical", "the canonical entities and their fields"),
];

/// All topics without their details.
pub(super) fn list() -> Vec<Explanation> {
    let codes = codes::ALL.iter().map(|code| code_summary(code));
    let kinds = Kind::ALL.into_iter().map(fields::summary);
    let entities = canonical::ALL.iter().map(|entity| {
        let kind = if entity.mappable { "connectors can map records to it" } else { "occurs within other entities" };
        Explanation::new(TopicKind::Entity, entity.name, kind)
    });
    let groups = GROUPS.iter().map(|(name, meaning)| Explanation::new(TopicKind::Group, *name, *meaning));
    codes.chain(kinds).chain(templates::summaries()).chain(entities).chain(groups).collect()
}

/// Explains a topic. A name that means several things has several explanations.
///
/// # Errors
/// The reason, with the nearest topic.
pub(super) fn find(topic: &str) -> Result<Vec<Explanation>, String> {
    if let Some(code) = codes::find(topic) {
        return Ok(vec![explain_code(code)]);
    }
    // `tenant` is a kind and a variable of templates.
    let of_kind = fields::find(topic);
    let mut found: Vec<Explanation> = of_kind.iter().flatten().cloned().collect();
    found.extend(group(topic));
    found.extend(templates::find(topic));
    found.extend(canonical::ALL.iter().filter(|entity| entity.name == topic).map(explain_entity));
    if !found.is_empty() {
        return Ok(found);
    }
    match (of_kind, templates::find_attribute(topic)) {
        (_, Some(Ok(attribute))) => return Ok(vec![attribute]),
        (Some(Err(reason)), _) | (None, Some(Err(reason))) => return Err(reason),
        _ => {}
    }
    if let Some(found) = fields::named(topic) {
        return Ok(vec![found]);
    }
    let topics = list();
    let first = topic.split('.').next().unwrap_or(topic);
    let near = nearest(first, topics.iter().map(|topic| topic.name.as_str()));
    let near = near.map_or_else(String::new, |near| format!(" Did you mean {near}?"));
    Err(format!("there is no such topic.{near} `evenkeel explain` lists all topics"))
}

fn group(name: &str) -> Option<Explanation> {
    let rows: Vec<Row> = match name {
        "templates" => return Some(templates::overview()),
        "codes" => codes::ALL
            .iter()
            .map(|code| Row { name: code.id.into(), type_name: word(code.severity).into(), meaning: code.title.into() })
            .collect(),
        "kinds" => Kind::ALL.into_iter().map(fields::summary).map(|kind| Row::new(kind.name, kind.summary)).collect(),
        "canonical" => canonical::ALL.iter().map(|entity| Row::new(entity.name, field_names(entity))).collect(),
        _ => return templates::group(name),
    };
    let (_, meaning) = GROUPS.iter().find(|(known, _)| *known == name)?;
    let mut explanation = Explanation::new(TopicKind::Group, name, *meaning);
    explanation.label = "topics".to_owned();
    explanation.sections.push(Section { title: "names", rows });
    Some(explanation)
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn code_summary(code: &Code) -> Explanation {
    let mut explanation = Explanation::new(TopicKind::Code, code.id, code.title);
    explanation.label = word(code.severity).to_owned();
    explanation
}

fn explain_code(code: &Code) -> Explanation {
    let mut explanation = code_summary(code);
    explanation.text.push(code.explanation.to_owned());
    if let Some(example) = code.example() {
        let title = |word: &str| format!("{word}, {}", example.place());
        explanation.examples = vec![
            Example { title: title("Wrong"), text: example.wrong.to_owned() },
            Example { title: "Right".to_owned(), text: example.right.to_owned() },
        ];
    }
    explanation
}

fn field_names(entity: &CanonicalEntity) -> String {
    entity.fields.iter().map(|field| field.name).collect::<Vec<_>>().join(", ")
}

fn explain_entity(entity: &CanonicalEntity) -> Explanation {
    let mut explanation = Explanation::new(TopicKind::Entity, entity.name, "");
    let text = match entity.mappable {
        true => {
            "Connectors map records to it with `canonical` of an entity, and each field with `canonical` of the field. An \
                 Entity with `extends` adds fields."
        }
        false => "A type of fields of other canonical entities.",
    };
    explanation.text.push(text.to_owned());
    let row = |field: &Field| {
        let type_name = match field.entity {
            Some(entity) => format!("{} of {entity}", field.field_type.as_str()),
            None => field.field_type.as_str().to_owned(),
        };
        let meaning = match (field.required, field.values) {
            (_, [_, ..]) => format!("one of {}", field.values.join(", ")),
            (true, _) => "required".to_owned(),
            (false, _) => String::new(),
        };
        Row { name: field.name.to_owned(), type_name, meaning }
    };
    explanation.sections.push(Section { title: "fields", rows: entity.fields.iter().map(row).collect() });
    explanation
}
