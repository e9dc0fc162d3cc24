//! A worker in a process of its own, to be killed. Its pigeons are slow, and write each scroll into a ledger.
//!
//! `campanile-worker DATABASE_URL LEDGER MILLISECONDS`

use std::io::Write as _;
use std::time::Duration;

use campanile::channel::Verdict;
use campanile::{Database, Dispatcher, Worker};
use campanile_pigeon::{Flight, PIGEON, PigeonSettings};
use campanile_tests::app::capture;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Before anything else, because the stop signal may arrive at once.
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, ledger, pause] = &arguments[..] else {
        return Err("usage: campanile-worker DATABASE_URL LEDGER MILLISECONDS".into());
    };
    let pause = Duration::from_millis(pause.parse()?);
    let ledger = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(ledger)?;
    let pigeons = PigeonSettings::new(move |delivery| {
        // One write of one line: the operating system does not mix it with another's.
        let line = format!("{}\n", delivery.id);
        match (&ledger).write_all(line.as_bytes()) {
            Ok(()) => Flight::EndsAfter(pause, Verdict::accepted()),
            Err(error) => Flight::Ends(Verdict::retry(error.to_string())),
        }
    });
    let dispatcher = Dispatcher::builder()
        .database(Database::connect(url).await?)
        .with(capture().0)
        .with(pigeons)
        .tune(&PIGEON, |policy| policy.batch(10).concurrency(8))
        .build()?;
    let stop = async move {
        terminated.recv().await;
    };
    Worker::new(dispatcher)
        .poll_interval(Duration::from_millis(50))
        .run(stop)
        .await;
    Ok(())
}
