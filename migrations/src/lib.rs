//! The tables of campanile, as migrations for Postgres and SQLite.
//!
//! Applications call `campanile::Database::migrate`; this crate is for those who run migrations by other means.
//! The bookkeeping table is campanile's own, so a host keeps its `_sqlx_migrations`.

#![cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    allow(unused, reason = "without a database there is nothing to run")
)]

use sqlx::migrate::{Migration, MigrationType, Migrator};

/// A migration: its version, its name, and the same step for each database.
struct Step {
    version: i64,
    name: &'static str,
    #[cfg(feature = "postgres")]
    postgres: &'static str,
    #[cfg(feature = "sqlite")]
    sqlite: &'static str,
}

macro_rules! step {
    ($version:literal, $name:literal, $file:literal) => {
        Step {
            version: $version,
            name: $name,
            #[cfg(feature = "postgres")]
            postgres: include_str!(concat!("../postgres/", $file)),
            #[cfg(feature = "sqlite")]
            sqlite: include_str!(concat!("../sqlite/", $file)),
        }
    };
}

/// In the order they are applied. An applied one never changes; a new one is added at the end.
const STEPS: &[Step] = &[
    step!(1, "dispatch", "0001_dispatch.sql"),
    step!(2, "people", "0002_people.sql"),
    step!(3, "channels", "0003_channels.sql"),
    step!(4, "pauses", "0004_pauses.sql"),
    step!(5, "prune", "0005_prune.sql"),
    step!(6, "durable", "0006_durable.sql"),
    step!(7, "prune_read", "0007_prune_read.sql"),
    step!(8, "inbox_views", "0008_inbox_views.sql"),
    step!(9, "inbox_changes", "0009_inbox_changes.sql"),
    step!(11, "brake", "0011_brake.sql"),
    step!(12, "claims", "0012_claims.sql"),
    step!(13, "chores", "0013_chores.sql"),
];

/// The bookkeeping table: a row for each applied migration, as sqlx keeps it. On Postgres it is in the schema `campanile`.
pub const TABLE: &str = "_campanile_migrations";

/// The version and the name of every migration this version knows, in the order they are applied.
pub fn known() -> impl Iterator<Item = (i64, &'static str)> {
    STEPS.iter().map(|step| (step.version, step.name))
}

fn migrator(table: &'static str, sql: impl Fn(&Step) -> &'static str) -> Migrator {
    let migrations = STEPS
        .iter()
        .map(|step| {
            let sql = sqlx::SqlSafeStr::into_sql_str(sql(step));
            Migration::new(
                step.version,
                step.name.into(),
                MigrationType::Simple,
                sql,
                false,
            )
        })
        .collect();
    let mut migrator = Migrator::with_migrations(migrations);
    migrator.dangerous_set_table_name(table);
    migrator
}

/// Creates or updates the schema `campanile` on Postgres.
///
/// An advisory lock lets one migrator work at a time; the others then find nothing to do.
///
/// # Errors
///
/// When the database does not answer, or holds migrations this version does not know.
#[cfg(feature = "postgres")]
pub async fn postgres(pool: &sqlx::PgPool) -> Result<(), sqlx::migrate::MigrateError> {
    let mut migrator = migrator("campanile._campanile_migrations", |step| step.postgres);
    migrator.create_schema("campanile");
    migrator.run(pool).await
}

/// Creates or updates the tables on SQLite.
///
/// All of it happens in one `BEGIN IMMEDIATE`: SQLite has no advisory locks, and of two processes that start at once the
/// second waits here and then finds nothing to do.
///
/// # Errors
///
/// When the database does not answer, or holds migrations this version does not know.
#[cfg(feature = "sqlite")]
pub async fn sqlite(pool: &sqlx::SqlitePool) -> Result<(), sqlx::migrate::MigrateError> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    migrator(TABLE, |step| step.sqlite)
        .run_direct(None, &mut *transaction, false)
        .await?;
    transaction.commit().await?;
    Ok(())
}
