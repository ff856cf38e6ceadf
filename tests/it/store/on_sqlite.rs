//! SQLite only: one file, one process.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use evenkeel::store::{Keys, StoreError, open};
use serde_json::json;

use super::{Fixture, activation};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn refuses_a_second_process() {
    let fixture = Fixture::sqlite(Keys::none()).await;
    let error = open(&fixture.url, Keys::none()).await.unwrap_err();
    assert!(matches!(&error, StoreError::Refused(text) if text.contains("use PostgreSQL")), "{error}");
    // The first is not affected; another can open the file once it ends.
    fixture.store.put_state("live", "status", &json!(1)).await.unwrap();
    let fixture = fixture.reopened(Keys::none()).await;
    assert_eq!(fixture.store.state("live", "status").await.unwrap(), Some(json!(1)));
}

#[tokio::test]
async fn creates_files_for_the_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/evenkeel.db");
    let url = format!("sqlite://{}", path.display());
    let store = open(&url, Keys::none()).await.unwrap();
    store.put_state("live", "status", &json!(1)).await.unwrap();
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for name in ["evenkeel.db", "evenkeel.db-wal", "evenkeel.db-shm", "evenkeel.db.lock"] {
        assert_eq!(mode(&path.with_file_name(name)), 0o600, "{name}");
    }
    drop(store);
    // A file with other permissions.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let _store = open(&url, Keys::none()).await.unwrap();
    assert_eq!(mode(&path), 0o600);
}

#[tokio::test]
async fn refuses_files_that_are_not_databases() {
    let folder = tempfile::tempdir().unwrap();
    let garbage = folder.path().join("garbage.db");
    std::fs::write(&garbage, "not a database ".repeat(1000)).unwrap();
    let below_a_file = garbage.join("x.db");
    for url in [
        format!("sqlite:{}", garbage.display()),
        format!("sqlite:{}", folder.path().display()),
        format!("sqlite:{}", below_a_file.display()),
        "sqlite:".to_owned(),
        "sqlite://".to_owned(),
        "evenkeel.db".to_owned(),
        String::new(),
    ] {
        let error = open(&url, Keys::none()).await.unwrap_err();
        assert!(matches!(error, StoreError::Refused(_)), "{url}: {error}");
    }
    assert!(std::fs::read_to_string(&garbage).unwrap().starts_with("not a database"), "the file is unchanged");
}

#[tokio::test]
async fn drops_a_database_in_memory_with_the_store() {
    let store = open("sqlite::memory:", Keys::none()).await.unwrap();
    store.activate(&activation(&*store, "live", 0, "one").await, None).await.unwrap();
    assert_eq!(store.active("live").await.unwrap().unwrap().number, 1);
    assert_eq!(store.history("live", None, 9).await.unwrap().len(), 1);
    let another = open("sqlite::memory:", Keys::none()).await.unwrap();
    assert!(another.active("live").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_for_a_locked_file_times_out() {
    let fixture = Fixture::sqlite(Keys::none()).await;
    let path = fixture.url.strip_prefix("sqlite:").unwrap();
    let other = sqlx::SqlitePool::connect(path).await.unwrap();
    let transaction = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let error = fixture.store.put_state("live", "status", &json!(1)).await.unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable(text) if text.contains("locked")), "{error}");
    assert!(fixture.store.state("live", "status").await.unwrap().is_none(), "reads still succeed");
    transaction.rollback().await.unwrap();
    assert!(fixture.store.put_state("live", "status", &json!(1)).await.unwrap());
}
