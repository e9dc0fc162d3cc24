//! How long a delivery waits: from its commit to its first attempt, by a worker that only polls once a second, at 500
//! dispatches a second; and from the `kill -9` of its worker to its next attempt by another. On both databases.
//!
//! `cargo run --release -p campanile-tests --bin campanile-latency [SECONDS]`

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use campanile::channel::{Delivery, Verdict};
use campanile::{Database, Dispatcher, NotifiableEvent as _, Worker};
use campanile_pigeon::{Flight, PigeonSettings};
use campanile_tests::app::capture;
use campanile_tests::database::{Kind, TestDatabase, run};
use campanile_tests::events::PigeonAlone;

const DISPATCHES_PER_SECOND: u32 = 500;

/// When each delivery was tried, by its subject.
type Tried = Arc<Mutex<HashMap<String, Instant>>>;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, url] = &arguments[..]
        && word == "hang"
    {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime can be built");
        runtime.block_on(hang(url));
        return;
    }
    let seconds = arguments.first().map_or(20, |text| {
        text.parse().expect("usage: campanile-latency [SECONDS]")
    });
    for kind in [Kind::Sqlite, Kind::Postgres] {
        run(kind, async |database| {
            wait_for_the_first_attempt(&database, seconds).await;
        });
        run(kind, async |database| wait_for_the_rescue(&database).await);
    }
}

#[allow(clippy::print_stdout, reason = "the program prints figures")]
fn print(line: &str) {
    println!("{line}");
}

fn dispatcher(database: Database, pigeons: PigeonSettings) -> Dispatcher {
    Dispatcher::builder()
        .database(database)
        .with(capture().0)
        .with(pigeons)
        .build()
        .expect("the events and channels of the tests fit together")
}

/// Pigeons that record when they were called.
fn noting(tried: &Tried) -> PigeonSettings {
    let tried = Arc::clone(tried);
    PigeonSettings::new(move |delivery: &Delivery| {
        let about = delivery.subject_id.clone().unwrap_or_default();
        let mut tried = tried.lock().unwrap_or_else(PoisonError::into_inner);
        tried.entry(about).or_insert_with(Instant::now);
        Flight::Ends(Verdict::accepted())
    })
}

async fn wait_for_the_first_attempt(database: &TestDatabase, seconds: u32) {
    let tried = Tried::default();
    let worker = dispatcher(database.with_connections(5).await, noting(&tried));
    let worker = tokio::spawn(Worker::new(worker).run(std::future::pending()));
    // Another dispatcher than the worker's, so it does not wake the worker.
    let here = dispatcher(database.database.clone(), PigeonSettings::default());
    here.addresses()
        .add("u_ada", "pigeon", "tower")
        .await
        .expect("it can be stored");
    let mut pace = tokio::time::interval(Duration::from_secs(1) / DISPATCHES_PER_SECOND);
    let mut committed = Vec::new();
    for number in 0..seconds * DISPATCHES_PER_SECOND {
        pace.tick().await;
        let here = here.clone();
        committed.push(tokio::spawn(async move {
            let event = PigeonAlone { text: "coo".into() };
            let notice = event.about(number).to(["u_ada"]);
            let _ = here.enqueue(notice).await.expect("it can be stored");
            (number.to_string(), Instant::now())
        }));
    }
    let mut at = HashMap::new();
    for commit in committed {
        let (about, time) = commit.await.expect("it does not panic");
        at.insert(about, time);
    }
    while tried.lock().unwrap_or_else(PoisonError::into_inner).len() < at.len() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    worker.abort();
    let tried = tried.lock().unwrap_or_else(PoisonError::into_inner);
    let mut waits: Vec<_> = at
        .iter()
        .map(|(about, time)| tried[about].saturating_duration_since(*time))
        .collect();
    waits.sort_unstable();
    let at = |part: usize| waits[(waits.len() - 1) * part / 100];
    print(&format!(
        "{:?}: {} deliveries waited {:?} at the median, {:?} at the 99th percentile, {:?} at most",
        database.kind,
        waits.len(),
        at(50),
        at(99),
        at(100)
    ));
}

/// A worker in a process of its own that never finishes an attempt.
async fn hang(url: &str) {
    let pigeons = PigeonSettings::new(|_| {
        print("hangs");
        Flight::NeverEnds
    });
    let database = Database::connect(url).await.expect("it answers");
    let worker = Worker::new(dispatcher(database, pigeons));
    worker.run(std::future::pending()).await;
}

async fn wait_for_the_rescue(database: &TestDatabase) {
    let tried = Tried::default();
    let here = dispatcher(database.database.clone(), noting(&tried));
    here.addresses()
        .add("u_ada", "pigeon", "tower")
        .await
        .expect("it can be stored");
    let notice = PigeonAlone { text: "coo".into() }
        .about("lost")
        .to(["u_ada"]);
    let _ = here.enqueue(notice).await.expect("it can be stored");
    let program = std::env::current_exe().expect("a program knows itself");
    let mut victim = tokio::process::Command::new(program)
        .args(["hang", &database.url])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it can be started again");
    let mut line = [0; 5];
    let mut out = victim.stdout.take().expect("it is piped");
    let hangs = tokio::io::AsyncReadExt::read_exact(&mut out, &mut line).await;
    hangs.expect("it says so");
    victim.kill().await.expect("it can be killed");
    let killed = Instant::now();
    let worker = tokio::spawn(Worker::new(here).run(std::future::pending()));
    while tried
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .is_empty()
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    worker.abort();
    print(&format!(
        "{:?}: {:?} from kill -9 to the next attempt",
        database.kind,
        killed.elapsed()
    ));
}
