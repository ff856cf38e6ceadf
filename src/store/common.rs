//! What both databases share: counters, limits, and how long anything may take.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use super::{Activation, CredentialId, Keys, StoreError};

/// How long one call may take, waiting included. The server's own limits are shorter; this one is for a connection
/// that went silent.
const CALL: Duration = Duration::from_mins(2);
/// How long to wait for a connection.
pub(super) const ACQUIRE: Duration = Duration::from_secs(10);
/// Rows of one statement: at most 6 parameters each, where SQLite takes 32,766 and PostgreSQL 65,535.
pub(super) const BATCH_ROWS: usize = 1_000;
/// Bytes of the contents of one statement.
pub(super) const BATCH_BYTES: usize = 8 << 20;
/// Lines of the record that are kept for each environment.
pub(super) const KEPT_AUDITS: i64 = 10_000;
/// Rows that one list gives.
pub(super) const MAX_ROWS: u32 = 10_000;
/// How long a lease may be asked for, in seconds.
pub(super) const MAX_LEASE_SECONDS: u32 = 24 * 3600;
/// How long after its last report a process counts as living, in microseconds.
pub(super) const ALIVE: i64 = 30_000_000;

const MAX_NAME_BYTES: usize = 512;
const MAX_OBJECT_BYTES: usize = 64 << 20;
const MAX_TEXT_BYTES: usize = 16 << 20;
const MAX_DETAILS_BYTES: usize = 256 << 10;
const MAX_CREDENTIAL_BYTES: usize = 256 << 10;

/// Of one open store.
#[derive(Debug)]
pub(super) struct Common {
    pub keys: Keys,
    writes: AtomicU64,
    /// Which tenant was served last, by environment and priority.
    turns: Mutex<HashMap<String, HashMap<i64, String>>>,
    changes: watch::Sender<u64>,
}

impl Common {
    pub(super) fn new(keys: Keys) -> Common {
        Common { keys, writes: AtomicU64::new(0), turns: Mutex::default(), changes: watch::Sender::new(0) }
    }

    /// Counts rows that were written. To be called after the commit.
    pub(super) fn wrote(&self, rows: u64) {
        self.writes.fetch_add(rows, Ordering::Relaxed);
    }

    /// Takes the turns of an environment, to be given back.
    pub(super) fn take_turns(&self, environment: &str) -> HashMap<i64, String> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).remove(environment).unwrap_or_default()
    }

    pub(super) fn give_turns(&self, environment: &str, turns: HashMap<i64, String>) {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).insert(environment.to_owned(), turns);
    }

    pub(super) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// Wakes those who wait for news. To be called after the commit.
    pub(super) fn changed(&self) {
        bump(&self.changes);
    }

    pub(super) fn changes(&self) -> &watch::Sender<u64> {
        &self.changes
    }
}

/// Wakes those who wait for news.
pub(super) fn bump(changes: &watch::Sender<u64>) {
    changes.send_modify(|count| *count = count.wrapping_add(1));
}

/// A call's future, with an end.
pub(super) async fn bounded<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    within(CALL, call).await
}

async fn within<T>(limit: Duration, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer,
        Err(_) => Err(StoreError::Unavailable(format!("it did not answer within {} seconds", limit.as_secs()))),
    }
}

/// Refuses names that are too long, or that PostgreSQL could not store.
pub(super) fn names(names: &[&str]) -> Result<(), StoreError> {
    match names.iter().find(|name| name.len() > MAX_NAME_BYTES || name.contains('\0')) {
        Some(_) => Err(StoreError::Refused("a name is longer than 512 bytes or holds a zero byte".to_owned())),
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

/// A remembered value as text.
pub(super) fn state(value: &Value) -> Result<String, StoreError> {
    let text = value.to_string();
    at_most("a state", text.len(), MAX_TEXT_BYTES).map(|()| text)
}

/// Details of a line of the record as text.
pub(super) fn details(value: &Value) -> Result<String, StoreError> {
    let text = value.to_string();
    at_most("the details of a record", text.len(), MAX_DETAILS_BYTES).map(|()| text)
}

pub(super) fn activation(activation: &Activation) -> Result<(), StoreError> {
    names(&[&activation.environment, &activation.actor])?;
    let ids: Vec<&str> = activation.tombstones.iter().map(|stone| stone.id.as_str()).collect();
    names(&ids)
}

fn at_most(what: &str, bytes: usize, most: usize) -> Result<(), StoreError> {
    match bytes <= most {
        true => Ok(()),
        false => Err(StoreError::Refused(format!("{what} of {bytes} bytes is more than the {most} that are stored"))),
    }
}

/// Numbers of generations as databases have them.
pub(super) fn signed(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Refused(format!("no generation can have the number {number}")))
}

/// What is stored, but not by us.
pub(super) fn unreadable(what: &str) -> StoreError {
    StoreError::Refused(format!("{what} is stored in a way that Evenkeel never wrote; restore a backup"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_big_is_refused_before_it_is_sent() {
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
    async fn a_call_ends_even_if_nothing_answers() {
        let answer = within(Duration::from_millis(1), std::future::pending::<Result<(), StoreError>>()).await;
        assert!(matches!(answer, Err(StoreError::Unavailable(_))));
    }
}
