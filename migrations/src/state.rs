//! The **state** of the tables: what the bookkeeping table says, beside what this binary knows. Reading it needs no right to
//! create anything.

use sqlx::migrate::{MigrateError, Migrator};

/// Why the tables were not brought up to date.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// The tables need a newer campanile.
    #[error(
        "the tables are at migration {version} `{name}`, which needs a binary that knows migration {needed}, and this one knows only up to {known}: deploy a newer binary"
    )]
    BinaryTooOld {
        /// The newest of the applied migrations that this binary does not know and that forbid it to run.
        version: i64,
        /// Its name.
        name: String,
        /// What a binary has to know to run beside it.
        needed: i64,
        /// The newest migration this binary knows.
        known: i64,
    },
    /// A migration was started and failed.
    #[error(
        "migration {0} was started, but failed: read the database's log, undo what it changed, delete its row from `_campanile_migrations`, and migrate again"
    )]
    HalfDone(i64),
    /// A migration that was applied is not the one that this binary knows under its number.
    #[error(
        "migration {version} `{name}` was applied with other contents than this binary knows: the tables were made by a build that was never released, or the bookkeeping table was changed. If nothing in the tables is needed, drop them and migrate again"
    )]
    Changed {
        /// The migration.
        version: i64,
        /// Its name.
        name: &'static str,
    },
    /// Migrations are missing, and the role may not create or change tables.
    #[error(
        "this role may not create or change campanile's tables, which lack {missing}: migrate once as a role that owns them"
    )]
    NoRights {
        /// The missing migrations, as a text for people.
        missing: String,
        /// What the database said.
        source: MigrateError,
    },
    /// The bookkeeping table cannot be read.
    #[error("the bookkeeping table of campanile's migrations cannot be read")]
    Unread(#[source] sqlx::Error),
    /// A migration failed.
    #[error("campanile's tables could not be brought up to date")]
    Migrate(#[from] MigrateError),
}

/// A row of the bookkeeping table.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) version: i64,
    pub(crate) description: String,
    pub(crate) success: bool,
    pub(crate) checksum: Vec<u8>,
}

/// The migration that a binary has to know to run beside this one, if it says so: `.. (needs 14)` at the end of its description
/// in the bookkeeping table. An older binary, which does not have the file, reads it there.
///
/// ```
/// assert_eq!(campanile_migrations::needs("drop_worker (needs 14)"), Some(14));
/// assert_eq!(campanile_migrations::needs("inbox_views"), None);
/// ```
#[must_use]
pub fn needs(description: &str) -> Option<i64> {
    let (_, needed) = description.strip_suffix(')')?.rsplit_once(" (needs ")?;
    needed.parse().ok()
}

/// Whether a binary that knows the migrations up to `known` may run beside an applied one that it does not know.
#[must_use]
pub fn may_run_beside(description: &str, known: i64) -> bool {
    needs(description).is_none_or(|needed| needed <= known)
}

/// What is missing, in order; an error where this binary must not run, or the tables are not what they seem.
pub(crate) fn missing<'m>(
    applied: &[Applied],
    migrator: &'m Migrator,
) -> Result<Vec<&'m sqlx::migrate::Migration>, MigrationError> {
    let known = migrator.iter().map(|step| step.version).max().unwrap_or(0);
    let foreign = applied
        .iter()
        .rev()
        .filter(|row| !migrator.version_exists(row.version));
    for row in foreign {
        if let Some(needed) = needs(&row.description).filter(|needed| *needed > known) {
            return Err(MigrationError::BinaryTooOld {
                version: row.version,
                name: row.description.clone(),
                needed,
                known,
            });
        }
    }
    if let Some(half) = applied.iter().find(|row| !row.success) {
        return Err(MigrationError::HalfDone(half.version));
    }
    let mut missing = Vec::new();
    for step in migrator.iter() {
        match applied.iter().find(|row| row.version == step.version) {
            None => missing.push(step),
            Some(row) if row.checksum != *step.checksum => {
                return Err(MigrationError::Changed {
                    version: step.version,
                    name: crate::name_of(step.version),
                });
            }
            Some(_) => {}
        }
    }
    Ok(missing)
}

/// Why the missing migrations were not applied.
pub(crate) fn failed(error: MigrateError, missing: &[&sqlx::migrate::Migration]) -> MigrationError {
    if !is_forbidden(&error) {
        return error.into();
    }
    let names = missing
        .iter()
        .map(|step| format!("{} {}", step.version, step.description));
    MigrationError::NoRights {
        missing: names.collect::<Vec<_>>().join(", "),
        source: error,
    }
}

/// Postgres: insufficient privilege, read-only transaction. SQLite: read-only, in the lower byte of the code.
fn is_forbidden(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else {
        return false;
    };
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| match code.len() {
        5 => matches!(&*code, "42501" | "25006"),
        _ => code.parse::<i32>().is_ok_and(|code| code & 0xff == 8),
    })
}

/// Whether a statement failed because there is no such table or schema. SQLite has one code for most mistakes in a statement;
/// the message says which.
#[must_use]
pub fn is_missing_table(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else {
        return false;
    };
    matches!(error.code().as_deref(), Some("42P01" | "3F000"))
        || error.message().starts_with("no such table")
}
