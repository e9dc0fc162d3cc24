//! How fast a queue of 50,000 deliveries is drained by a channel that does nothing: by one, two and four tasks and by two
//! processes, one delivery and a hundred at a time, on both databases. Every line is also compared with the first one of
//! its database.
//!
//! `cargo run --release -p campanile-tests --bin campanile-drain [DELIVERIES [BATCH]]`

use std::process::Stdio;
use std::time::{Duration, Instant};

use campanile::{Database, Dispatcher, Notice, NotifiableEvent as _, Worker};
use campanile_pigeon::{PIGEON, PigeonSettings};
use campanile_tests::app::capture;
use campanile_tests::database::{Kind, TestDatabase, run};
use campanile_tests::events::PigeonAlone;

/// The number of recipients, and how many each dispatch has.
const USERS: usize = 5_000;
const AUDIENCE: usize = 100;

/// One way to drain the queue.
#[derive(Debug, Clone, Copy)]
struct Setting {
    tasks: usize,
    processes: usize,
    batch: usize,
}

const SETTINGS: [Setting; 8] = [
    Setting::of(1, 1, 1),
    Setting::of(2, 1, 1),
    Setting::of(4, 1, 1),
    Setting::of(2, 2, 1),
    Setting::of(1, 1, 100),
    Setting::of(2, 1, 100),
    Setting::of(4, 1, 100),
    Setting::of(2, 2, 100),
];

impl Setting {
    const fn of(tasks: usize, processes: usize, batch: usize) -> Self {
        Self {
            tasks,
            processes,
            batch,
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [url, tasks, batch] = &arguments[..] {
        let (tasks, batch) = (number(tasks), number(batch));
        let runtime = tokio::runtime::Runtime::new().expect("a runtime can be built");
        runtime.block_on(work(url, tasks, batch));
        return;
    }
    let deliveries = arguments.first().map_or(50_000, |text| number(text));
    let only = arguments.get(1).map(|text| number(text));
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let mut first = None;
        for setting in SETTINGS {
            if only.is_some_and(|batch| batch != setting.batch) {
                continue;
            }
            // One at a time is slow: a fifth of the deliveries is enough.
            let deliveries = if setting.batch == 1 {
                deliveries / 5
            } else {
                deliveries
            };
            run(kind, async |database| {
                let rate = drain(&database, setting, deliveries).await;
                let ratio = rate / *first.get_or_insert(rate);
                print(&format!(
                    "{kind:?}: {} task(s), {} process(es), batch {:>3}: {rate:>8.0} deliveries/s, {ratio:>5.1} x",
                    setting.tasks, setting.processes, setting.batch
                ));
            });
        }
    }
}

fn number(text: &str) -> usize {
    text.parse()
        .expect("usage: campanile-drain [DELIVERIES [BATCH]]")
}

#[allow(clippy::print_stdout, reason = "the program prints figures")]
fn print(line: &str) {
    println!("{line}");
}

fn dispatcher(database: Database, batch: usize) -> Dispatcher {
    let pigeons = PigeonSettings {
        loft: batch,
        ..PigeonSettings::default()
    };
    Dispatcher::builder()
        .database(database)
        .with(capture().0)
        .with(pigeons)
        .tune(&PIGEON, move |policy| policy.batch(batch))
        .build()
        .expect("the events and channels of the tests fit together")
}

/// A worker in a process of its own, until it is killed.
async fn work(url: &str, tasks: usize, batch: usize) {
    let database = Database::connect(url).await.expect("the database answers");
    let worker = Worker::new(dispatcher(database, batch)).tasks(tasks);
    worker.run(std::future::pending()).await;
}

async fn drain(database: &TestDatabase, setting: Setting, deliveries: usize) -> f64 {
    let dispatcher = dispatcher(database.database.clone(), setting.batch);
    let users: Vec<String> = (0..USERS).map(|n| format!("u_{n}")).collect();
    for user in &users {
        let added = dispatcher.addresses().add(user, "pigeon", "tower").await;
        added.expect("the address can be stored");
    }
    let notices: Vec<Notice> = (0..deliveries / AUDIENCE)
        .map(|n| {
            let from = n * AUDIENCE % USERS;
            let event = PigeonAlone { text: "coo".into() };
            event.about(n).to(&users[from..from + AUDIENCE])
        })
        .collect();
    for some in notices.chunks(100) {
        let written = dispatcher.enqueue_all(some.to_vec()).await;
        written.expect("the notices can be stored");
    }
    database.execute("analyze").await;
    let mut children = Vec::new();
    let program = std::env::current_exe().expect("a program knows itself");
    let started = Instant::now();
    if setting.processes > 1 {
        for _ in 0..setting.processes {
            let mut child = tokio::process::Command::new(&program);
            child
                .args([
                    &database.url,
                    &setting.tasks.to_string(),
                    &setting.batch.to_string(),
                ])
                .stdin(Stdio::null())
                .kill_on_drop(true);
            children.push(child.spawn().expect("it can be started again"));
        }
        until_drained(database).await;
    } else {
        let worker = Worker::new(dispatcher).tasks(setting.tasks);
        worker.run(until_drained(database)).await;
    }
    #[allow(clippy::cast_precision_loss, reason = "it is a small number")]
    let rate = deliveries as f64 / started.elapsed().as_secs_f64();
    for mut child in children {
        child.kill().await.expect("it can be stopped");
    }
    let delivered = "select count(*) from {campanile}notification_deliveries where state = 'delivered' and attempt = 1";
    let delivered = database.number(delivered).await;
    assert_eq!(
        usize::try_from(delivered),
        Ok(deliveries),
        "each delivered once"
    );
    rate
}

async fn until_drained(database: &TestDatabase) {
    let left = "select count(*) from (select 1 from {campanile}notification_deliveries \
         where state in ('pending', 'running') limit 1) as left_over";
    while database.number(left).await > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
