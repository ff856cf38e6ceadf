//! Record types of connectors, and `Entity`, which extends the canonical data model.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::SchemaValue;

/// A record type of a connector and the mapping of its fields to a canonical entity. Schemas refer to it as
/// `#/entities/NAME`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectorEntity {
    /// Display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Short description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Canonical entity that the record maps to: a built-in one or the name of an `Entity`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "CanonicalEntity"))]
    pub canonical: Option<String>,
    /// Field that identifies a record. Default: `id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Fields by their name in the application.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 1000))]
    pub fields: BTreeMap<String, Box<ConnectorField>>,
}

/// A field of a record type.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectorField {
    /// Type of the field.
    #[serde(rename = "type")]
    pub field_type: FieldType,
    /// Short description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// True if the field is present in every record. Default: `false`.
    #[serde(default)]
    pub required: bool,
    /// True if the value may be null. Default: `false`.
    #[serde(default)]
    pub nullable: bool,
    /// Allowed values. Default: any.
    #[serde(default, rename = "enum", skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// JSON Schema of an `object`, or of the items of an `array`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<SchemaValue>,
    /// Canonical field that the value maps to. A nested field is a dotted path, such as `totals.total`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "CanonicalField"))]
    pub canonical: Option<String>,
    /// Path of the value in the native record, such as `properties.emails[0]`. Default: the name of the field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Transformations of the value, applied in order. A value that one of them cannot take is an error at run time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub transforms: Vec<Transform>,
    /// Conversion of the value to the type of the canonical field, after `transforms` and `valuesMap`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coerce: Option<Coercion>,
    /// Canonical values by native value, after `transforms`. A value that is not listed is an error at run time.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values_map: BTreeMap<String, String>,
    /// Default value, if the record has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<super::Json>,
}

/// The type of a field, named after the types and formats of JSON Schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names are those of JSON Schema")]
pub enum FieldType {
    String,
    Integer,
    Number,
    Boolean,
    Object,
    Array,
    Date,
    DateTime,
    /// An amount of money, as a string and never as a float.
    Money,
}

impl FieldType {
    /// The name of the type in definitions.
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

/// A transformation of a value. Set exactly one field.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["upper"]}, {"required": ["lower"]}, {"required": ["trim"]}, {"required": ["concat"]},
    {"required": ["round"]}, {"required": ["multiply"]}, {"required": ["add"]}, {"required": ["coalesce"]}
]))]
pub struct Transform {
    /// Converts to upper case.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{}]))]
    pub upper: Option<NoSettings>,
    /// Converts to lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lower: Option<NoSettings>,
    /// Removes white space at both ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trim: Option<NoSettings>,
    /// Joins the value with the native values of other fields. Empty values are omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"fields": ["first", "last"], "separator": " "}]))]
    pub concat: Option<Concat>,
    /// Rounds to a number of decimal places. Halves are rounded away from zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 15))]
    #[schemars(extend("examples" = [2]))]
    pub round: Option<u8>,
    /// Multiplies by a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [0.01]))]
    pub multiply: Option<f64>,
    /// Adds a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [1.0]))]
    pub add: Option<f64>,
    /// Takes the native value of the first of these fields that is neither null nor empty, or else keeps the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[schemars(extend("examples" = [["mobile", "phone"]]))]
    pub coalesce: Option<Vec<String>>,
}

/// An object without settings: `{}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NoSettings {}

/// Joins the value with other fields.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Concat {
    /// Names of the other fields, in order.
    #[schemars(length(min = 1, max = 16))]
    pub fields: Vec<String>,
    /// Separator. Default: a space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
}

/// The conversion of a native value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Coercion {
    /// Detects the conversion from the type and the format of the value.
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

/// An extension of a canonical entity, or a new canonical entity. Set exactly one of `extends`, `canonicalName`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["extends"]}, {"required": ["canonicalName"]}]))]
pub struct EntitySpec {
    /// Display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Short description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Canonical entity to extend.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "CanonicalEntity"))]
    pub extends: Option<String>,
    /// Name of a new canonical entity, in UpperCamelCase. Example: `Subscription`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[A-Z][A-Za-z0-9]{0,62}$"))]
    pub canonical_name: Option<String>,
    /// Additional fields by name.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 1000, "x-evenkeel-keys" = "identifier"))]
    pub fields: BTreeMap<String, CanonicalField>,
}

/// A field of a canonical entity.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CanonicalField {
    /// Type of the field.
    #[serde(rename = "type")]
    pub field_type: FieldType,
    /// Short description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// True if the field is present in every record. Default: `false`.
    #[serde(default)]
    pub required: bool,
    /// Allowed values. Default: any.
    #[serde(default, rename = "enum", skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// Canonical entity of an `object`, or of the items of an `array`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "CanonicalEntity"))]
    pub entity: Option<String>,
}
