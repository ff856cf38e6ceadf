//! PostgreSQL only: several processes, notifications between them, and a server that may be unreachable.

use std::time::Duration;

use evenkeel::store::{Keys, StoreError, open};
use serde_json::json;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnection, PgListener};
use tokio::sync::watch::Receiver;

use super::conformance::wait_until;
use super::{Fixture, activation};

/// Sends notifications without a change of the tables until one was received.
async fn wait_for_notification(fixture: &Fixture, changes: &mut Receiver<u64>) {
    let telling = async {
        loop {
            changes.borrow_and_update();
            fixture.sql("NOTIFY evenkeel_changes, 'live'").await;
            if tokio::time::timeout(Duration::from_millis(500), changes.changed()).await.is_ok() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(1), telling).await.expect("no listener");
}

/// The store's listening connection to this database.
const LISTENING: &str = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(missing_postgres, ignore = "needs PostgreSQL: tests/run installs it")]
async fn notifies_on_commit_with_the_environment() {
    let fixture = Fixture::postgres(Keys::none()).await;
    let mut listener = PgListener::connect(&fixture.url).await.unwrap();
    listener.listen("evenkeel_changes").await.unwrap();
    let store = &*fixture.store;
    let stale = activation(store, "stale", 7, "one").await;
    assert!(store.activate(&stale, None).await.is_err());
    store.put_state("draft", "status", &json!(1)).await.unwrap();
    store.put_state("draft", "status", &json!(1)).await.unwrap();
    store.activate(&activation(store, "live", 0, "one").await, None).await.unwrap();
    for expected in ["draft", "live"] {
        let heard = tokio::time::timeout(Duration::from_mins(1), listener.recv()).await.unwrap().unwrap();
        assert_eq!(heard.payload(), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(missing_postgres, ignore = "needs PostgreSQL: tests/run installs it")]
async fn listens_again_after_its_connection_was_terminated() {
    let fixture = Fixture::postgres(Keys::none()).await;
    let mut changes = fixture.store.changes();
    wait_for_notification(&fixture, &mut changes).await;
    for _ in 0..3 {
        let killed = fixture.number(&format!("SELECT count(pg_terminate_backend(pid)) {LISTENING}")).await;
        assert_eq!(killed, 1);
        // A new connection wakes waiters by itself: notifications in the meantime were lost.
        changes.changed().await.unwrap();
        wait_for_notification(&fixture, &mut changes).await;
    }
    let there = fixture.another().await;
    there.activate(&activation(&*there, "live", 0, "one").await, None).await.unwrap();
    wait_until(&mut changes, async || fixture.store.active("live").await.unwrap().is_some()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(missing_postgres, ignore = "needs PostgreSQL: tests/run installs it")]
async fn finds_changes_without_a_notification() {
    let fixture = Fixture::postgres(Keys::none()).await;
    fixture.store.put_state("live", "status", &json!(1)).await.unwrap();
    let mut changes = fixture.store.changes();
    wait_for_notification(&fixture, &mut changes).await;
    // As behind a proxy that drops notifications.
    fixture.sql("UPDATE states SET version = version + 1, value = '2'").await;
    wait_until(&mut changes, async || fixture.store.state("live", "status").await.unwrap() == Some(json!(2))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(missing_postgres, ignore = "needs PostgreSQL: tests/run installs it")]
async fn a_dropped_store_leaves_no_connection() {
    let mut fixture = Fixture::postgres(Keys::none()).await;
    let count = "SELECT count(*) FROM pg_stat_activity \
                 WHERE datname = current_database() AND application_name = 'evenkeel'";
    let mut changes = fixture.store.changes();
    fixture.store.put_state("live", "status", &json!(1)).await.unwrap();
    wait_for_notification(&fixture, &mut changes).await;
    assert!(fixture.number(count).await >= 1);
    fixture.store = open("sqlite::memory:", Keys::none()).await.unwrap();
    let gone = async {
        // The listener's end of the channel is dropped with it.
        while changes.changed().await.is_ok() {}
        while fixture.number(count).await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), gone).await.expect("a connection is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(missing_postgres, ignore = "needs PostgreSQL: tests/run installs it")]
async fn concurrent_starts_migrate_once() {
    let url = crate::postgres::database().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8 {
        let url = url.clone();
        tasks.spawn(async move {
            let store = open(&url, Keys::none()).await.unwrap();
            store.put_state("live", &format!("{number}"), &json!(number)).await.unwrap()
        });
    }
    assert!(tasks.join_all().await.into_iter().all(|written| written));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(missing_postgres, ignore = "needs PostgreSQL: tests/run installs it")]
async fn silent_replicas_are_not_listed() {
    let fixture = Fixture::postgres(Keys::none()).await;
    let (store, there) = (&*fixture.store, fixture.another().await);
    let generation = store.activate(&activation(store, "live", 0, "one").await, None).await.unwrap();
    store.report_replica("a", "live", &generation).await.unwrap();
    there.report_replica("b", "live", &generation).await.unwrap();
    assert_eq!(there.replicas("live").await.unwrap().len(), 2);
    fixture.sql("UPDATE replicas SET reported_at = reported_at - 31000000 WHERE replica = 'a'").await;
    let living = there.replicas("live").await.unwrap();
    assert_eq!(living.iter().map(|replica| replica.replica.as_str()).collect::<Vec<_>>(), ["b"]);
    // After a day they are deleted.
    fixture.sql("UPDATE replicas SET reported_at = reported_at - 86400000000 WHERE replica = 'a'").await;
    store.delete_old_generations("live", 9, 0).await.unwrap();
    assert_eq!(fixture.number("SELECT count(*) FROM replicas").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(missing_postgres, ignore = "needs PostgreSQL: tests/run installs it")]
async fn waiting_for_locked_rows_times_out() {
    let fixture = Fixture::postgres(Keys::none()).await;
    let store = &*fixture.store;
    store.activate(&activation(store, "live", 0, "one").await, None).await.unwrap();
    let mut paused = PgConnection::connect(&fixture.url).await.unwrap();
    let mut transaction = paused.begin().await.unwrap();
    sqlx::query("SELECT * FROM environments FOR UPDATE").fetch_all(&mut *transaction).await.unwrap();
    let error = store.activate(&activation(store, "live", 1, "two").await, None).await.unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable(text) if text.contains("55P03")), "{error}");
    // Reads still succeed.
    assert_eq!(store.active("live").await.unwrap().unwrap().number, 1);
    transaction.rollback().await.unwrap();
    store.activate(&activation(store, "live", 1, "two").await, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(missing_postgres, ignore = "needs PostgreSQL: tests/run installs it")]
async fn connection_errors_are_classified_and_hide_the_password() {
    let url = crate::postgres::database().await;
    let wrong_password = url.replace("evenkeel:evenkeel@", "evenkeel:hunter2@");
    let wrong_name = url.replace('?', "x-hunter2?");
    let unreachable = "postgres://evenkeel:hunter2@127.0.0.1:1/x";
    for (url, again) in [
        (wrong_password.as_str(), false),
        (wrong_name.as_str(), false),
        (unreachable, true),
        ("postgres://evenkeel:hunter2@127.0.0.1:port/x", false),
        ("mysql://evenkeel:hunter2@127.0.0.1/x", false),
    ] {
        let error = open(url, Keys::none()).await.unwrap_err();
        assert_eq!(matches!(error, StoreError::Unavailable(_)), again, "{error:?}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}
