//! The **last look** right before a call: a recipient who has muted the channel since the preferences were read is taken out, and
//! so is what has expired, and what is this worker's no longer because its user was forgotten or its lease was lost.
//!
//! One query looks at all of a round that has not begun. Whether an address is suppressed is asked by the channel, inside the call.

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

/// A look that began this recently is as good as another.
const FRESH: Duration = Duration::from_millis(100);

/// What was seen of a round.
pub(crate) struct LastLook(Mutex<Seen>);

struct Seen {
    /// When the last look began.
    at: Instant,
    /// What has not begun: its claim, and whether preferences decide about it.
    waiting: HashMap<Uuid, (Uuid, Weight)>,
    /// What must not be sent.
    out: HashMap<Uuid, Cause>,
}

impl LastLook {
    /// Nothing of this round has begun. The time at which its preferences were read counts as the first look.
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

    /// Takes out of a batch what must not be sent now. Without an answer of the database nothing is sent.
    pub(crate) async fn look(
        &self,
        deliverer: &Deliverer,
        channel: &str,
        batch: &mut Vec<Delivery>,
    ) -> Vec<Transition> {
        let policy = deliverer.policy(channel);
        // Those who come meanwhile wait for this look, and share it.
        let mut seen = self.0.lock().await;
        if seen.at.elapsed() > FRESH
            && let Err(error) = seen.look(deliverer).await
        {
            tracing::warn!(
                target: "campanile",
                error = &error as &dyn std::error::Error,
                "nobody knows who has opted out meanwhile; a batch does not go out yet"
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
                // Whoever has it now says what becomes of it.
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
