//! Upgrades: a binary with newer tables, and a role that may not create or change tables.

use std::time::Duration;

use campanile::{Database, NotifiableEvent as _, StoreError};
use campanile_tests::events::Role;
use campanile_tests::{App, Kind, TestDatabase, both_databases};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use uuid::Uuid;

use crate::databases::uninstall;

/// As if a newer binary had applied a migration with this description.
async fn applied_by_a_newer_binary(database: &TestDatabase, version: i64, description: &str) {
    let row = format!("select {version}, '{description}', success, checksum, execution_time");
    database
        .execute(&format!(
            "insert into {{postgres(campanile.)}}_campanile_migrations (version, description, success, checksum, execution_time) \
             {row} from {{postgres(campanile.)}}_campanile_migrations where version = 1"
        ))
        .await;
}

both_databases! {
    async fn an_older_binary_starts_on_newer_tables(app: App) {
        applied_by_a_newer_binary(&app.database, 9_000, "expand").await;
        // Its rule for older binaries applies to this one too.
        applied_by_a_newer_binary(&app.database, 9_001, "contract (needs 1)").await;
        app.database.database.migrate().await.unwrap();
        let notice = app.role_changed(Role::Admin).to(["u_ada"]);
        assert_eq!(app.dispatcher.dispatch(notice).await.unwrap().sent, 2);
    }

    async fn a_migration_can_exclude_older_binaries(database: TestDatabase) {
        applied_by_a_newer_binary(&database, 9_001, "contract (needs 9000)").await;
        let error = database.database.migrate().await.unwrap_err();
        assert!(error.is_binary_too_old() && !error.is_transient(), "{error}");
        let text = error.to_string();
        assert!(text.contains("needs a binary that knows migration 9000"), "{text}");
        assert!(text.contains("deploy a newer binary"), "{text}");
    }

    async fn a_changed_applied_migration_is_an_error(database: TestDatabase) {
        database.execute("update {postgres(campanile.)}_campanile_migrations set checksum = 'x' where version = 1").await;
        let error = database.database.migrate().await.unwrap_err();
        assert!(error.to_string().contains("migration 1 `campanile` was applied with other contents"), "{error}");
    }

    async fn tables_of_an_unreleased_build_are_refused(database: TestDatabase) {
        uninstall(&database).await;
        if database.kind == Kind::Postgres {
            database.execute("create schema campanile").await;
        }
        let table = "{postgres(campanile.)}_campanile_migrations";
        let (time, bytes) = match database.kind {
            Kind::Postgres => ("timestamptz", "bytea"),
            Kind::Sqlite => ("timestamp", "blob"),
        };
        database
            .execute(&format!(
                "create table {table} (version bigint primary key, description text not null, installed_on {time} not null \
                 default current_timestamp, success boolean not null, checksum {bytes} not null, execution_time bigint not null)"
            ))
            .await;
        for (version, name) in [(1, "dispatch"), (2, "people"), (17, "suppression_users")] {
            let row = format!("insert into {table} (version, description, success, checksum, execution_time) values \
                ({version}, '{name}', true, 'x', 1)");
            database.execute(&row).await;
        }
        let text = database.database.migrate().await.unwrap_err().to_string();
        assert!(text.contains("the tables were made by a build that was never released"), "{text}");
        assert!(text.contains("drop them and migrate again"), "{text}");
    }
}

/// The same database for a role that may use campanile's tables, but neither create nor change tables.
async fn without_create(database: &TestDatabase) -> (String, Database) {
    let role = format!("campanile_test_{}", Uuid::now_v7().simple());
    for statement in [
        format!("create role {role} login password 'x'"),
        format!("grant usage on schema campanile to {role}"),
        format!("grant select, insert, update, delete on all tables in schema campanile to {role}"),
    ] {
        database.execute(&statement).await;
    }
    let options: PgConnectOptions = database.url.parse().unwrap();
    let pool = PgPoolOptions::new()
        .max_connections(2)
        .connect_with(options.username(&role).password("x"))
        .await
        .unwrap();
    (role, pool.into())
}

