//! **Migrations**: which are applied to the database, and which are missing.

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

/// The state in the bookkeeping table, compared with the migrations that this binary knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// Versions that are applied.
    applied: Vec<i64>,
    /// Those that this binary does not know and must not run with.
    forbidding: Vec<i64>,
    /// Versions that were started but failed.
    failed: Vec<i64>,
    /// Versions that are applied under another name than this binary knows.
    renamed: Vec<i64>,
}

/// Reads the bookkeeping table; if there is none, no migration is applied.
pub(crate) async fn state(database: &Database) -> Result<State, StoreError> {
    match rows(database).await {
        Ok(rows) => Ok(State::new(&rows)),
        Err(error) if campanile_migrations::is_missing_table(&error) => Ok(State::new(&[])),
        Err(error) => Err(error.into()),
    }
}

/// A row of the bookkeeping table: version, description, whether it succeeded.
type Row = (i64, String, bool);

statement! {
    APPLIED = "select version, description, success from {postgres(campanile.)}{table} order by version",
    table = campanile_migrations::TABLE
}

async fn rows(database: &Database) -> Result<Vec<Row>, sqlx::Error> {
    // A simple query, like all queries of the doctor: a pooler may not support prepared statements.
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
        let renamed = rows.iter().filter(|(version, description, _)| {
            campanile_migrations::known()
                .any(|(known, name)| known == *version && !description.starts_with(name))
        });
        Self {
            applied: of(true),
            forbidding: forbidding.map(|(version, ..)| *version).collect(),
            failed: of(false),
            renamed: renamed.map(|(version, ..)| *version).collect(),
        }
    }

    /// How many migrations are applied.
    pub(crate) fn applied(&self) -> usize {
        self.applied.len()
    }

    /// Migrations that this binary knows but the database lacks.
    pub(crate) fn pending(&self) -> Vec<Migration> {
        let known = campanile_migrations::known();
        known
            .filter(|(version, _)| !self.applied.contains(version))
            .map(|(version, name)| Migration { version, name })
            .collect()
    }

    /// Applied migrations that this binary does not know.
    pub(crate) fn newer(&self) -> Vec<i64> {
        let newer = self.applied.iter().filter(|version| !is_known(**version));
        newer.copied().collect()
    }

    /// Applied migrations that this binary does not know and must not run with.
    pub(crate) fn forbidding(&self) -> &[i64] {
        &self.forbidding
    }

    /// Migrations that were started but failed.
    pub(crate) fn failed(&self) -> &[i64] {
        &self.failed
    }

    /// Applied migrations of a build that was never released: their names are not those that this binary knows.
    pub(crate) fn renamed(&self) -> &[i64] {
        &self.renamed
    }

    /// What to do first, if the tables do not match this binary.
    pub(crate) fn advice(&self) -> Option<String> {
        let pending = self.pending();
        if self.applied.is_empty() {
            return Some("the database has no tables of campanile yet: run `migrate`".into());
        }
        if !self.renamed.is_empty() {
            return Some(
                "the tables were made by a build that was never released: if nothing in them is needed, drop them and run `migrate`"
                    .into(),
            );
        }
        if !self.forbidding.is_empty() {
            return Some(format!(
                "the database has {} of a newer campanile ({}) that this binary must not run with: deploy a newer one",
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

/// Versions for a message: `6, 7`.
pub(crate) fn versions(versions: &[i64]) -> String {
    let texts: Vec<_> = versions.iter().map(i64::to_string).collect();
    texts.join(", ")
}

/// Migrations for a message: `4 pauses, 5 prune`.
pub(crate) fn names(migrations: &[Migration]) -> String {
    let texts: Vec<_> = migrations
        .iter()
        .map(|migration| format!("{} {}", migration.version, migration.name))
        .collect();
    texts.join(", ")
}

/// Applies missing migrations, and reports which were missing.
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
    fn missing_and_outdated_tables_have_their_own_advice() {
        let advice = |version| up_to(version).advice().unwrap();
        assert!(advice(0).contains("no tables of campanile yet"));
        assert!(advice(latest() - 1).contains("run `migrate`"));
    }

    #[test]
    fn newer_tables_are_accepted_unless_a_migration_forbids_it() {
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
        assert!(advice.contains("must not run with"), "{advice}");
    }

    #[test]
    fn tables_of_an_unreleased_build_are_recognized_by_their_names() {
        let state = State::new(&[row(1, "dispatch"), row(2, "people")]);
        assert_eq!(state.renamed(), [1]);
        assert!(state.advice().unwrap().contains("never released"));
    }

    #[test]
    fn a_failed_migration_is_still_pending() {
        let state = State::new(&[(1, "campanile".to_owned(), false)]);
        assert_eq!(state.failed(), [1]);
        assert_eq!(state.pending()[0].version, 1);
    }
}
