//! Databases of released versions and of newer ones.
//!
//! `schema-N.sqlite.sql` and `schema-N.postgres.sql` are dumps of a database as version N of the schema wrote it. Once
//! N is released they are never changed, nor is migration N: opening compares its checksum. A new migration gets new
//! dumps: `cargo test --test it store::migrations::write_dumps -- --ignored` writes them with `sqlite3` and `pg_dump`.

use std::process::{Command, Stdio};

use evenkeel::definition::{Id, Kind};
use evenkeel::store::{Audit, Cause, Keys, Store, StoreError, Tombstone, open};
use serde_json::json;

use super::{Fixture, activation, credential, object, secret};

/// The newest version of the schema, and so of the dumps.
const NEWEST: u32 = 1;
const SQLITE: [&str; 1] = [include_str!("schema-1.sqlite.sql")];
const POSTGRES: [&str; 1] = [include_str!("schema-1.postgres.sql")];

/// A key for the dumps only.
const KEY: &str = "dumps:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn keys() -> Keys {
    Keys::parse(KEY).unwrap()
}

/// Fills the database of a dump.
async fn fill(store: &dyn Store) {
    let mut first = activation(store, "live", 0, "one").await;
    let id = "Connector/orbit".to_owned();
    first.tombstones = vec![Tombstone { id, item: json!({ "a": 1 }), generation: 0, at: 0, window: i64::MAX }];
    store.activate(&first, None).await.unwrap();
    store.activate(&activation(store, "live", 1, "two").await, None).await.unwrap();
    store.put_state("live", "status", &json!({ "ready": true })).await.unwrap();
    // Expires at once, so that it can be acquired whenever the dump is loaded.
    store.acquire_lease("live", "a process", 0).await.unwrap().unwrap();
    store.put_credential(&credential("token"), &secret("planted")).await.unwrap();
    let (environment, actor, action) = ("live".to_owned(), "me".to_owned(), "Suspend".to_owned());
    store.append_audit(&Audit { at: 0, environment, actor, action, details: json!({}) }).await.unwrap();
}

/// Checks that everything is there, and that an activation succeeds.
async fn check(store: &dyn Store) {
    let active = store.active("live").await.unwrap().unwrap();
    assert_eq!((active.number, active.digest, active.cause), (2, object("two").0, Cause::Source));
    assert_eq!(active.revisions["main"], "revision of two");
    assert_eq!(store.objects(&[object("one").0, active.digest]).await.unwrap(), [b"one", b"two"]);
    assert_eq!(store.history("live", None, 9).await.unwrap().len(), 2);
    assert_eq!(store.tombstones("live").await.unwrap()[0].id, "Connector/orbit");
    assert_eq!(store.state("live", "status").await.unwrap().unwrap(), json!({ "ready": true }));
    assert_eq!(*store.credential(&credential("token")).await.unwrap().unwrap().0, b"planted");
    assert_eq!(store.audit_log("live", 9).await.unwrap()[0].action, "Suspend");
    assert!(store.acquire_lease("live", "another", 60).await.unwrap().unwrap().token > 1);

    let mut next = activation(store, "live", 2, "three").await;
    next.restored = vec![Id { kind: Kind::Connector, name: "orbit".to_owned() }];
    assert_eq!(store.activate(&next, None).await.unwrap().number, 3);
    assert!(store.tombstones("live").await.unwrap().is_empty());
}

#[tokio::test]
async fn migrates_every_released_sqlite_schema() {
    for dump in SQLITE {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("evenkeel.db").display());
        let pool = sqlx::SqlitePool::connect(&format!("{url}?mode=rwc")).await.unwrap();
        sqlx::raw_sql(dump).execute(&pool).await.unwrap();
        pool.close().await;
        check(&*open(&url, keys()).await.unwrap()).await;
    }
}

#[tokio::test]
#[cfg_attr(missing_postgres, ignore = "needs PostgreSQL: tests/run installs it")]
async fn migrates_every_released_postgres_schema() {
    for dump in POSTGRES {
        let url = crate::postgres::database().await;
        let pool = sqlx::PgPool::connect(&url).await.unwrap();
        sqlx::raw_sql(dump).execute(&pool).await.unwrap();
        pool.close().await;
        check(&*open(&url, keys()).await.unwrap()).await;
    }
}

/// The database as a newer version would leave it.
async fn refuses_the_schema_of_a_newer_version(fixture: Fixture) {
    fixture.sql("UPDATE _sqlx_migrations SET version = 999 WHERE version = 1").await;
    let url = fixture.url.clone();
    drop(fixture.store);
    let error = open(&url, Keys::none()).await.unwrap_err();
    assert!(matches!(&error, StoreError::Newer(text) if text.contains("999")), "{error}");
}

/// The database as it would be if a released migration had been edited.
async fn refuses_an_edited_migration(fixture: Fixture) {
    let bytes = fixture.bytes(b"another");
    assert!(fixture.sql(&format!("UPDATE _sqlx_migrations SET checksum = {bytes} WHERE version = 1")).await > 0);
    let url = fixture.url.clone();
    drop(fixture.store);
    let error = open(&url, Keys::none()).await.unwrap_err();
    assert!(matches!(&error, StoreError::Refused(_)), "{error}");
}

super::on_both!(refuses_the_schema_of_a_newer_version, refuses_an_edited_migration);

#[tokio::test]
#[ignore = "writes the dumps of the newest schema"]
async fn write_dumps() {
    let folder = crate::support::root().join("tests/it/store");
    let header = format!("-- Schema {NEWEST} with a little in it. Never to be changed once it is released.\n");
    let write = |kind: &str, command: &mut Command| {
        let output = command.stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success());
        // Commands of psql, comments and session settings are not part of the tables.
        let text = String::from_utf8(output.stdout).unwrap();
        let is_kept = |line: &&str| {
            let unwanted = ["\\", "--", "SET ", "SELECT pg_catalog.set_config", "PRAGMA"];
            !line.is_empty() && !unwanted.iter().any(|start| line.starts_with(start))
        };
        let lines: String = text.lines().filter(is_kept).map(|line| format!("{line}\n")).collect();
        std::fs::write(folder.join(format!("schema-{NEWEST}.{kind}.sql")), format!("{header}{lines}")).unwrap();
    };
    let fixture = Fixture::sqlite(keys()).await;
    fill(&*fixture.store).await;
    write("sqlite", Command::new("sqlite3").arg(fixture.url.strip_prefix("sqlite:").unwrap()).arg(".dump"));
    let fixture = Fixture::postgres(keys()).await;
    fill(&*fixture.store).await;
    write("postgres", Command::new("pg_dump").args(["--inserts", "--no-owner", "--no-acl"]).arg(&fixture.url));
}
