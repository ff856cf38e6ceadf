//! Errors of the store. Errors of a database become sentences that name a remedy; none contains an address, a password
//! or a value.

use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;

use crate::text::Digest;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another generation is active than the one that the activation was built from: read it and plan again.
    #[error("generation {expected} is not active any more; {active} is")]
    Stale {
        /// Number of the generation that was expected to be active; 0 for none.
        expected: u64,
        /// Number of the active generation; 0 for none.
        active: u64,
    },
    /// Another process holds the lease of this writer: what the writer knows is out of date.
    #[error("the lease `{lease}` is held by another process")]
    Fenced {
        /// Name of the lease.
        lease: String,
    },
    /// A stored object differs from the object that was written.
    #[error("stored object {digest} is {problem}")]
    Corrupt {
        /// The object.
        digest: Digest,
        /// `missing` or `damaged`.
        problem: &'static str,
    },
    /// A stored credential cannot be decrypted with the given keys.
    #[error("cannot decrypt a credential: {0}")]
    Key(String),
    /// A newer version wrote the schema.
    #[error("a newer version of Evenkeel wrote the database ({0}); use that version")]
    Newer(String),
    /// The database cannot be reached or does not respond. A retry may succeed.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// Any other error. A retry would fail as well.
    #[error("the database refuses the request: {0}")]
    Refused(String),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> StoreError {
        use sqlx::Error;
        let unavailable = |text: &str| StoreError::Unavailable(text.to_owned());
        match error {
            Error::Database(error) => of_database(&*error),
            // The operating system's words, such as `connection refused`; they contain no address.
            Error::Io(error) => StoreError::Unavailable(format!("the connection failed ({})", error.kind())),
            Error::Tls(_) => unavailable("the TLS connection failed; check the certificate and `sslmode`"),
            Error::PoolTimedOut => {
                unavailable("no connection within 10 seconds; check that it is running and not overloaded")
            }
            Error::PoolClosed | Error::WorkerCrashed => unavailable("the connections are closed; restart the process"),
            Error::BeginFailed | Error::Protocol(_) => unavailable("the connection was interrupted"),
            // It may quote the URL, which may contain a password.
            Error::Configuration(_) | Error::ConfigFile(_) => {
                StoreError::Refused("the database URL is malformed; write `postgres://user@host/name`".to_owned())
            }
            Error::Migrate(error) => of_migration(*error),
            Error::ColumnDecode { index, .. } => StoreError::Refused(format!(
                "cannot read column {index}: it was not written by Evenkeel; restore a backup"
            )),
            _ => StoreError::Refused("the response is not one that Evenkeel expects".to_owned()),
        }
    }
}

/// The error of a failed migration.
pub(super) fn of_migration(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        // Migrations are only added, so an unknown one belongs to a newer version.
        MigrateError::VersionMissing(version) => StoreError::Newer(format!("schema {version}")),
        MigrateError::VersionMismatch(version) => StoreError::Refused(format!(
            "its schema {version} differs from the released one; use a database that only Evenkeel changes"
        )),
        other => StoreError::Refused(format!("cannot migrate its schema: {other}")),
    }
}

fn of_database(error: &dyn DatabaseError) -> StoreError {
    let code = error.code().unwrap_or_default();
    // PostgreSQL's codes have 5 characters; SQLite's are numbers of up to 4 digits.
    if code.len() == 5 { of_postgres(&code) } else { of_sqlite(code.parse().unwrap_or(1)) }
}

/// Maps a SQLSTATE (PostgreSQL's documentation, appendix A). The server's message is omitted: it may quote values.
fn of_postgres(code: &str) -> StoreError {
    let unavailable = |text: &str| StoreError::Unavailable(format!("{text} (SQLSTATE {code})"));
    let refused = |text: &str| StoreError::Refused(format!("{text} (SQLSTATE {code})"));
    match code {
        "53100" => unavailable("PostgreSQL's disk is full; free some space"),
        "53300" => unavailable("PostgreSQL has no connection left; raise `max_connections`"),
        "25006" => unavailable("PostgreSQL is read-only; check that it is not a standby"),
        "57014" => unavailable("PostgreSQL stopped a statement that took too long"),
        "55P03" | "40001" | "40P01" | "25P03" => unavailable("PostgreSQL was busy with the same rows"),
        "28P01" | "28000" => refused("PostgreSQL does not accept the user or the password"),
        "3D000" => refused("PostgreSQL has no such database; create it"),
        "42501" => refused("PostgreSQL denies permission; the user must own the schema"),
        "42P01" | "42703" => refused("a table differs from the one that Evenkeel created; restore a backup"),
        "XX001" | "XX002" => refused("PostgreSQL's data is damaged; restore a backup"),
        "22021" | "22P05" => refused("a name or a text contains a character that PostgreSQL cannot store"),
        _ if code.starts_with("08") || code.starts_with("57P") => unavailable("PostgreSQL closed the connection"),
        _ if code.starts_with("53") || code.starts_with("58") => unavailable("PostgreSQL has run out of a resource"),
        _ => refused("PostgreSQL returned an error"),
    }
}

/// Maps a result code: <https://www.sqlite.org/rescode.html>. The low byte is the primary one.
fn of_sqlite(code: i32) -> StoreError {
    let unavailable = |text: &str| StoreError::Unavailable(format!("{text} (SQLite code {code})"));
    let refused = |text: &str| StoreError::Refused(format!("{text} (SQLite code {code})"));
    match code & 0xff {
        13 => unavailable("the disk is full; free some space"),
        5 | 6 => unavailable("another program has locked the database file; stop that program"),
        10 => unavailable("the disk cannot read or write the database file; check the disk"),
        7 => unavailable("the process is out of memory"),
        8 => refused("the database file is read-only; let the user that runs Evenkeel write to it and its folder"),
        14 => refused("the database file cannot be opened; check its folder and the permissions"),
        3 | 23 => refused("access to the database file is denied; let the user that runs Evenkeel read and write it"),
        11 | 26 => refused("the database file is damaged or not a SQLite file; restore a backup"),
        18 => refused("a value is too large for SQLite"),
        _ => refused("SQLite returned an error"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_temporary_errors_are_unavailable() {
        for code in ["53100", "53300", "57P01", "08006", "40P01", "55P03", "25006"] {
            assert!(matches!(of_postgres(code), StoreError::Unavailable(_)), "{code}");
        }
        for code in ["28P01", "3D000", "42501", "22021", "23505"] {
            assert!(matches!(of_postgres(code), StoreError::Refused(_)), "{code}");
        }
        // SQLITE_BUSY_SNAPSHOT and SQLITE_IOERR_WRITE are extended codes.
        for code in [13, 5, 517, 10, 778] {
            assert!(matches!(of_sqlite(code), StoreError::Unavailable(_)), "{code}");
        }
        for code in [8, 14, 11, 26, 1] {
            assert!(matches!(of_sqlite(code), StoreError::Refused(_)), "{code}");
        }
    }

    #[test]
    fn errors_never_repeat_the_url() {
        let error = sqlx::Error::Configuration("postgres://me:hunter2@host".into());
        assert!(!StoreError::from(error).to_string().contains("hunter2"));
    }
}
