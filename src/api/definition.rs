//! Definitions that are live, with their origins.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Time, schema};
use crate::store::manifest;
use crate::text::Digest;

/// A definition that is live.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    /// Kind and name, as `Kind/name`.
    pub id: String,
    /// Identity that stays the same across changes and moves.
    pub uid: String,
    /// Owner.
    pub owner: Owner,
    /// File that declares it.
    pub file: String,
    /// Line of its name in the file, from 1.
    pub line: u32,
    /// Files of overlays that change it.
    pub overlays: Vec<String>,
    /// Digest of its content, which is also its `ETag`.
    #[schemars(schema_with = "schema::digest")]
    pub digest: Digest,
    /// Number of the generation that serves.
    pub generation: Option<u64>,
    /// The document as it serves; only for one definition, not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<Value>,
}

/// Owner of a definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "by")]
pub enum Owner {
    /// A source: read-only through the API.
    Source {
        /// Name of the source.
        source: String,
        /// Revision that contains this content.
        revision: String,
    },
    /// It was written through the API.
    Api {
        /// The person or program that wrote it.
        who: String,
        /// Time of the write.
        at: Option<Time>,
        /// Reason in the writer's words.
        reason: Option<String>,
        /// End of its time as an override of the source's definition; null for other definitions.
        until: Option<Time>,
    },
}

impl From<&manifest::Owner> for Owner {
    fn from(owner: &manifest::Owner) -> Owner {
        match owner {
            manifest::Owner::Source { source, revision } => {
                Owner::Source { source: source.clone(), revision: revision.clone() }
            }
            manifest::Owner::Api { who, at, reason, until } => Owner::Api {
                who: who.clone(),
                at: Time::of(*at),
                reason: reason.clone(),
                until: until.and_then(Time::of),
            },
        }
    }
}
