//! Connectors and their actions.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A connector that is live.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Connector {
    /// Name.
    pub name: String,
    /// Name for people.
    pub display_name: Option<String>,
    /// Description.
    pub description: Option<String>,
    /// URL of the application's API documentation.
    pub documentation_url: Option<String>,
    /// Domain of the application.
    pub domain: Option<String>,
    /// `External`, or `Internal` for one of your own systems.
    pub resource_type: String,
    /// Images, at most one for each theme.
    pub images: Vec<Image>,
    /// Names and descriptions in other languages, by language tag (BCP 47).
    pub localization: BTreeMap<String, Texts>,
    /// File and line of the definition.
    pub source: String,
    /// Its actions.
    pub actions: Vec<Action>,
}

/// An image of a connector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ConnectorImage")]
pub struct Image {
    /// URL.
    pub url: String,
    /// `Default`, `Light` or `Dark`.
    pub theme: String,
}

/// The texts of a connector in one language.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ConnectorLocalization")]
pub struct Texts {
    /// Name for people.
    pub display_name: Option<String>,
    /// Description.
    pub description: Option<String>,
    /// Titles of actions, by name.
    pub actions: BTreeMap<String, String>,
}

/// An action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// Name.
    pub name: String,
    /// Title for people.
    pub title: Option<String>,
    /// Description.
    pub description: Option<String>,
    /// The operation on its entity, such as `Create`.
    pub operation: Option<String>,
    /// The entity that it operates on.
    pub entity: Option<String>,
    /// Address to call with POST.
    pub url: String,
    /// Transport, such as `http`.
    pub transport: String,
    /// False if this version checks the transport and does not run it.
    pub runnable: bool,
    /// True if its calls are answered from its tests.
    pub mocked: bool,
    /// File and line of the definition.
    pub source: String,
    /// JSON Schema of the input.
    pub input: Option<Value>,
    /// JSON Schema of the output.
    pub output: Option<Value>,
    /// Path parameters, sent in the header `x-path-params`.
    pub path_params: Vec<PathParam>,
    /// Inputs of its tests.
    pub samples: Vec<Sample>,
}

/// A path parameter of an action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PathParam {
    /// Name.
    pub name: String,
    /// Description.
    pub description: Option<String>,
    /// False if it has a default.
    pub required: bool,
}

/// The input of a test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// Name of the test.
    pub name: String,
    /// Its input.
    pub input: Value,
    /// Its path parameters.
    pub path_params: BTreeMap<String, String>,
}
