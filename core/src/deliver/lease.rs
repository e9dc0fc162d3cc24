//! A **lease** is a claim that expires: while a round works, a heartbeat renews it; when the process dies, the lease expires and
//! any worker takes over.
//!
//! The times here are lower bounds, by this process's own clock: only the database decides who holds which delivery.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::channel::delivery::Delivery;
use crate::deliver::Deliverer;
use crate::observe::telemetry;
use crate::store::lease as store;

/// The lease of one round, renewed until it is dropped.
pub(crate) struct Lease {
    leased: Arc<Mutex<Leased>>,
    length: Duration,
    /// The task that renews it; it ends with the lease.
    _heartbeat: JoinSet<()>,
}

struct Leased {
    /// The deliveries, each with its claim.
    deliveries: HashMap<Uuid, Uuid>,
    /// The time until which they are certainly ours.
    until: Instant,
}

impl Lease {
    /// The lease of deliveries that were leased by a statement that started at `leased_at`.
    pub(crate) fn new(
        deliverer: &Arc<Deliverer>,
        channel: &'static str,
        deliveries: &[Delivery],
        leased_at: Instant,
    ) -> Self {
        let length = deliverer.limits.lease;
        let leased = Arc::new(Mutex::new(Leased {
            deliveries: deliveries
                .iter()
                .map(|delivery| (delivery.id, delivery.past.claim))
                .collect(),
            until: leased_at + length,
        }));
        let mut heartbeat = JoinSet::new();
        let beat = beat(Arc::clone(deliverer), channel, Arc::clone(&leased));
        heartbeat.spawn(beat.in_current_span());
        Self {
            leased,
            length,
            _heartbeat: heartbeat,
        }
    }

    /// Whether these are ours, for long enough to start a call.
    pub(crate) fn covers(&self, batch: &[Delivery]) -> bool {
        let leased = lock(&self.leased);
        leased.until > Instant::now() + self.length / 3
            && batch
                .iter()
                .all(|delivery| leased.deliveries.contains_key(&delivery.id))
    }

    /// How long they are certainly ours.
    pub(crate) fn left(&self) -> Duration {
        lock(&self.leased)
            .until
            .saturating_duration_since(Instant::now())
    }

    /// Stops renewing these, because they are settled. Returns those that were not known to be lost.
    pub(crate) fn end(&self, deliveries: impl Iterator<Item = Uuid>) -> Vec<Uuid> {
        let mut leased = lock(&self.leased);
        deliveries
            .filter(|id| leased.deliveries.remove(id).is_some())
            .collect()
    }
}

fn lock(leased: &Mutex<Leased>) -> std::sync::MutexGuard<'_, Leased> {
    leased.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Renews at every third of a lease, so that two beats may be lost.
async fn beat(deliverer: Arc<Deliverer>, channel: &'static str, leased: Arc<Mutex<Leased>>) {
    let (lease, pause) = (deliverer.limits.lease, deliverer.limits.lease / 3);
    loop {
        tokio::time::sleep(pause).await;
        let renewed_at = Instant::now();
        let ours = lock(&leased).deliveries.clone();
        if ours.is_empty() {
            continue;
        }
        let renewal = store::renew(&deliverer.database, deliverer.worker, &ours, lease);
        match tokio::time::timeout(pause, renewal).await {
            Ok(Ok(renewed)) => {
                let mut leased = lock(&leased);
                let before = leased.deliveries.len();
                // Deliveries that started or were settled in between are not affected by this renewal.
                let lost = |id: &Uuid| ours.contains_key(id) && !renewed.contains(id);
                leased.deliveries.retain(|id, _| !lost(id));
                telemetry::leases_lost(channel, before - leased.deliveries.len());
                leased.until = renewed_at + lease;
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
