//! The tables of campanile, as migrations for Postgres and SQLite.
//!
//! Applications call `campanile::Database::migrate`; this crate is for those who run migrations by other means.
//! The bookkeeping table is campanile's own, so a host keeps its `_sqlx_migrations`.

#![cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    allow(unused, reason = "without a database there is nothing to run")
)]

mod state;
mod erase;

use sqlx::migrate::{Migration, MigrationType, Migrator};

pub use crate::erase::{ADDRESSES, ERASE, KEEP, KEPT};
pub use crate::state::{MigrationError, is_missing_table, may_run_beside, needs};

/// A migration: its version, its name, and the same step for each database.
struct Step {
    version: i64,
    name: &'static str,
    /// The migration that a binary must know to run beside this one. Normally `None`: every older binary may, so that a rolling
    /// restart and a rollback work. It is kept in the description of the bookkeeping table, where a
    /// binary without this step reads it.
    needs: Option<i64>,
    #[cfg(feature = "postgres")]
    postgres: &'static str,
    #[cfg(feature = "sqlite")]
    sqlite: &'static str,
}

macro_rules! step {
    ($version:literal, $name:literal, $file:literal) => {
        step!($version, $name, $file, needs = None)
    };
    ($version:literal, $name:literal, $file:literal, needs = $needs:expr) => {
        Step {
            version: $version,
            name: $name,
            needs: $needs,
            #[cfg(feature = "postgres")]
            postgres: include_str!(concat!("../postgres/", $file)),
            #[cfg(feature = "sqlite")]
            sqlite: include_str!(concat!("../sqlite/", $file)),
        }
    };
}

/// In the order they are applied. An applied one never changes; a new one is added at the end.
const STEPS: &[Step] = &[step!(1, "campanile", "0001_campanile.sql")];

/// The bookkeeping table: a row for each applied migration, as sqlx keeps it. On Postgres it is in the schema `campanile`.
pub const TABLE: &str = "_campanile_migrations";

/// The version and the name of every migration this version knows, in the order they are applied.
pub fn known() -> impl Iterator<Item = (i64, &'static str)> {
    STEPS.iter().map(|step| (step.version, step.name))
}

fn name_of(version: i64) -> &'static str {
    let step = STEPS.iter().find(|step| step.version == version);
    step.map_or("", |step| step.name)
}

fn migrator(table: &'static str, sql: impl Fn(&Step) -> &'static str) -> Migrator {
    let migrations = STEPS
        .iter()
        .map(|step| {
            let description = match step.needs {
                Some(needed) => format!("{} (needs {needed})", step.name),
                None => step.name.to_owned(),
            };
            Migration::new(
                step.version,
                description.into(),
                MigrationType::Simple,
                sqlx::SqlSafeStr::into_sql_str(sql(step)),
                false,
            )
        })
        .collect();
    let mut migrator = Migrator::with_migrations(migrations);
    migrator.dangerous_set_table_name(table);
    // Whether this binary may run beside unknown migrations is decided by their descriptions; see `state`.
    migrator.set_ignore_missing(true);
    migrator
}

/// Reads the bookkeeping table; without one nothing is applied. A simple query: a pooler may not know prepared statements.
macro_rules! applied {
    ($table:literal, $connection:expr) => {{
        const READ: &str = concat!(
            "select version, description, success, checksum from ",
            $table,
            " order by version"
        );
        match sqlx::raw_sql(READ).fetch_all($connection).await {
            Ok(rows) => rows
                .iter()
                .map(|row| {
                    Ok(state::Applied {
                        version: sqlx::Row::try_get(row, "version")?,
                        description: sqlx::Row::try_get(row, "description")?,
                        success: sqlx::Row::try_get(row, "success")?,
                        checksum: sqlx::Row::try_get(row, "checksum")?,
                    })
                })
                .collect::<Result<Vec<_>, sqlx::Error>>()
                .map_err(MigrationError::Unread),
            Err(error) if is_missing_table(&error) => Ok(Vec::new()),
            Err(error) => Err(MigrationError::Unread(error)),
        }
    }};
}

/// Creates or updates the schema `campanile` on Postgres. Where nothing is missing it is only read, so that a role without the
/// right to create anything can start.
///
/// An advisory lock lets one migrator work at a time; the others then find nothing to do.
///
/// # Errors
///
/// When the database does not answer, when a migration fails, or when the tables are at a migration beside which this binary
/// must not run.
#[cfg(feature = "postgres")]
pub async fn postgres(pool: &sqlx::PgPool) -> Result<(), MigrationError> {
    let mut migrator = migrator("campanile._campanile_migrations", |step| step.postgres);
    migrator.create_schema("campanile");
    let mut connection = pool.acquire().await.map_err(MigrationError::Unread)?;
    let applied = applied!("campanile._campanile_migrations", &mut *connection)?;
    let missing = state::missing(&applied, &migrator)?;
    if missing.is_empty() {
        return Ok(());
    }
    if let Err(error) = migrator.run_direct(None, &mut *connection, false).await {
        // After a failure the connection still holds the migrators' lock; in the pool nobody would release it.
        connection.close_on_drop();
        return Err(state::failed(error, &missing));
    }
    // Of two binaries that migrate at once the newer may have come first.
    let applied = applied!("campanile._campanile_migrations", &mut *connection)?;
    state::missing(&applied, &migrator).map(drop)
}

/// Creates or updates the tables on SQLite. Where nothing is missing the file is only read.
///
/// All of it happens in one `BEGIN IMMEDIATE`: SQLite has no advisory locks, and of two processes that start at once the
/// second waits here and then finds nothing to do.
///
/// # Errors
///
/// When the database does not answer, when a migration fails, or when the tables are at a migration beside which this binary
/// must not run.
#[cfg(feature = "sqlite")]
pub async fn sqlite(pool: &sqlx::SqlitePool) -> Result<(), MigrationError> {
    let migrator = migrator(TABLE, |step| step.sqlite);
    let applied = applied!("_campanile_migrations", pool)?;
    let missing = state::missing(&applied, &migrator)?;
    if missing.is_empty() {
        return Ok(());
    }
    let migrated = async {
        let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
        migrator.run_direct(None, &mut *transaction, false).await?;
        transaction.commit().await?;
        Ok(())
    };
    migrated
        .await
        .map_err(|error| state::failed(error, &missing))?;
    let applied = applied!("_campanile_migrations", pool)?;
    state::missing(&applied, &migrator).map(drop)
}
