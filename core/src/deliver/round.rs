//! A **round** is the deliveries that were claimed from one channel at one time: one value that moves through steps from the
//! claim to the record.
//!
//! ```text
//! claim -> rescue -> history -> preferences -> record -> resolve -> batch -> call -> record
//! a later attempt begins here                            a dispatch's first attempt begins here
//! ```
//!
//! A step moves deliveries from the waiting to the decided, or adds data that the waiting ones need; `record` persists the
//! decided ones, as often as there are any. When a step fails, it decides that the waiting deliveries are not started, so that
//! they go back unchanged; when a step is dropped, their lease expires. A channel that fails, panics or hangs affects only its
//! own deliveries. The files that the steps use do not depend on this one.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::channel::delivery::{Delivery, DeliveryError, ErrorClass, Verdict};
use crate::database::error::StoreError;
use crate::deliver::Deliverer;
use crate::deliver::batch::batches;
use crate::deliver::call::Calls;
use crate::deliver::claim::claim;
use crate::deliver::last_look::LastLook;
use crate::deliver::lease::Lease;
use crate::deliver::recipients;
use crate::deliver::record::record;
use crate::deliver::terms::{Probe, Terms};
use crate::deliver::transition::{Cause, Transition, decided_by_past, take_out};
use crate::observe::telemetry;
use crate::plan::preference::decide;
use crate::report::Outcome;
use crate::store::claim::{Claimed, Take};
use crate::store::log::{self, Lost};

/// Decided deliveries are recorded when there are 500, when a call ends more than a fifteenth of a lease (two seconds by default)
/// after the last record, and at the end; on a channel with long calls also after 100 ms in which no call has ended.
const MAX_UNRECORDED: usize = 500;
const RECORDS_IN_A_LEASE: u32 = 15;
const RECORD_WHEN_IDLE: Duration = Duration::from_millis(100);

/// Practically unlimited: a century would be too long for a timer.
const FOREVER: Duration = Duration::from_hours(24 * 365);

/// What one call of [`Dispatcher::deliver_due`](crate::Dispatcher::deliver_due) did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempted {
    /// Due deliveries that were claimed, including those whose recipient has muted the channel meanwhile.
    pub claimed: usize,
    /// Those that were sent.
    pub sent: usize,
}

impl Attempted {
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            claimed: self.claimed + other.claimed,
            sent: self.sent + other.sent,
        }
    }
}

/// Receives the outcomes of a round as they are recorded.
type Listener = mpsc::UnboundedSender<Vec<(Uuid, Outcome)>>;

/// The deliveries of one channel that were leased together.
pub(crate) struct Round {
    deliverer: Arc<Deliverer>,
    channel: &'static str,
    terms: Terms,
    lease: Arc<Lease>,
    /// When the recipients' preferences were read.
    preferences_read_at: Instant,
    /// The deliveries still to be tried.
    waiting: Vec<Delivery>,
    /// The same, once they are grouped into batches.
    batches: Vec<Vec<Delivery>>,
    /// The decided deliveries that are not recorded yet.
    decided: Vec<Transition>,
    listener: Option<Listener>,
}

impl Round {
    /// Claims some deliveries of a channel, and moves them through all steps. Also returns where the next claim of a pass
    /// continues.
    pub(crate) async fn run(
        deliverer: &Arc<Deliverer>,
        channel: &'static str,
        take: Take<'_>,
        at_most: usize,
        terms: Terms,
    ) -> Result<(Attempted, Option<Uuid>), StoreError> {
        let claimed = Self::claim(deliverer, channel, take, at_most, terms).await?;
        let Some((round, last)) = claimed else {
            return Ok((Attempted::default(), None));
        };
        let claimed = round.waiting.len() + round.decided.len();
        let round = round.rescue().await.history().preferences().await?;
        let outcomes = round.record().await.attempt().await;
        let sent = outcomes
            .iter()
            .filter(|(_, outcome)| *outcome == Outcome::Sent)
            .count();
        Ok((Attempted { claimed, sent }, last))
    }

    /// A round of the deliveries that a statement that started at `leased_at` has leased.
    pub(crate) fn leased(
        deliverer: &Arc<Deliverer>,
        channel: &'static str,
        deliveries: Vec<Delivery>,
        leased_at: Instant,
        terms: Terms,
    ) -> Self {
        Self {
            deliverer: Arc::clone(deliverer),
            channel,
            terms,
            lease: Arc::new(Lease::new(deliverer, channel, &deliveries, leased_at)),
            preferences_read_at: leased_at,
            waiting: deliveries,
            batches: Vec::new(),
            decided: Vec::new(),
            listener: None,
        }
    }

    /// The same as a probe of its channel.
    pub(crate) fn with_probe(mut self, probe: Probe) -> Self {
        self.terms.probe = Some(probe);
        self
    }

