//! The generated schemas, compiled into a tree that checks documents with positions.
//!
//! A JSON Schema validator stops at the shape of JSON: it knows neither lines nor what a field means. A [`Shape`] walks
//! a [`Node`] tree once and gives both: every mistake with its place and a "did you mean", and the [`Facts`] that later
//! stages work on (references, templates, values with a form of their own), told from the marks in the schema.

mod compile;
mod format;
mod walk;
mod words;

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;

use super::Kind;
use crate::text::{Code, Range};

pub use format::Format;
pub use walk::check;
pub(crate) use words::{listed, nearest};

/// The shapes of all kinds.
pub static SHAPES: LazyLock<Shapes> = LazyLock::new(compile::all);

/// Compiled shapes; each refers to its parts by index.
#[derive(Debug)]
pub struct Shapes {
    pub(super) shapes: Vec<Shape>,
    pub(super) roots: HashMap<Kind, usize>,
}

/// A compiled schema.
#[derive(Debug, Default)]
pub(super) struct Shape {
    pub(super) what: What,
    pub(super) nullable: bool,
    pub(super) reference: Option<RefKind>,
    pub(super) site: Option<&'static str>,
    pub(super) format: Option<Format>,
    /// The code of mistakes in a value whose shape says more than its type, such as a filter.
    pub(super) code: Option<&'static Code>,
    /// Shortest and longest duration in milliseconds.
    pub(super) duration: (Option<u64>, Option<u64>),
}

#[derive(Debug, Default)]
pub(super) enum What {
    #[default]
    Any,
    Bool,
    Integer {
        min: Option<i128>,
        max: Option<i128>,
    },
    Number {
        min: Option<f64>,
        max: Option<f64>,
    },
    Text {
        min: usize,
        max: usize,
        pattern: Option<Regex>,
    },
    Words(Vec<String>),
    List {
        items: usize,
        min: usize,
        max: usize,
    },
    Map {
        values: usize,
        keys: Option<Format>,
        words: Vec<String>,
        min: usize,
        max: usize,
    },
    Object(Fields),
    /// The first shape that takes the node's type.
    Union(Vec<usize>),
    /// Another shape, with the marks of this one.
    Same(usize),
}

#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) by_name: HashMap<String, usize>,
    pub(super) required: Vec<String>,
    pub(super) exactly_one: Vec<Vec<String>>,
    /// The code where not exactly one of those is given, if not the usual one.
    pub(super) one_code: Option<&'static Code>,
    pub(super) at_most_one: Vec<Vec<String>>,
    pub(super) not_empty: bool,
}

/// What a string refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefKind {
    /// A definition of a kind, by name.
    Definition(Kind),
    /// An action: `connector/action`, or `action` of the same connector.
    Action,
    /// An action, entity or authentication method of the same connector.
    LocalAction,
    /// See [`RefKind::LocalAction`].
    LocalEntity,
    /// See [`RefKind::LocalAction`].
    LocalAuthMethod,
    /// A form of the same widget.
    LocalForm,
    /// One of the same widget's connectors.
    WidgetConnector,
    /// An authentication method of the connector named beside it.
    AuthMethod,
    /// An event of the connector named beside it.
    Event,
    /// An action of the connector named beside it.
    UsedAction,
    /// A canonical entity, built in or an `Entity`.
    CanonicalEntity,
    /// A field of the canonical entity named above it.
    CanonicalField,
    /// A secret of the environments.
    Secret,
    /// A file beside the definition.
    File,
    /// A folder beside the definition.
    Folder,
}

/// What a document says, as far as later stages need to know it.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Strings that refer to something.
    pub references: Vec<Reference>,
    /// Strings that are templates.
    pub templates: Vec<TemplateUse>,
    /// Values with a form that is checked later.
    pub marked: Vec<Marked>,
}

/// A string that refers to something.
#[derive(Clone, Debug)]
pub struct Reference {
    /// To what.
    pub to: RefKind,
    /// The name as written.
    pub name: String,
    /// Where it stands in the document (RFC 6901).
    pub pointer: String,
    /// Where it stands in the file.
    pub span: Range,
}

/// A string that is a template.
#[derive(Clone, Debug)]
pub struct TemplateUse {
    /// The mark's word: `url`, `header`, `body` …
    pub site: &'static str,
    /// Where it stands in the document (RFC 6901).
    pub pointer: String,
}

/// A value with a form that is checked later.
#[derive(Clone, Debug)]
pub struct Marked {
    /// The form.
    pub format: Format,
    /// Where it stands in the document (RFC 6901).
    pub pointer: String,
}
