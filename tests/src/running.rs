//! A worker that is **running** inside the test's own process.

use std::sync::Arc;
use std::time::Duration;

use campanile::{Dispatcher, Worker};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// A worker that runs until it is stopped, or until the test ends.
#[derive(Debug)]
pub struct Running {
    run: JoinHandle<()>,
    stop: Arc<Notify>,
}

impl Running {
    /// Starts one that polls every ten milliseconds.
    #[must_use]
    pub fn start(dispatcher: &Dispatcher) -> Self {
        let worker = Worker::new(dispatcher.clone());
        Self::start_as(worker.poll_interval(Duration::from_millis(10)))
    }

    /// Starts this one.
    #[must_use]
    pub fn start_as(worker: Worker) -> Self {
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let run = tokio::spawn(worker.run(async move { stopped.notified().await }));
        Self { run, stop }
    }

    /// Stops it, and waits until it has stopped.
    ///
    /// # Panics
    ///
    /// When the worker panicked.
    pub async fn stop(self) {
        self.stop.notify_one();
        self.run.await.expect("the worker ends cleanly");
    }
}
