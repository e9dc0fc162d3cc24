//! **Delivers** after the commit: every channel in a task of its own, every batch under a time-out, every verdict recorded.
//!
//! A channel that fails, panics or hangs spoils its own deliveries and nobody else's, and takes no more than its share of
//! time. The same code makes the first attempt inside a dispatch and every later one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use tokio::task::JoinSet;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::channel::Channel;
use crate::delivery::{Delivery, DeliveryError, Verdict};
use crate::dispatch::{Dispatcher, Inner};
use crate::error::StoreError;
use crate::pauses::Allowance;
use crate::preferences::{Weight, decide};
use crate::report::Outcome;
use crate::settlement::{Judged, Ruling};
use crate::store::settle;
use crate::worker::Stop;

/// How many batches of one channel are under way at once in one call.
const CONCURRENT_BATCHES: usize = 8;

/// Verdicts are recorded when there are this many, or when the first of them has waited this long, and at the end.
const MOST_UNRECORDED: usize = 500;
const LONGEST_UNRECORDED: Duration = Duration::from_secs(2);

/// What one call of [`Dispatcher::deliver_due`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempted {
    /// Deliveries that were due and were taken up, also those that turned out to be muted by now.
    pub claimed: usize,
    /// Those that went out.
    pub sent: usize,
}

impl Dispatcher {
    /// Tries up to `at_most` due deliveries of each channel: queued ones, failed ones whose pause is over, and those of a
    /// process that died. Preferences are looked at again. Call it in a loop, in as many processes as you like.
    ///
    /// # Errors
    ///
    /// When the database does not answer. A channel that fails is recorded with its delivery.
    ///
    /// # Cancel safety
    ///
    /// Once polled it goes on in a task of its own.
    ///
    /// # Panics
    ///
    /// Never by itself.
    pub async fn deliver_due(&self, at_most: usize) -> Result<Attempted, StoreError> {
        let inner = Arc::clone(&self.inner);
        let task = async move {
            let channels = inner.channels.keys();
            let never = Stop::default();
            let shares = channels.map(|channel| inner.deliver_due_on(channel, at_most, &never));
            let mut total = Attempted::default();
            for share in join_all(shares).await {
                let share = share?;
                total.claimed += share.claimed;
                total.sent += share.sent;
            }
            Ok(total)
        };
        match tokio::spawn(task.in_current_span()).await {
            Ok(result) => result,
            Err(stopped) if stopped.is_panic() => std::panic::resume_unwind(stopped.into_panic()),
            Err(_) => Err(StoreError::interrupted()),
        }
    }
}

impl Inner {
    /// A share of deliveries has half a time-out until its last batch starts, and that batch a whole one; the rest is for
    /// recording. So an attempt ends before its lease does, which is 30 seconds unless the time-out was changed.
    pub(crate) fn lease_time(&self) -> Duration {
        self.limits.attempt_timeout * 2 + Duration::from_secs(10)
    }

    /// After this much of a lease no batch may begin: it could not end in time, and another worker would try the same.
    fn last_start(&self) -> Duration {
        self.limits.attempt_timeout + Duration::from_secs(5)
    }

    /// Claims what is due on one channel, and tries it.
    pub(crate) async fn deliver_due_on(
        self: &Arc<Self>,
        channel: &'static str,
        at_most: usize,
        stop: &Stop,
    ) -> Result<Attempted, StoreError> {
        let allowance = self.allowance(channel).await?;
        let at_most = match allowance {
            Allowance::Open => at_most,
            Allowance::OneProbe => at_most.min(1),
            Allowance::Nothing => return Ok(Attempted::default()),
        };
        // The lease begins in the claim, a little later than this.
        let leased_at = Instant::now();
        let due = settle::claim(
            &self.database,
            channel,
            at_most,
            self.lease_time(),
            self.worker,
        );
        let due = due.await?;
        let claimed = due.len();
        let mut deliveries = Vec::with_capacity(claimed);
        let mut settled = Vec::new();
        for delivery in due {
            match delivery {
                Ok(delivery) => deliveries.push(delivery),
                Err(undecodable) => settled.push(undecodable),
            }
        }
        let muted = match self.take_muted(channel, &mut deliveries).await {
            Ok(muted) => muted,
            Err(error) => {
                let given_back = Judged::not_begun(deliveries);
                settled.extend(given_back.iter().map(Judged::settled));
                self.record(channel, settled).await;
                return Err(error);
            }
        };
        settled.extend(muted.iter().map(Judged::settled));
        self.record(channel, settled).await;
        let outcomes = self
            .attempt(
                deliveries.into_iter().map(|its| (channel, its)).collect(),
                leased_at,
                stop,
            )
            .await;
        let sent = outcomes.values().filter(|its| **its == Outcome::Sent);
        let sent = sent.count();
        if allowance == Allowance::OneProbe && claimed > 0 {
            self.judge_probe(channel, outcomes.values()).await;
        }
        Ok(Attempted { claimed, sent })
    }

