//! Credentials in their envelopes: nothing here sees a value.

use sqlx::Row as _;

use super::super::super::keys::Envelope;
use super::{Connection, CredentialId, Row, StoreError};

/// Credentials that are wrapped anew in one transaction.
const PAGE: i64 = 500;

pub(super) async fn put(
    connection: &mut Connection,
    id: &CredentialId,
    envelope: &Envelope,
) -> Result<u64, StoreError> {
    let statement = "INSERT INTO credentials (environment, tenant, name, key_id, wrapped_key, sealed) \
                     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (environment, tenant, name) DO UPDATE SET \
                     key_id = excluded.key_id, wrapped_key = excluded.wrapped_key, sealed = excluded.sealed";
    let query = sqlx::query(statement).bind(&id.environment).bind(&id.tenant).bind(&id.name);
    let query = query.bind(&envelope.key_id).bind(&envelope.wrapped_key).bind(&envelope.sealed);
    Ok(query.execute(connection).await?.rows_affected())
}

pub(super) async fn get(connection: &mut Connection, id: &CredentialId) -> Result<Option<Envelope>, StoreError> {
    let statement = "SELECT key_id, wrapped_key, sealed FROM credentials \
                     WHERE environment = $1 AND tenant = $2 AND name = $3";
    let query = sqlx::query(statement).bind(&id.environment).bind(&id.tenant).bind(&id.name);
    query.fetch_optional(connection).await?.map(|row| envelope(&row)).transpose()
}

pub(super) async fn remove(connection: &mut Connection, id: &CredentialId) -> Result<u64, StoreError> {
    let statement = "DELETE FROM credentials WHERE environment = $1 AND tenant = $2 AND name = $3";
    let query = sqlx::query(statement).bind(&id.environment).bind(&id.tenant).bind(&id.name);
    Ok(query.execute(connection).await?.rows_affected())
}

/// Credentials that another master key wraps, after one in the order of their names.
pub(super) async fn page(
    connection: &mut Connection,
    newest: &str,
    after: Option<&CredentialId>,
) -> Result<Vec<(CredentialId, Envelope)>, StoreError> {
    // Before the first name stands the empty one; nobody can store a credential under it and no environment.
    let nothing = CredentialId { environment: String::new(), tenant: String::new(), name: String::new() };
    let after = after.unwrap_or(&nothing);
    let statement = "SELECT environment, tenant, name, key_id, wrapped_key, sealed FROM credentials \
                     WHERE key_id <> $1 AND (environment, tenant, name) > ($2, $3, $4) \
                     ORDER BY environment, tenant, name LIMIT $5";
    let query = sqlx::query(statement).bind(newest).bind(&after.environment).bind(&after.tenant).bind(&after.name);
    let rows = query.bind(PAGE).fetch_all(connection).await?;
    let read = |row: &Row| {
        let id = CredentialId {
            environment: row.try_get("environment")?,
            tenant: row.try_get("tenant")?,
            name: row.try_get("name")?,
        };
        Ok((id, envelope(row)?))
    };
    rows.iter().map(read).collect()
}

/// Replaces a wrapping, unless somebody stored the credential anew in the meantime.
pub(super) async fn replace(
    connection: &mut Connection,
    id: &CredentialId,
    old: &Envelope,
    new: &Envelope,
) -> Result<u64, StoreError> {
    let statement = "UPDATE credentials SET key_id = $1, wrapped_key = $2 \
                     WHERE environment = $3 AND tenant = $4 AND name = $5 AND wrapped_key = $6";
    let query = sqlx::query(statement).bind(&new.key_id).bind(&new.wrapped_key);
    let query = query.bind(&id.environment).bind(&id.tenant).bind(&id.name).bind(&old.wrapped_key);
    Ok(query.execute(connection).await?.rows_affected())
}

fn envelope(row: &Row) -> Result<Envelope, StoreError> {
    Ok(Envelope {
        key_id: row.try_get("key_id")?,
        wrapped_key: row.try_get("wrapped_key")?,
        sealed: row.try_get("sealed")?,
    })
}
