//! Objects by their digest, many in one statement.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::AddAssign;

use super::super::limits::{self, BATCH_BYTES, BATCH_ROWS};
use super::super::sql::{Connection, Value, query};
use super::super::{Micros, StoreError};
use crate::text::Digest;

/// An object to be stored.
type Object<'a> = (Digest, &'a [u8]);

/// Number of rows that storing changed.
#[derive(Clone, Copy, Default)]
pub(super) struct Count {
    /// New or repaired objects.
    pub written: u64,
    /// Objects that were stored before: only marked as used now.
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
    sorted.values().try_for_each(|bytes| limits::object(bytes))?;
    Ok(sorted.into_iter().collect())
}

/// Splits objects into batches that fit into one statement.
pub(super) fn batches<'a, 'b>(objects: &'b [Object<'a>]) -> Vec<&'b [Object<'a>]> {
    let mut batches = Vec::new();
    let mut rest = objects;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |(_, content): &&Object<'_>| {
            bytes += content.len();
            bytes <= BATCH_BYTES
        };
        // A single object may be larger.
        let count = rest.iter().take(BATCH_ROWS).take_while(fits).count().max(1);
        let (batch, after) = rest.split_at(count);
        batches.push(batch);
        rest = after;
    }
    batches
}

/// Stores a batch. Objects that are stored already are compared byte by byte and marked as used now, so that a sweep that
/// began earlier does not remove them.
pub(super) async fn put(
    connection: &mut dyn Connection,
    batch: &[Object<'_>],
    now: Micros,
) -> Result<Count, StoreError> {
    let mut statement = query("UPDATE objects SET created_at = $1 WHERE digest IN ").bind(now).once();
    statement.push_list(batch.iter().map(|(digest, _)| digest.bytes().as_slice()));
    statement.push(" RETURNING digest, content");
    let mut stored: HashMap<Vec<u8>, Vec<u8>> = HashMap::with_capacity(batch.len());
    for row in statement.fetch_all(connection).await? {
        stored.insert(row.get("digest")?, row.get("content")?);
    }
    let is_sound = |(digest, content): &Object<'_>| {
        stored.get(digest.bytes().as_slice()).is_some_and(|stored| stored.as_slice() == *content)
    };
    let missing: Vec<&Object<'_>> = batch.iter().filter(|object| !is_sound(object)).collect();
    let refreshed = (batch.len() - missing.len()) as u64;
    if missing.is_empty() {
        return Ok(Count { written: 0, refreshed });
    }
    if let Some((digest, _)) = missing.iter().find(|(digest, content)| Digest::of(content) != *digest) {
        // The caller's mistake. Stored, the object would corrupt every later generation.
        return Err(StoreError::Corrupt { digest: *digest, problem: "damaged" });
    }
    let mut statement = query("INSERT INTO objects (digest, created_at, content) ").once();
    statement.push_rows(
        missing.iter().map(|(digest, content)| [digest.bytes().as_slice().into(), now.into(), Value::from(*content)]),
    );
    statement.push(" ON CONFLICT (digest) DO UPDATE SET created_at = excluded.created_at, content = excluded.content");
    statement.execute(connection).await?;
    Ok(Count { written: missing.len() as u64, refreshed })
}

/// The contents of a batch of digests, in their order, each verified.
pub(super) async fn get(connection: &mut dyn Connection, digests: &[Digest]) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut statement = query("SELECT digest, content FROM objects WHERE digest IN ").once();
    statement.push_list(digests.iter().map(|digest| digest.bytes().as_slice()));
    let mut stored: HashMap<Vec<u8>, Vec<u8>> = HashMap::with_capacity(digests.len());
    for row in statement.fetch_all(connection).await? {
        stored.insert(row.get("digest")?, row.get("content")?);
    }
    let content = |digest: &Digest| {
        let corrupt = |problem| StoreError::Corrupt { digest: *digest, problem };
        let content = stored.get(digest.bytes().as_slice()).ok_or_else(|| corrupt("missing"))?;
        if Digest::of(content) == *digest { Ok(content.clone()) } else { Err(corrupt("damaged")) }
    };
    digests.iter().map(content).collect()
}

/// True if an object is stored; its content is not verified.
pub(super) async fn exists(connection: &mut dyn Connection, digest: &Digest) -> Result<bool, StoreError> {
    let query = query("SELECT created_at FROM objects WHERE digest = $1").bind(digest.bytes().as_slice());
    Ok(query.fetch_optional(connection).await?.is_some())
}

/// Digests of objects that are not needed and were last stored before a time.
pub(super) async fn unneeded(
    connection: &mut dyn Connection,
    needed: &[Digest],
    before: Micros,
) -> Result<Vec<Digest>, StoreError> {
    let needed: HashSet<&Digest> = needed.iter().collect();
    let statement = "SELECT digest FROM objects WHERE created_at < $1 ORDER BY digest";
    let rows = query(statement).bind(before).fetch_all(connection).await?;
    let stored = rows.iter().map(|row| row.get::<Vec<u8>>("digest")).collect::<Result<Vec<_>, _>>()?;
    let digests = stored.iter().filter_map(|bytes| Digest::from_bytes(bytes));
    Ok(digests.filter(|digest| !needed.contains(digest)).collect())
}

/// Removes a batch, except for objects that were stored again since.
pub(super) async fn remove(
    connection: &mut dyn Connection,
    batch: &[Digest],
    before: Micros,
) -> Result<u64, StoreError> {
    let mut statement = query("DELETE FROM objects WHERE created_at < $1 AND digest IN ").bind(before).once();
    statement.push_list(batch.iter().map(|digest| digest.bytes().as_slice()));
    statement.execute(connection).await
}
