//! `Widget`: what an end user sees of an integration: a card with its connectors, actions and forms.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::Image;
use super::form::Form;

/// A card in the hub.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WidgetSpec {
    /// Name on the card.
    #[schemars(length(min = 1, max = 255))]
    pub display_name: String,
    /// Short summary below the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// Images by theme, at most one each; the primary connector's where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub images: Vec<Image>,
    /// The connectors that the user must authenticate with; none for a widget of workflows only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub connectors: Vec<WidgetConnector>,
    /// Who sees it and what it shows.
    #[serde(default)]
    pub settings: WidgetSettings,
    /// Buttons, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub actions: Vec<WidgetAction>,
    /// Configuration forms by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "name"))]
    pub forms: BTreeMap<String, Box<Form>>,
    /// Numbers on the card.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 12))]
    pub metrics: Vec<Metric>,
    /// Texts in other languages, by locale (BCP 47).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub localization: BTreeMap<String, Box<WidgetTexts>>,
}

/// A connector that the user must authenticate with.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WidgetConnector {
    /// Name of the Connector.
    #[schemars(extend("x-evenkeel-ref" = "Connector"))]
    pub connector: String,
    /// Does it decide the first prompt? Needed on exactly one of several.
    #[serde(default)]
    pub primary: bool,
    /// Name shown here, where not the connector's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// What it is needed for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Image shown here, where not the connector's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "httpsUrl"))]
    pub image_url: Option<String>,
    /// Changes of the connector's authentication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<WidgetAuth>,
}

/// Changes of a connector's authentication, merged over it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WidgetAuth {
    /// The method a new connection starts with: one of the connector's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "AuthMethod"))]
    pub default: Option<String>,
    /// May the user choose another method? The connector's setting where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_switching: Option<bool>,
    /// Attributes merged over those of the default method, such as `scopes` of `oauth2`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-type" = "authAttributes"))]
    pub attributes: BTreeMap<String, serde_json::Value>,
}

/// Who sees a widget and what it shows.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WidgetSettings {
    /// The tenants that see it; all where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenants: Option<TenantSelection>,
    /// Show the log of past actions and events? `false` unless set.
    #[serde(default)]
    pub history_logs: bool,
    /// Hidden from end users, its configuration kept. `false` unless set.
    #[serde(default)]
    pub disabled: bool,
    /// The category of a disabled widget's data flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub data_flow_label: Option<String>,
    /// May a tenant have several connections? `false` unless set.
    #[serde(default)]
    pub multi_connection: bool,
}

/// Tenants by name: at most one of `only`, `except`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-evenkeel-atMostOne" = ["only", "except"]))]
pub struct TenantSelection {
    /// These and no others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-ref" = "Tenant"))]
    pub only: Vec<String>,
    /// All but these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-ref" = "Tenant"))]
    pub except: Vec<String>,
}

/// A button of a widget.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-evenkeel-atMostOne" = ["workflow", "action"]))]
pub struct WidgetAction {
    /// The button's label, unique within the widget.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// The workflow that it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Workflow"))]
    pub workflow: Option<String>,
    /// A connector's action that it runs, as `connector/action`, instead of a workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Action"))]
    pub action: Option<String>,
    /// The form that a Configuration action opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "LocalForm"))]
    pub form: Option<String>,
    /// When it is shown; `Always` unless set.
    #[serde(default)]
    pub visibility: Visibility,
    /// What it does to the widget's state; `None` unless set.
    #[serde(default, rename = "type")]
    pub action_type: WidgetActionType,
    /// Forwarded to the workflow as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "noTemplate"))]
    pub payload: Option<serde_json::Value>,
    /// The connectors that a MultiConnector action works on; all of the widget's where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-ref" = "WidgetConnector"))]
    pub connectors: Vec<String>,
    /// What the user reads afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<UserMessages>,
}

/// When an action is shown, by whether the user is authenticated and has configured the widget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Visibility {
    /// Always.
    #[default]
    Always,
    /// Not authenticated.
    PreAuth,
    /// Authenticated.
    PostAuth,
    /// Authenticated and configured.
    PostAuthConfigured,
    /// Not authenticated, and configured.
    PreAuthConfigured,
    /// Authenticated, and not configured.
    PostAuthNotConfigured,
    /// Neither authenticated nor configured.
    PreAuthNotConfigured,
}

impl Visibility {
    /// Is an action of this visibility shown in a state?
    pub fn shown(self, authenticated: bool, configured: bool) -> bool {
        match self {
            Visibility::Always => true,
            Visibility::PreAuth => !authenticated,
            Visibility::PostAuth => authenticated,
            Visibility::PostAuthConfigured => authenticated && configured,
            Visibility::PreAuthConfigured => !authenticated && configured,
            Visibility::PostAuthNotConfigured => authenticated && !configured,
            Visibility::PreAuthNotConfigured => !authenticated && !configured,
        }
    }
}

/// What an action does to the widget's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WidgetActionType {
    /// The widget becomes active, its connector connected.
    Activation,
    /// Opens a form; saving it makes the widget configured.
    Configuration,
    /// The widget becomes inactive, session data is cleared.
    Deactivation,
    /// One workflow over several of the widget's connectors.
    MultiConnector,
    /// Runs the workflow only.
    #[default]
    None,
}

/// What a user reads after an action.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserMessages {
    /// After success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success: Option<UserMessage>,
    /// After a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<UserMessage>,
}

/// A message and its header.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserMessage {
    /// Header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Text.
    pub message: String,
}

/// A number on the card.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metric {
    /// Name, unique within the widget.
    #[schemars(extend("x-evenkeel-type" = "name"))]
    pub name: String,
    /// What the user reads beside the number.
    #[schemars(length(min = 1, max = 255))]
    pub label: String,
    /// What is counted.
    pub measure: Measure,
    /// The workflow whose executions are counted; all of the widget's where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Workflow"))]
    pub workflow: Option<String>,
    /// Over what time, `30d` unless set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "1m", "x-evenkeel-max" = "365d"))]
    pub window: Option<super::common::Duration>,
}

/// What a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Measure {
    /// Executions.
    Executions,
    /// Executions that failed.
    Failures,
    /// Share of executions that succeeded.
    SuccessRate,
    /// When the last execution ended.
    LastRun,
    /// Records that executions reported.
    Records,
    /// Connections of the tenant.
    Connections,
}

/// Texts of a widget in one language.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WidgetTexts {
    /// Name on the card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Short summary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Labels of actions, by action name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "widgetAction"))]
    pub actions: BTreeMap<String, String>,
    /// Labels of metrics, by metric name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, String>,
}
