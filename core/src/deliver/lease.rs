//! A **lease** is a claim that ends by itself: while a share works, a heartbeat renews it; when the process dies, it runs out
//! and any worker takes over.
//!
//! What is known here is a lower bound, by this process's own clock: the database alone decides who holds what.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::channel::delivery::Delivery;
use crate::deliver::Deliverer;
use crate::observe::telemetry;
use crate::store::claim;

/// The leases of one share, renewed until it is dropped.
pub(crate) struct Hold {
    held: Arc<Mutex<Held>>,
    length: Duration,
    /// Ends with the hold.
    _heartbeat: JoinSet<()>,
}

struct Held {
    /// Each with its claim.
    deliveries: HashMap<Uuid, Uuid>,
    /// Until then they are surely ours.
    until: Instant,
}

impl Hold {
    /// Holds what was leased by a statement that began at `leased_at`.
    pub(crate) fn new(
        inner: &Arc<Deliverer>,
        channel: &'static str,
        deliveries: &[Delivery],
        leased_at: Instant,
    ) -> Self {
        let length = inner.limits.lease;
        let held = Arc::new(Mutex::new(Held {
            deliveries: deliveries
                .iter()
                .map(|delivery| (delivery.id, delivery.past.claim))
                .collect(),
            until: leased_at + length,
        }));
        let mut heartbeat = JoinSet::new();
        let beat = beat(Arc::clone(inner), channel, Arc::clone(&held));
        heartbeat.spawn(beat.in_current_span());
        Self {
            held,
            length,
            _heartbeat: heartbeat,
        }
    }

    /// Whether these are ours, and for long enough to begin.
    pub(crate) fn covers(&self, batch: &[Delivery]) -> bool {
        let held = lock(&self.held);
        held.until > Instant::now() + self.length / 3
            && batch
                .iter()
                .all(|its| held.deliveries.contains_key(&its.id))
    }

    /// How long they are surely ours.
    pub(crate) fn left(&self) -> Duration {
        lock(&self.held)
            .until
            .saturating_duration_since(Instant::now())
    }

    /// These are over, and are no longer renewed. Gives those that were not known to be lost.
    pub(crate) fn release(&self, deliveries: impl Iterator<Item = Uuid>) -> Vec<Uuid> {
        let mut held = lock(&self.held);
        deliveries
            .filter(|its| held.deliveries.remove(its).is_some())
            .collect()
    }
}

fn lock(held: &Mutex<Held>) -> std::sync::MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Renews at every third of a lease, so that two beats may be lost.
async fn beat(inner: Arc<Deliverer>, channel: &'static str, held: Arc<Mutex<Held>>) {
    let (lease, pause) = (inner.limits.lease, inner.limits.lease / 3);
    loop {
        tokio::time::sleep(pause).await;
        let renewed_at = Instant::now();
        let ours = lock(&held).deliveries.clone();
        if ours.is_empty() {
            continue;
        }
        let renewal = claim::renew(&inner.database, inner.worker, &ours, lease);
        match tokio::time::timeout(pause, renewal).await {
            Ok(Ok(renewed)) => {
                let mut held = lock(&held);
                let before = held.deliveries.len();
                // What was begun or ended in between is none of the renewed ones' business.
                let lost = |id: &Uuid| ours.contains_key(id) && !renewed.contains(id);
                held.deliveries.retain(|id, _| !lost(id));
                telemetry::leases_lost(channel, before - held.deliveries.len());
                held.until = renewed_at + lease;
            }
            Ok(Err(error)) => tracing::warn!(
                target: "campanile",
                channel,
                error = &error as &dyn std::error::Error,
                "leases were not renewed"
            ),
            Err(_) => tracing::warn!(
                target: "campanile",
                channel,
                "leases were not renewed: the database did not answer in time"
            ),
        }
    }
}
