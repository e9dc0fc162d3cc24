//! The **last look** right before a call removes deliveries that must not be sent any more: the recipient has muted the channel
//! since the preferences were read, the delivery has expired, or it is no longer this worker's because its user was forgotten or
//! its lease was lost.
//!
//! One query checks all deliveries of a round that have not started. The channel itself checks whether an address is suppressed,
//! inside the call.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use uuid::Uuid;

use crate::channel::delivery::Delivery;
use crate::deliver::Deliverer;
use crate::deliver::transition::{Cause, Transition, take_out};
use crate::event::Weight;
use crate::plan::preference::{Choice, decide};
use crate::store::lease;

/// A check that started this recently is still valid.
const FRESH: Duration = Duration::from_millis(100);

/// The results of the checks of a round.
pub(crate) struct LastLook(Mutex<Seen>);

struct Seen {
    /// When the most recent check started.
    at: Instant,
    /// The deliveries that have not started: their claims, and whether preferences apply to them.
    waiting: HashMap<Uuid, (Uuid, Weight)>,
    /// The deliveries that must not be sent.
    out: HashMap<Uuid, Cause>,
}

impl LastLook {
    /// No delivery of this round has started. The time at which its preferences were read counts as the first check.
    pub(crate) fn new<'d>(
        deliverer: &Deliverer,
        channel: &str,
        round: impl Iterator<Item = &'d Delivery>,
        read_at: Instant,
    ) -> Self {
        let waiting = round.map(|delivery| {
            let weight = deliverer.weight(&delivery.event_type, channel);
            (delivery.id, (delivery.past.claim, weight))
        });
        Self(Mutex::new(Seen {
            at: read_at,
            waiting: waiting.collect(),
            out: HashMap::new(),
        }))
    }

    /// Removes from a batch the deliveries that must not be sent now. If the database does not answer, nothing is sent.
    pub(crate) async fn look(
        &self,
        deliverer: &Deliverer,
        channel: &str,
        batch: &mut Vec<Delivery>,
    ) -> Vec<Transition> {
        let policy = deliverer.policy(channel);
        // Calls that arrive meanwhile wait for this query, and share its result.
        let mut seen = self.0.lock().await;
        if seen.at.elapsed() > FRESH
            && let Err(error) = seen.look(deliverer).await
        {
            tracing::warn!(
                target: "campanile",
                error = &error as &dyn std::error::Error,
                "the database did not say who has opted out meanwhile; a batch is not sent yet"
            );
            return take_out(batch, policy, |_| Some(Cause::NotBegun));
        }
        for delivery in &*batch {
            seen.waiting.remove(&delivery.id);
        }
        take_out(batch, policy, |delivery| {
            seen.out.get(&delivery.id).cloned()
        })
    }
}

impl Seen {
    async fn look(&mut self, deliverer: &Deliverer) -> Result<(), sqlx::Error> {
        let begun = Instant::now();
        let waiting = self.waiting.iter();
        let waiting: Vec<_> = waiting.map(|(id, (claim, _))| (*id, *claim)).collect();
        let rows = lease::look(&deliverer.database, deliverer.worker, &waiting).await?;
        self.compare(&rows);
        self.at = begun;
        Ok(())
    }

    fn compare(&mut self, rows: &HashMap<Uuid, lease::Look>) {
        self.out.clear();
        for (id, (_, weight)) in &self.waiting {
            let cause = match rows.get(id) {
                // The worker that has it now decides what happens to it.
                None => Cause::NotBegun,
                Some(row) if row.is_expired => Cause::Expired,
                Some(row) => match decide(*weight, row.enabled.map(Choice::from_enabled)) {
                    rule if rule.sends() => continue,
                    _ => Cause::Muted,
                },
            };
            self.out.insert(*id, cause);
        }
    }
}
