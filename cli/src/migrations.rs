//! **Migrations**: which of them the database has, and those it lacks.

use campanile::database::each_database;
use campanile::{Database, StoreError};
use serde::Serialize;
use sqlx::Row as _;

use crate::error::CommandError;
use crate::output::Answer;
use crate::table::counted;

/// One migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Migration {
    version: i64,
    name: &'static str,
}

/// What the bookkeeping table says, beside what this binary knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// Versions that are applied.
    applied: Vec<i64>,
    /// Versions that were begun and did not end well.
    failed: Vec<i64>,
}

/// Asks the bookkeeping table; without one nothing is applied.
pub(crate) async fn state(database: &Database) -> Result<State, StoreError> {
    match rows(database).await {
        Ok(rows) => Ok(State::new(&rows)),
        Err(error) if is_missing_table(&error) => Ok(State::new(&[])),
        Err(error) => Err(error.into()),
    }
}

async fn rows(database: &Database) -> Result<Vec<(i64, bool)>, sqlx::Error> {
    let statement = database.sql(&format!(
        "select version, success from {{campanile}}{} order by version",
        campanile_migrations::TABLE
    ));
    // A simple query, as all of the doctor's: a pooler may not know prepared statements.
    each_database!(database, |pool| {
        let rows = sqlx::raw_sql(statement).fetch_all(pool).await?;
        let rows = rows
            .iter()
            .map(|row| Ok((row.try_get("version")?, row.try_get("success")?)));
        rows.collect()
    })
}

/// SQLite has one code for most mistakes in a statement; the message tells.
fn is_missing_table(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else {
        return false;
    };
    matches!(error.code().as_deref(), Some("42P01" | "3F000"))
        || error.message().starts_with("no such table")
}

impl State {
    fn new(rows: &[(i64, bool)]) -> Self {
        let of = |wanted: bool| {
            let rows = rows.iter().filter(|(_, success)| *success == wanted);
            rows.map(|(version, _)| *version).collect()
        };
        Self {
            applied: of(true),
            failed: of(false),
        }
    }

    /// How many are applied.
    pub(crate) fn applied(&self) -> usize {
        self.applied.len()
    }

    /// What this binary knows and the database lacks.
    pub(crate) fn pending(&self) -> Vec<Migration> {
        let known = campanile_migrations::known();
        known
            .filter(|(version, _)| !self.applied.contains(version))
            .map(|(version, name)| Migration { version, name })
            .collect()
    }

    /// What the database has and this binary does not know.
    pub(crate) fn newer(&self) -> Vec<i64> {
        let is_known = |version: &i64| campanile_migrations::known().any(|its| its.0 == *version);
        let newer = self.applied.iter().filter(|version| !is_known(version));
        newer.copied().collect()
    }

    /// What was begun and did not end well.
    pub(crate) fn failed(&self) -> &[i64] {
        &self.failed
    }

    /// What to do before anything else, if the tables are not those of this binary.
    pub(crate) fn advice(&self) -> Option<String> {
        let (pending, newer) = (self.pending(), self.newer());
        if self.applied.is_empty() {
            return Some("the database has no tables of campanile yet: run `migrate`".into());
        }
        if !newer.is_empty() {
            return Some(format!(
                "the database has {} of a newer campanile ({}): run a binary that is as new",
                counted(newer.len() as u64, "migration", "migrations"),
                versions(&newer)
            ));
        }
        (!pending.is_empty())
            .then(|| format!("the database lacks {}: run `migrate`", names(&pending)))
    }
}

/// Versions, to be read: `6, 7`.
pub(crate) fn versions(versions: &[i64]) -> String {
    let texts: Vec<_> = versions.iter().map(i64::to_string).collect();
    texts.join(", ")
}

/// Migrations, to be read: `4 pauses, 5 prune`.
pub(crate) fn names(migrations: &[Migration]) -> String {
    let texts: Vec<_> = migrations
        .iter()
        .map(|its| format!("{} {}", its.version, its.name))
        .collect();
    texts.join(", ")
}

/// Brings the tables up to date, and says what was missing.
pub(crate) async fn migrate(database: &Database) -> Result<Answer, CommandError> {
    let applied = state(database).await?.pending();
    database.migrate().await?;
    let kind = database.kind();
    let text = if applied.is_empty() {
        format!("the tables on {kind} were up to date; nothing was changed")
    } else {
        let count = counted(applied.len() as u64, "migration", "migrations");
        format!("applied {count} on {kind}: {}", names(&applied))
    };
    Ok(Answer::new(
        text,
        &serde_json::json!({ "applied": applied }),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latest() -> i64 {
        campanile_migrations::known()
            .map(|its| its.0)
            .max()
            .unwrap()
    }

    fn up_to(version: i64) -> State {
        let rows: Vec<_> = (1..=version).map(|version| (version, true)).collect();
        State::new(&rows)
    }

    #[test]
    fn tables_that_are_up_to_date_need_nothing() {
        assert_eq!(up_to(latest()).advice(), None);
    }

    #[test]
    fn missing_pending_and_newer_tables_have_their_own_advice() {
        let advice = |version| up_to(version).advice().unwrap();
        assert!(advice(0).contains("no tables of campanile yet"));
        assert!(advice(latest() - 1).contains("run `migrate`"));
        let newer = advice(latest() + 2);
        assert!(
            newer.contains("2 migrations of a newer campanile"),
            "{newer}"
        );
    }

    #[test]
    fn a_migration_that_failed_is_pending_still() {
        let state = State::new(&[(1, true), (2, false)]);
        assert_eq!(state.failed(), [2]);
        assert_eq!(state.pending()[0].version, 2);
    }
}