    /// Tries every leased delivery once and records what came of it.
    pub(crate) async fn attempt(
        self: &Arc<Self>,
        leased: Vec<(&'static str, Delivery)>,
        leased_at: Instant,
        stop: &Stop,
    ) -> HashMap<Uuid, Outcome> {
        let mut by_channel: HashMap<&'static str, Vec<Delivery>> = HashMap::new();
        let mut outcomes = HashMap::with_capacity(leased.len());
        for (channel, delivery) in leased {
            // What a share does not get to is tried again; so is, after its lease, what a stopped task leaves behind.
            outcomes.insert(delivery.id, Outcome::Queued);
            by_channel.entry(channel).or_default().push(delivery);
        }
        let mut shares = JoinSet::new();
        for (channel, deliveries) in by_channel {
            let (inner, stop) = (Arc::clone(self), stop.clone());
            let span = tracing::info_span!(
                target: "campanile", "deliver", channel, deliveries = deliveries.len()
            );
            let share = async move {
                inner
                    .attempt_share(channel, deliveries, leased_at, &stop)
                    .await
            };
            shares.spawn(share.instrument(span));
        }
        while let Some(done) = shares.join_next().await {
            match done {
                Ok(done) => outcomes.extend(done),
                Err(error) => tracing::error!(
                    target: "campanile", %error, "a delivery task stopped; its leases will run out"
                ),
            }
        }
        outcomes
    }

    /// One channel's share: addresses in one look-up, batches side by side until the time to start is over, the
    /// worker is told to stop, or the channel says that it is set up wrongly; verdicts recorded together. What was not begun is given back without having used an attempt.
    async fn attempt_share(
        self: &Arc<Self>,
        channel: &'static str,
        deliveries: Vec<Delivery>,
        leased_at: Instant,
        stop: &Stop,
    ) -> Vec<(Uuid, Outcome)> {
        let (sink, timeout) = (&self.channels[channel], self.limits.attempt_timeout);
        let started = Instant::now();
        let (reachable, mut judged) = self.address(channel, deliveries).await;
        let size = sink.max_batch().max(1);
        let batches: Vec<Vec<Delivery>> = reachable.chunks(size).map(<[_]>::to_vec).collect();
        let wrong = Stop::default();
        let too_late =
            || started.elapsed() > timeout / 2 || leased_at.elapsed() > self.last_start();
        let mut batches = stream::iter(batches)
            .map(async |batch| {
                if too_late() || stop.is_asked() || wrong.is_asked() {
                    return Judged::not_begun(batch);
                }
                judge(Arc::clone(sink), batch, timeout).await
            })
            .buffer_unordered(CONCURRENT_BATCHES);
        let mut outcomes = Vec::new();
        let mut recorded = Instant::now();
        while let Some(more) = batches.next().await {
            if more.iter().any(|its| its.misconfigured().is_some()) {
                wrong.now();
            }
            judged.extend(more);
            if judged.len() >= MOST_UNRECORDED || recorded.elapsed() > LONGEST_UNRECORDED {
                outcomes.extend(self.conclude(channel, std::mem::take(&mut judged)).await);
                recorded = Instant::now();
            }
        }
        outcomes.extend(self.conclude(channel, judged).await);
        outcomes
    }

    /// Logs and records what was judged, and says what the report says of it. A channel that is set up wrongly is paused.
    async fn conclude(
        self: &Arc<Self>,
        channel: &'static str,
        judged: Vec<Judged>,
    ) -> Vec<(Uuid, Outcome)> {
        for its in &judged {
            its.log(channel);
        }
        if let Some(error) = judged.iter().find_map(Judged::misconfigured) {
            self.pause_misconfigured(channel, &error.to_string()).await;
        }
        let outcomes = judged.iter().map(Judged::outcome).collect();
        self.record(channel, judged.iter().map(Judged::settled).collect())
            .await;
        outcomes
    }

    async fn record(&self, channel: &'static str, settled: Vec<settle::Settled>) {
        if settled.is_empty() {
            return;
        }
        if let Err(error) = settle::settle(&self.database, self.worker, &settled).await {
            tracing::error!(
                target: "campanile",
                channel,
                error = &error as &dyn std::error::Error,
                "verdicts were not recorded; their deliveries come again after the lease"
            );
        }
    }

    /// Takes out the deliveries whose recipient has muted the channel since the dispatch.
    async fn take_muted(
        &self,
        channel: &'static str,
        deliveries: &mut Vec<Delivery>,
    ) -> Result<Vec<Judged>, StoreError> {
        if deliveries.is_empty() {
            return Ok(Vec::new());
        }
        let choices = self.choices_of(deliveries).await?;
        let muted = |delivery: &mut Delivery| {
            let weight = match self.registry.event(&delivery.event_type) {
                Some(event) => event.weight(channel),
                // An event of another version of the app: its plan was made there.
                None => Weight::Critical,
            };
            let choice = choices.of(&delivery.user_id, &delivery.category, channel);
            !decide(weight, choice).sends()
        };
        Ok(deliveries
            .extract_if(.., muted)
            .map(|delivery| Judged {
                delivery,
                ruling: Ruling::Muted,
                took: Duration::ZERO,
            })
            .collect())
    }

    /// Resolves the addresses; who has none is judged at once.
    async fn address(
        &self,
        channel: &str,
        mut deliveries: Vec<Delivery>,
    ) -> (Vec<Delivery>, Vec<Judged>) {
        let mut users: Vec<String> = deliveries.iter().map(|its| its.user_id.clone()).collect();
        users.sort_unstable();
        users.dedup();
        let looked_up = self.address_book.addresses(channel, &users);
        let patience = self.limits.attempt_timeout / 2;
        let book = match tokio::time::timeout(patience, looked_up).await {
            Ok(Ok(book)) => book,
            // The cause may hold an address; it stays with the book.
            Ok(Err(error)) => {
                let verdict = Verdict::retry(error.to_string());
                return (Vec::new(), Judged::all(deliveries, &verdict, patience));
            }
            Err(_) => {
                let verdict = Verdict::retry("the address book did not answer in time");
                return (Vec::new(), Judged::all(deliveries, &verdict, patience));
            }
        };
        for delivery in &mut deliveries {
            delivery.addresses = book.get(&delivery.user_id).cloned().unwrap_or_default();
        }
        let (reachable, unreachable): (Vec<_>, Vec<_>) = deliveries
            .into_iter()
            .partition(|its| !its.addresses.is_empty());
        let judged = Judged::all(unreachable, &Verdict::Unreachable, Duration::ZERO);
        (reachable, judged)
    }
}

/// One batch in a task of its own: a panic or a hang becomes a verdict.
async fn judge(channel: Arc<dyn Channel>, batch: Vec<Delivery>, timeout: Duration) -> Vec<Judged> {
    let started = Instant::now();
    let given = batch.clone();
    let mut task = JoinSet::new();
    task.spawn(async move { channel.deliver(&given).await }.in_current_span());
    let verdict = match tokio::time::timeout(timeout, task.join_next()).await {
        Ok(Some(Ok(verdicts))) if verdicts.len() == batch.len() => {
            let took = started.elapsed();
            let pairs = batch.into_iter().zip(verdicts);
            return pairs
                .map(|(delivery, verdict)| Judged {
                    delivery,
                    ruling: Ruling::Verdict(verdict),
                    took,
                })
                .collect();
        }
        Ok(Some(Ok(verdicts))) => Verdict::unknown(DeliveryError::new(format!(
            "the channel gave {} verdicts for {} deliveries",
            verdicts.len(),
            batch.len()
        ))),
        Ok(Some(Err(error))) if error.is_panic() => Verdict::retry("the channel panicked"),
        Ok(_) => Verdict::unknown("the channel's task was stopped"),
        Err(_) => Verdict::unknown(DeliveryError::new(format!(
            "the channel did not answer within {timeout:?}"
        ))),
    };
    Judged::all(batch, &verdict, started.elapsed())
}