    /// Claims up to this many. A row that cannot be read is decided at once. `None` if there was nothing to claim.
    async fn claim(
        deliverer: &Arc<Deliverer>,
        channel: &'static str,
        take: Take<'_>,
        at_most: usize,
        terms: Terms,
    ) -> Result<Option<(Self, Option<Uuid>)>, StoreError> {
        // The leases start in the claim, a little later than this.
        let leased_at = Instant::now();
        let Claimed { deliveries, last } = claim(deliverer, channel, take, at_most).await?;
        if deliveries.is_empty() {
            return Ok(None);
        }
        if deliveries.len() >= at_most && matches!(take, Take::Due) {
            // There may be more, for another task.
            deliverer.channels[channel].wake.notify_one();
        }
        let (mut readable, mut unreadable) = (Vec::with_capacity(deliveries.len()), Vec::new());
        for delivery in deliveries {
            match delivery {
                Ok(delivery) => readable.push(delivery),
                Err(row) => unreadable.push(Transition::unreadable(row)),
            }
        }
        let mut round = Self::leased(deliverer, channel, readable, leased_at, terms);
        round.decided = unreadable;
        Ok(Some((round, last)))
    }

    /// Logs the attempts of workers whose leases had expired.
    async fn rescue(self) -> Self {
        let lost = self.waiting.iter().filter_map(|delivery| {
            Some(Lost {
                delivery: delivery.id,
                attempt: delivery.attempt - 1,
                worker: delivery.past.lost_worker?,
            })
        });
        let lost: Vec<_> = lost.collect();
        if lost.is_empty() {
            return self;
        }
        tracing::warn!(
            target: "campanile",
            channel = self.channel,
            deliveries = lost.len(),
            "deliveries of a worker that was lost are taken over"
        );
        telemetry::leases_rescued(self.channel, lost.len());
        if let Err(error) = log::lost(&self.deliverer.database, &lost).await {
            tracing::error!(
                target: "campanile",
                channel = self.channel,
                error = &error as &dyn std::error::Error,
                "lost attempts were not logged"
            );
        }
        self
    }

    /// Removes deliveries that their history has already decided, and those whose event is not known here.
    fn history(mut self) -> Self {
        let deliverer = Arc::clone(&self.deliverer);
        let is_unknown =
            |delivery: &Delivery| deliverer.registry.event(&delivery.event_type).is_none();
        // A batch is repeated unchanged, or not yet.
        let unknown = self.waiting.iter().filter(|delivery| is_unknown(delivery));
        let unknown: HashSet<Uuid> = unknown.filter_map(|delivery| delivery.batch_id).collect();
        let policy = deliverer.policy(self.channel);
        self.take_out(|delivery| {
            let goes_with_one = delivery.batch_id.is_some_and(|id| unknown.contains(&id));
            if goes_with_one || is_unknown(delivery) {
                Some(Cause::UnknownEvent)
            } else {
                decided_by_past(delivery, policy)
            }
        });
        self
    }

    /// Removes those whose recipient has muted the channel since the dispatch. If the database does not answer, nothing is
    /// started.
    async fn preferences(mut self) -> Result<Self, StoreError> {
        self.preferences_read_at = Instant::now();
        if self.waiting.is_empty() {
            return Ok(self);
        }
        let (deliverer, channel) = (Arc::clone(&self.deliverer), self.channel);
        match recipients::choices(&deliverer, &self.waiting).await {
            Ok(choices) => {
                self.take_out(|delivery| {
                    let weight = deliverer.weight(&delivery.event_type, channel);
                    let choice = choices.of(&delivery.user_id, &delivery.category, channel);
                    (!decide(weight, choice).sends()).then_some(Cause::Muted)
                });
                Ok(self)
            }
            Err(error) => {
                self.take_out(|_| Some(Cause::NotBegun));
                self.record().await;
                Err(error)
            }
        }
    }

