//! A channel that breaks its contract and blocks its thread occupies only that thread, as long as it blocks it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use campanile::channel::Verdict;
use campanile::{NotifiableEvent as _, Outcome};
use campanile_pigeon::{Flight, PIGEON, PigeonSettings};
use campanile_tests::events::PigeonAlone;
use campanile_tests::{App, Kind, both_databases};

/// Pigeons that block their thread until the door is opened, by dropping it.
struct Blocking {
    pigeons: PigeonSettings,
    door: mpsc::Sender<()>,
    begun: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

fn blocking() -> Blocking {
    let (door, closed) = mpsc::channel();
    let (begun, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (first, last, closed) = (Arc::clone(&begun), Arc::clone(&ended), Mutex::new(closed));
    let pigeons = PigeonSettings::new(move |_| {
        first.fetch_add(1, Ordering::SeqCst);
        // Not forever, so that a test that it blocks fails and does not hang.
        let _ = closed.lock().unwrap().recv_timeout(Duration::from_secs(30));
        last.fetch_add(1, Ordering::SeqCst);
        Flight::Ends(Verdict::accepted())
    });
    Blocking {
        pigeons,
        door,
        begun,
        ended,
    }
}

fn alone(subject: &str) -> campanile::Notice {
    PigeonAlone { text: "x".into() }
        .about(subject)
        .to(["u_ada"])
}

/// One channel blocks, and a dispatch on another continues, on a runtime with only one thread.
async fn story(app: App) {
    let blocking = blocking();
    let builder = app.builder().with(blocking.pigeons.clone());
    let dispatcher = builder.build().unwrap();
    let other = dispatcher.clone();
    let blocked = tokio::spawn(async move { other.dispatch(alone("a")).await.unwrap() });
    app.eventually(async || blocking.begun.load(Ordering::SeqCst) == 1)
        .await;
    let report = dispatcher.dispatch(app.past_due().to(["u_ada"])).await;
    assert_eq!(report.unwrap().sent, 2);
    assert_eq!(app.mails().len(), 1);
    assert_eq!(blocking.ended.load(Ordering::SeqCst), 0, "it blocks still");
    drop(blocking.door);
    assert_eq!(blocked.await.unwrap().sent, 1);
}

#[test]
fn a_channel_that_blocks_its_thread_does_not_delay_another_even_on_one_runtime_thread() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        campanile_tests::database::run(kind, async |mut database| {
            let only_thread = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = { runtime }.enable_all().build().unwrap();
                runtime.block_on(async {
                    // A separate pool: connections belong to the runtime on which they were opened.
                    database.database = campanile::Database::connect(&database.url).await.unwrap();
                    story(App::over_database(database).await).await;
                });
            });
            let joined = tokio::task::spawn_blocking(move || only_thread.join());
            if let Err(panic) = joined.await.unwrap() {
                std::panic::resume_unwind(panic);
            }
        });
    }
}

both_databases! {
    async fn a_call_that_blocks_past_its_timeout_fails_and_keeps_its_permit_until_it_ends(app: App) {
        let blocking = blocking();
        let builder = app.builder().with(blocking.pigeons.clone());
        let builder = builder.attempt_timeout(Duration::from_millis(500));
        let dispatcher = builder.tune(&PIGEON, |policy| policy.concurrency(1)).build().unwrap();
        let report = dispatcher.dispatch(alone("a")).await.unwrap();
        let Outcome::Failed { reason, .. } = &report.outcomes[0].outcome else { panic!("{report:?}") };
        assert!(reason.contains("did not answer within 500ms"), "{reason}");
        // It still blocks, so there is no permit for another.
        assert_eq!(dispatcher.dispatch(alone("b")).await.unwrap().queued, 1);
        assert_eq!(blocking.begun.load(Ordering::SeqCst), 1);
        drop(blocking.door);
        app.database.advance_deliveries().await;
        app.eventually(async || dispatcher.deliver_due(10).await.unwrap().sent > 0).await;
    }
}
