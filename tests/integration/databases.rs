//! Migrations: safe to run twice, concurrently, and beside the host's own; and the error for a missing one.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use campanile::database::{Pool, each_database};
use campanile::{Database, NotifiableEvent as _};
use campanile_tests::database::run;
use campanile_tests::events::Role;
use campanile_tests::{App, Kind, TestDatabase, both_databases, cluster};
use sqlx::Executor as _;
use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Polls a future at most this often, like a caller that is dropped before its end; `None` if it did not end.
async fn give_up_after<F: Future>(polls: u32, future: F) -> Option<F::Output> {
    let (mut future, mut polled) = (pin!(future), 0);
    poll_fn(|context| {
        if polled == polls {
            return Poll::Ready(None);
        }
        polled += 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// Removes everything of campanile's, as before it was installed.
pub(crate) async fn uninstall(database: &TestDatabase) {
    match database.kind {
        Kind::Postgres => database.execute("drop schema campanile cascade").await,
        Kind::Sqlite => {
            let tables =
                "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'";
            let Pool::Sqlite(pool) = database.database.pool() else {
                unreachable!("it is a file");
            };
            let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(pool).await.unwrap();
            for table in tables {
                database.execute(&format!("drop table {table}")).await;
            }
        }
    }
}

/// How many migrations are applied.
async fn migrations(database: &TestDatabase) -> i64 {
    let count = "select count(*) from {postgres(campanile.)}_campanile_migrations";
    database.number(count).await
}

both_databases! {
    async fn migrating_again_changes_nothing(database: TestDatabase) {
        let applied = migrations(&database).await;
        database.database.migrate().await.unwrap();
        assert_eq!(migrations(&database).await, applied);
    }

    async fn many_concurrent_migrators_create_one_set_of_tables(database: TestDatabase) {
        let applied = migrations(&database).await;
        uninstall(&database).await;
        let migrators = (0..8).map(|_| {
            let url = database.url.clone();
            // A separate pool, as in another process.
            tokio::spawn(async move { Database::connect(&url).await.unwrap().migrate().await })
        });
        for migrator in migrators.collect::<Vec<_>>() {
            migrator.await.unwrap().unwrap();
        }
        assert_eq!(migrations(&database).await, applied);
    }

    async fn a_migration_whose_caller_is_dropped_at_any_point_does_not_block_the_next(database: TestDatabase) {
        let applied = migrations(&database).await;
        for polls in 1.. {
            uninstall(&database).await;
            let given_up = give_up_after(polls, database.database.migrate()).await;
            let next = async { Database::connect(&database.url).await.unwrap().migrate().await };
            let next = tokio::time::timeout(Duration::from_mins(1), next).await;
            next.unwrap_or_else(|_| panic!("given up after {polls} polls, it keeps the lock")).unwrap();
            assert_eq!(migrations(&database).await, applied);
            if given_up.is_some() {
                break;
            }
        }
    }

    async fn a_host_that_uses_sqlx_migrations_keeps_its_own(database: TestDatabase) {
        let applied = migrations(&database).await;
        uninstall(&database).await;
        let host = Migrator::with_migrations(vec![Migration::new(
            1,
            "host".into(),
            MigrationType::Simple,
            "create table host_things (id integer primary key)".into_sql_str(),
            false,
        )]);
        each_database!(&database.database, |pool| {
            host.run(pool).await.unwrap();
            database.database.migrate().await.unwrap();
            host.run(pool).await.unwrap();
            pool.execute("insert into host_things values (1)").await.unwrap();
        });
        assert_eq!(database.number("select count(*) from _sqlx_migrations").await, 1);
        assert_eq!(migrations(&database).await, applied);
    }

    async fn a_dispatch_before_the_migrations_says_what_to_run(app: App) {
        uninstall(&app.database).await;
        let notice = app.role_changed(Role::Admin).to(["u_ada"]);
        let error = app.dispatcher.enqueue(notice).await.unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("database.migrate()"), "{source}");
    }
}

#[test]
fn the_server_has_a_supported_version_and_is_the_one_that_the_environment_names() {
    run(Kind::Postgres, async |database| {
        let number = "select cast(current_setting('server_version_num') as bigint)";
        assert!(database.number(number).await >= 13_00_00);
        let Some(programs) = cluster::chosen_programs() else {
            return;
        };
        let postgres = std::process::Command::new(programs.join("postgres"))
            .env("LD_LIBRARY_PATH", programs.join("../lib"))
            .arg("--version")
            .output()
            .unwrap();
        let version = "select split_part(current_setting('server_version'), ' ', 1)";
        let version = database.lines(version).await.remove(0);
        let printed = String::from_utf8(postgres.stdout).unwrap();
        assert_eq!(printed.trim(), format!("postgres (PostgreSQL) {version}"));
    });
}

#[tokio::test]
async fn an_in_memory_sqlite_keeps_its_rows_for_every_caller() {
    let database = Database::connect("sqlite::memory:").await.unwrap();
    database.migrate().await.unwrap();
    let app = App::over_database(TestDatabase {
        kind: Kind::Sqlite,
        database,
        url: String::new(),
    })
    .await;
    let fires = (0..20).map(|n| {
        app.dispatcher
            .dispatch(app.role_changed(Role::Admin).about(n).to(["u_ada"]))
    });
    for report in futures_util::future::join_all(fires).await {
        assert_eq!(report.unwrap().sent, 2);
    }
    assert_eq!(app.inbox("u_ada").await.len(), 20);
}

#[tokio::test]
async fn an_unreachable_server_is_reported_at_once() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://nobody@{}/none", free.local_addr().unwrap());
    drop(free);
    let error = Database::connect(&url).await.unwrap_err();
    assert_eq!(error.to_string(), "the connection to the database broke");
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_url_of_an_unsupported_database_is_refused_with_the_supported_ones() {
    let error = Database::connect("mysql://root@localhost/x")
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "no database for `mysql:`: this build of campanile knows postgres:// and sqlite://"
    );
}
