//! A **worker** delivers what is committed, until it is told to stop: queued deliveries, failed ones whose pause is over, and
//! those of a process that died.
//!
//! Any number of workers, in any number of processes and on any number of machines, share one database: the delivery's row
//! is the queue. The worker knows no channel by name, and nothing of plans and windows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::RngExt as _;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use crate::attempt::Attempted;
use crate::dispatch::{Dispatcher, Inner};

/// How long running attempts may take to end after a worker was told to stop.
const GRACE: Duration = Duration::from_secs(20);

/// The longest pause of a worker whose database does not answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Delivers what is due, each channel at its own pace.
///
/// ```no_run
/// # async fn example(dispatcher: campanile::Dispatcher) {
/// use campanile::Worker;
///
/// let stop = async { drop(tokio::signal::ctrl_c().await) };
/// Worker::new(dispatcher).run(stop).await;
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a worker does nothing until it runs"]
pub struct Worker {
    dispatcher: Dispatcher,
    poll_interval: Duration,
    batch: usize,
}

impl Worker {
    /// A worker for the channels that this binary links.
    pub fn new(dispatcher: Dispatcher) -> Self {
        Self {
            dispatcher,
            poll_interval: Duration::from_secs(1),
            batch: 100,
        }
    }

    /// How long it waits before it looks again when nothing was due: about a second unless said otherwise. Each wait is
    /// between a half and one and a half of it, so that a fleet does not ask in step.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval.clamp(Duration::from_millis(1), Duration::from_hours(1));
        self
    }

    /// How many deliveries of one channel it takes at a time: 100 unless said otherwise.
    pub fn batch(mut self, deliveries: usize) -> Self {
        self.batch = deliveries.max(1);
        self
    }

    /// Works until `stop` ends. Then it takes nothing more, gives what it has begun 20 seconds to end, and gives back what
    /// it has not begun, which uses no attempt.
    ///
    /// A database that does not answer is logged and asked again, less and less often.
    ///
    /// # Cancel safety
    ///
    /// A dropped future stops at once; what it had taken is tried again by any worker, after its lease.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let (stopping, _) = watch::channel(());
        let stopped = Stop::default();
        let mut rounds = JoinSet::new();
        for channel in self.dispatcher.inner.channels.keys().copied() {
            let inner = Arc::clone(&self.dispatcher.inner);
            let round = Rounds {
                inner,
                channel,
                poll_interval: self.poll_interval,
                batch: self.batch,
                stop: stopped.clone(),
                stopping: stopping.subscribe(),
            };
            let span = tracing::info_span!(target: "campanile", "worker", channel);
            rounds.spawn(round.run().instrument(span));
        }
        stop.await;
        stopped.now();
        let _ = stopping.send(());
        let ended = async { while rounds.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            tracing::warn!(
                target: "campanile",
                "attempts did not end in time; their deliveries come again after the lease"
            );
        }
    }
}

/// Whether no further batch may begin. Cheap to clone; clones share the answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn now(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// One channel's rounds.
struct Rounds {
    inner: Arc<Inner>,
    channel: &'static str,
    poll_interval: Duration,
    batch: usize,
    stop: Stop,
    stopping: watch::Receiver<()>,
}

impl Rounds {
    async fn run(mut self) {
        let mut failures = 0;
        while !self.stop.is_asked() {
            let round = self
                .inner
                .deliver_due_on(self.channel, self.batch, &self.stop);
            let wait = match round.await {
                // There may be more.
                Ok(Attempted { claimed: 1.., .. }) => {
                    failures = 0;
                    continue;
                }
                Ok(_) => {
                    failures = 0;
                    self.poll_interval
                }
                Err(error) => {
                    failures += 1;
                    tracing::warn!(
                        target: "campanile",
                        error = &error as &dyn std::error::Error,
                        failures,
                        "what is due was not delivered; the worker asks again"
                    );
                    let doubled = self.poll_interval.saturating_mul(1 << failures.min(16));
                    doubled.min(LONGEST_PAUSE)
                }
            };
            let wait = rand::rng().random_range(wait / 2..=wait + wait / 2);
            let _ = tokio::time::timeout(wait, self.stopping.changed()).await;
        }
    }
}
