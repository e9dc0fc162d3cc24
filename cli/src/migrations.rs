//! **Migrations**: which of them the database has, and those it lacks.

use campanile::database::{each_connection, statement};
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
    /// Of those that this binary does not know, the ones beside which it must not run.
    forbidding: Vec<i64>,
    /// Versions that were begun and did not end well.
    failed: Vec<i64>,
}

/// Asks the bookkeeping table; without one nothing is applied.
pub(crate) async fn state(database: &Database) -> Result<State, StoreError> {
    match rows(database).await {
        Ok(rows) => Ok(State::new(&rows)),
        Err(error) if campanile_migrations::is_missing_table(&error) => Ok(State::new(&[])),
        Err(error) => Err(error.into()),
    }
}

/// A row of the bookkeeping table: version, description, whether it ended well.
type Row = (i64, String, bool);

statement! {
    APPLIED = "select version, description, success from {campanile}{table} order by version",
    table = campanile_migrations::TABLE
}

async fn rows(database: &Database) -> Result<Vec<Row>, sqlx::Error> {
    // A simple query, as all of the doctor's: a pooler may not know prepared statements.
    each_connection!(database, |connection| {
        let rows = sqlx::raw_sql(APPLIED.on(database))
            .fetch_all(&mut *connection)
            .await?;
        let rows = rows.iter().map(|row| {
            Ok((
                row.try_get("version")?,
                row.try_get("description")?,
                row.try_get("success")?,
            ))
        });
        rows.collect()
    })
}

impl State {
    fn new(rows: &[Row]) -> Self {
        let of = |wanted: bool| {
            let rows = rows.iter().filter(|(_, _, success)| *success == wanted);
            rows.map(|(version, ..)| *version).collect()
        };
        let latest = latest();
        let forbidding = rows.iter().filter(|(version, description, _)| {
            !is_known(*version) && !campanile_migrations::may_run_beside(description, latest)
        });
        Self {
            applied: of(true),
            forbidding: forbidding.map(|(version, ..)| *version).collect(),
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
        let newer = self.applied.iter().filter(|version| !is_known(**version));
        newer.copied().collect()
    }

    /// What the database has, this binary does not know, and must not run beside.
    pub(crate) fn forbidding(&self) -> &[i64] {
        &self.forbidding
    }

    /// What was begun and did not end well.
    pub(crate) fn failed(&self) -> &[i64] {
        &self.failed
    }

    /// What to do before anything else, if the tables are not those of this binary.
    pub(crate) fn advice(&self) -> Option<String> {
        let pending = self.pending();
        if self.applied.is_empty() {
            return Some("the database has no tables of campanile yet: run `migrate`".into());
        }
        if !self.forbidding.is_empty() {
            return Some(format!(
                "the database has {} of a newer campanile ({}) that this binary must not run beside: deploy a newer one",
                counted(self.forbidding.len() as u64, "migration", "migrations"),
                versions(&self.forbidding)
            ));
        }
        (!pending.is_empty())
            .then(|| format!("the database lacks {}: run `migrate`", names(&pending)))
    }
}

fn is_known(version: i64) -> bool {
    campanile_migrations::known().any(|(known, _)| known == version)
}

/// The newest migration this binary knows.
fn latest() -> i64 {
    let versions = campanile_migrations::known().map(|(version, _)| version);
    versions.max().unwrap_or_default()
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
        .map(|migration| format!("{} {}", migration.version, migration.name))
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

    fn up_to(version: i64) -> State {
        let known = campanile_migrations::known().filter(|(known, _)| *known <= version);
        let rows: Vec<_> = known.map(|(version, name)| row(version, name)).collect();
        State::new(&rows)
    }

    fn row(version: i64, description: &str) -> Row {
        (version, description.to_owned(), true)
    }

    #[test]
    fn tables_that_are_up_to_date_need_nothing() {
        assert_eq!(up_to(latest()).advice(), None);
    }

    #[test]
    fn missing_and_pending_tables_have_their_own_advice() {
        let advice = |version| up_to(version).advice().unwrap();
        assert!(advice(0).contains("no tables of campanile yet"));
        assert!(advice(latest() - 1).contains("run `migrate`"));
    }

    #[test]
    fn newer_tables_are_no_obstacle_unless_they_say_so() {
        let known = campanile_migrations::known();
        let mut rows: Vec<_> = known.map(|(version, name)| row(version, name)).collect();
        rows.push(row(98, "expand"));
        rows.push(row(99, &format!("contract (needs {})", latest())));
        let state = State::new(&rows);
        assert_eq!((state.advice(), state.newer()), (None, vec![98, 99]));
        rows.push(row(100, "contract (needs 99)"));
        let state = State::new(&rows);
        assert_eq!(state.forbidding(), [100]);
        let advice = state.advice().unwrap();
        assert!(advice.contains("must not run beside"), "{advice}");
    }

    #[test]
    fn a_migration_that_failed_is_pending_still() {
        let state = State::new(&[row(1, "x"), (2, "x".to_owned(), false)]);
        assert_eq!(state.failed(), [2]);
        assert_eq!(state.pending()[0].version, 2);
    }
}
