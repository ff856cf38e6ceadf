//! Credentials in their envelopes: this module sees no value.

use super::super::keys::Envelope;
use super::super::sql::{Connection, Row, query};
use super::super::{CredentialId, StoreError};

/// Number of credentials that one transaction of a rotation wraps.
const PAGE: i64 = 500;

pub(super) async fn put(
    connection: &mut dyn Connection,
    id: &CredentialId,
    envelope: &Envelope,
) -> Result<u64, StoreError> {
    let statement = "INSERT INTO credentials (environment, tenant, name, key_id, wrapped_key, ciphertext) \
                     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (environment, tenant, name) DO UPDATE SET \
                     key_id = excluded.key_id, wrapped_key = excluded.wrapped_key, ciphertext = excluded.ciphertext";
    let query = query(statement).bind(&id.environment).bind(&id.tenant).bind(&id.name).bind(&envelope.key_id);
    query.bind(envelope.wrapped_key.as_slice()).bind(envelope.ciphertext.as_slice()).execute(connection).await
}

pub(super) async fn get(connection: &mut dyn Connection, id: &CredentialId) -> Result<Option<Envelope>, StoreError> {
    let statement = "SELECT key_id, wrapped_key, ciphertext FROM credentials \
                     WHERE environment = $1 AND tenant = $2 AND name = $3";
    let query = query(statement).bind(&id.environment).bind(&id.tenant).bind(&id.name);
    query.fetch_optional(connection).await?.map(|row| envelope(&row)).transpose()
}

pub(super) async fn remove(connection: &mut dyn Connection, id: &CredentialId) -> Result<u64, StoreError> {
    let statement = "DELETE FROM credentials WHERE environment = $1 AND tenant = $2 AND name = $3";
    query(statement).bind(&id.environment).bind(&id.tenant).bind(&id.name).execute(connection).await
}

/// Credentials wrapped by another master key than the newest, after one in the order of their names.
pub(super) async fn page(
    connection: &mut dyn Connection,
    newest: &str,
    after: Option<&CredentialId>,
) -> Result<Vec<(CredentialId, Envelope)>, StoreError> {
    // The empty name sorts before all others, and no credential has it.
    let nothing = CredentialId { environment: String::new(), tenant: String::new(), name: String::new() };
    let after = after.unwrap_or(&nothing);
    let statement = "SELECT environment, tenant, name, key_id, wrapped_key, ciphertext FROM credentials \
                     WHERE key_id <> $1 AND (environment, tenant, name) > ($2, $3, $4) \
                     ORDER BY environment, tenant, name LIMIT $5";
    let query = query(statement).bind(newest).bind(&after.environment).bind(&after.tenant).bind(&after.name);
    let rows = query.bind(PAGE).fetch_all(connection).await?;
    let read = |row: &Row| {
        let id =
            CredentialId { environment: row.get("environment")?, tenant: row.get("tenant")?, name: row.get("name")? };
        Ok((id, envelope(row)?))
    };
    rows.iter().map(read).collect()
}

/// Replaces a wrapped key, unless the credential was stored again in the meantime.
pub(super) async fn replace(
    connection: &mut dyn Connection,
    id: &CredentialId,
    old: &Envelope,
    new: &Envelope,
) -> Result<u64, StoreError> {
    let statement = "UPDATE credentials SET key_id = $1, wrapped_key = $2 \
                     WHERE environment = $3 AND tenant = $4 AND name = $5 AND wrapped_key = $6";
    let query = query(statement).bind(&new.key_id).bind(new.wrapped_key.as_slice()).bind(&id.environment);
    query.bind(&id.tenant).bind(&id.name).bind(old.wrapped_key.as_slice()).execute(connection).await
}

fn envelope(row: &Row) -> Result<Envelope, StoreError> {
    Ok(Envelope {
        key_id: row.get("key_id")?,
        wrapped_key: row.get("wrapped_key")?,
        ciphertext: row.get("ciphertext")?,
    })
}
