//! A host's address book that panics, hangs or blocks: no attempt is used, and nothing else is delayed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use campanile::channel::{AddressBook, AddressError};
use campanile::operate::AddressTable;
use campanile::{Dispatcher, NotifiableEvent as _, Outcome, async_trait};
use campanile_pigeon::PIGEON;
use campanile_tests::events::{PigeonAlone, PigeonExpected};
use campanile_tests::{App, Running, both_databases};

/// The fault of the book.
enum Fault {
    Panics,
    Hangs,
    /// It blocks its thread until the door is opened, by dropping the other end.
    Blocks(Mutex<mpsc::Receiver<()>>),
}

/// The table of addresses, with a fault on one channel until it is repaired.
struct Faulty {
    table: AddressTable,
    fault: Fault,
    repaired: Arc<AtomicBool>,
}

#[async_trait]
impl AddressBook for Faulty {
    async fn addresses(
        &self,
        channel: &str,
        users: &[String],
    ) -> Result<HashMap<String, Vec<String>>, AddressError> {
        if channel == "pigeon" && !self.repaired.load(Ordering::SeqCst) {
            match &self.fault {
                Fault::Panics => panic!("the page is torn"),
                Fault::Hangs => std::future::pending().await,
                Fault::Blocks(door) => {
                    // Not forever, so that a test that it blocks fails and does not hang.
                    let _ = door.lock().unwrap().recv_timeout(Duration::from_secs(30));
                }
            }
        }
        self.table.addresses(channel, users).await
    }
}

/// A dispatcher over a faulty book, and the function that repairs the book.
fn over(app: &App, fault: Fault) -> (Dispatcher, Arc<AtomicBool>) {
    let repaired = Arc::new(AtomicBool::new(false));
    // A book that hangs or blocks is waited for; printing where it panicked may take a moment on a busy machine.
    let timeout = match fault {
        Fault::Panics => Duration::from_secs(20),
        Fault::Hangs | Fault::Blocks(_) => Duration::from_millis(400),
    };
    let book = Faulty {
        table: app.dispatcher.addresses(),
        fault,
        repaired: Arc::clone(&repaired),
    };
    let builder = app.builder().address_book(book);
    let builder = builder.tune(&PIGEON, |policy| policy.max_attempts(3));
    let builder = builder.attempt_timeout(timeout);
    (builder.build().unwrap(), repaired)
}

fn alone(subject: &str) -> campanile::Notice {
    PigeonAlone { text: "x".into() }
        .about(subject)
        .to(["u_ada"])
}

/// More rounds than a delivery has attempts leave it unchanged; once the book is repaired, it is delivered.
async fn waits_for_the_repair(app: &App, fault: Fault, reason: &str) {
    let (dispatcher, repaired) = over(app, fault);
    let report = dispatcher.dispatch(alone(reason)).await.unwrap();
    let Outcome::Failed { reason: given, .. } = &report.outcomes[0].outcome else {
        panic!("{report:?}");
    };
    assert_eq!(given, reason);
    for _ in 0..6 {
        app.database.advance_deliveries().await;
        dispatcher.deliver_due(10).await.unwrap();
    }
    let untried =
        "state = 'pending' and not maybe_sent and attempt = uncounted and first_attempt_at is null";
    assert_eq!(app.database.deliveries(untried).await, 1);
    repaired.store(true, Ordering::SeqCst);
    app.database.advance_deliveries().await;
    assert_eq!(dispatcher.deliver_due(10).await.unwrap().sent, 1);
}

both_databases! {
    async fn lookups_in_a_book_that_panics_are_retried_until_it_answers(app: App) {
        waits_for_the_repair(&app, Fault::Panics, "the address book panicked").await;
    }

    async fn lookups_in_a_book_that_hangs_are_retried_until_it_answers(app: App) {
        waits_for_the_repair(&app, Fault::Hangs, "the address book did not answer in time").await;
    }

    async fn a_book_that_blocks_its_threads_blocks_only_a_few_and_no_other_channel(app: App) {
        let (door, closed) = mpsc::channel();
        let (dispatcher, repaired) = over(&app, Fault::Blocks(Mutex::new(closed)));
        for n in 0..10 {
            let report = dispatcher.dispatch(alone(&n.to_string())).await.unwrap();
            assert_eq!(report.failed, 1, "{report:?}");
        }
        let report = dispatcher.dispatch(app.past_due().to(["u_ada"])).await.unwrap();
        assert_eq!((report.sent, report.failed), (2, 0), "{report:?}");
        repaired.store(true, Ordering::SeqCst);
        drop(door);
        let delivered = async || {
            app.database.advance_deliveries().await;
            dispatcher.deliver_due(100).await.unwrap();
            app.database.deliveries("state = 'delivered'").await == 11
        };
        app.eventually(delivered).await;
    }

    async fn a_worker_delivers_on_the_other_channels_if_its_book_panics_on_one(app: App) {
        let (dispatcher, repaired) = over(&app, Fault::Panics);
        let worker = Running::start(&dispatcher);
        let _ = dispatcher.enqueue(PigeonExpected::default().about("x").to(["u_ada"])).await.unwrap();
        let asked = "select count(*) from {campanile}notification_attempts where error = 'the address book panicked'";
        app.eventually(async || app.database.number(asked).await > 0).await;
        let _ = dispatcher.enqueue(app.past_due().to(["u_ada"])).await.unwrap();
        app.eventually(async || app.mails().len() == 1).await;
        repaired.store(true, Ordering::SeqCst);
        let arrived = async || {
            app.database.advance_waiting_deliveries().await;
            app.pigeons.arrived().len() == 1
        };
        app.eventually(arrived).await;
        worker.stop().await;
    }
}
