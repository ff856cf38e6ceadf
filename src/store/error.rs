//! What the databases say, as sentences that say what to do. None holds an address, a password or a value.

use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;

use super::StoreError;

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> StoreError {
        use sqlx::Error;
        let unavailable = |text: &str| StoreError::Unavailable(text.to_owned());
        match error {
            Error::Database(error) => of_database(&*error),
            // The words of the operating system, such as `connection refused`; they name no address.
            Error::Io(error) => StoreError::Unavailable(format!("the connection failed ({})", error.kind())),
            Error::Tls(_) => unavailable("no TLS connection; check its certificate and `sslmode`"),
            Error::PoolTimedOut => unavailable("no connection within 10 seconds; is it running, or overloaded?"),
            Error::PoolClosed | Error::WorkerCrashed => unavailable("the connections are closed; start again"),
            Error::BeginFailed | Error::Protocol(_) => unavailable("it broke off the conversation"),
            // It may quote the URL, which may hold a password.
            Error::Configuration(_) | Error::ConfigFile(_) => {
                StoreError::Refused("the database URL is malformed; write `postgres://user@host/name`".to_owned())
            }
            Error::Migrate(error) => of_migration(*error),
            Error::ColumnDecode { index, .. } => {
                StoreError::Refused(format!("the column {index} holds what Evenkeel never wrote; restore a backup"))
            }
            _ => StoreError::Refused("it answered what Evenkeel does not expect".to_owned()),
        }
    }
}

/// From migrating.
pub(super) fn of_migration(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        // Ours are only ever added to, so one that we do not have is a newer version's.
        MigrateError::VersionMissing(version) => StoreError::Newer(format!("schema {version}")),
        MigrateError::VersionMismatch(version) => StoreError::Refused(format!(
            "its schema {version} is not the one that was released; use a database that only Evenkeel changes"
        )),
        other => StoreError::Refused(format!("its schema cannot be brought up to date: {other}")),
    }
}

fn of_database(error: &dyn DatabaseError) -> StoreError {
    let code = error.code().unwrap_or_default();
    // PostgreSQL's are 5 characters, SQLite's a number of up to 4 digits.
    if code.len() == 5 { of_postgres(&code) } else { of_sqlite(code.parse().unwrap_or(1)) }
}

/// SQLSTATE: PostgreSQL's documentation, appendix A. Messages are left out: they may quote values.
fn of_postgres(code: &str) -> StoreError {
    let unavailable = |text: &str| StoreError::Unavailable(format!("{text} (SQLSTATE {code})"));
    let refused = |text: &str| StoreError::Refused(format!("{text} (SQLSTATE {code})"));
    match code {
        "53100" => unavailable("PostgreSQL's disk is full; free some space, and it goes on"),
        "53300" => unavailable("PostgreSQL has no connection left; raise `max_connections`"),
        "25006" => unavailable("PostgreSQL is read-only; is it a standby?"),
        "57014" => unavailable("PostgreSQL took too long and was stopped"),
        "55P03" | "40001" | "40P01" | "25P03" => unavailable("PostgreSQL was busy with the same rows"),
        "28P01" | "28000" => refused("PostgreSQL does not accept the user or the password"),
        "3D000" => refused("PostgreSQL has no such database; create it"),
        "42501" => refused("PostgreSQL does not permit this; the user must own the schema"),
        "42P01" | "42703" => refused("a table is not as Evenkeel made it; restore a backup"),
        "XX001" | "XX002" => refused("PostgreSQL's data is damaged; restore a backup"),
        "22021" | "22P05" => refused("a name or a text holds a character that PostgreSQL cannot store"),
        _ if code.starts_with("08") || code.starts_with("57P") => unavailable("PostgreSQL closed the connection"),
        _ if code.starts_with("53") || code.starts_with("58") => unavailable("PostgreSQL has run out of something"),
        _ => refused("PostgreSQL answers with an error"),
    }
}

/// Result codes: <https://www.sqlite.org/rescode.html>. The low byte is the primary one.
fn of_sqlite(code: i32) -> StoreError {
    let unavailable = |text: &str| StoreError::Unavailable(format!("{text} (SQLite code {code})"));
    let refused = |text: &str| StoreError::Refused(format!("{text} (SQLite code {code})"));
    match code & 0xff {
        13 => unavailable("the disk is full; free some space, and it goes on"),
        5 | 6 => unavailable("the database file is locked by another program; end that"),
        10 => unavailable("the disk does not read or write the database file; check it"),
        7 => unavailable("there is no memory left"),
        8 => refused("the database file is read-only; let the user that runs Evenkeel write it and its folder"),
        14 => refused("the database file cannot be opened; check its folder and who may write there"),
        3 | 23 => refused("the database file may not be used; let the user that runs Evenkeel read and write it"),
        11 | 26 => refused("the database file is damaged or no SQLite file; restore a backup"),
        18 => refused("a value is too big for SQLite"),
        _ => refused("SQLite answers with an error"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_that_pass_are_worth_another_try_and_others_are_not() {
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
    fn a_url_is_never_repeated() {
        let error = sqlx::Error::Configuration("postgres://me:hunter2@host".into());
        assert!(!StoreError::from(error).to_string().contains("hunter2"));
    }
}
