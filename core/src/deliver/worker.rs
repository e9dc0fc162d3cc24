//! A **worker** delivers committed deliveries until it is asked to stop: queued ones, failed ones whose pause is over, and those
//! of a process that died.
//!
//! Any number of workers, in any number of processes and on any number of machines, share one database: the delivery's row is the
//! queue. The worker knows no channel by name, and nothing about plans and windows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use crate::database::error::StoreError;
use crate::deliver::Deliverer;
use crate::deliver::maintenance::{MAINTAIN_EVERY, Maintenance, keep_pruned};
use crate::deliver::poll::{self, Parked, Pass};
use crate::deliver::prune::Retention;
use crate::deliver::round::Attempted;
use crate::deliver::terms::Stop;

/// How long running attempts may take to end after a worker was asked to stop.
const GRACE: Duration = Duration::from_secs(20);

/// The maximum pause of a worker whose database does not answer.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Delivers due deliveries, each channel at its own pace.
///
/// ```no_run
/// # async fn example(dispatcher: campanile::Dispatcher) {
/// use campanile::Worker;
///
/// let stop = async { drop(tokio::signal::ctrl_c().await) };
/// Worker::new(dispatcher).run(stop).await;
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a worker does nothing until it runs"]
pub struct Worker {
    deliverer: Arc<Deliverer>,
    poll_interval: Duration,
    tasks: usize,
    prune: Option<Retention>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("poll_interval", &self.poll_interval)
            .field("tasks", &self.tasks)
            .field("prune", &self.prune)
            .finish_non_exhaustive()
    }
}

impl Worker {
    pub(crate) fn over(deliverer: Arc<Deliverer>) -> Self {
        Self {
            deliverer,
            poll_interval: Duration::from_secs(1),
            tasks: 2,
            prune: Some(Retention::default()),
        }
    }

    /// How long it waits before the next poll when nothing was due. Default: about a second. Each wait is between half and one
    /// and a half times as long, so that a fleet does not poll in step.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval.clamp(Duration::from_millis(1), Duration::from_hours(1));
        self
    }

    /// How many tasks work on each channel concurrently. Default: 2, so that one claims while the other records. The channel's
    /// [`Policy`](crate::channel::policy::Policy) limits how many calls they make together.
    pub fn tasks(mut self, tasks: usize) -> Self {
        self.tasks = tasks.max(1);
        self
    }

    /// The retention of the rows that it prunes about once an hour; only one worker of a database prunes at a time. Default:
    /// [`Retention::default`]. `None` leaves pruning to other workers, or to calls of
    /// [`Operations::prune`](crate::operate::Operations::prune).
    pub fn prune(mut self, retention: Option<Retention>) -> Self {
        self.prune = retention;
        self
    }

    /// Works until `stop` completes. Then it claims nothing more, gives started deliveries 20 seconds to end, and gives back
    /// those that have not started, which uses no attempt.
    ///
    /// If the database does not answer, the error is logged and the poll is retried at growing intervals.
    ///
    /// # Cancel safety
    ///
    /// A dropped future claims nothing more; running calls finish in the background, unrecorded. Its claimed deliveries are
    /// retried by any worker, after their lease.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let deliverer = &self.deliverer;
        let (stopping, _) = watch::channel(());
        let stopped = Stop::default();
        let mut tasks = JoinSet::new();
        for channel in deliverer.channels.keys().copied() {
            for task in 0..self.tasks {
                let polls = Polls {
                    deliverer: Arc::clone(deliverer),
                    channel,
                    poll_interval: self.poll_interval,
                    // One of them retries parked deliveries.
                    parked: (task == 0).then(|| (Pass::first(Parked::All), Instant::now())),
                    stop: stopped.clone(),
                    stopping: stopping.subscribe(),
                };
                let span = tracing::info_span!(target: "campanile", "worker", channel);
                tasks.spawn(polls.run().instrument(span));
            }
        }
        let maintenance = Maintenance::start(deliverer);
        let mut waking = JoinSet::new();
        waking.spawn(wake_one_of_each(Arc::clone(deliverer)));
        // It ends when it is dropped.
        let mut pruning = JoinSet::new();
        if let Some(retention) = self.prune {
            let keep = keep_pruned(Arc::clone(deliverer), retention);
            pruning.spawn(keep.in_current_span());
        }
        stop.await;
        stopped.now();
        drop((pruning, waking));
        let _ = stopping.send(());
        let ended = async {
            while tasks.join_next().await.is_some() {}
            // Rounds that outlast their poll.
            for remote in deliverer.channels.values() {
                remote.bulkhead.detached.ended().await;
            }
        };
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            tracing::warn!(
                target: "campanile",
                "attempts did not end in time; their deliveries are retried after the lease"
            );
        }
        maintenance.end().await;
    }
}

