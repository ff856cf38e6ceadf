//! Versions of workflows.

use super::super::super::limits::unreadable;
use super::super::super::queue::Version;
use super::super::super::sql::{Connection, Row, query};
use super::super::super::{Micros, StoreError};
use crate::text::Digest;

/// Maximum number of versions that a list returns.
const MAX_VERSIONS: i64 = 10_000;
const COLUMNS: &str = "workflow, version, digest, generation, created_at";

/// The version of a workflow with a content; stored with the next number if it is new.
pub(super) async fn publish(
    connection: &mut dyn Connection,
    environment: &str,
    generation: u64,
    (workflow, digest, content): &(String, Digest, String),
    now: Micros,
) -> Result<Version, StoreError> {
    if let Some(version) = of_content(connection, environment, workflow, digest).await? {
        return Ok(version);
    }
    let statement = "INSERT INTO workflow_versions (environment, workflow, version, digest, generation, created_at, \
                     content) SELECT $1, $2, coalesce(max(version), 0) + 1, $3, $4, $5, $6 FROM workflow_versions \
                     WHERE environment = $1 AND workflow = $2 ON CONFLICT DO NOTHING";
    let generation = i64::try_from(generation).unwrap_or(i64::MAX);
    let statement = query(statement).bind(environment).bind(workflow).bind(digest.bytes().as_slice());
    statement.bind(generation).bind(now).bind(content).execute(connection).await?;
    let version = of_content(connection, environment, workflow, digest).await?;
    version.ok_or_else(|| StoreError::Unavailable("another process published versions at the same time".into()))
}

async fn of_content(
    connection: &mut dyn Connection,
    environment: &str,
    workflow: &str,
    digest: &Digest,
) -> Result<Option<Version>, StoreError> {
    let statement = format!(
        "SELECT {COLUMNS} FROM workflow_versions WHERE environment = $1 AND workflow = $2 AND digest = $3 \
         ORDER BY version LIMIT 1"
    );
    let statement = query(statement).bind(environment).bind(workflow).bind(digest.bytes().as_slice());
    statement.fetch_optional(connection).await?.as_ref().map(read).transpose()
}

/// All versions, by workflow and number.
pub(super) async fn list(connection: &mut dyn Connection, environment: &str) -> Result<Vec<Version>, StoreError> {
    let statement = format!(
        "SELECT {COLUMNS} FROM workflow_versions WHERE environment = $1 ORDER BY workflow, version LIMIT {MAX_VERSIONS}"
    );
    query(statement).bind(environment).fetch_all(connection).await?.iter().map(read).collect()
}

/// The content of a version.
pub(super) async fn content(
    connection: &mut dyn Connection,
    environment: &str,
    workflow: &str,
    version: i64,
) -> Result<Option<String>, StoreError> {
    let statement = "SELECT content FROM workflow_versions WHERE environment = $1 AND workflow = $2 AND version = $3";
    let row = query(statement).bind(environment).bind(workflow).bind(version).fetch_optional(connection).await?;
    row.map(|row| row.get("content")).transpose()
}

fn read(row: &Row) -> Result<Version, StoreError> {
    let digest: Vec<u8> = row.get("digest")?;
    Ok(Version {
        workflow: row.get("workflow")?,
        version: row.get("version")?,
        digest: Digest::from_bytes(&digest).ok_or_else(|| unreadable("a digest"))?,
        generation: row.get("generation")?,
        at: row.get("created_at")?,
    })
}