async fn drop_role(database: &TestDatabase, role: &str) {
    database
        .execute(&format!("drop owned by {role}; drop role {role}"))
        .await;
}

#[test]
fn a_role_without_create_starts_on_tables_that_are_up_to_date() {
    campanile_tests::database::run(Kind::Postgres, async |database| {
        let (role, restricted) = without_create(&database).await;
        restricted.migrate().await.unwrap();
        let app = App::over_database(TestDatabase {
            database: restricted,
            ..database.clone()
        })
        .await;
        let notice = app.role_changed(Role::Admin).to(["u_ada"]);
        assert_eq!(app.dispatcher.dispatch(notice).await.unwrap().sent, 2);
        drop_role(&database, &role).await;
    });
}

#[test]
fn a_role_without_create_gets_an_error_with_the_missing_migrations_and_blocks_nobody() {
    campanile_tests::database::run(Kind::Postgres, async |database| {
        let (role, restricted) = without_create(&database).await;
        database
            .execute("drop schema campanile cascade; create schema campanile")
            .await;
        database
            .execute(&format!("grant usage on schema campanile to {role}"))
            .await;
        let error: StoreError = restricted.migrate().await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("lack 1 campanile: migrate once as a role that owns them"),
            "{text}"
        );
        // Its connection is in the pool or closed, and the migrators' lock is not on it.
        let owner = tokio::time::timeout(Duration::from_secs(30), database.database.migrate());
        owner.await.unwrap().unwrap();
        drop_role(&database, &role).await;
    });
}

#[test]
fn a_role_that_may_not_read_the_tables_gets_an_error_with_the_grants() {
    campanile_tests::database::run(Kind::Postgres, async |database| {
        let (role, restricted) = without_create(&database).await;
        database
            .execute(&format!(
                "revoke all on all tables in schema campanile from {role}"
            ))
            .await;
        let error = restricted.migrate().await.unwrap_err();
        assert!(
            error.to_string().contains("needs `usage` on the schema"),
            "{error}"
        );
        drop_role(&database, &role).await;
    });
}

/// The file, with a connection that does not wait for locks.
async fn impatient(database: &TestDatabase, read_only: ReadOnly) -> Database {
    let options: SqliteConnectOptions = database.url.parse().unwrap();
    let options = options
        .read_only(read_only == ReadOnly::Yes)
        .busy_timeout(Duration::ZERO);
    let pool = SqlitePoolOptions::new().connect_with(options).await;
    pool.unwrap().into()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ReadOnly {
    Yes,
    No,
}

#[test]
fn a_sqlite_file_that_is_up_to_date_is_only_read() {
    campanile_tests::database::run(Kind::Sqlite, async |database| {
        impatient(&database, ReadOnly::Yes)
            .await
            .migrate()
            .await
            .unwrap();
        // Another connection writes for long.
        let campanile::database::Pool::Sqlite(pool) = database.database.pool() else {
            unreachable!("it is a file");
        };
        let mut connection = pool.acquire().await.unwrap();
        sqlx::query("begin immediate")
            .execute(&mut *connection)
            .await
            .unwrap();
        impatient(&database, ReadOnly::No)
            .await
            .migrate()
            .await
            .unwrap();
        sqlx::query("rollback")
            .execute(&mut *connection)
            .await
            .unwrap();
    });
}

#[test]
fn a_read_only_sqlite_file_is_an_error_with_the_missing_migrations() {
    campanile_tests::database::run(Kind::Sqlite, async |database| {
        uninstall(&database).await;
        let error = impatient(&database, ReadOnly::Yes)
            .await
            .migrate()
            .await
            .unwrap_err();
        assert!(error.to_string().contains("lack 1 campanile"), "{error}");
    });
}
