//! The **last look** right before a call: a recipient who has muted the channel since the preferences were read is taken out, and
//! so is what has expired, and what is this worker's no longer because its user was forgotten or its lease was lost.
//!
//! One query looks at all of a share that has not begun. Whether an address is suppressed is asked by the channel, inside the call.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use uuid::Uuid;

use crate::channel::delivery::Delivery;
use crate::deliver::Deliverer;
use crate::deliver::transition::{Judged, Ruling};
use crate::event::Weight;
use crate::plan::preference::{Choice, decide};
use crate::store::claim;

/// A look that began this recently is as good as another.
const FRESH: Duration = Duration::from_millis(100);

/// What was seen of a share.
pub(crate) struct LastLook(Mutex<Seen>);

struct Seen {
    /// When the last look began.
    at: Instant,
    /// What has not begun: its claim, and whether preferences decide about it.
    waiting: HashMap<Uuid, (Uuid, Weight)>,
    /// What must not be sent.
    out: HashMap<Uuid, Ruling>,
}

impl LastLook {
    /// Nothing of this share has begun. The time at which its preferences were read counts as the first look.
    pub(crate) fn new<'d>(
        inner: &Deliverer,
        channel: &str,
        share: impl Iterator<Item = &'d Delivery>,
        read_at: Instant,
    ) -> Self {
        let waiting = share.map(|delivery| {
            let weight = inner.weight(&delivery.event_type, channel);
            (delivery.id, (delivery.past.claim, weight))
        });
        Self(Mutex::new(Seen {
            at: read_at,
            waiting: waiting.collect(),
            out: HashMap::new(),
        }))
    }
}

impl Deliverer {
    /// What of a batch may be sent now, and what is to be said of the rest. Without an answer of the database nothing is sent.
    pub(crate) async fn look(
        &self,
        last: &LastLook,
        batch: Vec<Delivery>,
    ) -> (Vec<Delivery>, Vec<Judged>) {
        // Those who come meanwhile wait for this look, and share it.
        let mut seen = last.0.lock().await;
        if seen.at.elapsed() > FRESH {
            let begun = Instant::now();
            let waiting = seen.waiting.iter();
            let waiting: Vec<_> = waiting.map(|(id, (claim, _))| (*id, *claim)).collect();
            match claim::look(&self.database, self.worker, &waiting).await {
                Ok(rows) => {
                    seen.take_out(&rows);
                    seen.at = begun;
                }
                Err(error) => {
                    tracing::warn!(
                        target: "campanile",
                        error = &error as &dyn std::error::Error,
                        "nobody knows who has opted out meanwhile; a batch does not go out yet"
                    );
                    return (Vec::new(), Judged::not_begun(batch));
                }
            }
        }
        let (mut sent, mut judged) = (Vec::with_capacity(batch.len()), Vec::new());
        for delivery in batch {
            seen.waiting.remove(&delivery.id);
            match seen.out.remove(&delivery.id) {
                Some(ruling) => judged.push(Judged::new(delivery, ruling)),
                None => sent.push(delivery),
            }
        }
        (sent, judged)
    }
}

impl Seen {
    fn take_out(&mut self, rows: &HashMap<Uuid, claim::Look>) {
        self.out.clear();
        for (id, (_, weight)) in &self.waiting {
            let ruling = match rows.get(id) {
                // Whoever has it now says what becomes of it.
                None => Ruling::NotBegun,
                Some(row) if row.is_expired => Ruling::Expired,
                Some(row) => match decide(*weight, row.enabled.map(Choice::from_enabled)) {
                    rule if rule.sends() => continue,
                    _ => Ruling::Muted,
                },
            };
            self.out.insert(*id, ruling);
        }
    }
}
