//! The order in which changes lock names and rows.

use super::super::super::queue::{Change, Disposition, NewExecution};
use super::blocking;

/// Names that changes lock, sorted: all at once and before anything else, so that no two transactions deadlock.
pub(super) fn names(changes: &[Change]) -> Vec<String> {
    let mut names = Vec::new();
    for change in changes {
        match change {
            Change::Accept(request) => {
                names.extend(blocking::lock_names(request.executions.iter().map(of_new)));
                let keys = request.dedup_key.iter().zip(&request.event);
                names.extend(
                    keys.map(|(key, event)| format!("{}/key/{}/{}", event.environment, event.trigger, key.key)),
                );
                let batches = request.executions.iter().filter(|new| !new.batch_key.is_empty());
                names.extend(batches.map(|new| format!("{}/batch/{}", new.environment, new.batch_key)));
            }
            Change::Release { claim, follow_ups, .. } => {
                let own = (&*claim.environment, &*claim.ordering_key, &*claim.concurrency_group);
                names.extend(blocking::lock_names(std::iter::once(own).chain(follow_ups.iter().map(of_new))));
            }
            Change::Progress { follow_ups, .. } => names.extend(blocking::lock_names(follow_ups.iter().map(of_new))),
        }
    }
    names.sort();
    names.dedup();
    names
}

/// Ids of the executions that changes write. They are locked in one order before the first is written: two transactions
/// that each hold one and wait for the other's would deadlock. A single one that ends nothing needs its own lock only.
pub(super) fn executions(changes: &[Change]) -> Vec<&str> {
    let ids = changes.iter().filter_map(|change| match change {
        Change::Accept(_) => None,
        Change::Progress { claim, .. } | Change::Release { claim, .. } => Some(claim.execution.as_str()),
    });
    let ids: Vec<&str> = ids.collect();
    let ends = |change: &Change| matches!(change, Change::Release { disposition: Disposition::Ended(..), .. });
    if ids.len() > 1 || changes.iter().any(ends) { ids } else { Vec::new() }
}

fn of_new(new: &NewExecution) -> (&str, &str, &str) {
    (&new.environment, &new.ordering_key, &new.concurrency_group)
}
