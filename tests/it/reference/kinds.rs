//! A page for each kind: its fields by object, and its examples.

use std::collections::BTreeMap;

use evenkeel::definition::canonical;
use evenkeel::definition::fields::{Field, KindFields};
use evenkeel::definition::{Kind, examples};
use evenkeel::template::FieldLocation;

use super::markdown::{anchor, block, code, head, id, table};

/// The file of the page of a kind.
pub fn file(kind: Kind) -> String {
    format!("{}.md", kind.singular())
}

/// The objects of a kind, each once: where a type occurs again, the page refers to its first place.
struct Objects<'a> {
    /// Fields that hold objects, in the order of the page.
    order: Vec<Field<'a>>,
    /// Path of the first place of each type.
    places: BTreeMap<&'a str, String>,
}

impl<'a> Objects<'a> {
    fn of(root: &Field<'a>) -> Objects<'a> {
        let mut objects = Objects { order: Vec::new(), places: BTreeMap::new() };
        objects.add(root.clone());
        objects
    }

    fn add(&mut self, field: Field<'a>) {
        let children = field.children();
        if children.is_empty() {
            return;
        }
        if let Some(name) = field.object_type() {
            if self.places.contains_key(name) {
                return;
            }
            self.places.insert(name, field.path().to_owned());
        }
        self.order.push(field);
        for child in children {
            self.add(child);
        }
    }

    /// The path of the section that describes the fields of a field, if it has any.
    fn section(&self, field: &Field<'a>) -> Option<String> {
        match field.object_type() {
            Some(name) => self.places.get(name).cloned(),
            None => (!field.children().is_empty()).then(|| field.path().to_owned()),
        }
    }
}

/// The path of the objects in a field: of the entries of a map, or of the items of a list.
fn object_path(field: &Field<'_>) -> String {
    let first = field.children().into_iter().next();
    let path =
        first.map(|child| child.path().strip_suffix(child.name()).unwrap_or_default().trim_end_matches('.').to_owned());
    path.unwrap_or_default()
}

/// The page of a kind.
pub fn page(kind: Kind) -> String {
    let fields = KindFields::new(kind);
    let root = fields.root();
    let objects = Objects::of(&root);
    let mut text = head(kind.as_str(), &root.meaning());
    text += &format!(
        "On Kubernetes: `{}.evenkeel.dev`, short `{}`. On the command line: `evenkeel explain {kind}`, and \
         `evenkeel explain {kind}.spec` and so on for fields.\n\n",
        kind.plural(),
        kind.short_name()
    );
    text += "In a path, `*` stands for any key of a map, and `[]` for any item of a list. A field is optional unless it is \
             required.\n\n";
    text += "## Fields\n\n";
    for field in &objects.order {
        text += &section(field, &objects);
    }
    if kind == Kind::Entity {
        text += &canonical_entities();
    }
    text += "## Examples\n\n";
    text += &block("yaml", examples::yaml(kind));
    text.trim_end().to_owned() + "\n"
}

fn section<'a>(field: &Field<'a>, objects: &Objects<'a>) -> String {
    let path = object_path(field);
    let title = if path.is_empty() { "The document".to_owned() } else { code(&path) };
    let mut text = anchor(&id(&format!("field-{}", field.path()))) + &format!("### {title}\n\n");
    if !field.path().is_empty() {
        let about = field.object_description().map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
        text += &format!("{}\n\n", about.unwrap_or_else(|| field.meaning()));
    }
    let rows: Vec<[String; 4]> = field.children().iter().map(|child| row(child, &path, objects)).collect();
    text + &table(["field", "type", "default", "meaning"], &rows)
}

