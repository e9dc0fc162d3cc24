//! `enqueue_in`: the notification commits or rolls back with the action that caused it.

use campanile::database::{Pool, each_database};
use campanile::{DispatchError, Notice, NotifiableEvent as _};
use campanile_tests::database::run;
use campanile_tests::events::{ReportShared, Role};
use campanile_tests::{App, Kind, TestDatabase, both_databases};
use sqlx::{Connection as _, Executor as _};

fn notice(app: &App) -> Notice {
    app.role_changed(Role::Admin)
        .about("m_1")
        .to(["u_ada", "u_bob"])
}

both_databases! {
    async fn a_notification_that_is_committed_with_the_action_is_delivered(app: App) {
        each_database!(app.dispatcher.database(), |pool| {
            let mut transaction = pool.begin_with(app.begin()).await.unwrap();
            transaction.execute("create table host_action (id integer)").await.unwrap();
            let report = app.dispatcher.enqueue_in(&mut transaction, notice(&app)).await.unwrap();
            assert_eq!((report.sent, report.queued, report.failed), (2, 2, 0));
            transaction.commit().await.unwrap();
        });
        // Nothing used the network.
        assert_eq!(app.mails().len(), 0);
        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().sent, 2);
        assert_eq!(app.mails().len(), 2);
    }

    async fn an_action_that_is_rolled_back_notifies_nobody(app: App) {
        each_database!(app.dispatcher.database(), |pool| {
            let mut transaction = pool.begin_with(app.begin()).await.unwrap();
            let _ = app.dispatcher.enqueue_in(&mut transaction, notice(&app)).await.unwrap();
            transaction.rollback().await.unwrap();
        });
        assert_eq!(app.database.written().await, 0);
        assert_eq!(app.dispatcher.deliver_due(10).await.unwrap().claimed, 0);
        // Its windows were rolled back too.
        assert_eq!(app.dispatcher.enqueue(notice(&app)).await.unwrap().deduped, 0);
    }

    async fn a_bare_connection_in_a_transaction_is_accepted(app: App) {
        each_database!(app.dispatcher.database(), |pool| {
            let mut connection = pool.acquire().await.unwrap();
            let mut transaction = connection.begin_with(app.begin()).await.unwrap();
            let _ = app.dispatcher.enqueue_in(&mut *transaction, notice(&app)).await.unwrap();
            transaction.commit().await.unwrap();
        });
        assert_eq!(app.database.count("notifications").await, 2);
    }

    async fn a_transaction_that_was_begun_by_a_statement_is_accepted(app: App) {
        each_database!(app.dispatcher.database(), |pool| {
            let mut connection = pool.acquire().await.unwrap();
            for end in ["rollback", "commit"] {
                connection.execute("begin").await.unwrap();
                let report = app.dispatcher.enqueue_in(&mut *connection, notice(&app)).await.unwrap();
                assert_eq!(report.admitted, 2, "before {end}");
                connection.execute(end).await.unwrap();
            }
        });
        assert_eq!(app.database.count("notifications").await, 2);
    }

    async fn a_connection_outside_a_transaction_is_refused_and_left_clean(app: App) {
        each_database!(app.dispatcher.database(), |pool| {
            let mut connection = pool.acquire().await.unwrap();
            let refused = app.dispatcher.enqueue_in(&mut *connection, notice(&app)).await;
            assert!(matches!(refused, Err(DispatchError::NotInTransaction)), "{refused:?}");
            // The connection is still outside of a transaction: this commits at once.
            connection.execute("create table host_table (id integer)").await.unwrap();
            connection.execute("insert into host_table values (1)").await.unwrap();
        });
        assert_eq!(app.database.written().await, 0);
        assert_eq!(app.database.number("select count(*) from host_table").await, 1);
    }

    async fn enqueue_in_sees_a_preference_that_the_host_changed_in_the_same_transaction(app: App) {
        each_database!(app.dispatcher.database(), |pool| {
            let mut transaction = pool.begin_with(app.begin()).await.unwrap();
            let statement = app.dispatcher.database().sql(
                "insert into {campanile}user_notification_preferences values ('u_ada', '', 'team', 'email', {flag('0')}, {now})",
            );
            transaction.execute(statement).await.unwrap();
            let report = app.dispatcher.enqueue_in(&mut transaction, notice(&app)).await.unwrap();
            assert_eq!(report.suppressed_by_prefs, 1);
            transaction.commit().await.unwrap();
        });
    }

    async fn two_notices_in_one_transaction_are_admitted_one_after_the_other(app: App) {
        each_database!(app.dispatcher.database(), |pool| {
            let mut transaction = pool.begin_with(app.begin()).await.unwrap();
            let first = app.dispatcher.enqueue_in(&mut transaction, notice(&app)).await.unwrap();
            let second = app.dispatcher.enqueue_in(&mut transaction, notice(&app)).await.unwrap();
            assert_eq!((first.admitted, second.deduped), (2, 2));
            transaction.commit().await.unwrap();
        });
    }

    async fn an_audience_of_many_chunks_is_rolled_back_as_a_whole(app: App) {
        let dispatcher = app.builder().chunk(10).build().unwrap();
        let users: Vec<_> = (0..95).map(|n| format!("u_{n}")).collect();
        let notice = || app.role_changed(Role::Admin).about("m_1").to(&users);
        each_database!(dispatcher.database(), |pool| {
            let mut transaction = pool.begin_with(app.begin()).await.unwrap();
            let report = dispatcher.enqueue_in(&mut transaction, notice()).await.unwrap();
            assert_eq!(report.admitted, 95);
            transaction.rollback().await.unwrap();
        });
        assert_eq!(app.database.written().await, 0);
        assert_eq!(dispatcher.enqueue(notice()).await.unwrap().admitted, 95);
        assert_eq!(app.database.count("notification_dispatches").await, 1);
        assert_eq!(app.database.count("notification_deliveries").await, 95);
    }
}

