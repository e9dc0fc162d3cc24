//! Connections that go half-open under callers: they stay, and nothing passes any more. Whoever waits is answered.

use std::time::Duration;

use campanile::{Database, DispatchError, Dispatcher, NotifiableEvent as _};
use campanile_inbox::{Inbox, Page};
use campanile_tests::database::run;
use campanile_tests::events::Role;
use campanile_tests::fault_proxy::FaultProxy;
use campanile_tests::{App, Kind};
use sqlx::postgres::PgPoolOptions;

/// So long that only a call without any bound takes it.
const FOR_EVER: Duration = Duration::from_mins(2);

async fn far(proxy: &FaultProxy, connections: u32) -> Database {
    let pool = PgPoolOptions::new()
        .min_connections(connections)
        .max_connections(connections)
        .connect(&proxy.url)
        .await
        .unwrap();
    Database::from(pool).statement_timeout(Duration::from_secs(1))
}

/// What an app asks of campanile, each on a connection of its own: three dispatches, a page of the inbox, a count, a mark, and
/// the settings, read and written.
async fn calls(
    app: &App,
    dispatcher: &Dispatcher,
) -> Vec<tokio::task::JoinHandle<Result<(), String>>> {
    let near = Inbox::for_user(&app.database.database, "u_ada").unwrap();
    let shown = near.feed(Page::default()).await.unwrap().as_of;
    let database = dispatcher.database();
    let inbox = || Inbox::for_user(database, "u_ada").unwrap();
    let mut calls = Vec::new();
    for n in 0..3 {
        let notice = app.role_changed(Role::Admin).about(n).to(["u_ada"]);
        let dispatcher = dispatcher.clone();
        calls.push(tokio::spawn(async move {
            match dispatcher.enqueue(notice).await {
                Ok(_) => Ok(()),
                Err(error @ DispatchError::CommitUnknown { .. }) => Err(error.to_string()),
                Err(error) => {
                    assert!(error.is_transient(), "{error:?}");
                    Err(error.to_string())
                }
            }
        }));
    }
    let one = inbox();
    calls.push(tokio::spawn(async move {
        one.feed(Page::default())
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    }));
    let one = inbox();
    calls.push(tokio::spawn(async move {
        one.counts_up_to(9)
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    }));
    let one = inbox();
    calls.push(tokio::spawn(async move {
        let marked = one.mark_all_read(&shown, &[]).await;
        marked.map(drop).map_err(|error| error.to_string())
    }));
    for write in [false, true] {
        let dispatcher = dispatcher.clone();
        calls.push(tokio::spawn(async move {
            let preferences = dispatcher.preferences_of("u_ada").unwrap();
            let asked = if write {
                let off = campanile::preferences::Choice::Off;
                preferences.set("team", "email", off).await
            } else {
                preferences.matrix().await.map(drop)
            };
            asked.map_err(|error| error.to_string())
        }));
    }
    calls
}

#[test]
fn callers_on_half_open_connections_are_answered_and_the_next_ones_served() {
    run(Kind::Postgres, async |database| {
        let app = App::over_database(database).await;
        let proxy = FaultProxy::before(&app.database.url).await;
        let dispatcher = app
            .builder()
            .database(far(&proxy, 8).await)
            .build()
            .unwrap();
        // Every connection is open and in the middle of a statement, for all that goes to the server stays on its way.
        proxy.slow(Duration::from_mins(1), Duration::ZERO);
        let calls = calls(&app, &dispatcher).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        proxy.strand();
        proxy.slow(Duration::ZERO, Duration::ZERO);
        let answers = tokio::time::timeout(FOR_EVER, futures_util::future::join_all(calls)).await;
        for answer in answers.expect("everybody is answered") {
            assert!(answer.unwrap().is_err(), "nothing passed");
        }
        let next = self::calls(&app, &dispatcher).await;
        let answers = tokio::time::timeout(FOR_EVER, futures_util::future::join_all(next)).await;
        for answer in answers.expect("everybody is answered") {
            answer.unwrap().unwrap();
        }
        assert_eq!(app.database.count("notifications").await, 3);
    });
}

/// In the pool of `Database::connect` a connection that went half-open while nobody used it is passed over.
#[test]
fn behind_idle_connections_that_went_half_open_there_are_others() {
    run(Kind::Postgres, async |database| {
        let app = App::over_database(database).await;
        let proxy = FaultProxy::before(&app.database.url).await;
        let database = Database::connect(&proxy.url).await.unwrap();
        let dispatcher = app.builder().database(database).build().unwrap();
        let notice = |n: u32| app.role_changed(Role::Admin).about(n).to(["u_ada"]);
        let _ = dispatcher.enqueue(notice(1)).await.unwrap();
        proxy.strand();
        let next = tokio::time::timeout(FOR_EVER, dispatcher.enqueue(notice(2))).await;
        assert_eq!(next.unwrap().unwrap().admitted, 1);
    });
}

/// A dispatch of many recipients takes as long as it takes: the bound is that of each statement.
#[test]
fn a_dispatch_of_many_chunks_may_take_longer_than_one_statement() {
    run(Kind::Postgres, async |database| {
        let app = App::over_database(database).await;
        let proxy = FaultProxy::before(&app.database.url).await;
        let database = far(&proxy, 1).await;
        proxy.slow(Duration::from_millis(100), Duration::ZERO);
        let dispatcher = app.builder().database(database).chunk(1).build().unwrap();
        let people: Vec<_> = (0..8).map(|n| format!("u_{n}")).collect();
        let report = dispatcher
            .enqueue(app.role_changed(Role::Admin).to(people))
            .await;
        assert_eq!(report.unwrap().admitted, 8);
    });
}
