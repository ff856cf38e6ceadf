//! The fields of each kind as a tree, read from the generated schemas: for `evenkeel explain` and the reference.
//!
//! A path names fields only: map keys and list items have no segment of their own, so `spec.actions.http` is the `http` of
//! any action. [`Field::path`] shows them: `spec.actions.*.http`, `spec.steps[].name`.

mod shape;
mod words;

use std::sync::LazyLock;

use serde_json::Value;

use super::{Kind, examples, schema};

pub use shape::{Shape, Word};

/// The fields of all kinds, for examples of a type that several kinds use.
static KINDS: LazyLock<Vec<KindFields>> = LazyLock::new(|| Kind::ALL.into_iter().map(KindFields::new).collect());

/// The fields of one kind.
#[derive(Debug)]
pub struct KindFields {
    kind: Kind,
    document: Value,
    examples: Vec<Value>,
}

impl KindFields {
    /// Generates the schema of a kind.
    pub fn new(kind: Kind) -> KindFields {
        KindFields { kind, document: schema::of_kind(kind), examples: examples::of_kind(kind) }
    }

    /// The whole document, with its fields as children. Its description is that of `spec`.
    pub fn root(&self) -> Field<'_> {
        Field {
            fields: self,
            schema: &self.document,
            path: String::new(),
            names: Vec::new(),
            required: true,
            description: self.document["properties"]["spec"]["description"].as_str(),
            outer_template: None,
            outer_example: None,
            parent_type: None,
        }
    }

    /// Finds a field by names, such as `["spec", "actions", "http"]`. Keys of maps and numbers of list items may be given,
    /// and are skipped: `["spec", "actions", "create-contact", "http"]` is the same field.
    ///
    /// # Errors
    /// The field at which the search ended, and the name that it does not have.
    pub fn find<'a, 'n>(&'a self, names: &[&'n str]) -> Result<Field<'a>, Box<(Field<'a>, &'n str)>> {
        let mut field = self.root();
        let mut rest = names;
        while let [name, after @ ..] = rest {
            let children = field.children();
            let child = children.iter().find(|child| child.name() == *name);
            let next = after.first().is_some_and(|next| children.iter().any(|child| child.name() == *next));
            let is_item = name.bytes().all(|byte| byte.is_ascii_digit()) || *name == "*";
            field = match child {
                Some(child) => child.clone(),
                None if field.is_collection() && (next || is_item) => field,
                None => return Err(Box::new((field, name))),
            };
            rest = after;
        }
        Ok(field)
    }
}

/// A field of a kind.
#[derive(Clone, Debug)]
pub struct Field<'a> {
    fields: &'a KindFields,
    schema: &'a Value,
    path: String,
    names: Vec<Segment<'a>>,
    required: bool,
    description: Option<&'a str>,
    /// The mark of templates at an object around the field. It replaces the field's own, as in the validator.
    outer_template: Option<&'a str>,
    /// An example in the schema of an object around the field, and the path of the field within it.
    outer_example: Option<(&'a Value, Vec<Segment<'a>>)>,
    /// Name of the type of the object that contains the field.
    parent_type: Option<&'a str>,
}

/// A part of the path to a value.
#[derive(Clone, Debug)]
enum Segment<'a> {
    Name(&'a str),
    /// Any entry of a map, or any item of a list.
    Each,
}

impl<'a> Field<'a> {
    /// The kind.
    pub fn kind(&self) -> Kind {
        self.fields.kind
    }