    /// The remaining steps, as long as the caller waits for them: until the end, or until the builder's timeout if a call of this
    /// channel may take longer. Calls still running by then continue in the background, and are recorded when they end.
    pub(crate) async fn attempt(mut self) -> Vec<(Uuid, Outcome)> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let (listener, mut heard) = mpsc::unbounded_channel();
        self.listener = Some(listener);
        let (deliverer, channel, max_wait) =
            (Arc::clone(&self.deliverer), self.channel, self.max_wait());
        let mut work = JoinSet::new();
        let steps = async move { self.resolve().await.batch().await.call().await };
        work.spawn(steps.in_current_span());
        let mut outcomes = Vec::new();
        let listening = async {
            while let Some(more) = heard.recv().await {
                outcomes.extend(more);
            }
        };
        if tokio::time::timeout(max_wait, listening).await.is_err() {
            deliverer.channels[channel].bulkhead.detached.add(work);
        } else if let Some(Err(error)) = work.join_next().await {
            tracing::error!(target: "campanile", %error, "a round of deliveries was aborted; its leases will expire");
        }
        outcomes
    }

    /// How long the caller waits. The result of a probe is always awaited.
    fn max_wait(&self) -> Duration {
        if self.deliverer.has_long_calls(self.channel) && self.terms.probe.is_none() {
            self.deliverer.limits.attempt_timeout
        } else {
            FOREVER
        }
    }

    /// Looks up all addresses at once, and removes deliveries without one. If the address book fails, the deliveries could not be
    /// tried.
    async fn resolve(mut self) -> Self {
        let asked = Instant::now();
        match recipients::addresses(&self.deliverer, self.channel, &self.waiting).await {
            Ok(book) => {
                for delivery in &mut self.waiting {
                    delivery.addresses = book.get(&delivery.user_id).cloned().unwrap_or_default();
                }
                self.take_out(|delivery| {
                    let is_unreachable = delivery.addresses.is_empty();
                    is_unreachable.then(|| Cause::verdict(Verdict::Unreachable))
                });
            }
            Err(message) => {
                let error = DeliveryError::new(message).with_class(ErrorClass::Internal);
                let cause = Cause::Verdict {
                    verdict: Verdict::retry(error),
                    took: asked.elapsed(),
                    trace_id: None,
                };
                self.take_out(|_| Some(cause.clone()));
            }
        }
        self
    }

    /// Groups the deliveries into batches, and persists their members where that matters.
    async fn batch(mut self) -> Self {
        let waiting = std::mem::take(&mut self.waiting);
        let (batches, decided) = batches(&self.deliverer, self.channel, waiting).await;
        self.batches = batches;
        self.decided.extend(decided);
        self
    }

    /// Makes the calls concurrently. No call starts after the time to start, when the lease may be lost, after a stop, or while
    /// the brake is applied. Finished calls are recorded meanwhile.
    async fn call(mut self) {
        let (calls, batches) = (self.calls(), std::mem::take(&mut self.batches));
        let side_by_side = self.deliverer.policy(self.channel).concurrency;
        let mut under_way = stream::iter(batches)
            .map(|batch| calls.send(batch))
            .buffer_unordered(side_by_side);
        // A call that takes minutes must not delay the record of the other verdicts.
        let has_long_calls = self.deliverer.has_long_calls(self.channel);
        let idle = if has_long_calls {
            RECORD_WHEN_IDLE
        } else {
            FOREVER
        };
        let unrecorded = self.deliverer.limits.lease / RECORDS_IN_A_LEASE;
        let mut recorded_at = Instant::now();
        loop {
            let ended = tokio::time::timeout(idle, under_way.next()).await;
            let (is_idle, is_over) = (ended.is_err(), matches!(ended, Ok(None)));
            self.decided
                .extend(ended.ok().flatten().unwrap_or_default());
            if is_over
                || is_idle
                || self.decided.len() >= MAX_UNRECORDED
                || recorded_at.elapsed() > unrecorded
            {
                self = self.record().await;
                recorded_at = Instant::now();
            }
            if is_over {
                return;
            }
        }
    }

    /// The state that the calls share. The time to start begins now.
    fn calls(&self) -> Calls {
        let (deliverer, channel) = (&self.deliverer, self.channel);
        let round = self.batches.iter().flatten();
        Calls {
            look: LastLook::new(deliverer, channel, round, self.preferences_read_at),
            last_start: Instant::now() + deliverer.limits.time_to_start(),
            deliverer: Arc::clone(deliverer),
            channel,
            lease: Arc::clone(&self.lease),
            terms: self.terms.clone(),
        }
    }

    /// Logs and records the decided deliveries, and notifies the receiver.
    async fn record(mut self) -> Self {
        let decided = std::mem::take(&mut self.decided);
        if decided.is_empty() {
            return self;
        }
        let mut rows = Vec::with_capacity(decided.len());
        let mut outcomes = Vec::with_capacity(decided.len());
        for transition in decided {
            transition.log(self.channel);
            let (row, outcome) = transition.into_parts();
            outcomes.push((row.id, outcome));
            rows.push(row);
        }
        record(&self.deliverer, self.channel, &rows, &self.lease).await;
        if let Some(listener) = &self.listener {
            let _ = listener.send(outcomes);
        }
        self
    }

    /// Removes the waiting deliveries for which there is a cause, and decides them.
    fn take_out(&mut self, cause: impl Fn(&Delivery) -> Option<Cause>) {
        let policy = self.deliverer.policy(self.channel);
        let decided = take_out(&mut self.waiting, policy, cause);
        self.decided.extend(decided);
    }
}
