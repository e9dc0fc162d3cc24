//! The **first** attempt of the deliveries that a dispatch has leased: one round per channel, each in its own task, starting with
//! the addresses.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::channel::delivery::Delivery;
use crate::deliver::Deliverer;
use crate::deliver::pause;
use crate::deliver::round::Round;
use crate::deliver::terms::{Probe, Terms};
use crate::report::Outcome;

/// Tries every delivery that the write has leased once, and records the outcome.
pub(crate) async fn attempt(
    deliverer: &Arc<Deliverer>,
    leased: Vec<(&'static str, Delivery)>,
    leased_at: Instant,
) -> HashMap<Uuid, Outcome> {
    let mut by_channel: HashMap<&'static str, Vec<Delivery>> = HashMap::new();
    let mut outcomes = HashMap::with_capacity(leased.len());
    for (channel, delivery) in leased {
        // Deliveries that a round does not get to are retried; so are, after their lease, those that a stopped task leaves
        // behind.
        outcomes.insert(delivery.id, Outcome::Queued);
        by_channel.entry(channel).or_default().push(delivery);
    }
    let mut rounds = JoinSet::new();
    for (channel, deliveries) in by_channel {
        let terms = Terms::default();
        let round = Round::leased(deliverer, channel, deliveries, leased_at, terms);
        let attempt = attempt_on(Arc::clone(deliverer), channel, round);
        rounds.spawn(attempt.in_current_span());
    }
    while let Some(done) = rounds.join_next().await {
        match done {
            Ok(done) => outcomes.extend(done),
            Err(error) => tracing::error!(
                target: "campanile", %error, "a delivery task stopped; its leases will expire"
            ),
        }
    }
    outcomes
}

/// A round of a dispatch on one channel. If the channel is misconfigured here, the round may be its probe.
async fn attempt_on(
    deliverer: Arc<Deliverer>,
    channel: &'static str,
    round: Round,
) -> Vec<(Uuid, Outcome)> {
    let brake = &deliverer.channels[channel].bulkhead.brake;
    if !brake.is_paused() || !pause::may_probe_here(&deliverer, channel).await {
        return round.attempt().await;
    }
    brake.probe();
    let outcomes = round.with_probe(Probe::default()).attempt().await;
    brake.end_probe();
    outcomes
}
