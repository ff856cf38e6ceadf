//! Records: a connector's own and `Entity`, which extends or adds to the canonical data model.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::SchemaValue;

/// A record of a connector and how its fields map to a canonical entity. `#/entities/name` refers to it in schemas.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectorEntity {
    /// Name shown to people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// A sentence about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The canonical entity: one of the six, or an `Entity`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "CanonicalEntity"))]
    pub canonical: Option<String>,
    /// The field that identifies a record; `id` unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Fields by their name in the application.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 1000))]
    pub fields: BTreeMap<String, Box<ConnectorField>>,
}

/// A field of a connector's record.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectorField {
    /// Its type.
    #[serde(rename = "type")]
    pub field_type: FieldType,
    /// A sentence about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Is it always there? `false` unless set.
    #[serde(default)]
    pub required: bool,
    /// May it be null? `false` unless set.
    #[serde(default)]
    pub nullable: bool,
    /// Words that it may hold.
    #[serde(default, rename = "enum", skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// Schema of an `object` or of an `array`'s items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<SchemaValue>,
    /// The canonical field, dotted where it is inside another: `totals.total`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "CanonicalField"))]
    pub canonical: Option<String>,
    /// Where the value is in the native record, dotted with `[n]`; the field's name where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Changes of the value, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub transforms: Vec<Transform>,
    /// Conversion to the canonical field's type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coerce: Option<Coercion>,
    /// Canonical words by native ones; a word that is not listed is an error at run time.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values_map: BTreeMap<String, String>,
    /// Value where the record has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<super::Json>,
}

/// The type of a field, in the words of JSON Schema and its formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names are JSON Schema's")]
pub enum FieldType {
    String,
    Integer,
    Number,
    Boolean,
    Object,
    Array,
    Date,
    DateTime,
    /// Money: a string, never a float.
    Money,
}

impl FieldType {
    /// The word in the `type` field.
    pub fn as_str(self) -> &'static str {
        match self {
            FieldType::String => "string",
            FieldType::Integer => "integer",
            FieldType::Number => "number",
            FieldType::Boolean => "boolean",
            FieldType::Object => "object",
            FieldType::Array => "array",
            FieldType::Date => "date",
            FieldType::DateTime => "date-time",
            FieldType::Money => "money",
        }
    }
}

/// A change of a value: exactly one.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["upper"]}, {"required": ["lower"]}, {"required": ["trim"]}, {"required": ["concat"]},
    {"required": ["round"]}, {"required": ["multiply"]}, {"required": ["add"]}, {"required": ["coalesce"]}
]))]
pub struct Transform {
    /// Upper case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upper: Option<NoSettings>,
    /// Lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lower: Option<NoSettings>,
    /// Without white space at both ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trim: Option<NoSettings>,
    /// Joined with other fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concat: Option<Concat>,
    /// Rounded to a number of decimal places.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 15))]
    pub round: Option<u8>,
    /// Multiplied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multiply: Option<f64>,
    /// Added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add: Option<f64>,
    /// The first of these fields that is neither null nor empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub coalesce: Option<Vec<String>>,
}

/// No settings: `{}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NoSettings {}

/// Joined with other fields.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Concat {
    /// The other fields, in order.
    #[schemars(length(min = 1, max = 16))]
    pub fields: Vec<String>,
    /// Text between them; a space unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
}

/// How a native value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Coercion {
    /// By its type and form.
    Auto,
    /// A date: unix seconds (10 digits) or milliseconds (13), or ISO 8601.
    Date,
    /// `MM-DD-YYYY` or `MM/DD/YYYY`.
    DateMonthFirst,
    /// `DD-MM-YYYY`, `DD/MM/YYYY` or `DD.MM.YYYY`.
    DateDayFirst,
    /// A number: `1,234.56`, `$1,234.56`.
    Number,
    /// A number with a decimal comma: `1.234,56`.
    NumberDecimalComma,
    /// `true`/`yes`/`1`/`on` or `false`/`no`/`0`/`off`.
    Boolean,
    /// Money as a string: symbol stripped, decimal point.
    Money,
    /// A string.
    String,
}

/// `Entity`: extends a canonical entity, or adds one of your own.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["extends"]}, {"required": ["canonicalName"]}]))]
pub struct EntitySpec {
    /// Name shown to people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// A sentence about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The canonical entity that gets further fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "CanonicalEntity"))]
    pub extends: Option<String>,
    /// The UpperCamelCase name of a new canonical entity.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[A-Z][A-Za-z0-9]{0,62}$"))]
    pub canonical_name: Option<String>,
    /// Further fields by name.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 1000, "x-evenkeel-keys" = "identifier"))]
    pub fields: BTreeMap<String, CanonicalField>,
}

/// A field of a canonical entity.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CanonicalField {
    /// Its type.
    #[serde(rename = "type")]
    pub field_type: FieldType,
    /// A sentence about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Is it always there? `false` unless set.
    #[serde(default)]
    pub required: bool,
    /// Words that it may hold.
    #[serde(default, rename = "enum", skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// The canonical entity that an `object`, or an `array`'s items, is one of.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "CanonicalEntity"))]
    pub entity: Option<String>,
}
