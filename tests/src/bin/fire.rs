//! A process of its own that fires an event for one subject after the other, four at a time, from when it reads a line until its
//! standard input ends. It prints `ready`, `fired` after the first answer, and the number of each subject that was admitted.
//!
//! `campanile-fire DATABASE_URL`

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use campanile::{Database, Dispatcher, NotifiableEvent as _};
use campanile_pigeon::PigeonSettings;
use campanile_tests::app::capture;
use campanile_tests::events::PigeonExpected;
use tokio::task::JoinSet;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let Some(url) = std::env::args().nth(1) else {
        return Err("usage: campanile-fire DATABASE_URL".into());
    };
    let dispatcher = Dispatcher::builder()
        .database(Database::connect(&url).await?)
        .with(capture().0)
        .with(PigeonSettings::default())
        .build()?;
    say("ready")?;
    std::io::stdin().read_line(&mut String::new())?;
    let (next, ended) = (
        Arc::new(AtomicU32::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let fired = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let (dispatcher, next) = (dispatcher.clone(), Arc::clone(&next));
        let (fired, ended) = (Arc::clone(&fired), Arc::clone(&ended));
        tasks.spawn(async move {
            while !ended.load(Ordering::SeqCst) {
                let number = next.fetch_add(1, Ordering::SeqCst);
                let notice = PigeonExpected::default().about(number).to(["u_ada"]);
                let admitted = dispatcher.enqueue(notice).await?.admitted;
                if !fired.swap(true, Ordering::SeqCst) {
                    say("fired")?;
                }
                if admitted == 1 {
                    say(&number.to_string())?;
                }
                // SQLite's writers poll for the lock: a process that never pauses would starve the others.
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
            Ok::<_, Failure>(())
        });
    }
    // A thread of its own waits for the end of the input while events are fired.
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    ended.store(true, Ordering::SeqCst);
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    Ok(())
}

/// One write of one line, read by the test that started this process.
fn say(line: &str) -> std::io::Result<()> {
    std::io::stdout().write_all(format!("{line}\n").as_bytes())
}