both_databases! {
    async fn concurrent_actions_that_have_not_written_yet_wait_for_each_other(app: App) {
        let actions = (0..20).map(|n| {
            let (dispatcher, notice) = (app.dispatcher.clone(), notice(&app).about(n));
            tokio::spawn(async move {
                each_database!(dispatcher.database(), |pool| {
                    // On SQLite a deferred transaction, which cannot wait once it has read.
                    let mut transaction = pool.begin_with("begin").await.unwrap();
                    let report = dispatcher.enqueue_in(&mut transaction, notice).await.unwrap();
                    transaction.commit().await.unwrap();
                    report.admitted
                })
            })
        });
        for action in actions.collect::<Vec<_>>() {
            assert_eq!(action.await.unwrap(), 2);
        }
    }

    async fn an_error_leaves_a_transaction_begun_by_a_statement_unchanged(app: App) {
        each_database!(app.dispatcher.database(), |pool| {
            let mut connection = pool.acquire().await.unwrap();
            connection.execute("begin").await.unwrap();
            connection.execute("create table host_table (id integer)").await.unwrap();
            let rename = |from: &str, to: &str| {
                let sql = format!("alter table {{campanile}}{from} rename to {{sqlite(campanile_)}}{to}");
                app.database.database.sql(&sql)
            };
            connection.execute(rename("notification_dedup", "gone")).await.unwrap();
            let refused = app.dispatcher.enqueue_in(&mut *connection, notice(&app)).await;
            assert_eq!(refused.unwrap_err().code(), "STORE_FAILED");
            connection.execute(rename("gone", "notification_dedup")).await.unwrap();
            connection.execute("insert into host_table values (1)").await.unwrap();
            connection.execute("commit").await.unwrap();
        });
        assert_eq!(app.database.number("select count(*) from host_table").await, 1);
        assert_eq!(app.database.written().await, 0);
    }

    async fn no_user_input_rolls_back_the_users_action(app: App) {
        let odd = |note: &str, link: &str| ReportShared { title: "A report".into(), note: note.into(), link: link.into() };
        let long = "x".repeat(70_000);
        let far = format!("https://a.example/{}", "y".repeat(2_100));
        each_database!(app.dispatcher.database(), |pool| {
            for (note, link) in [(long.as_str(), "/r"), ("a\0b", "/r"), ("n", "javascript:alert(1)"), ("n", &far), ("n", "http://x/")] {
                let mut transaction = pool.begin_with(app.begin()).await.unwrap();
                let notice = odd(note, link).to(["u_ada", "u_bob"]);
                let report = app.dispatcher.enqueue_in(&mut *transaction, notice).await.unwrap();
                assert_eq!((report.admitted, report.failed), (2, 0), "{link}");
                transaction.commit().await.unwrap();
            }
        });
        assert_eq!(app.inbox("u_bob").await.len(), 5);
    }
}

