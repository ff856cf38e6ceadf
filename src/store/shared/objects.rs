//! Objects by their digest, many in one statement.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::AddAssign;

use sqlx::{QueryBuilder, Row as _};

use super::super::super::common::{self, BATCH_BYTES, BATCH_ROWS};
use super::{Connection, Database, Digest, Micros, StoreError};

/// An object to be stored.
type Object<'a> = (Digest, &'a [u8]);

/// What storing did.
#[derive(Clone, Copy, Default)]
pub(super) struct Count {
    /// New or repaired.
    pub written: u64,
    /// There already: only marked as used just now.
    pub refreshed: u64,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Count) {
        self.written += other.written;
        self.refreshed += other.refreshed;
    }
}

/// Each object once, in the order of digests, within the limits.
pub(super) fn in_order(objects: &[(Digest, Vec<u8>)]) -> Result<Vec<Object<'_>>, StoreError> {
    let sorted: BTreeMap<Digest, &[u8]> = objects.iter().map(|(digest, bytes)| (*digest, bytes.as_slice())).collect();
    sorted.values().try_for_each(|bytes| common::object(bytes))?;
    Ok(sorted.into_iter().collect())
}

/// Cuts objects into what fits into one statement.
pub(super) fn batches<'a, 'b>(objects: &'b [Object<'a>]) -> Vec<&'b [Object<'a>]> {
    let mut batches = Vec::new();
    let mut rest = objects;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |(_, content): &&Object<'_>| {
            bytes += content.len();
            bytes <= BATCH_BYTES
        };
        // One object alone may be larger.
        let count = rest.iter().take(BATCH_ROWS).take_while(fits).count().max(1);
        let (batch, after) = rest.split_at(count);
        batches.push(batch);
        rest = after;
    }
    batches
}

/// Stores a batch. What is there already is marked as used, so that no sweep that began earlier takes it away, and
/// compared byte by byte.
pub(super) async fn put(connection: &mut Connection, batch: &[Object<'_>], now: Micros) -> Result<Count, StoreError> {
    let mut query = QueryBuilder::<Database>::new("UPDATE objects SET created_at = ");
    query.push_bind(now).push(" WHERE digest IN (");
    list(&mut query, batch.iter().map(|(digest, _)| digest));
    query.push(") RETURNING digest, content");
    let rows = query.build().persistent(false).fetch_all(&mut *connection).await?;
    let mut stored: HashMap<Vec<u8>, Vec<u8>> = HashMap::with_capacity(rows.len());
    for row in rows {
        stored.insert(row.try_get("digest")?, row.try_get("content")?);
    }
    let is_sound = |(digest, content): &Object<'_>| {
        stored.get(digest.bytes().as_slice()).is_some_and(|there| there.as_slice() == *content)
    };
    let missing: Vec<&Object<'_>> = batch.iter().filter(|object| !is_sound(object)).collect();
    let refreshed = (batch.len() - missing.len()) as u64;
    if missing.is_empty() {
        return Ok(Count { written: 0, refreshed });
    }
    if let Some((digest, _)) = missing.iter().find(|(digest, content)| Digest::of(content) != *digest) {
        // The caller's mistake; stored, it would poison every later generation.
        return Err(StoreError::Corrupt { digest: *digest, problem: "damaged" });
    }
    let mut query = QueryBuilder::<Database>::new("INSERT INTO objects (digest, created_at, content) ");
    query.push_values(&missing, |mut row, (digest, content)| {
        row.push_bind(digest.bytes().as_slice()).push_bind(now).push_bind(*content);
    });
    query.push(" ON CONFLICT (digest) DO UPDATE SET created_at = excluded.created_at, content = excluded.content");
    query.build().persistent(false).execute(connection).await?;
    Ok(Count { written: missing.len() as u64, refreshed })
}

/// The contents of a batch of digests, in their order, each verified.
pub(super) async fn get(connection: &mut Connection, digests: &[Digest]) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut query = QueryBuilder::<Database>::new("SELECT digest, content FROM objects WHERE digest IN (");
    list(&mut query, digests);
    query.push(")");
    let rows = query.build().persistent(false).fetch_all(connection).await?;
    let mut stored: HashMap<Vec<u8>, Vec<u8>> = HashMap::with_capacity(rows.len());
    for row in rows {
        stored.insert(row.try_get("digest")?, row.try_get("content")?);
    }
    let content = |digest: &Digest| {
        let corrupt = |problem| StoreError::Corrupt { digest: *digest, problem };
        let content = stored.get(digest.bytes().as_slice()).ok_or_else(|| corrupt("missing"))?;
        if Digest::of(content) == *digest { Ok(content.clone()) } else { Err(corrupt("damaged")) }
    };
    digests.iter().map(content).collect()
}

/// Is an object there? Its content is not looked at.
pub(super) async fn is_there(connection: &mut Connection, digest: &Digest) -> Result<bool, StoreError> {
    let query = sqlx::query("SELECT created_at FROM objects WHERE digest = $1").bind(digest.bytes().as_slice());
    Ok(query.fetch_optional(connection).await?.is_some())
}

/// Digests of objects that are not needed and were last stored before a time.
pub(super) async fn unneeded(
    connection: &mut Connection,
    needed: &[Digest],
    before: Micros,
) -> Result<Vec<Digest>, StoreError> {
    let needed: HashSet<&Digest> = needed.iter().collect();
    let statement = "SELECT digest FROM objects WHERE created_at < $1 ORDER BY digest";
    let old: Vec<Vec<u8>> = sqlx::query_scalar(statement).bind(before).fetch_all(connection).await?;
    let digests = old.iter().filter_map(|bytes| Digest::from_bytes(bytes));
    Ok(digests.filter(|digest| !needed.contains(digest)).collect())
}

/// Removes a batch, except for what was stored again since.
pub(super) async fn remove(connection: &mut Connection, batch: &[Digest], before: Micros) -> Result<u64, StoreError> {
    let mut query = QueryBuilder::<Database>::new("DELETE FROM objects WHERE created_at < ");
    query.push_bind(before).push(" AND digest IN (");
    list(&mut query, batch);
    query.push(")");
    Ok(query.build().persistent(false).execute(connection).await?.rows_affected())
}

fn list<'a>(query: &mut QueryBuilder<Database>, digests: impl IntoIterator<Item = &'a Digest>) {
    let mut list = query.separated(", ");
    for digest in digests {
        list.push_bind(digest.bytes().as_slice());
    }
}
