//! The schema's migrations: one source for both databases.
//!
//! The files in `migrations/` are written for PostgreSQL. SQLite's form is derived by replacing types, so the two schemas
//! cannot differ in tables, columns, keys or indexes. A released migration is never changed: opening a database compares
//! its checksum.

use std::borrow::Cow;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr as _};

/// Number, description and statements of each migration, for PostgreSQL.
const MIGRATIONS: &[(i64, &str, &str)] = &[(1, "first", include_str!("migrations/0001_first.sql"))];

/// PostgreSQL's words and SQLite's, in the order of their replacement.
const SQLITE_WORDS: &[(&str, &str)] = &[
    ("BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "INTEGER PRIMARY KEY AUTOINCREMENT"),
    (" COLLATE \"C\"", ""),
    (" BYTEA", " BLOB"),
    (" JSONB", " TEXT"),
    (" JSON", " TEXT"),
];

/// The migrations of PostgreSQL.
pub(super) fn postgres() -> Migrator {
    migrator(Cow::Borrowed)
}

/// The migrations of SQLite.
pub(super) fn sqlite() -> Migrator {
    migrator(|statements| Cow::Owned(to_sqlite(statements)))
}

fn migrator(translate: impl Fn(&'static str) -> Cow<'static, str>) -> Migrator {
    let migration = |(version, name, statements): &(i64, &'static str, &'static str)| {
        let statements = AssertSqlSafe(translate(statements)).into_sql_str();
        Migration::new(*version, Cow::Borrowed(*name), MigrationType::Simple, statements, false)
    };
    Migrator::with_migrations(MIGRATIONS.iter().map(migration).collect())
}

/// Statements in SQLite's dialect, without comments: those speak of PostgreSQL.
fn to_sqlite(statements: &str) -> String {
    let lines = statements.lines().filter(|line| !line.starts_with("--"));
    lines.fold(String::with_capacity(statements.len()), |mut translated, line| {
        let words = SQLITE_WORDS.iter();
        translated += &words.fold(line.to_owned(), |line, (postgres, sqlite)| line.replace(postgres, sqlite));
        translated.push('\n');
        translated
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_databases_get_the_same_tables_columns_and_indexes() {
        for (_, _, postgres) in MIGRATIONS {
            let sqlite = to_sqlite(postgres);
            for word in ["BYTEA", "JSON", "COLLATE", "IDENTITY"] {
                assert!(!sqlite.contains(word), "{word} is not translated");
            }
            let words = |text: &str| {
                let lines = text.lines().filter(|line| !line.starts_with("--"));
                lines.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect::<Vec<_>>()
            };
            assert_eq!(words(postgres), words(&sqlite));
        }
    }
}