    /// Path in the document, such as `spec.actions.*.http`; empty for the document itself.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Name of the field; empty for the document itself.
    pub fn name(&self) -> &'a str {
        let name = |segment: &Segment<'a>| match segment {
            Segment::Name(name) => Some(*name),
            Segment::Each => None,
        };
        self.names.iter().rev().find_map(name).unwrap_or_default()
    }

    /// Names of the path, without map keys and list items.
    pub fn names(&self) -> Vec<&'a str> {
        let names = self.names.iter().filter_map(|segment| match segment {
            Segment::Name(name) => Some(*name),
            Segment::Each => None,
        });
        names.collect()
    }

    /// True if the object around it must contain the field.
    pub fn required(&self) -> bool {
        self.required
    }

    /// The meaning, without the sentence that states the default. Markdown in one paragraph.
    pub fn meaning(&self) -> String {
        split_default(&self.description()).0
    }

    /// The default, as Markdown.
    pub fn default(&self) -> Option<String> {
        split_default(&self.description()).1.or_else(|| {
            let value = self.schema.get("default")?;
            let is_plain =
                value.is_number() || value.is_boolean() || value.as_str().is_some_and(|text| !text.is_empty());
            is_plain.then(|| format!("`{}`", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        })
    }

    /// The description as written at the field, or else that of its type.
    fn description(&self) -> String {
        let text = self.description.or_else(|| self.shape().description).unwrap_or_default();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The shape of its value.
    pub fn shape(&self) -> Shape<'a> {
        Shape::of(self.schema, &self.fields.document["$defs"])
    }

    /// The type in words, such as `string` or `map of objects`.
    pub fn type_name(&self) -> String {
        self.shape().type_name(&self.fields.document["$defs"])
    }

    /// The words that are allowed, of a field or of its items; empty if any value is.
    pub fn words(&self) -> Vec<Word> {
        self.element().words
    }

    /// The name of the type of an object, of the items of a list, or of the values of a map.
    pub fn object_type(&self) -> Option<&'a str> {
        let element = self.element();
        element.type_name.filter(|_| !element.properties.is_empty())
    }

    /// The description of the type of an object, if the field has one of its own.
    pub fn object_description(&self) -> Option<&'a str> {
        self.element().description.filter(|text| Some(*text) != self.description)
    }

    /// A mark (`x-evenkeel-…`) of the field or of a type that it refers to.
    pub fn mark(&self, name: &str) -> Option<&'a str> {
        self.keyword(name, &["anyOf", "items", "additionalProperties"])?.as_str()
    }

    fn keyword(&self, name: &str, through: &[&str]) -> Option<&'a Value> {
        shape::keyword(self.schema, &self.fields.document["$defs"], name, through)
    }

    /// The limits of the value in words, such as `from 1 to 20` or `at most 255 characters`.
    pub fn limits(&self) -> Option<String> {
        let shape = self.shape();
        let range = |low: &str, high: &str, unit: &str| {
            let [low, high] = [low, high].map(|name| self.keyword(name, &[]).map(plain));
            match (low.filter(|low| low != "0" || unit.is_empty()), high) {
                (Some(low), Some(high)) => Some(format!("from {low} to {high}{unit}")),
                (Some(low), None) => Some(format!("at least {low}{unit}")),
                (None, Some(high)) => Some(format!("at most {high}{unit}")),
                (None, None) => None,
            }
        };
        if let Some(limits) = range("x-evenkeel-min", "x-evenkeel-max", "") {
            return Some(limits);
        }
        match (shape.items, shape.values, &shape.types[..]) {
            (Some(_), ..) => range("minItems", "maxItems", " items"),
            (_, Some(_), _) => range("minProperties", "maxProperties", " entries"),
            (.., ["string"]) if shape.type_name != Some("Duration") => range("minLength", "maxLength", " characters"),
            (.., ["integer" | "number"]) => range("minimum", "maximum", ""),
            _ => None,
        }
    }

    /// The format of the value, and of the keys of a map, in words.
    pub fn format(&self) -> Option<&'static str> {
        words::format(self.mark("x-evenkeel-type")?)
    }

    /// The format of the keys of a map in words.
    pub fn key_format(&self) -> Option<&'static str> {
        words::key_format(self.keyword("x-evenkeel-keys", &[])?.as_str()?)
    }

    /// The target of a reference in words, such as "name of a Workflow".
    pub fn reference(&self) -> Option<String> {
        self.mark("x-evenkeel-ref").map(words::reference)
    }

    /// The mark of the location of templates (`template::FieldLocation`), if the field holds templates.
    pub fn template(&self) -> Option<&'a str> {
        let element = self.element();
        let is_text = element.words.is_empty()
            && (element.types.is_empty() || element.types.contains(&"string") || element.type_name.is_some());
        self.outer_template.or_else(|| self.mark("x-evenkeel-template")).filter(|_| is_text)
    }

    /// True for a list or a map, or a list of them.
    fn is_collection(&self) -> bool {
        let shape = self.shape();
        shape.items.is_some() || shape.values.is_some()
    }

    /// The shape of the values inside of lists and maps.
    fn element(&self) -> Shape<'a> {
        let defs = &self.fields.document["$defs"];
        let mut shape = self.shape();
        while let Some(inner) = shape.items.or(shape.values) {
            shape = Shape::of(inner, defs);
        }
        shape
    }

    /// The fields of the object, or of the objects in the list or map. A value that may be an object or a list of others has
    /// the fields of both.
    pub fn children(&self) -> Vec<Field<'a>> {
        let outer_template = self
            .outer_template
            .or_else(|| self.keyword("x-evenkeel-template", &["items", "additionalProperties"])?.as_str());
        // The document itself has its examples as whole documents.
        let outer_example = self.schema["examples"].get(0).filter(|_| !self.path.is_empty());
        let outer_example = outer_example.map(|example| (example, Vec::new())).or_else(|| self.outer_example.clone());
        let defs = &self.fields.document["$defs"];
        let (mut path, mut names) = (self.path.clone(), self.names.clone());
        let mut children = Vec::new();
        let mut next = Some(self.shape());
        while let Some(shape) = next {
            children.extend(shape.properties.iter().map(|(name, schema, required)| Field {
                fields: self.fields,
                schema,
                path: if path.is_empty() { (*name).to_owned() } else { format!("{path}.{name}") },
                names: names.iter().cloned().chain([Segment::Name(name)]).collect(),
                required: *required,
                description: schema["description"].as_str(),
                outer_template,
                outer_example: outer_example.clone().map(|(example, mut within)| {
                    within.extend(names.iter().skip(self.names.len()).cloned());
                    within.push(Segment::Name(name));
                    (example, within)
                }),
                parent_type: shape.type_name,
            }));
            path += if shape.items.is_some() { "[]" } else { ".*" };
            names.push(Segment::Each);
            next = shape.items.or(shape.values).map(|inner| Shape::of(inner, defs));
        }
        children
    }

    /// A value of the field: from the examples of its kind, from its schema, or from a field of the same type elsewhere.
    pub fn example(&self) -> Option<Value> {
        let own = self.own_example();
        own.or_else(|| KINDS.iter().find_map(|fields| self.example_of_type(&fields.root(), &mut Vec::new()))).cloned()
    }

    fn own_example(&self) -> Option<&'a Value> {
        let of_kind = || self.fields.examples.iter().find_map(|example| value_at(example, &self.names));
        let of_outer = || self.outer_example.as_ref().and_then(|(example, names)| value_at(example, names));
        let of_schema = || self.schema["examples"].get(0).filter(|_| !self.path.is_empty());
        of_kind().or_else(of_schema).or_else(of_outer)
    }

    /// An example of a field with the same name in an object of the same type, below `other`.
    fn example_of_type<'o>(&self, other: &Field<'o>, within: &mut Vec<&'o str>) -> Option<&'o Value> {
        let own = other.object_type();
        if own.is_some_and(|own| within.contains(&own)) {
            return None;
        }
        let children = other.children();
        if own.is_some() && own == self.parent_type {
            let mut same = children.iter().filter(|child| child.name() == self.name());
            if let Some(example) = same.find_map(Field::own_example) {
                return Some(example);
            }
        }
        within.extend(own);
        let found = children.iter().find_map(|child| self.example_of_type(child, within));
        if own.is_some() {
            within.pop();
        }
        found
    }
}

