//! Processes that are killed or stopped at each failpoint: their transactions are stored as a whole or not at all.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use evenkeel::store::{Keys, StoreError, open};

use super::{activation, object};

const CHILD: &str = "store::failpoints::activate_until_killed";

/// The failpoint, true if the root object is stored then, and the active generation.
const PLACES: [(&str, bool, u64); 5] = [
    ("put-objects", false, 0),
    ("objects-stored", true, 0),
    ("activate-begun", true, 0),
    ("activate-committing", true, 0),
    ("activated", true, 1),
];

#[tokio::test]
#[ignore = "a process that other tests start and kill"]
async fn activate_until_killed() {
    let url = std::env::var("EVENKEEL_TEST_URL").unwrap();
    let store = open(&url, Keys::none()).await.unwrap();
    let wanted = activation(&*store, "live", 0, "one").await;
    store.activate(&wanted, None).await.unwrap();
}

async fn kill_at_each_place(mut url: impl AsyncFnMut() -> String) {
    let folder = tempfile::tempdir().unwrap();
    for (place, stored, number) in PLACES {
        let url = url().await;
        kill_at(place, &url, &folder.path().join(place));
        let store = open(&url, Keys::none()).await.unwrap();
        assert_eq!(store.active("live").await.unwrap().map_or(0, |active| active.number), number, "{place}");
        assert_eq!(store.audit_log("live", 9).await.unwrap().len() as u64, number, "{place}");
        assert_eq!(store.objects(&[object("one").0]).await.is_ok(), stored, "{place}");
        // Its locks do not block the next process.
        let again = store.activate(&activation(&*store, "live", 0, "one").await, None).await;
        match number {
            0 => assert_eq!(again.unwrap().number, 1, "{place}"),
            _ => assert!(matches!(again, Err(StoreError::Stale { active: 1, .. })), "{place}"),
        }
    }
}

fn kill_at(place: &str, url: &str, file: &Path) {
    let mut child = paused_at(place, url, file);
    child.0.kill().unwrap();
    child.0.wait().unwrap();
}

/// A process that is killed when dropped.
struct Paused(Child);

impl Drop for Paused {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn paused_at(place: &str, url: &str, file: &Path) -> Paused {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--ignored"])
        .env("EVENKEEL_TEST_URL", url)
        .env("EVENKEEL_PAUSE_AT", place)
        .env("EVENKEEL_PAUSE_FILE", file)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = Paused(child);
    let deadline = Instant::now() + Duration::from_mins(2);
    while !file.exists() {
        assert!(child.0.try_wait().unwrap().is_none() && Instant::now() < deadline, "it never reached {place}");
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(missing_postgres, ignore = "needs PostgreSQL: tests/run installs it")]
async fn a_stopped_process_does_not_block_others() {
    let url = crate::postgres::database().await;
    let folder = tempfile::tempdir().unwrap();
    let mut paused = paused_at("activate-committing", &url, &folder.path().join("paused"));
    let store = open(&url, Keys::none()).await.unwrap();
    // The server ends the stopped process's transaction before this one times out.
    let wanted = activation(&*store, "live", 0, "another").await;
    let generation = store.activate(&wanted, None).await.unwrap();
    assert!(paused.0.try_wait().unwrap().is_none(), "it is still running");
    assert_eq!((generation.number, generation.digest), (1, object("another").0));
    assert_eq!(store.history("live", None, 9).await.unwrap(), [generation]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let mut count = 0;
    kill_at_each_place(async || {
        count += 1;
        format!("sqlite:{}/{count}.db", folder.path().display())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(missing_postgres, ignore = "needs PostgreSQL: tests/run installs it")]
async fn on_postgres() {
    kill_at_each_place(crate::postgres::database).await;
}
