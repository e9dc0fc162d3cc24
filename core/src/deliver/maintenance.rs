//! The **maintenance** of a running worker: every five seconds it records that it is alive, parks deliveries that no running
//! worker can deliver, releases the windows that were locked when they should have been released, erases the secrets of expired
//! deliveries, and measures the queues. About once an hour one worker of the fleet prunes.
//!
//! It does not handle expired leases: the next claim takes them first.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::RngExt as _;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use crate::deliver::Deliverer;
use crate::deliver::prune::{Retention, prune};
use crate::observe::telemetry;
use crate::store::workers::ALIVE;
use crate::store::{chores, park, pauses, release, workers};

/// How often the maintenance runs.
pub(crate) const MAINTAIN_EVERY: Duration = Duration::from_secs(5);

/// How often the fleet prunes.
const PRUNE_EVERY: Duration = Duration::from_hours(1);

/// How long a delivery has to be due before it is parked because no running worker links its channel: a fleet may be restarting.
const PARK_AFTER: Duration = Duration::from_mins(1);

/// How long a stopping worker may take to record that it has stopped.
const FAREWELL: Duration = Duration::from_secs(2);

/// The maintenance of a running worker, and its listener for deliveries queued by other processes. It ends when it is dropped.
pub(crate) struct Maintenance {
    tasks: JoinSet<()>,
    deliverer: Arc<Deliverer>,
}

impl Maintenance {
    pub(crate) fn start(deliverer: &Arc<Deliverer>) -> Self {
        deliverer.running.fetch_add(1, Ordering::AcqRel);
        let mut tasks = JoinSet::new();
        let maintained = Arc::clone(deliverer);
        let maintenance = async move {
            loop {
                if let Err(error) = maintain(&maintained).await {
                    tracing::warn!(
                        target: "campanile",
                        error = &error as &dyn std::error::Error,
                        "the maintenance of a worker failed; it will be repeated"
                    );
                }
                let pause = rand::rng().random_range(MAINTAIN_EVERY / 2..=MAINTAIN_EVERY);
                tokio::time::sleep(pause).await;
            }
        };
        tasks.spawn(maintenance.in_current_span());
        let listening = Arc::clone(deliverer);
        let listen = async move { listening.queued.listen(&listening.database).await };
        tasks.spawn(listen.in_current_span());
        Self {
            tasks,
            deliverer: Arc::clone(deliverer),
        }
    }

    /// Ends, and records that the worker has stopped, if it was the last one of its dispatcher.
    pub(crate) async fn end(mut self) {
        self.tasks.shutdown().await;
        let deliverer = Arc::clone(&self.deliverer);
        drop(self);
        if deliverer.running.load(Ordering::Acquire) > 0 {
            return;
        }
        let leaving = async {
            pauses::leave(&deliverer.database, deliverer.worker).await?;
            workers::leave(&deliverer.database, deliverer.worker).await
        };
        // Processes that do not get the message find out from the missing heartbeats.
        let _ = tokio::time::timeout(FAREWELL, leaving).await;
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        self.deliverer.running.fetch_sub(1, Ordering::AcqRel);
    }
}

async fn maintain(deliverer: &Deliverer) -> Result<(), sqlx::Error> {
    let own: Vec<&'static str> = deliverer.channels.keys().copied().collect();
    workers::beat(&deliverer.database, deliverer.worker, &own).await?;
    release::release_held(&deliverer.database).await?;
    park::erase_expired(&deliverer.database).await?;
    let fleet = workers::list(&deliverer.database, ALIVE).await?;
    let linked: Vec<String> = fleet
        .into_iter()
        .flat_map(|worker| worker.channels)
        .collect();
    let parked = park::park_unlinked(&deliverer.database, &linked, PARK_AFTER).await?;
    if parked > 0 {
        tracing::warn!(
            target: "campanile",
            deliveries = parked,
            "deliveries are parked: no running worker links their channel"
        );
    }
    if cfg!(feature = "metrics") {
        telemetry::queue(&workers::queue(&deliverer.database, &own).await?);
        let pauses = pauses::list(&deliverer.database).await?;
        for channel in own {
            let is_paused = pauses.iter().any(|(row, _)| row.channel == channel)
                || deliverer.channels[channel].bulkhead.brake.is_paused();
            telemetry::paused(channel, is_paused);
        }
    }
    Ok(())
}

/// Prunes whenever it is this worker's turn, until it is dropped. A running batch still finishes then.
pub(crate) async fn keep_pruned(deliverer: Arc<Deliverer>, retention: Retention) {
    loop {
        let pause = rand::rng().random_range(MAINTAIN_EVERY / 2..=MAINTAIN_EVERY);
        tokio::time::sleep(pause).await;
        let turn = chores::take_turn(
            &deliverer.database,
            chores::PRUNE,
            deliverer.worker,
            PRUNE_EVERY,
        );
        let pruned = match turn.await {
            Ok(false) => continue,
            Ok(true) => prune(&deliverer.database, &deliverer.prune_statements, retention).await,
            Err(error) => Err(error.into()),
        };
        match pruned {
            Ok(pruned) => {
                tracing::info!(target: "campanile", ?pruned, "rows past their retention were deleted");
            }
            Err(error) => tracing::warn!(
                target: "campanile",
                error = &error as &dyn std::error::Error,
                "rows past their retention were not deleted; the next attempt is in about an hour"
            ),
        }
    }
}
