//! A dispatch that is repeated, because it is unknown whether it was written: with an id from the caller it is written once.

use std::time::Duration;

use campanile::database::each_database;
use campanile::operate::Retention;
use campanile::{DispatchError, Notice, NotifiableEvent as _};
use campanile_tests::database::run;
use campanile_tests::events::{Measured, Role, Unit};
use campanile_tests::fault_proxy::FaultProxy;
use campanile_tests::{App, Kind, both_databases};
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

/// Without a window on inbox, mail and push; with a window only on the inbox, which writes no dispatch row; and both.
fn notices(app: &App) -> [Notice; 3] {
    let measured = Measured {
        value: 1.0,
        notes: Vec::new(),
        unit: Unit::Metre,
    };
    [
        app.password_changed().to(["u_ada", "u_bob"]),
        measured.to(["u_ada", "u_bob"]),
        app.role_changed(Role::Admin).to(["u_ada", "u_bob"]),
    ]
}

both_databases! {
    async fn a_dispatch_id_is_written_once_by_any_call(app: App) {
        for notice in notices(&app) {
            let id = Uuid::now_v7();
            let notice = notice.dispatch_id(id);
            let first = app.dispatcher.dispatch(notice.clone()).await.unwrap();
            assert_eq!((first.dispatch_id, first.admitted), (Some(id), 2));
            // No window could detect it.
            app.database.advance_windows(3_600).await;
            let written = app.database.written().await;
            let again = app.dispatcher.dispatch(notice.clone()).await.unwrap();
            assert_eq!((again.admitted, again.deduped), (0, 2));
            assert_eq!(app.dispatcher.enqueue(notice.clone()).await.unwrap().deduped, 2);
            each_database!(app.dispatcher.database(), |pool| {
                let mut transaction = pool.begin_with(app.begin()).await.unwrap();
                let within = app.dispatcher.enqueue_in(&mut transaction, notice.clone()).await.unwrap();
                assert_eq!((within.admitted, within.deduped), (0, 2));
                transaction.commit().await.unwrap();
            });
            assert_eq!(app.database.written().await, written);
            // With another id, it is another dispatch.
            let other = app.dispatcher.enqueue(notice.dispatch_id(Uuid::now_v7())).await.unwrap();
            assert_eq!(other.admitted, 2);
        }
    }

    async fn one_of_many_concurrent_calls_with_the_same_id_writes(app: App) {
        // In one chunk and in several.
        for chunk in [10_000, 1] {
            let dispatcher = app.builder().chunk(chunk).build().unwrap();
            let notice = app.password_changed().about(chunk).to(["u_ada", "u_bob", "u_cyd"]).dispatch_id(Uuid::now_v7());
            let calls: Vec<_> = (0..16)
                .map(|_| {
                    let (dispatcher, notice) = (dispatcher.clone(), notice.clone());
                    tokio::spawn(async move { dispatcher.enqueue(notice).await.unwrap().admitted })
                })
                .collect();
            let mut admitted = Vec::new();
            for call in calls {
                admitted.push(call.await.unwrap());
            }
            admitted.sort_unstable();
            assert_eq!(admitted, [[0; 15].as_slice(), &[3]].concat());
            let items = format!("select count(*) from {{campanile}}notifications where subject_id = '{chunk}'");
            assert_eq!(app.database.number(&items).await, 3);
        }
    }

    async fn an_id_whose_transaction_rolled_back_is_free(app: App) {
        let notice = app.password_changed().to(["u_ada"]).dispatch_id(Uuid::now_v7());
        each_database!(app.dispatcher.database(), |pool| {
            let mut transaction = pool.begin_with(app.begin()).await.unwrap();
            let _ = app.dispatcher.enqueue_in(&mut transaction, notice.clone()).await.unwrap();
            transaction.rollback().await.unwrap();
        });
        assert_eq!(app.dispatcher.enqueue(notice).await.unwrap().admitted, 1);
    }

    async fn two_notices_of_one_call_have_separate_ids(app: App) {
        let id = Uuid::now_v7();
        let notice = |user: &str| app.password_changed().to([user]).dispatch_id(id);
        let refused = app.dispatcher.enqueue_all([notice("u_ada"), notice("u_bob")]).await.unwrap_err();
        assert!(matches!(refused, DispatchError::RepeatedDispatchId(repeated) if repeated == id), "{refused}");
        assert_eq!(app.database.written().await, 0);
        let other = app.password_changed().to(["u_bob"]).dispatch_id(Uuid::now_v7());
        let reports = app.dispatcher.enqueue_all([notice("u_ada"), other]).await.unwrap();
        assert_eq!(reports.iter().map(|report| report.admitted).sum::<usize>(), 2);
    }

    async fn ids_are_kept_as_long_as_finished_deliveries(app: App) {
        let _ = app.dispatcher.enqueue(app.password_changed().to(["u_ada"]).dispatch_id(Uuid::now_v7())).await.unwrap();
        app.dispatcher.operations().prune(Retention::default()).await.unwrap();
        assert_eq!(app.database.count("notification_dispatch_ids").await, 1);
        let deliveries = Duration::ZERO;
        app.dispatcher.operations().prune(Retention { deliveries, ..Retention::default() }).await.unwrap();
        assert_eq!(app.database.count("notification_dispatch_ids").await, 0);
    }
}