#[test]
fn waiting_for_a_key_of_an_open_transaction_ends_with_an_error_that_says_try_again() {
    run(Kind::Postgres, async |database| {
        let app = App::over_database(database).await;
        let dispatcher = app
            .builder()
            .lock_wait(std::time::Duration::from_millis(200))
            .build()
            .unwrap();
        let Pool::Postgres(pool) = dispatcher.database().pool() else {
            panic!("this is Postgres");
        };
        let mut holder = pool.begin_with("begin").await.unwrap();
        let _ = dispatcher
            .enqueue_in(&mut holder, notice(&app))
            .await
            .unwrap();
        let error = dispatcher.enqueue(notice(&app)).await.unwrap_err();
        assert!(error.is_transient(), "{error:?}");
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(
            source,
            "another transaction holds the same dedup key; try again"
        );
        // Another key is not delayed, and the connection keeps its own lock timeout.
        let _ = dispatcher.enqueue(notice(&app).about("m_2")).await.unwrap();
        let waits: String = sqlx::query_scalar("show lock_timeout")
            .fetch_one(pool)
            .await
            .unwrap();
        assert_eq!(waits, "0");
        holder.rollback().await.unwrap();
        assert_eq!(dispatcher.enqueue(notice(&app)).await.unwrap().admitted, 2);
    });
}

async fn the_other(database: &TestDatabase, kind: Kind) {
    let app = App::over_database(database.clone()).await;
    run_blocking(kind, async move |other| {
        each_database!(&other.database, |pool| {
            let mut transaction = pool.begin_with("begin").await.unwrap();
            let refused = app
                .dispatcher
                .enqueue_in(&mut transaction, notice(&app))
                .await;
            let Err(error @ DispatchError::OtherDatabase { .. }) = refused else {
                panic!("{refused:?}");
            };
            let kinds = ["SQLite", "Postgres"].map(|kind| error.to_string().contains(kind));
            assert_eq!(kinds, [true, true]);
        });
        assert_eq!(app.database.written().await, 0);
        assert_eq!(other.written().await, 0);
    })
    .await;
}

/// A second database besides the one of the test.
async fn run_blocking<S>(kind: Kind, story: S)
where
    S: AsyncFnOnce(TestDatabase) + Send + 'static,
{
    tokio::task::spawn_blocking(move || run(kind, story))
        .await
        .unwrap();
}

#[test]
fn a_transaction_of_sqlite_is_refused_by_a_dispatcher_over_postgres() {
    run(Kind::Postgres, async |database| {
        the_other(&database, Kind::Sqlite).await;
    });
}

#[test]
fn a_transaction_of_postgres_is_refused_by_a_dispatcher_over_sqlite() {
    run(Kind::Sqlite, async |database| {
        the_other(&database, Kind::Postgres).await;
    });
}

#[test]
fn at_repeatable_read_a_conflict_is_an_error_that_says_try_again() {
    run(Kind::Postgres, async |database| {
        let app = App::over_database(database).await;
        let Pool::Postgres(pool) = app.dispatcher.database().pool() else {
            panic!("this is Postgres");
        };
        let mut transaction = pool
            .begin_with("begin isolation level repeatable read")
            .await
            .unwrap();
        transaction
            .execute("select count(*) from campanile.notification_dedup")
            .await
            .unwrap();
        let _ = app.dispatcher.enqueue(notice(&app)).await.unwrap();
        let error = app
            .dispatcher
            .enqueue_in(&mut transaction, notice(&app))
            .await
            .unwrap_err();
        assert!(error.is_transient(), "{error:?}");
    });
}

/// A caller that claims the same windows as another, from the other end.
async fn transaction_of(pool: &sqlx::PgPool) -> sqlx::Transaction<'static, sqlx::Postgres> {
    pool.begin_with("begin").await.unwrap()
}

