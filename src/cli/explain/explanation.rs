//! An explanation as a value, which is printed as text or as JSON.

use serde_json::{Map, Value, json};

/// The type of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TopicKind {
    Code,
    Kind,
    Field,
    Filter,
    Function,
    Test,
    Variable,
    Location,
    Entity,
    /// A list of topics, such as `templates`.
    Group,
}

impl TopicKind {
    /// The word in JSON and in lists.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            TopicKind::Code => "code",
            TopicKind::Kind => "kind",
            TopicKind::Field => "field",
            TopicKind::Filter => "filter",
            TopicKind::Function => "function",
            TopicKind::Test => "test",
            TopicKind::Variable => "variable",
            TopicKind::Location => "location",
            TopicKind::Entity => "canonical entity",
            TopicKind::Group => "group",
        }
    }
}

/// The explanation of a topic.
#[derive(Clone, Debug)]
pub(super) struct Explanation {
    pub(super) kind: TopicKind,
    /// Name as a user would type it.
    pub(super) name: String,
    /// Word in parentheses after the name, such as `error`.
    pub(super) label: String,
    /// One line.
    pub(super) summary: String,
    /// Short properties, such as the type and the default.
    pub(super) facts: Vec<(&'static str, String)>,
    /// Paragraphs.
    pub(super) text: Vec<String>,
    pub(super) sections: Vec<Section>,
    pub(super) examples: Vec<Example>,
}

/// A table of names: fields, words, attributes.
#[derive(Clone, Debug)]
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) rows: Vec<Row>,
}

/// A row of a table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: String,
    /// The type; empty if the name needs none.
    pub(super) type_name: String,
    pub(super) meaning: String,
}

/// An example.
#[derive(Clone, Debug)]
pub(super) struct Example {
    pub(super) title: String,
    pub(super) text: String,
}

impl Explanation {
    /// An explanation with a summary only.
    pub(super) fn new(kind: TopicKind, name: impl Into<String>, summary: impl Into<String>) -> Explanation {
        Explanation {
            kind,
            name: name.into(),
            label: kind.as_str().to_owned(),
            summary: summary.into(),
            facts: Vec::new(),
            text: Vec::new(),
            sections: Vec::new(),
            examples: Vec::new(),
        }
    }

    /// The explanation as JSON. Parts that it does not have are absent.
    pub(super) fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("topic".into(), self.kind.as_str().into());
        object.insert("name".into(), self.name.as_str().into());
        if self.label != self.kind.as_str() {
            object.insert("label".into(), self.label.as_str().into());
        }
        object.insert("summary".into(), self.summary.as_str().into());
        for (name, value) in &self.facts {
            object.insert((*name).into(), value.as_str().into());
        }
        if !self.text.is_empty() {
            object.insert("text".into(), json!(self.text));
        }
        for section in &self.sections {
            let rows = section.rows.iter().map(|row| {
                let mut entry = Map::from_iter([("name".to_owned(), json!(row.name))]);
                if !row.type_name.is_empty() {
                    entry.insert("type".into(), json!(row.type_name));
                }
                entry.insert("summary".into(), json!(row.meaning));
                Value::Object(entry)
            });
            object.insert(section.title.into(), rows.collect());
        }
        if !self.examples.is_empty() {
            let example = |example: &Example| json!({"title": example.title, "text": example.text});
            object.insert("examples".into(), self.examples.iter().map(example).collect());
        }
        Value::Object(object)
    }
}

impl Row {
    pub(super) fn new(name: impl Into<String>, meaning: impl Into<String>) -> Row {
        Row { name: name.into(), type_name: String::new(), meaning: meaning.into() }
    }
}

/// The first sentence of a text.
pub(super) fn first_sentence(text: &str) -> String {
    // A stop within code, such as `a. b`, does not end a sentence.
    let ends = text.match_indices(". ").find(|(at, _)| text[..*at].matches('`').count().is_multiple_of(2));
    ends.map_or(text, |(at, _)| &text[..=at]).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_within_code_does_not_end_a_sentence() {
        for (text, first) in
            [("One. Two.", "One."), ("Only one", "Only one"), ("A `a. b` c. Two.", "A `a. b` c."), ("", "")]
        {
            assert_eq!(first_sentence(text), first);
        }
    }
}
