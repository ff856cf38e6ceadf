//! Configuration forms of a widget.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A form that an end user fills in.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Form {
    /// Title of the form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Description below the title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Fields, in display order.
    #[schemars(length(min = 1, max = 200))]
    pub fields: Vec<FormField>,
    /// Workflow to start when the form is saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Workflow"))]
    pub on_save: Option<String>,
}

/// A field of a form.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FormField {
    /// Name of the field, unique within the form.
    #[schemars(extend("x-evenkeel-type" = "identifier"))]
    pub name: String,
    /// Label of the field.
    #[schemars(length(min = 1, max = 255))]
    pub label: String,
    /// Description below the title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Input type.
    #[serde(rename = "type")]
    pub field_type: FormFieldType,
    /// Requires a value. Default: `false`.
    #[serde(default)]
    pub required: bool,
    /// Initial value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<super::Json>,
    /// Placeholder text of an empty field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<String>,
    /// Hides the field. Default: `false`.
    #[serde(default)]
    #[schemars(extend("examples" = [true]))]
    pub hidden: bool,
    /// Makes the field read-only. Default: `false`.
    #[serde(default)]
    #[schemars(extend("examples" = [true]))]
    pub disabled: bool,
    /// Conditions on other fields, by field name. The field is displayed only if all hold.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub visible_when: super::event::Filter,
    /// Options of the field, for the types `Select`, `MultiSelect` and `Mapping`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<FieldOptions>,
    /// File picker, for the type `Files`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picker: Option<Picker>,
    /// Fields to map, for the type `Mapping`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping: Option<Mapping>,
    /// Validation of the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
}

/// The input type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names are self-explanatory")]
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

/// The options of a field: a list, or an object that describes the source of the list.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FieldOptions {
    /// Fixed list.
    Static(#[schemars(length(min = 1, max = 1000))] Vec<StaticOption>),
    /// Output of an action.
    Dynamic(DynamicOptions),
}

/// An option with its label.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StaticOption {
    /// Value of the option.
    pub value: super::event::Scalar,
    /// Displayed label.
    pub label: String,
}

/// Options from the output of an action.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DynamicOptions {
    /// Action to call, as `CONNECTOR/ACTION`.
    #[schemars(extend("x-evenkeel-ref" = "Action"))]
    pub action: String,
    /// Input of the action: a tree whose strings are templates. They may use `form.FIELD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-template" = "form"))]
    pub input: Option<super::Json>,
    /// Dotted path of the list in the output. Default: the output itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<String>,
    /// Name of the item's member that contains the value.
    pub value: String,
    /// Name of the item's member that contains the label.
    pub label: String,
    /// Number of items per page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<u32>,
    /// Name of the input field that takes the user's search text, for long lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
}

/// A file picker.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Picker {
    /// Provider of the files.
    pub provider: PickerProvider,
    /// Selectable MIME types. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub file_types: Vec<String>,
    /// Allows several files. Default: `false`.
    #[serde(default)]
    pub multiple: bool,
}

/// Provider of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names are self-explanatory")]
pub enum PickerProvider {
    GoogleDrive,
    Dropbox,
    OneDrive,
}

/// A mapping between two sets of fields.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mapping {
    /// Source fields.
    pub source: FieldOptions,
    /// Target fields.
    pub target: FieldOptions,
    /// Allows the user to rename keys. Default: `false`.
    #[serde(default)]
    pub keys_editable: bool,
    /// Allows the user to add fields. Default: `false`.
    #[serde(default)]
    pub add_fields: bool,
}

/// The validation of a value.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Validation {
    /// Minimum length of the text, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u32>,
    /// Maximum length of the text, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u32>,
    /// Minimum value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [0.0]))]
    pub minimum: Option<f64>,
    /// Maximum value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [100.0]))]
    pub maximum: Option<f64>,
    /// Regular expression that the text must match. Look-around and back references are not supported.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "regex"))]
    pub pattern: Option<String>,
    /// Message for the user if the value is invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
