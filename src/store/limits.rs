//! Limits of the size of stored values and of the duration of calls.

use std::future::Future;
use std::time::Duration;

use serde_json::Value;

use super::{Activation, CredentialId, StoreError};

/// Maximum duration of one call, including the wait for a connection. The server's own limits are shorter; this one
/// ends calls on a connection that no longer responds.
const CALL: Duration = Duration::from_mins(2);
/// Maximum wait for a connection.
pub(super) const ACQUIRE: Duration = Duration::from_secs(10);
/// Maximum number of rows of one statement. At 6 parameters each they stay below SQLite's 32,766 and PostgreSQL's
/// 65,535.
pub(super) const BATCH_ROWS: usize = 1_000;
/// Maximum size of the contents of one statement, in bytes.
pub(super) const BATCH_BYTES: usize = 8 << 20;
/// Maximum number of rows that one retention statement deletes.
pub(super) const MAX_DELETED_ROWS: i64 = 5_000;
/// Number of audit lines that are kept for each environment.
pub(super) const KEPT_AUDITS: i64 = 10_000;
/// Maximum number of rows of one list.
pub(super) const MAX_ROWS: u32 = 10_000;
/// Maximum duration of a lease, in seconds.
pub(super) const MAX_LEASE_SECONDS: u32 = 24 * 3600;
/// Time after its last report during which a process counts as alive, in microseconds.
pub(super) const ALIVE: i64 = 30_000_000;

const MAX_NAME_BYTES: usize = 512;
const MAX_OBJECT_BYTES: usize = 64 << 20;
const MAX_TEXT_BYTES: usize = 16 << 20;
const MAX_DETAILS_BYTES: usize = 256 << 10;
const MAX_CREDENTIAL_BYTES: usize = 256 << 10;

/// Runs a call with the time limit.
pub(super) async fn bounded<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    within(CALL, call).await
}

async fn within<T>(limit: Duration, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match tokio::time::timeout(limit, call).await {
        Ok(result) => result,
        Err(_) => Err(StoreError::Unavailable(format!("no response within {} seconds", limit.as_secs()))),
    }
}

/// Refuses names that are too long, or that PostgreSQL cannot store.
pub(super) fn names(names: &[&str]) -> Result<(), StoreError> {
    match names.iter().find(|name| name.len() > MAX_NAME_BYTES || name.contains('\0')) {
        Some(_) => Err(StoreError::Refused("a name is longer than 512 bytes or contains a zero byte".to_owned())),
        None => Ok(()),
    }
}

pub(super) fn credential_name(id: &CredentialId) -> Result<(), StoreError> {
    names(&[&id.environment, &id.tenant, &id.name])
}

pub(super) fn credential_value(bytes: &[u8]) -> Result<(), StoreError> {
    at_most("a credential", bytes.len(), MAX_CREDENTIAL_BYTES)
}

pub(super) fn object(bytes: &[u8]) -> Result<(), StoreError> {
    at_most("an object", bytes.len(), MAX_OBJECT_BYTES)
}

/// Refuses a state that is too large.
pub(super) fn state(value: &Value) -> Result<String, StoreError> {
    let text = value.to_string();
    at_most("a state", text.len(), MAX_TEXT_BYTES).map(|()| text)
}

/// Refuses details of an audit line that are too large.
pub(super) fn details(value: &Value) -> Result<String, StoreError> {
    let text = value.to_string();
    at_most("the details of an audit line", text.len(), MAX_DETAILS_BYTES).map(|()| text)
}

pub(super) fn activation(activation: &Activation) -> Result<(), StoreError> {
    names(&[&activation.environment, &activation.actor])?;
    let ids: Vec<&str> = activation.tombstones.iter().map(|tombstone| tombstone.id.as_str()).collect();
    names(&ids)
}

fn at_most(what: &str, bytes: usize, limit: usize) -> Result<(), StoreError> {
    match bytes <= limit {
        true => Ok(()),
        false => Err(StoreError::Refused(format!("{what} of {bytes} bytes exceeds the limit of {limit}"))),
    }
}

/// A generation's number as databases store it.
pub(super) fn signed(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Refused(format!("no generation can have the number {number}")))
}

/// The error for stored data that Evenkeel did not write.
pub(super) fn unreadable(what: &str) -> StoreError {
    StoreError::Refused(format!("cannot read {what}: it was not written by Evenkeel; restore a backup"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oversized_values_are_refused_before_they_are_sent() {
        assert!(names(&["live", &"a".repeat(512)]).is_ok());
        assert!(names(&["live", &"a".repeat(513)]).is_err());
        assert!(names(&["a\0b"]).is_err());
        assert!(credential_value(&vec![0; MAX_CREDENTIAL_BYTES]).is_ok());
        assert!(credential_value(&vec![0; MAX_CREDENTIAL_BYTES + 1]).is_err());
        assert!(details(&Value::String("a".repeat(MAX_DETAILS_BYTES))).is_err());
        assert!(state(&Value::String("a".repeat(MAX_TEXT_BYTES))).is_err());
        assert!(object(&vec![0; MAX_OBJECT_BYTES + 1]).is_err());
        assert!(signed(u64::MAX).is_err());
    }

    #[tokio::test]
    async fn a_call_ends_even_if_the_database_does_not_respond() {
        let result = within(Duration::from_millis(1), std::future::pending::<Result<(), StoreError>>()).await;
        assert!(matches!(result, Err(StoreError::Unavailable(_))));
    }
}