both_databases! {
    async fn several_notices_are_written_with_the_action_or_not_at_all(app: App) {
        let notices = || [1, 2, 1].map(|subject| app.role_changed(Role::Admin).about(subject).to(["u_ada"]));
        for (end, written) in [("rollback", 0), ("commit", 2)] {
            each_database!(app.dispatcher.database(), |pool| {
                let mut transaction = pool.begin_with(app.begin()).await.unwrap();
                let reports = app.dispatcher.enqueue_all_in(&mut transaction, notices()).await.unwrap();
                let admitted: Vec<_> = reports.iter().map(|report| report.admitted).collect();
                assert_eq!(admitted, [1, 1, 0], "the first of two for one window counts");
                match end {
                    "commit" => transaction.commit().await.unwrap(),
                    _ => transaction.rollback().await.unwrap(),
                }
            });
            assert_eq!(app.database.count("notifications").await, written);
        }
        each_database!(app.dispatcher.database(), |pool| {
            let mut transaction = pool.begin_with(app.begin()).await.unwrap();
            let none = app.dispatcher.enqueue_all_in(&mut transaction, []).await.unwrap();
            assert!(none.is_empty());
        });
    }

    async fn the_error_for_a_handler_that_holds_the_only_connection_names_enqueue_in(database: TestDatabase) {
        let database = TestDatabase { database: database.with_connections(1).await, ..database };
        let app = App::without_addresses(database);
        each_database!(app.dispatcher.database(), |pool| {
            let mut held = pool.acquire().await.unwrap();
            // Both get an error; neither waits for the other's turn to write.
            let call = |subject: u32| app.dispatcher.enqueue(app.role_changed(Role::Admin).about(subject).to(["u_ada"]));
            let both = futures_util::future::join(call(1), call(2)).await;
            for answer in [both.0, both.1] {
                let error = answer.unwrap_err();
                assert!(matches!(error, DispatchError::Store(_)) && error.is_transient(), "{error:?}");
                let reason = std::error::Error::source(&error).unwrap().to_string();
                assert!(reason.contains("holds every connection") && reason.contains("`enqueue_in`"), "{reason}");
            }
            let mut transaction = held.begin_with(app.begin()).await.unwrap();
            let _ = app.dispatcher.enqueue_in(&mut transaction, notice(&app)).await.unwrap();
            transaction.commit().await.unwrap();
        });
        assert_eq!(app.dispatcher.enqueue(notice(&app)).await.unwrap().deduped, 2);
    }
}

/// The only connection is campanile's own, and its statement waits for another session's lock.
#[test]
fn waiting_for_a_connection_and_waiting_for_an_answer_are_different_errors() {
    run(Kind::Postgres, async |database| {
        let app = App::over_database(database.clone()).await;
        let Pool::Postgres(pool) = database.database.pool() else {
            unreachable!("the test runs only on Postgres")
        };
        let one = database.with_connections(1).await;
        let one = one.statement_timeout(std::time::Duration::from_secs(2));
        let dispatcher = app.builder().database(one).build().unwrap();
        let mut locked = pool.begin_with("begin").await.unwrap();
        sqlx::query("lock table campanile.user_notification_preferences in access exclusive mode")
            .execute(&mut *locked)
            .await
            .unwrap();
        let notice = |subject: u32| app.role_changed(Role::Admin).about(subject).to(["u_ada"]);
        let (first, second) =
            tokio::join!(dispatcher.enqueue(notice(1)), dispatcher.enqueue(notice(2)));
        let mut reasons = [first, second].map(|answer| {
            let error = answer.unwrap_err();
            assert!(error.is_transient(), "{error:?}");
            std::error::Error::source(&error).unwrap().to_string()
        });
        reasons.sort();
        assert!(
            reasons[0].starts_with("no connection became free in time"),
            "{reasons:?}"
        );
        assert_eq!(reasons[1], "the database did not answer in time");
        locked.rollback().await.unwrap();
        assert_eq!(dispatcher.enqueue(notice(3)).await.unwrap().admitted, 1);
    });
}

#[test]
fn several_notices_in_one_call_are_locked_in_a_fixed_order() {
    run(Kind::Postgres, async |database| {
        let app = App::over_database(database).await;
        let Pool::Postgres(pool) = app.dispatcher.database().pool() else {
            unreachable!("the test runs only on Postgres")
        };
        for round in 0..20 {
            let windows: Vec<_> = (0..20).map(|n| format!("{round}_{n}")).collect();
            let calls = (0..4).map(|n| {
                let notice =
                    |subject: &String| app.role_changed(Role::Admin).about(subject).to(["u_ada"]);
                let mut notices: Vec<_> = windows.iter().map(notice).collect();
                if n % 2 == 0 {
                    notices.reverse();
                }
                let (dispatcher, pool) = (app.dispatcher.clone(), pool.clone());
                tokio::spawn(async move {
                    let mut transaction = transaction_of(&pool).await;
                    let reports = dispatcher.enqueue_all_in(&mut transaction, notices).await;
                    transaction.commit().await.unwrap();
                    let reports = reports.unwrap();
                    reports.iter().map(|report| report.admitted).sum::<usize>()
                })
            });
            let mut admitted = 0;
            for call in calls.collect::<Vec<_>>() {
                admitted += call.await.unwrap();
            }
            assert_eq!(admitted, 20);
        }
    });
}

