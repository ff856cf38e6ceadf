//! The facts of a document: references, templates and formatted values.

use super::format::ValueFormat;
use crate::definition::Kind;
use crate::definition::planned::Planned;
use crate::text::Range;

/// The target of a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReferenceKind {
    /// A definition of a kind, by name.
    Definition(Kind),
    /// An action: `CONNECTOR/ACTION`, or `ACTION` of the same connector.
    Action,
    /// An action of the same connector.
    LocalAction,
    /// An entity of the same connector.
    LocalEntity,
    /// An authentication method of the same connector.
    LocalAuthMethod,
    /// A form of the same widget.
    LocalForm,
    /// A connector of the same widget.
    WidgetConnector,
    /// An authentication method of the connector in the same object.
    AuthMethod,
    /// An event of the connector in the same object.
    Event,
    /// An action of the connector in the same object.
    UsedAction,
    /// A canonical entity, built in or declared by an `Entity`.
    CanonicalEntity,
    /// A field of the canonical entity of the enclosing record type.
    CanonicalField,
    /// A secret of the environments.
    Secret,
    /// A file, relative to the definition.
    File,
    /// A folder, relative to the definition.
    Folder,
}

/// The facts of a document that later stages need.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// References to definitions and their parts.
    pub references: Vec<Reference>,
    /// Templates.
    pub templates: Vec<TemplateUse>,
    /// Values with a format that a later stage validates.
    pub formatted: Vec<FormattedValue>,
    /// Uses of fields and kinds that are accepted and not in effect; the outermost of nested ones.
    pub planned: Vec<PlannedUse>,
}

/// A use of a field or kind that is accepted and not in effect.
#[derive(Clone, Debug)]
pub struct PlannedUse {
    /// The mark.
    pub planned: Planned<'static>,
    /// JSON pointer of the value in the document (RFC 6901).
    pub pointer: String,
}

/// A reference.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The type of the target.
    pub to: ReferenceKind,
    /// The name as written.
    pub name: String,
    /// JSON pointer of the value in the document (RFC 6901).
    pub pointer: String,
    /// Position in the file.
    pub span: Range,
}

/// A template.
#[derive(Clone, Debug)]
pub struct TemplateUse {
    /// The location named by the mark: `url`, `header`, `body` …
    pub location: &'static str,
    /// JSON pointer of the value in the document (RFC 6901).
    pub pointer: String,
}

/// A value with a format that a later stage validates.
#[derive(Clone, Debug)]
pub struct FormattedValue {
    /// The format.
    pub format: ValueFormat,
    /// JSON pointer of the value in the document (RFC 6901).
    pub pointer: String,
}
