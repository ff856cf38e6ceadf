//! Configuration forms of a widget.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A form that an end user fills in.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Form {
    /// Title above the form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// A sentence below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Fields, in order.
    #[schemars(length(min = 1, max = 200))]
    pub fields: Vec<FormField>,
    /// The workflow that runs when the form is saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Workflow"))]
    pub on_save: Option<String>,
}

/// A field of a form.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FormField {
    /// Name of the value, unique within the form.
    #[schemars(extend("x-evenkeel-type" = "identifier"))]
    pub name: String,
    /// What the user reads beside it.
    #[schemars(length(min = 1, max = 255))]
    pub label: String,
    /// A sentence below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How it is entered.
    #[serde(rename = "type")]
    pub field_type: FormFieldType,
    /// Must it be filled in? `false` unless set.
    #[serde(default)]
    pub required: bool,
    /// What it starts with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<super::Json>,
    /// Text in an empty field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<String>,
    /// Not shown. `false` unless set.
    #[serde(default)]
    pub hidden: bool,
    /// Shown and fixed. `false` unless set.
    #[serde(default)]
    pub disabled: bool,
    /// Shown only where all of these hold, by the name of another field.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub visible_when: super::event::Filter,
    /// What may be chosen: for Select, MultiSelect and Mapping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<FieldOptions>,
    /// The file picker: for Files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picker: Option<Picker>,
    /// The two sides: for Mapping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping: Option<Mapping>,
    /// Rules for the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
}

/// How a field is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub enum FormFieldType {
    Text,
    TextArea,
    Password,
    Number,
    Checkbox,
    Date,
    DateTime,
    Time,
    Email,
    Url,
    Select,
    MultiSelect,
    Files,
    Mapping,
}

/// What may be chosen: a list, or an object that tells where the list comes from.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FieldOptions {
    /// A list.
    Static(#[schemars(length(min = 1, max = 1000))] Vec<StaticOption>),
    /// From an action.
    Dynamic(DynamicOptions),
}

/// A value and its label.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StaticOption {
    /// The value.
    pub value: super::event::Scalar,
    /// What the user reads.
    pub label: String,
}

/// Options from an action's output.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DynamicOptions {
    /// The action, as `connector/action`.
    #[schemars(extend("x-evenkeel-ref" = "Action"))]
    pub action: String,
    /// Its input: a tree of templates that may use `form.field`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "form"))]
    pub input: Option<super::Json>,
    /// Where the list is in the output, dotted; the output itself where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<String>,
    /// The member of an item that is the value.
    pub value: String,
    /// The member of an item that the user reads.
    pub label: String,
    /// Items of a page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<u32>,
    /// The input that takes what the user types, for long lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
}

/// A file picker.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Picker {
    /// Whose files.
    pub provider: PickerProvider,
    /// MIME types that may be chosen; all where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub file_types: Vec<String>,
    /// Several files? `false` unless set.
    #[serde(default)]
    pub multiple: bool,
}

/// Whose files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names say it")]
pub enum PickerProvider {
    GoogleDrive,
    Dropbox,
    OneDrive,
}

/// Which field of one side goes to which of the other.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mapping {
    /// The fields to map from.
    pub source: FieldOptions,
    /// The fields to map to.
    pub target: FieldOptions,
    /// May the user rename keys? `false` unless set.
    #[serde(default)]
    pub keys_editable: bool,
    /// May the user add fields? `false` unless set.
    #[serde(default)]
    pub add_fields: bool,
}

/// Rules for a value.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Validation {
    /// Shortest text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u32>,
    /// Longest text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u32>,
    /// Smallest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    /// Largest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum: Option<f64>,
    /// A regular expression that matches in linear time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "regex"))]
    pub pattern: Option<String>,
    /// What the user reads where the value does not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