/// Whenever deliveries are queued, wakes one task for each channel; a task that finds more than it can take wakes the others.
/// Deliveries that are queued during a poll are found by the next one.
async fn wake_one_of_each(deliverer: Arc<Deliverer>) {
    let mut heard = deliverer.queued.receiver();
    while heard.changed().await.is_ok() {
        for remote in deliverer.channels.values() {
            remote.wake.notify_one();
        }
    }
}

/// The polls of one task on one channel.
struct Polls {
    deliverer: Arc<Deliverer>,
    channel: &'static str,
    poll_interval: Duration,
    /// The pass over parked deliveries, and when it continues.
    parked: Option<(Pass, Instant)>,
    stop: Stop,
    stopping: watch::Receiver<()>,
}

impl Polls {
    async fn run(mut self) {
        let mut failures = 0;
        let deliverer = Arc::clone(&self.deliverer);
        while !self.stop.is_asked() {
            let wait = match self.poll().await {
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
                        "due deliveries were not delivered; the worker polls again"
                    );
                    let doubled = self.poll_interval.saturating_mul(1 << failures.min(16));
                    doubled.min(MAX_PAUSE)
                }
            };
            let wait = rand::rng().random_range(wait / 2..=wait + wait / 2);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = self.stopping.changed() => {}
                // A database that does not answer is not polled more often because of that.
                () = deliverer.channels[self.channel].wake.notified(), if failures == 0 => {}
            }
        }
    }

    /// One poll, in its own task: a panic is logged, and the next poll begins.
    async fn poll(&mut self) -> Result<Attempted, StoreError> {
        let parked = self.parked.filter(|(_, at)| *at <= Instant::now());
        if parked.is_some() {
            let next_pass = Pass::first(Parked::Known);
            self.parked = Some((next_pass, Instant::now() + MAINTAIN_EVERY));
        }
        let (deliverer, channel) = (Arc::clone(&self.deliverer), self.channel);
        let stop = self.stop.clone();
        let mut poll = JoinSet::new();
        let work = async move {
            let (parked, next) = match parked {
                Some((pass, _)) => poll::parked(&deliverer, channel, pass, &stop).await?,
                None => (Attempted::default(), None),
            };
            let max_batch = deliverer.channels[channel].channel.max_batch().max(1);
            let time = deliverer.limits.time_to_start();
            let at_most = deliverer.policy(channel).claimable(time, max_batch);
            let due = poll::due(&deliverer, channel, at_most, &stop).await;
            Ok::<_, StoreError>((next, due.map(|due| parked.and(due))))
        };
        poll.spawn(work.in_current_span());
        match poll.join_next().await {
            Some(Ok(result)) => {
                let (next, attempted): (Option<Pass>, _) = result?;
                // The rest of the pass, interleaved with due deliveries.
                if let Some(pass) = next {
                    self.parked = Some((pass, Instant::now()));
                }
                attempted
            }
            Some(Err(error)) => {
                tracing::error!(target: "campanile", %error, "a poll was aborted; its leases will expire");
                Err(StoreError::interrupted())
            }
            None => Err(StoreError::interrupted()),
        }
    }
}
