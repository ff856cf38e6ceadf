//! Places where a test may stop the process, to kill it exactly there.

/// In debug builds, when the environment variable `EVENKEEL_PAUSE_AT` is this name: writes the file that
/// `EVENKEEL_PAUSE_FILE` names, so that a test knows, and never returns. Else, and always in release builds: nothing.
///
/// Names: `put-objects` (before its commit), `objects-stored` (after it), `activate-begun` and `activate-committing`
/// (inside its transaction), `activated` (after it), `work-committing` (what came in and what workers did, before its
/// commit), `poll-committing` (what a poll found, before its commit).
pub async fn failpoint(name: &str) {
    #[cfg(debug_assertions)]
    {
        use std::sync::LazyLock;
        static AT: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("EVENKEEL_PAUSE_AT").ok());
        if AT.as_deref() == Some(name) {
            if let Some(file) = std::env::var_os("EVENKEEL_PAUSE_FILE") {
                // The test waits for the file; without it, it fails by itself.
                let _ = std::fs::write(file, name);
            }
            std::future::pending::<()>().await;
        }
    }
    #[cfg(not(debug_assertions))]
    let _ = name;
}
