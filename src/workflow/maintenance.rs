//! The periodic tasks of a worker: renewal of leases, unblocking, and retention.

use std::sync::Arc;
use std::time::Duration;

use super::clock::micros_of;
use super::dispatcher::Dispatcher;
use super::running::RunningExecutions;

/// Maximum interval of lease renewals.
const MAX_RENEWAL_INTERVAL: Duration = Duration::from_secs(2);
/// Number of lease renewals per unblocking.
const RENEWALS_PER_UNBLOCK: u32 = 4;
/// Interval of retention sweeps.
const SWEEP_INTERVAL: Duration = Duration::from_mins(5);
/// Maximum number of batches per environment and sweep.
const MAX_SWEEP_BATCHES: usize = 1000;

/// Renews the leases of this process's executions, and cancels those that were cancelled or lost.
pub(super) async fn renew_leases(dispatcher: Arc<Dispatcher>, running: Arc<RunningExecutions>) {
    let lease = dispatcher.settings().lease;
    let mut renewals = 0_u32;
    loop {
        tokio::time::sleep((lease / 8).min(MAX_RENEWAL_INTERVAL)).await;
        renewals = renewals.wrapping_add(1);
        if let Ok(time) = dispatcher.store().time().await {
            dispatcher.clock().synchronize(time);
        }
        if renewals.is_multiple_of(RENEWALS_PER_UNBLOCK) {
            unblock(&dispatcher).await;
        }
        let mut held = running.fencing_tokens();
        held.extend(dispatcher.admission.handed_over_tokens());
        if held.is_empty() {
            continue;
        }
        match dispatcher.store().renew(&dispatcher.settings().worker, &held, dispatcher.lease()).await {
            Ok(lost) => running.cancel_lost(&lost),
            Err(error) => {
                tracing::warn!(executions = held.len(), error = error.to_string(), "lease renewal failed");
            }
        }
    }
}

async fn unblock(dispatcher: &Dispatcher) {
    for environment in dispatcher.environments().names() {
        match dispatcher.store().unblock(&environment).await {
            Ok(0) => {}
            Ok(_) => dispatcher.wake(),
            Err(error) => tracing::warn!(environment, error = error.to_string(), "unblocking executions failed"),
        }
    }
}

/// Deletes executions, events and logs after their retention, in batches so that other writes come in between.
pub(super) async fn sweep(dispatcher: Arc<Dispatcher>) {
    let retention = micros_of(dispatcher.settings().retention);
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        for environment in dispatcher.environments().names() {
            for _ in 0..MAX_SWEEP_BATCHES {
                match dispatcher.store().delete_expired(&environment, retention).await {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(environment, error = error.to_string(), "retention sweep failed");
                        break;
                    }
                }
            }
        }
    }
}
