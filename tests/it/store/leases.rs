//! Leases: one holder, growing tokens, and late writers.

use std::time::Duration;

use evenkeel::store::{Keys, Lease, StoreError};

use super::{Fixture, activation};

super::on_both!(
    a_lease_has_one_holder_that_keeps_its_token,
    one_of_concurrent_requests_acquires_a_lease,
    a_late_writer_is_fenced_out,
    an_expired_lease_fences_out_its_holder,
    a_released_lease_can_be_acquired,
);

async fn a_lease_has_one_holder_that_keeps_its_token(fixture: Fixture) {
    let store = &*fixture.store;
    assert!(store.lease_holder("live").await.unwrap().is_none());
    let held = store.acquire_lease("live", "a", 60).await.unwrap().unwrap();
    assert!(store.acquire_lease("live", "b", 60).await.unwrap().is_none());
    assert_eq!(store.acquire_lease("live", "a", 60).await.unwrap().unwrap(), held);
    assert_eq!(store.lease_holder("live").await.unwrap().unwrap(), "a");
    assert!(store.acquire_lease("draft", "b", 60).await.unwrap().is_some());
    assert!(store.acquire_lease("live", "", 60).await.is_err());
    store.activate(&activation(store, "live", 0, "one").await, Some(&held)).await.unwrap();
    // A lease that was never acquired.
    let invented = Lease { name: "other".to_owned(), ..held };
    let refused = store.activate(&activation(store, "live", 1, "one").await, Some(&invented)).await;
    assert!(matches!(refused, Err(StoreError::Fenced { lease }) if lease == "other"));
}

async fn one_of_concurrent_requests_acquires_a_lease(fixture: Fixture) {
    let (here, there) = (fixture.store.clone(), fixture.another().await);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..12 {
        let store = if number % 2 == 0 { here.clone() } else { there.clone() };
        tasks.spawn(async move { store.acquire_lease("live", &format!("process {number}"), 60).await.unwrap() });
    }
    let held: Vec<Lease> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(held.len(), 1, "{held:?}");
}

async fn a_late_writer_is_fenced_out(fixture: Fixture) {
    let (here, there) = (fixture.store.clone(), fixture.another().await);
    let old = here.acquire_lease("live", "a", 60).await.unwrap().unwrap();
    here.activate(&activation(&*here, "live", 0, "one").await, Some(&old)).await.unwrap();
    // The first process is paused; all but a second of its lease passes, and another process acquires it.
    assert!(there.acquire_lease("live", "b", 60).await.unwrap().is_none());
    fixture.sql("UPDATE leases SET expires_at = expires_at - 59000000").await;
    let new = loop {
        match there.acquire_lease("live", "b", 60).await.unwrap() {
            Some(lease) => break lease,
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    assert!(new.token > old.token);
    // It resumes. Nothing else has changed: only the lease prevents an older generation.
    let late = here.activate(&activation(&*here, "live", 1, "late").await, Some(&old)).await;
    assert!(matches!(late, Err(StoreError::Fenced { lease }) if lease == "live"));
    // The right holder with the wrong token, and the other way around.
    for (holder, token) in [("b", old.token), ("a", new.token)] {
        let mixed = Lease { name: "live".to_owned(), holder: holder.to_owned(), token };
        let refused = here.activate(&activation(&*here, "live", 1, "late").await, Some(&mixed)).await;
        assert!(matches!(refused, Err(StoreError::Fenced { .. })));
    }
    assert_eq!(there.active("live").await.unwrap().unwrap().number, 1);
    there.activate(&activation(&*there, "live", 1, "two").await, Some(&new)).await.unwrap();
    assert!(here.acquire_lease("live", "a", 60).await.unwrap().is_none());
}

async fn an_expired_lease_fences_out_its_holder(fixture: Fixture) {
    let store = &*fixture.store;
    let lease = store.acquire_lease("live", "a", 60).await.unwrap().unwrap();
    fixture.sql("UPDATE leases SET expires_at = expires_at - 61000000").await;
    assert!(store.lease_holder("live").await.unwrap().is_none());
    let late = store.activate(&activation(store, "live", 0, "one").await, Some(&lease)).await;
    assert!(matches!(late, Err(StoreError::Fenced { .. })));
    // It may continue after a renewal: no other process acquired the lease in between.
    assert_eq!(store.acquire_lease("live", "a", 60).await.unwrap().unwrap(), lease);
    store.activate(&activation(store, "live", 0, "one").await, Some(&lease)).await.unwrap();
}

async fn a_released_lease_can_be_acquired(fixture: Fixture) {
    let store = &*fixture.store;
    let first = store.acquire_lease("live", "a", 60).await.unwrap().unwrap();
    store.release_lease(&first).await.unwrap();
    assert!(store.lease_holder("live").await.unwrap().is_none());
    let second = store.acquire_lease("live", "b", 60).await.unwrap().unwrap();
    assert!(second.token > first.token);
    // Releasing another holder's lease does nothing.
    store.release_lease(&first).await.unwrap();
    assert_eq!(store.lease_holder("live").await.unwrap().unwrap(), "b");
    store.release_lease(&second).await.unwrap();
    let third = store.acquire_lease("live", "b", 60).await.unwrap().unwrap();
    assert!(third.token > second.token, "a released lease gets a new token");
    let fixture = fixture.reopened(Keys::none()).await;
    // SQLite has one process: after a restart the previous one is gone. On PostgreSQL it may be alive.
    let taken = fixture.store.acquire_lease("live", "c", 60).await.unwrap();
    match fixture.url.starts_with("sqlite:") {
        true => assert!(taken.unwrap().token > third.token),
        false => assert!(taken.is_none()),
    }
}
