//! A worker in a process of its own, which tests kill, stop and disturb. Its settings are in the environment: see
//! `campanile_tests::outside`.
//!
//! `campanile-fault-worker DATABASE_URL`

use std::io::Write as _;
use std::time::Duration;

use campanile::{Database, Worker};
use campanile_tests::outside::Outside;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(url) = std::env::args().nth(1) else {
        return Err("usage: campanile-fault-worker DATABASE_URL".into());
    };
    let outside = Outside::from_environment()?;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(outside.threads)
        .enable_all()
        .build()?
        .block_on(work(&url, &outside))
}

async fn work(url: &str, outside: &Outside) -> Result<(), Box<dyn std::error::Error>> {
    // Before anything else, because the stop signal may arrive at once.
    let mut terminated = signal(SignalKind::terminate())?;
    let dispatcher = outside.builder(Database::connect(url).await?).build()?;
    let (stopping, stopped) = tokio::sync::oneshot::channel();
    let stop = async move {
        terminated.recv().await;
        let _ = stopping.send(());
    };
    let worker = Worker::new(dispatcher)
        .poll_interval(Duration::from_millis(50))
        .run(stop);
    // The test reads this line. It is written in the worker's task, after the worker was stopped, so nothing begins after it.
    let say = async {
        if stopped.await.is_ok() {
            let _ = std::io::stdout().write_all(b"told to end\n");
        }
    };
    tokio::join!(biased; worker, say);
    Ok(())
}