#[test]
fn two_transactions_that_lock_crosswise_get_an_error_that_says_try_again() {
    run(Kind::Postgres, async |database| {
        let app = App::over_database(database).await;
        let Pool::Postgres(pool) = app.dispatcher.database().pool() else {
            unreachable!("the test runs only on Postgres")
        };
        let notice = |subject: u32| app.role_changed(Role::Admin).about(subject).to(["u_ada"]);
        let mut one = transaction_of(pool).await;
        let mut other = transaction_of(pool).await;
        let _ = app
            .dispatcher
            .enqueue_in(&mut one, notice(1))
            .await
            .unwrap();
        let _ = app
            .dispatcher
            .enqueue_in(&mut other, notice(2))
            .await
            .unwrap();
        let (of_one, of_other) = tokio::join!(
            async {
                let told = app.dispatcher.enqueue_in(&mut one, notice(2)).await;
                let again = app.dispatcher.enqueue_in(&mut one, notice(3)).await;
                one.commit().await.unwrap();
                (told, again)
            },
            async {
                let told = app.dispatcher.enqueue_in(&mut other, notice(1)).await;
                let again = app.dispatcher.enqueue_in(&mut other, notice(4)).await;
                other.commit().await.unwrap();
                (told, again)
            }
        );
        let (refused, aborted) = match (of_one, of_other) {
            ((Err(refused), aborted), (Ok(_), Ok(_)))
            | ((Ok(_), Ok(_)), (Err(refused), aborted)) => (refused, aborted),
            both => panic!("one of two is refused: {both:?}"),
        };
        assert!(refused.is_transient(), "{refused:?}");
        // A caller that continues gets an error, although the driver reports `Ok` for the commit.
        let aborted = aborted.unwrap_err();
        let reason = std::error::Error::source(&aborted).unwrap().to_string();
        assert!(reason.contains("roll it back"), "{reason}");
        assert_eq!(app.database.count("notifications").await, 3);
    });
}

/// Hosts that have nothing in common except that they notify do not fail for it, on tables with one page and with many.
#[test]
fn serializable_transactions_of_hosts_do_not_fail_because_they_notify() {
    run(Kind::Postgres, async |database| {
        let app = App::over_database(database).await;
        app.database
            .execute("create table host (id text primary key)")
            .await;
        let Pool::Postgres(pool) = app.dispatcher.database().pool() else {
            unreachable!("the test runs only on Postgres")
        };
        for windows in [0, 20_000] {
            app.database
                .execute(&format!(
                    "insert into campanile.notification_dedup select 'z' || n, 'a.b.c', 'k' || n, now(), now(), gen_random_uuid() \
                     from generate_series(1, {windows}) n; analyze"
                ))
                .await;
            for round in 0..5 {
                let barrier = std::sync::Arc::new(tokio::sync::Barrier::new(14));
                let hosts: Vec<_> = (0..14)
                    .map(|n| {
                        let id = format!("{windows}_{round}_{n}");
                        let notice = app.role_changed(Role::Admin).about(&id).to([&id]);
                        let (dispatcher, pool, barrier) =
                            (app.dispatcher.clone(), pool.clone(), barrier.clone());
                        tokio::spawn(async move {
                            let mut host = pool
                                .begin_with("begin isolation level serializable")
                                .await
                                .unwrap();
                            let action = sqlx::query("insert into host values ($1)").bind(&id);
                            host.execute(action).await.unwrap();
                            let _ = dispatcher.enqueue_in(&mut host, notice).await.unwrap();
                            // Everybody has written before anybody commits.
                            barrier.wait().await;
                            host.commit().await
                        })
                    })
                    .collect();
                for host in hosts {
                    host.await.unwrap().unwrap();
                }
            }
        }
        assert_eq!(app.database.count("notifications").await, 2 * 5 * 14);
    });
}
