//! A dropped future leaves all or nothing, and never poisons the host's pool.

use std::pin::pin;
use std::task::Poll;

use campanile::database::each_database;
use campanile::{Database, Notice, NotifiableEvent as _};
use campanile_tests::events::Role;
use campanile_tests::{App, TestDatabase, both_databases};
use futures_util::future::poll_fn;

/// Polls a future at most this often, then drops it. Returns whether it had ended.
async fn poll_times<F: Future>(future: F, times: usize) -> bool {
    let mut future = pin!(future);
    for _ in 0..times {
        let ready = poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await;
        if ready {
            return true;
        }
        // Lets the database and the dispatcher's own tasks continue.
        tokio::task::yield_now().await;
    }
    false
}

/// Either all rows of one subject exist or none: two inbox items, two windows, two deliveries. They are read in one statement,
/// because the dispatch of a dropped future may be committing right now.
async fn assert_all_or_nothing(app: &App, subject: &str) {
    let rows = app
        .database
        .number(&format!(
            "select (select count(*) from {{campanile}}notifications where subject_id = '{subject}') \
             + 10 * (select count(*) from {{campanile}}notification_dedup where dedup_key like '{subject}:%') \
             + 100 * (select count(*) from {{campanile}}notification_deliveries as delivery \
             join {{campanile}}notification_dispatches as dispatch on dispatch.id = delivery.dispatch_id \
             where dispatch.subject_id = '{subject}')"
        ))
        .await;
    assert!([0, 222].contains(&rows), "{subject}: {rows}");
}

/// Every connection of the pool is outside of a transaction: it commits each statement, and another connection sees the change.
async fn assert_pool_is_sound(app: &App) {
    for n in 0..5 {
        let insert = format!(
            "insert into {{campanile}}notification_addresses values ('host', 'x', '{n}', {{now}})"
        );
        app.database.execute(&insert).await;
    }
    let other = TestDatabase {
        database: Database::connect(&app.database.url).await.unwrap(),
        ..app.database.clone()
    };
    let seen = "select count(*) from {campanile}notification_addresses where user_id = 'host'";
    assert_eq!(other.number(seen).await, 5);
}

/// After how many polls a future is dropped: at every point at first, then at growing distances, because a future that waits for
/// a loaded database is polled many times without progress.
fn points() -> impl Iterator<Item = usize> {
    let next = |polls: &usize| Some(polls + 1 + polls / 10).filter(|polls| *polls < 30_000_000);
    std::iter::successors(Some(0), next)
}

fn notice(app: &App, subject: &str) -> Notice {
    app.role_changed(Role::Admin)
        .about(subject)
        .to(["u_ada", "u_bob"])
}

both_databases! {
    async fn a_dispatch_that_is_dropped_at_any_point_is_written_completely_or_not_at_all(app: App) {
        let mut ended = false;
        for polls in points() {
            let subject = format!("s_{polls}");
            ended = poll_times(app.dispatcher.enqueue(notice(&app, &subject)), polls).await;
            assert_all_or_nothing(&app, &subject).await;
            if ended {
                break;
            }
        }
        assert!(ended, "the last one was polled to its end");
        assert_pool_is_sound(&app).await;
    }

    async fn an_enqueue_in_that_is_dropped_leaves_all_or_nothing_in_the_hosts_transaction(app: App) {
        let mut ended = false;
        for polls in points() {
            let subject = format!("s_{polls}");
            each_database!(app.dispatcher.database(), |pool| {
                let mut transaction = pool.begin_with(app.begin()).await.unwrap();
                let enqueue = app.dispatcher.enqueue_in(&mut transaction, notice(&app, &subject));
                ended = poll_times(enqueue, polls).await;
                transaction.commit().await.unwrap();
            });
            assert_all_or_nothing(&app, &subject).await;
            if ended {
                break;
            }
        }
        assert!(ended, "the last one was polled to its end");
        assert_pool_is_sound(&app).await;
    }

    async fn a_dispatch_whose_caller_is_dropped_is_still_delivered(app: App) {
        let notice = app.role_changed(Role::Admin).about("m_1").to(["u_ada"]);
        assert!(!poll_times(app.dispatcher.dispatch(notice), 1).await);
        app.eventually(async || app.mails().len() == 1).await;
    }
}
