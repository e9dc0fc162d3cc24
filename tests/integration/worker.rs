//! Workers: committed deliveries are made by any of them, also after a crash; and they end when they are asked to stop.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use campanile::channel::Verdict;
use campanile::{NotifiableEvent as _, Worker};
use campanile_pigeon::{Flight, PigeonSettings};
use campanile_tests::events::PigeonExpected;
use campanile_tests::{App, both_databases};
use tokio::process::{Child, Command};
use tokio::sync::Notify;

const PENDING: &str =
    "select count(*) from {campanile}notification_deliveries where state in ('pending', 'running')";
const DELIVERED: &str =
    "select count(*) from {campanile}notification_deliveries where state = 'delivered'";

/// Notifies this many users, whose pigeons are left to a worker.
async fn enqueue(app: &App, users: usize) {
    let users: Vec<_> = (0..users).map(|n| format!("u_{n}")).collect();
    for user in &users {
        app.address(user, "pigeon", "tower").await;
    }
    let notice = PigeonExpected::default().to(&users);
    let _ = app.dispatcher.enqueue(notice).await.unwrap();
}

/// A worker of this process, and the sender that stops it.
fn start(app: &App, pigeons: PigeonSettings) -> (tokio::task::JoinHandle<()>, Arc<Notify>) {
    let dispatcher = app.builder().with(pigeons).build().unwrap();
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    let worker = Worker::new(dispatcher).poll_interval(Duration::from_millis(10));
    let run = tokio::spawn(worker.run(async move { stopped.notified().await }));
    (run, stop)
}

fn process(app: &App, ledger: &Path, pause: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_campanile-worker"))
        .arg(&app.database.url)
        .arg(ledger)
        .arg(pause)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// How often each delivery was handed to a pigeon.
fn read(ledger: &Path) -> HashMap<String, usize> {
    let mut flights = HashMap::new();
    for line in std::fs::read_to_string(ledger).unwrap_or_default().lines() {
        *flights.entry(line.to_owned()).or_default() += 1;
    }
    flights
}

both_databases! {
    async fn a_worker_delivers_queued_deliveries_and_later_ones(app: App) {
        enqueue(&app, 30).await;
        let (run, stop) = start(&app, app.pigeons.clone());
        app.eventually(async || app.pigeons.arrived().len() == 30).await;
        let _ = app.dispatcher.enqueue(PigeonExpected::default().about("later").to(["u_1"])).await.unwrap();
        app.eventually(async || app.pigeons.arrived().len() == 31).await;
        stop.notify_one();
        run.await.unwrap();
        assert_eq!(app.database.number(DELIVERED).await, 31);
    }

    async fn a_stopping_worker_finishes_started_deliveries_and_gives_back_the_rest(app: App) {
        enqueue(&app, 40).await;
        let begun = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&begun);
        let slow = PigeonSettings::new(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            Flight::EndsAfter(Duration::from_millis(300), Verdict::accepted())
        });
        let (run, stop) = start(&app, slow);
        app.eventually(async || begun.load(Ordering::SeqCst) > 0).await;
        stop.notify_one();
        run.await.unwrap();
        let delivered = app.database.number(DELIVERED).await;
        assert_eq!(delivered, i64::try_from(begun.load(Ordering::SeqCst)).unwrap());
        assert!((1..40).contains(&delivered), "{delivered}");
        let untouched = "select count(*) from {campanile}notification_deliveries \
             where state = 'pending' and attempt = 0 and lease_until is null";
        assert_eq!(app.database.number(untouched).await, 40 - delivered);
    }

    async fn a_temporary_database_failure_does_not_end_a_worker(app: App) {
        let (run, stop) = start(&app, app.pigeons.clone());
        app.database.execute("alter table {campanile}notification_deliveries rename to elsewhere").await;
        tokio::time::timeout(Duration::from_millis(100), std::future::pending::<()>()).await.unwrap_err();
        let back = if app.database.kind == campanile_tests::Kind::Postgres {
            "alter table campanile.elsewhere rename to notification_deliveries"
        } else {
            "alter table elsewhere rename to campanile_notification_deliveries"
        };
        app.database.execute(back).await;
        enqueue(&app, 3).await;
        app.eventually(async || app.pigeons.arrived().len() == 3).await;
        stop.notify_one();
        run.await.unwrap();
    }

    async fn processes_that_are_killed_lose_nothing_and_others_take_over(app: App) {
        let folder = tempfile::tempdir().unwrap();
        let ledger = folder.path().join("ledger");
        enqueue(&app, 60).await;
        for _ in 0..3 {
            let seen = read(&ledger).len();
            let mut victim = process(&app, &ledger, "2000");
            app.eventually(async || read(&ledger).len() > seen).await;
            victim.kill().await.unwrap();
        }
        // Deliveries leased by the killed ones are not taken over until the lease is over; here the time is moved instead.
        app.database.advance_deliveries().await;
        let mut workers: Vec<_> = (0..2).map(|_| process(&app, &ledger, "1")).collect();
        app.eventually(async || app.database.number(PENDING).await == 0).await;
        for worker in &mut workers {
            let id = worker.id().unwrap().to_string();
            assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
            assert!(worker.wait().await.unwrap().success(), "it exits cleanly");
        }
        assert_eq!(app.database.number(DELIVERED).await, 60);
        let flights = read(&ledger);
        assert_eq!(flights.len(), 60, "every delivery reached the provider");
        // Only deliveries that were running when a process was killed were sent twice: eight at a time, three times.
        let repeated: usize = flights.values().map(|times| times - 1).sum();
        assert!(repeated <= 3 * 8, "{repeated}");
        let beyond = "select count(*) from {campanile}notification_deliveries where attempt > 4 or worker is not null";
        assert_eq!(app.database.number(beyond).await, 0);
    }
}
