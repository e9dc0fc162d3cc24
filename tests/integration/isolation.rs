//! A database or a role whose transactions are serializable by default: campanile's own are not, and the application's stay so.
//!
//! Only on Postgres: SQLite has one writer at a time, and no isolation levels.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use campanile::{Database, Dispatcher, NotifiableEvent as _};
use campanile_tests::database::run;
use campanile_tests::events::Role;
use campanile_tests::{App, Kind, TestDatabase};
use sqlx::postgres::{PgPool, PgPoolOptions};

/// From now on, new sessions start at this level.
async fn begin_at(database: &TestDatabase, level: &str) {
    let alter = format!(
        "do $$ begin execute format('alter database %I set default_transaction_isolation = ''{level}''', current_database()); end $$"
    );
    database.execute(&alter).await;
}

async fn pool(database: &TestDatabase) -> PgPool {
    let pool = PgPoolOptions::new().max_connections(12);
    pool.connect(&database.url).await.unwrap()
}

/// Many dispatches to the same people about the same subjects, beside workers that deliver them.
async fn rush(app: &App, dispatcher: &Dispatcher) -> Vec<String> {
    let is_over = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let (dispatcher, is_over) = (dispatcher.clone(), Arc::clone(&is_over));
            tokio::spawn(async move {
                let mut refusals = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    if let Err(error) = dispatcher.deliver_due(20).await {
                        refusals.push(format!("{error:?}"));
                    }
                }
                refusals
            })
        })
        .collect();
    let callers: Vec<_> = (0..6)
        .map(|_| {
            let dispatcher = dispatcher.clone();
            let notices: Vec<_> = (0..25)
                .map(|subject| {
                    app.role_changed(Role::Admin)
                        .about(subject)
                        .to(["u_ada", "u_bob", "u_cyd"])
                })
                .collect();
            tokio::spawn(async move {
                let mut refusals = Vec::new();
                for notice in notices {
                    if let Err(error) = dispatcher.enqueue(notice).await {
                        refusals.push(format!("{error:?}"));
                    }
                }
                refusals
            })
        })
        .collect();
    let mut refusals = Vec::new();
    for caller in callers {
        refusals.extend(caller.await.unwrap());
    }
    is_over.store(true, Ordering::Relaxed);
    for worker in workers {
        refusals.extend(worker.await.unwrap());
    }
    refusals
}

#[test]
fn with_serializable_as_the_default_campaniles_own_transactions_do_not_fail() {
    for level in ["serializable", "repeatable read"] {
        run(Kind::Postgres, async |database| {
            let app = App::over_database(database).await;
            begin_at(&app.database, level).await;
            let hosts = pool(&app.database).await;
            let dispatcher = app.builder().database(hosts.clone()).build().unwrap();
            assert_eq!(rush(&app, &dispatcher).await, Vec::<String>::new());
            assert_eq!(app.database.count("notifications").await, 3 * 25);
        });
    }
}

#[test]
fn the_applications_own_transactions_keep_their_isolation_level() {
    run(Kind::Postgres, async |database| {
        let app = App::over_database(database).await;
        begin_at(&app.database, "repeatable read").await;
        // And in addition a level that only this pool sets.
        let hosts = PgPoolOptions::new()
            .max_connections(4)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    let choose =
                        "set session characteristics as transaction isolation level serializable";
                    sqlx::raw_sql(choose).execute(connection).await.map(drop)
                })
            })
            .connect(&app.database.url)
            .await
            .unwrap();
        let dispatcher = app.builder().database(hosts.clone()).build().unwrap();
        let calls = (0..8)
            .map(|n| dispatcher.enqueue(app.role_changed(Role::Admin).about(n).to(["u_ada"])));
        for enqueued in futures_util::future::join_all(calls).await {
            let _ = enqueued.unwrap();
        }
        let mut held = Vec::new();
        for _ in 0..4 {
            let mut connection = hosts.acquire().await.unwrap();
            let level: String =
                sqlx::query_scalar("select current_setting('transaction_isolation')")
                    .fetch_one(&mut *connection)
                    .await
                    .unwrap();
            assert_eq!(level, "serializable");
            held.push(connection);
        }
    });
}

#[test]
fn a_pool_of_connect_is_treated_the_same() {
    run(Kind::Postgres, async |database| {
        let app = App::over_database(database).await;
        begin_at(&app.database, "serializable").await;
        let database = Database::connect(&app.database.url).await.unwrap();
        let dispatcher = app.builder().database(database).build().unwrap();
        assert_eq!(rush(&app, &dispatcher).await, Vec::<String>::new());
    });
}
