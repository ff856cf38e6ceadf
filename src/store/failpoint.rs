//! Failpoints: places at which a test may stop the process, to kill it exactly there.

/// In debug builds, if the environment variable `EVENKEEL_PAUSE_AT` has this name: writes the file that
/// `EVENKEEL_PAUSE_FILE` names, to notify the test, and never returns. Otherwise, and always in release builds: nothing.
///
/// Names: `put-objects` (before its commit), `objects-stored` (after it), `activate-begun` and `activate-committing`
/// (inside of its transaction), `activated` (after it), `work-committing` (changes of the queue, before their commit),
/// `poll-committing` (the result of a poll, before its commit).
pub async fn failpoint(name: &str) {
    #[cfg(debug_assertions)]
    {
        use std::sync::LazyLock;
        static AT: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("EVENKEEL_PAUSE_AT").ok());
        if AT.as_deref() == Some(name) {
            if let Some(file) = std::env::var_os("EVENKEEL_PAUSE_FILE") {
                // The test waits for the file; without it, the test fails.
                let _ = std::fs::write(file, name);
            }
            std::future::pending::<()>().await;
        }
    }
    #[cfg(not(debug_assertions))]
    let _ = name;
}
