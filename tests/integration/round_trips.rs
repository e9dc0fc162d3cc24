//! The round trips of a dispatch, counted on the wire: they do not grow with the audience.

use std::time::Instant;

use campanile::{Dispatcher, NotifiableEvent as _};
use campanile_pigeon::PigeonSettings;
use campanile_tests::app::capture;
use campanile_tests::database::run;
use campanile_tests::events::PigeonExpected;
use campanile_tests::proxy::CountingProxy;
use campanile_tests::{App, Kind};
use sqlx::postgres::PgPoolOptions;

/// A dispatcher whose pool sends nothing of its own (no ping when a connection is taken) through the counting proxy.
async fn counted(url: &str, chunk: usize) -> (Dispatcher, CountingProxy) {
    let proxy = CountingProxy::before(url).await;
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .test_before_acquire(false)
        .connect(&proxy.url)
        .await
        .unwrap();
    let dispatcher = Dispatcher::builder()
        .database(pool)
        .with(capture().0)
        .with(PigeonSettings::default())
        .chunk(chunk)
        .build()
        .unwrap();
    // The first statements of a connection are also prepared, once.
    for warm_up in ["a", "b"] {
        let _ = dispatcher.enqueue(expected(warm_up, 1)).await.unwrap();
        let _ = dispatcher
            .dispatch(expected(&format!("{warm_up}2"), 1))
            .await
            .unwrap();
    }
    let _ = proxy.take();
    (dispatcher, proxy)
}

fn expected(subject: &str, recipients: usize) -> campanile::Notice {
    let users = (0..recipients).map(|n| format!("u_{n}"));
    PigeonExpected::default().about(subject).to(users)
}

#[test]
fn a_write_takes_two_round_trips_for_any_number_of_recipients() {
    run(Kind::Postgres, async |database| {
        let (dispatcher, proxy) = counted(&database.url, 1_000).await;
        for recipients in [1, 10, 1_000] {
            let report = dispatcher
                .enqueue(expected(&recipients.to_string(), recipients))
                .await;
            assert_eq!(report.unwrap().admitted, recipients);
            assert_eq!(proxy.take(), 2, "{recipients} recipients");
        }
        // A repeat costs the same.
        let _ = dispatcher.enqueue(expected("1000", 1_000)).await.unwrap();
        assert_eq!(proxy.take(), 2);
    });
}

#[test]
fn each_chunk_takes_two_round_trips_and_all_of_them_one_transaction() {
    run(Kind::Postgres, async |database| {
        let (dispatcher, proxy) = counted(&database.url, 100).await;
        let _ = dispatcher.enqueue(expected("x", 1_000)).await.unwrap();
        assert_eq!(proxy.take(), 10 * 2 + 2, "ten chunks, BEGIN and COMMIT");
    });
}

#[test]
fn the_first_attempts_add_a_constant_number_of_round_trips_for_each_channel() {
    run(Kind::Postgres, async |database| {
        let app = App::without_addresses(database);
        for user in 0..50 {
            app.address(&format!("u_{user}"), "pigeon", "the tower")
                .await;
        }
        let (dispatcher, proxy) = counted(&app.database.url, 1_000).await;
        for recipients in [1, 50] {
            let notice = expected(&recipients.to_string(), recipients);
            let begun = Instant::now();
            let report = dispatcher.dispatch(notice).await.unwrap();
            assert_eq!(report.sent, 2 * recipients);
            // On a busy machine, calls may start later than a tenth of a second after preferences were read.
            let looks = usize::try_from(begun.elapsed().as_millis() / 100).unwrap();
            let taken = proxy.take();
            assert!(
                (4..=4 + looks).contains(&taken),
                "{recipients} recipients: {taken} instead of addresses, and verdicts with their log"
            );
        }
    });
}

#[test]
fn inside_a_transaction_of_the_host_a_write_takes_two_round_trips_too() {
    run(Kind::Postgres, async |database| {
        let (dispatcher, proxy) = counted(&database.url, 1_000).await;
        let campanile::database::Pool::Postgres(pool) = dispatcher.database().pool() else {
            panic!("this is Postgres");
        };
        // A host's transaction has a separate statement, which is prepared once.
        for (subject, taken) in [("to prepare it", None), ("x", Some(2))] {
            let mut transaction = pool.begin_with("BEGIN").await.unwrap();
            let _ = proxy.take();
            let _ = dispatcher
                .enqueue_in(&mut transaction, expected(subject, 500))
                .await
                .unwrap();
            let counted = proxy.take();
            assert_eq!(taken.unwrap_or(counted), counted);
            transaction.commit().await.unwrap();
        }
    });
}