/// The first value at a path.
fn value_at<'v>(value: &'v Value, path: &[Segment<'_>]) -> Option<&'v Value> {
    let Some((first, rest)) = path.split_first() else { return Some(value) };
    match (first, value) {
        (Segment::Name(name), Value::Object(map)) => value_at(map.get(*name)?, rest),
        (Segment::Each, Value::Object(map)) => map.values().find_map(|value| value_at(value, rest)),
        (Segment::Each, Value::Array(items)) => items.iter().find_map(|value| value_at(value, rest)),
        _ => None,
    }
}

/// A number or text as it is written.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        // `0.0` of a schema is 0 to its readers.
        Value::Number(number) => number
            .as_f64()
            .filter(|number| number.fract() == 0.0)
            .map_or_else(|| number.to_string(), |number| format!("{number:.0}")),
        other => other.to_string(),
    }
}

/// Splits a description into the meaning and the default that it states.
fn split_default(description: &str) -> (String, Option<String>) {
    const START: &str = "Default: ";
    let Some(at) = description.find(START) else { return (description.to_owned(), None) };
    let after = &description[at + START.len()..];
    let end = after.find(". ").map_or(after.len(), |end| end + 1);
    let (default, rest) = after.split_at(end);
    let meaning = format!("{} {}", description[..at].trim(), rest.trim());
    (meaning.trim().to_owned(), Some(default.trim_end_matches('.').to_owned()))
}

#[cfg(test)]
mod tests;
