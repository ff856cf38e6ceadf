//! `Widget`: an integration as end users see it: a card with connectors, actions and forms.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::Image;
use super::form::Form;

/// A card of the integration hub.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-evenkeel-planned" = {"instead": "no hub displays it, and its buttons run nothing", "remedy": "start its workflows through the API until then"}))]
pub struct WidgetSpec {
    /// Name on the card.
    #[schemars(length(min = 1, max = 255))]
    pub display_name: String,
    /// Short summary below the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// Images, at most one per theme. Default: the images of the primary connector.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub images: Vec<Image>,
    /// Connectors that the user must authenticate with. Empty for a widget that only runs workflows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub connectors: Vec<WidgetConnector>,
    /// Audience and display settings.
    #[serde(default)]
    pub settings: WidgetSettings,
    /// Buttons, in display order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub actions: Vec<WidgetAction>,
    /// Configuration forms by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "name"))]
    pub forms: BTreeMap<String, Box<Form>>,
    /// Metrics on the card.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 12))]
    pub metrics: Vec<Metric>,
    /// Texts in other languages, by locale (BCP 47).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-keys" = "locale"))]
    pub localization: BTreeMap<String, Box<WidgetTexts>>,
}

/// A connector that the user must authenticate with.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WidgetConnector {
    /// Name of the Connector.
    #[schemars(extend("x-evenkeel-ref" = "Connector"))]
    pub connector: String,
    /// Marks the connector that determines the first prompt. With several connectors, exactly one must be primary.
    /// Default: `false`.
    #[serde(default)]
    pub primary: bool,
    /// Display name in this widget. Default: the name of the connector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Purpose of the connector in this widget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Image in this widget. Default: the image of the connector.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "httpsUrl"))]
    pub image_url: Option<String>,
    /// Changes of the connector's authentication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<WidgetAuth>,
}

/// Changes that are merged into the authentication of a connector.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WidgetAuth {
    /// Method of new connections: one of the connector's methods. Default: the connector's default method.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "AuthMethod"))]
    pub default: Option<String>,
    /// Allows users to choose another method. Default: the setting of the connector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_switching: Option<bool>,
    /// Attributes that are merged into those of the default method, such as `scopes` of `oauth2`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-evenkeel-type" = "authAttributes"))]
    pub attributes: BTreeMap<String, serde_json::Value>,
}

/// The audience and the display settings of a widget.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WidgetSettings {
    /// Tenants that see the widget. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenants: Option<TenantSelection>,
    /// Shows the history of actions and events. Default: `false`.
    #[serde(default)]
    pub history_logs: bool,
    /// Hides the widget from end users and keeps its configuration. Default: `false`.
    #[serde(default)]
    pub disabled: bool,
    /// Category of the data flow of a disabled widget.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub data_flow_label: Option<String>,
    /// Allows several connections per tenant. Default: `false`.
    #[serde(default)]
    pub multi_connection: bool,
}

/// A selection of tenants by name. Set at most one of `only`, `except`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-evenkeel-atMostOne" = ["only", "except"]))]
pub struct TenantSelection {
    /// Only these tenants.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-ref" = "Tenant"))]
    pub only: Vec<String>,
    /// All tenants except these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-ref" = "Tenant"))]
    #[schemars(extend("examples" = [["acme"]]))]
    pub except: Vec<String>,
}

/// A button of a widget. Set at most one of `workflow`, `action`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-evenkeel-atMostOne" = ["workflow", "action"]))]
pub struct WidgetAction {
    /// Label of the button, unique within the widget.
    #[schemars(length(min = 1, max = 255))]
    pub name: String,
    /// Workflow to start.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Workflow"))]
    pub workflow: Option<String>,
    /// Action to call instead of a workflow, as `CONNECTOR/ACTION`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Action"))]
    #[schemars(extend("examples" = ["orbit-crm/list-contacts"]))]
    pub action: Option<String>,
    /// Form to open, for the type `Configuration`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "LocalForm"))]
    pub form: Option<String>,
    /// State of the widget in which the button is displayed. Default: `Always`.
    #[serde(default)]
    pub visibility: Visibility,
    /// Effect on the state of the widget. Default: `None`.
    #[serde(default, rename = "type")]
    pub action_type: WidgetActionType,
    /// Payload that is passed to the workflow unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-type" = "noTemplate"))]
    pub payload: Option<serde_json::Value>,
    /// Connectors that an action of the type `MultiConnector` uses. Default: all connectors of the widget.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-evenkeel-ref" = "WidgetConnector"))]
    #[schemars(extend("examples" = [["orbit-crm"]]))]
    pub connectors: Vec<String>,
    /// Messages for the user after the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<UserMessages>,
}

/// The state of a widget in which a button is displayed: authenticated or not, configured or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Visibility {
    /// In every state.
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
    /// True if a button is displayed in a state.
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

/// The effect of a button on the state of the widget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WidgetActionType {
    /// Connects the connector and activates the widget.
    Activation,
    /// Opens a form. The widget is configured when the form is saved.
    Configuration,
    /// Deactivates the widget and clears session data.
    Deactivation,
    /// Runs one workflow with several connectors of the widget.
    MultiConnector,
    /// Runs the workflow without a change of state.
    #[default]
    None,
}

/// The messages after an action.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserMessages {
    /// Message after success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success: Option<UserMessage>,
    /// Message after a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<UserMessage>,
}

/// A message with a header.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserMessage {
    /// Header of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Text of the message.
    pub message: String,
}

/// A metric on the card.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metric {
    /// Name of the metric, unique within the widget.
    #[schemars(extend("x-evenkeel-type" = "name"))]
    pub name: String,
    /// Label of the metric.
    #[schemars(length(min = 1, max = 255))]
    pub label: String,
    /// Measured value.
    pub measure: Measure,
    /// Workflow whose executions are counted. Default: all workflows of the widget.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-ref" = "Workflow"))]
    pub workflow: Option<String>,
    /// Measurement period, from `1m` to `365d`. Default: `30d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-evenkeel-min" = "1m", "x-evenkeel-max" = "365d"))]
    pub window: Option<super::common::Duration>,
}

/// The value that a metric measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Measure {
    /// Number of executions.
    Executions,
    /// Number of failed executions.
    Failures,
    /// Share of successful executions.
    SuccessRate,
    /// Time at which the last execution ended.
    LastRun,
    /// Number of records that executions reported.
    Records,
    /// Number of connections of the tenant.
    Connections,
}

/// The texts of a widget in one language.
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
