//! Who is told of what happens in an environment.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::definition::common::SecretRef;

/// Someone who is told: exactly one of `webhook`, `slack`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["webhook"]}, {"required": ["slack"]}]))]
pub struct Notification {
    /// Its name.
    #[schemars(extend("x-evenkeel-type" = "name"))]
    pub name: String,
    /// What is told; everything where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<NotificationEvent>,
    /// JSON by POST, signed as Standard Webhooks says: `webhook-id`, `webhook-timestamp`, `webhook-signature`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookTarget>,
    /// A message in Slack's format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slack: Option<SlackTarget>,
}

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum NotificationEvent {
    /// A generation went live.
    Applied,
    /// A revision was refused, or cannot be had.
    Failed,
    /// It works again.
    Recovered,
    /// What serves is not what is declared.
    Drifted,
    /// A removal waits for approval.
    PruneBlocked,
    /// A plan waits for `evenkeel apply`, as everything does in `Manual`.
    AwaitingApproval,
}

/// Where a signed webhook goes.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhookTarget {
    /// Absolute URL.
    #[schemars(length(min = 8, max = 2048))]
    pub url: String,
    /// The secret that signs it.
    pub secret: SecretRef,
}

/// Where a Slack message goes.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SlackTarget {
    /// The incoming webhook's URL, which is a secret.
    pub url: SecretRef,
}