/// The connection is cut while the answer to the commit is in flight: of one statement, and of a transaction.
#[test]
fn a_lost_answer_to_the_commit_is_reported_as_unknown() {
    run(Kind::Postgres, async |database| {
        let app = App::over_database(database).await;
        let proxy = FaultProxy::before(&app.database.url).await;
        for chunk in [10_000, 1] {
            let far = PgPoolOptions::new()
                .max_connections(1)
                .connect(&proxy.url)
                .await
                .unwrap();
            let dispatcher = app.builder().database(far).chunk(chunk).build().unwrap();
            let id = Uuid::now_v7();
            let notice = app.password_changed().about(chunk).to(["u_ada", "u_bob"]);
            let notice = notice.dispatch_id(id);
            proxy.slow(Duration::ZERO, Duration::from_millis(500));
            let call = {
                let (dispatcher, notice) = (dispatcher.clone(), notice.clone());
                tokio::spawn(async move { dispatcher.enqueue(notice).await })
            };
            let items = format!(
                "select count(*) from campanile.notifications where subject_id = '{chunk}'"
            );
            app.eventually(async || app.database.number(&items).await == 2)
                .await;
            proxy.cut();
            let error = call.await.unwrap().unwrap_err();
            let DispatchError::CommitUnknown { dispatch_ids, .. } = &error else {
                panic!("{error:?}");
            };
            assert_eq!(
                (dispatch_ids.as_slice(), error.code()),
                ([id].as_slice(), "COMMIT_UNKNOWN")
            );
            assert!(!error.is_transient());
            proxy.slow(Duration::ZERO, Duration::ZERO);
            let again = dispatcher.enqueue(notice).await.unwrap();
            assert_eq!((again.admitted, again.deduped), (0, 2));
            assert_eq!(app.database.number(&items).await, 2);
        }
    });
}

/// The connection is cut before anything was committed: it is certain that nothing was written.
#[test]
fn a_connection_that_broke_before_the_commit_has_written_nothing() {
    run(Kind::Postgres, async |database| {
        let app = App::over_database(database).await;
        let proxy = FaultProxy::before(&app.database.url).await;
        let far = PgPoolOptions::new()
            .max_connections(1)
            .connect(&proxy.url)
            .await
            .unwrap();
        let dispatcher = app.builder().database(far).build().unwrap();
        // The preferences are locked, so that the dispatch waits where it reads them.
        let campanile::database::Pool::Postgres(pool) = app.dispatcher.database().pool() else {
            unreachable!("the test runs only on Postgres")
        };
        let mut locked = pool.begin_with("begin").await.unwrap();
        sqlx::query("lock table campanile.user_notification_preferences in access exclusive mode")
            .execute(&mut *locked)
            .await
            .unwrap();
        let notice = app.password_changed().to(["u_ada"]);
        let call = tokio::spawn(async move { dispatcher.enqueue(notice).await });
        let waits = "select count(*) from pg_locks where not granted";
        app.eventually(async || app.database.number(waits).await == 1)
            .await;
        proxy.cut();
        let error = call.await.unwrap().unwrap_err();
        assert!(
            matches!(error, DispatchError::Store(_)) && error.is_transient(),
            "{error:?}"
        );
        locked.rollback().await.unwrap();
        assert_eq!(app.database.written().await, 0);
    });
}