/// A row for a field of the objects at a path.
fn row<'a>(field: &Field<'a>, path: &str, objects: &Objects<'a>) -> [String; 4] {
    let section = objects.section(field);
    // A value may be an object or a list of others, whose fields are shown as `[].name`.
    let name = code(field.path().strip_prefix(path).unwrap_or(field.path()).trim_start_matches('.'));
    let name = match &section {
        Some(path) => format!("[{name}](#{})", id(&format!("field-{path}"))),
        None => name,
    };
    let default = if field.required() { "required".to_owned() } else { field.default().unwrap_or_default() };
    let mut meaning = field.meaning();
    let stated = meaning.clone();
    let mut add = |more: String| {
        meaning.push(' ');
        meaning += &more;
    };
    let words = field.words();
    if !words.is_empty() {
        let word = |word: &evenkeel::definition::fields::Word| match word.meaning.is_empty() {
            true => code(&word.word),
            false => format!("{} ({})", code(&word.word), word.meaning.trim_end_matches('.')),
        };
        let start = if words.len() == 1 { "Always" } else { "One of" };
        add(format!("{start} {}.", words.iter().map(word).collect::<Vec<_>>().join(", ")));
    }
    if let Some(limits) = field.limits().filter(|limits| {
        // Many descriptions state the limits themselves.
        let last = limits.split(' ').find(|word| word.starts_with(|c: char| c.is_ascii_digit())).unwrap_or_default();
        !stated.contains("from `") && !stated.contains(&format!("from {last}"))
    }) {
        add(format!("{}{}.", limits[..1].to_uppercase(), &limits[1..]));
    }
    match (field.mark("x-evenkeel-ref").and_then(|mark| mark.parse::<Kind>().ok()), field.reference()) {
        (Some(kind), _) => add(format!("Refers to: [{kind}]({}).", file(kind))),
        (None, Some(reference)) => add(format!("Refers to: {reference}.")),
        (None, None) => {}
    }
    if let Some(format) = field.format() {
        add(format!("Format: {format}."));
    }
    if let Some(format) = field.key_format() {
        add(format!("Keys: {format}."));
    }
    if let Some(location) = field.template().and_then(FieldLocation::of_mark) {
        add(format!("Template: [{location}](templates.md#location-{location})."));
    }
    if let Some(path) = section.filter(|path| path != field.path() && !path.is_empty()) {
        add(format!("Its fields are those of `{path}`."));
    }
    [name, field.type_name(), default, meaning]
}

fn canonical_entities() -> String {
    let mut text =
        "## Canonical entities\n\nBuilt in. An Entity with `extends` adds fields, one with `canonicalName` adds an \
                    entity.\n\n"
            .to_owned();
    for entity in canonical::ALL {
        text += &format!("### {}\n\n", entity.name);
        if !entity.mappable {
            text += "Occurs within other entities; connectors cannot map records to it.\n\n";
        }
        let rows: Vec<[String; 3]> = entity
            .fields
            .iter()
            .map(|field| {
                let kind = match field.entity {
                    Some(entity) => format!("{} of {entity}", field.field_type.as_str()),
                    None => field.field_type.as_str().to_owned(),
                };
                let words = field.values.iter().map(|word| code(word)).collect::<Vec<_>>().join(", ");
                let notes = [if field.required { "required" } else { "" }.to_owned(), words];
                let notes: Vec<String> = notes.into_iter().filter(|note| !note.is_empty()).collect();
                [code(field.name), kind, notes.join("; ")]
            })
            .collect();
        text += &table(["field", "type", "notes"], &rows);
    }
    text
}

/// The fields that hold templates, by location, with the kind before the path.
pub fn fields_with_templates() -> BTreeMap<FieldLocation, Vec<String>> {
    let mut found: BTreeMap<FieldLocation, Vec<String>> = BTreeMap::new();
    for kind in Kind::ALL {
        let fields = KindFields::new(kind);
        for object in Objects::of(&fields.root()).order {
            for field in object.children() {
                if let Some(location) = field.template().and_then(FieldLocation::of_mark) {
                    found.entry(location).or_default().push(format!("{kind}.{}", field.path()));
                }
            }
        }
    }
    found
}

#[test]
fn a_page_has_each_field_once() {
    for kind in Kind::ALL {
        let fields = KindFields::new(kind);
        let root = fields.root();
        let objects = Objects::of(&root);
        let page = page(kind);
        let children: Vec<Field<'_>> = objects.order.iter().flat_map(Field::children).collect();
        let rows = page.split("## Canonical entities").next().unwrap().lines();
        let rows = rows.filter(|line| line.starts_with("| `") || line.starts_with("| [`")).count();
        assert_eq!(rows, children.len(), "{kind}");
        for field in children.iter().filter(|field| field.required()) {
            assert!(page.contains(&format!("`{}`", field.name())), "{kind}: {}", field.path());
        }
    }
    let page = page(Kind::Alert);
    assert!(page.contains("| `window` | duration | `5m` | Measurement window, from `1m` to `7d`. |"), "{page}");
    assert!(page.contains("| `threshold` | number | required | "), "{page}");
}
