//! Notifications about events of an environment.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::definition::common::SecretRef;

/// A recipient of notifications. Set exactly one of `webhook`, `slack`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["webhook"]}, {"required": ["slack"]}]))]
pub struct Notification {
    /// Name of the recipient.
    #[schemars(extend("x-evenkeel-type" = "name"))]
    pub name: String,
    /// Events to send. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<NotificationEvent>,
    /// Sends JSON by POST, signed as defined by Standard Webhooks in the headers `webhook-id`, `webhook-timestamp` and
    /// `webhook-signature`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookTarget>,
    /// Sends a message to Slack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slack: Option<SlackTarget>,
}

/// An event of an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum NotificationEvent {
    /// A generation was activated.
    Applied,
    /// A revision was rejected or could not be fetched.
    Failed,
    /// Reconciliation succeeded after a failure.
    Recovered,
    /// The active definitions differ from the declared ones.
    Drifted,
    /// A removal of definitions requires approval.
    PruneBlocked,
    /// A plan requires `evenkeel apply`, as every plan does in the mode `Manual`.
    AwaitingApproval,
    /// A secret that live definitions reference cannot be resolved.
    SecretsUnresolved,
    /// All secrets that live definitions reference can be resolved again.
    SecretsResolved,
    /// The probe of a connector fails.
    ConnectorsUnhealthy,
    /// The probes of all connectors succeed again.
    ConnectorsHealthy,
}

/// The target of a signed webhook.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhookTarget {
    /// Absolute URL of the receiver.
    #[schemars(length(min = 8, max = 2048))]
    pub url: String,
    /// Secret that signs the webhook.
    pub secret: SecretRef,
}

/// The target of a Slack message.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SlackTarget {
    /// URL of the incoming webhook, which is a secret.
    pub url: SecretRef,
}
