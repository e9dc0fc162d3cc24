//! The **sweep** of a worker: every five seconds it says that it is alive, parks what no running worker can deliver, releases
//! the windows that somebody held when they were to be released, erases the secrets of what has expired, and measures what waits.
//!
//! Dead leases are not its business: whoever claims next takes them first.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::RngExt as _;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use crate::deliver::Deliverer;
use crate::observe::telemetry;
use crate::store::workers::ALIVE;
use crate::store::{claim, pauses, release, workers};

/// How often.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// How long a delivery has been due before it is parked because no running worker links its channel: a fleet may be
/// restarting.
const STRANGER_AFTER: Duration = Duration::from_mins(1);

/// How long the last word of a worker may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// The sweep of a running worker, and its ear for what is queued elsewhere. It ends when it is dropped.
pub(crate) struct Sweep {
    tasks: JoinSet<()>,
    inner: Arc<Deliverer>,
}

impl Sweep {
    pub(crate) fn start(inner: &Arc<Deliverer>) -> Self {
        inner.running.fetch_add(1, Ordering::AcqRel);
        let mut tasks = JoinSet::new();
        let sweeping = Arc::clone(inner);
        let sweep = async move {
            loop {
                if let Err(error) = sweeping.sweep().await {
                    tracing::warn!(
                        target: "campanile",
                        error = &error as &dyn std::error::Error,
                        "a worker's sweep failed; it sweeps again"
                    );
                }
                let pause = rand::rng().random_range(SWEEP_EVERY / 2..=SWEEP_EVERY);
                tokio::time::sleep(pause).await;
            }
        };
        tasks.spawn(sweep.in_current_span());
        let listening = Arc::clone(inner);
        let listen = async move { listening.bell.listen(&listening.database).await };
        tasks.spawn(listen.in_current_span());
        Self {
            tasks,
            inner: Arc::clone(inner),
        }
    }

    /// Ends, and says that the worker has stopped, if it was the last one of its dispatcher.
    pub(crate) async fn end(mut self) {
        self.tasks.shutdown().await;
        let inner = Arc::clone(&self.inner);
        drop(self);
        if inner.running.load(Ordering::Acquire) > 0 {
            return;
        }
        let leaving = async {
            pauses::leave(&inner.database, inner.worker).await?;
            workers::leave(&inner.database, inner.worker).await
        };
        // Who is not told finds out by itself.
        let _ = tokio::time::timeout(FAREWELL, leaving).await;
    }
}

impl Drop for Sweep {
    fn drop(&mut self) {
        self.inner.running.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Deliverer {
    async fn sweep(&self) -> Result<(), sqlx::Error> {
        let own: Vec<&'static str> = self.channels.keys().copied().collect();
        workers::beat(&self.database, self.worker, &own).await?;
        release::release_held(&self.database).await?;
        claim::erase_expired(&self.database).await?;
        let fleet = workers::list(&self.database, ALIVE).await?;
        let linked: Vec<String> = fleet.into_iter().flat_map(|its| its.channels).collect();
        let parked = claim::park_strangers(&self.database, &linked, STRANGER_AFTER).await?;
        if parked > 0 {
            tracing::warn!(
                target: "campanile",
                deliveries = parked,
                "deliveries are parked: no running worker links their channel"
            );
        }
        if cfg!(feature = "metrics") {
            telemetry::queue(&workers::queue(&self.database, &own).await?);
            let pauses = pauses::list(&self.database).await?;
            for channel in own {
                let is_paused = pauses.iter().any(|(row, _)| row.channel == channel)
                    || self.channels[channel].bulkhead.brake.is_paused();
                telemetry::paused(channel, is_paused);
            }
        }
        Ok(())
    }
}
