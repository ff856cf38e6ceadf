//! Committing changes in one transaction.

use super::super::super::Micros;
use super::super::super::StoreError;
use super::super::super::failpoint::failpoint;
use super::super::super::limits::bounded;
use super::super::super::queue::{Change, CommitResult};
use super::super::super::sql::Connection;
use super::super::Backend;
use super::{accept, locks, release};

/// Commits changes together. If one of them cannot be stored, each is committed alone, so that the others are stored.
pub(super) async fn commit(backend: &Backend, changes: &[Change]) -> Result<Vec<CommitResult>, StoreError> {
    match commit_once(backend, changes).await {
        Err(StoreError::Refused(_)) if changes.len() > 1 => {
            let mut results = Vec::with_capacity(changes.len());
            for change in changes {
                match commit_once(backend, std::slice::from_ref(change)).await {
                    Ok(result) => results.extend(result),
                    Err(StoreError::Refused(why)) => results.push(CommitResult::Refused(why)),
                    Err(error) => return Err(error),
                }
            }
            Ok(results)
        }
        Err(StoreError::Refused(why)) => Ok(vec![CommitResult::Refused(why)]),
        other => other,
    }
}

async fn commit_once(backend: &Backend, changes: &[Change]) -> Result<Vec<CommitResult>, StoreError> {
    bounded(async {
        let mut transaction = backend.begin().await?;
        let connection = transaction.connection();
        connection.lock_names(&locks::names(changes)).await?;
        connection.lock_executions(&locks::executions(changes)).await?;
        let now = connection.now().await?;
        let results = apply(connection, changes, now).await?;
        failpoint("work-committing").await;
        transaction.commit().await?;
        backend.wrote(changes.len() as u64);
        Ok(results)
    })
    .await
}

/// Applies changes: requests first, in their order; then executions in the order of their ids, as all transactions lock
/// them.
pub(super) async fn apply(
    connection: &mut dyn Connection,
    changes: &[Change],
    now: Micros,
) -> Result<Vec<CommitResult>, StoreError> {
    let mut results: Vec<Option<CommitResult>> = vec![None; changes.len()];
    let (mut requests, mut writes) = (Vec::new(), Vec::new());
    for (at, change) in changes.iter().enumerate() {
        match change {
            Change::Accept(request) => requests.push((at, &**request)),
            Change::Progress { claim, .. } | Change::Release { claim, .. } => writes.push((at, claim, change)),
        }
    }
    writes.sort_by_key(|(_, claim, _)| claim.execution.as_str());
    for (at, result) in accept::accept(connection, &requests, now).await? {
        results[at] = Some(result);
    }
    for (at, result) in release::write(connection, &writes, now).await? {
        results[at] = Some(result);
    }
    Ok(results.into_iter().flatten().collect())
}
