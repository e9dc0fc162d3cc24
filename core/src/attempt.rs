//! **Delivers** after the commit: every channel in a task of its own, every batch under a time-out, every verdict recorded.
//!
//! A channel that fails, panics or hangs spoils its own deliveries and nobody else's. The same code makes the first
//! attempt inside a dispatch and every later one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream;
use rand::RngExt as _;
use tokio::task::JoinSet;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::channel::Channel;
use crate::delivery::{Delivery, DeliveryError, Verdict};
use crate::dispatch::{Dispatcher, Inner};
use crate::error::StoreError;
use crate::report::{Outcome, Retry};
use crate::store::settle::{self, Claimed, Settled, State};

/// How many batches of one channel are under way at once in one call.
const CONCURRENT_BATCHES: usize = 8;

/// After this many attempts a delivery is dead.
const MOST_ATTEMPTS: u32 = 12;

/// The first pause is up to this long, and doubles.
const BACKOFF_BASE: Duration = Duration::from_secs(10);

/// The longest pause.
const BACKOFF_CAP: Duration = Duration::from_hours(2);

/// What one call of [`Dispatcher::deliver_due`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempted {
    /// Deliveries that were due and were tried.
    pub claimed: usize,
    /// Those that went out.
    pub sent: usize,
}

impl Dispatcher {
    /// Tries up to `at_most` deliveries that are due: queued ones, failed ones whose pause is over, and those of a process
    /// that died. Call it in a loop, in as many processes as you like.
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
    /// Never by itself; a panic of the address book is passed on.
    pub async fn deliver_due(&self, at_most: usize) -> Result<Attempted, StoreError> {
        let inner = Arc::clone(&self.inner);
        let task = async move {
            let channels: Vec<_> = inner.channels.keys().copied().collect();
            let (lease, worker) = (inner.lease_time(), inner.worker);
            let claimed = settle::claim(&inner.database, &channels, at_most, lease, worker).await?;
            let leased: Vec<_> = claimed
                .into_iter()
                .filter_map(|claimed| inner.leased(claimed))
                .collect();
            let claimed = leased.len();
            let outcomes = inner.attempt(leased).await;
            let sent = outcomes
                .values()
                .filter(|its| **its == Outcome::Sent)
                .count();
            Ok(Attempted { claimed, sent })
        };
        match tokio::spawn(task.in_current_span()).await {
            Ok(result) => result,
            Err(stopped) if stopped.is_panic() => std::panic::resume_unwind(stopped.into_panic()),
            Err(_) => Err(StoreError::interrupted()),
        }
    }
}

impl Inner {
    /// An attempt ends before its lease does.
    pub(crate) fn lease_time(&self) -> Duration {
        self.limits.attempt_timeout + Duration::from_secs(20)
    }

    fn leased(&self, claimed: Claimed) -> Option<(&'static str, Delivery)> {
        let (channel, _) = self.channels.get_key_value(claimed.channel.as_str())?;
        let delivery = Delivery {
            id: claimed.id,
            notification_id: claimed.notification_id,
            dispatch_id: claimed.dispatch_id,
            user_id: claimed.user_id,
            org_id: claimed.org_id,
            event_type: claimed.event_type,
            subject_id: claimed.subject_id,
            category: claimed.category,
            attempt: claimed.attempt,
            addresses: Vec::new(),
            parts: Arc::new(claimed.parts),
            payload: Arc::new(claimed.payload),
        };
        Some((channel, delivery))
    }

    /// Tries every leased delivery once and records what came of it.
    pub(crate) async fn attempt(
        self: &Arc<Self>,
        leased: Vec<(&'static str, Delivery)>,
    ) -> HashMap<Uuid, Outcome> {
        let mut by_channel: HashMap<&'static str, Vec<Delivery>> = HashMap::new();
        let mut outcomes = HashMap::with_capacity(leased.len());
        for (channel, delivery) in leased {
            // What a broken address book or a runtime that shuts down leaves behind is tried again after its lease.
            outcomes.insert(delivery.id, Outcome::Queued);
            by_channel.entry(channel).or_default().push(delivery);
        }
        let mut tasks = JoinSet::new();
        for (channel, deliveries) in by_channel {
            let inner = Arc::clone(self);
            let span = tracing::info_span!(
                target: "campanile", "deliver", channel, deliveries = deliveries.len()
            );
            tasks
                .spawn(async move { inner.attempt_on(channel, deliveries).await }.instrument(span));
        }
        while let Some(done) = tasks.join_next().await {
            match done {
                Ok(done) => outcomes.extend(done),
                Err(error) => tracing::error!(
                    target: "campanile", %error, "a delivery task stopped; its lease will run out"
                ),
            }
        }
        outcomes
    }

    /// One channel's share: addresses in one look-up, batches side by side, verdicts in one write.
    async fn attempt_on(
        &self,
        channel: &'static str,
        deliveries: Vec<Delivery>,
    ) -> Vec<(Uuid, Outcome)> {
        let sink = &self.channels[channel];
        let started = Instant::now();
        let (reachable, mut judged) = self.address(channel, deliveries).await;
        let size = sink.max_batch().max(1);
        let batches: Vec<Vec<Delivery>> = reachable.chunks(size).map(<[_]>::to_vec).collect();
        let mut batches = stream::iter(batches)
            .map(|batch| judge(Arc::clone(sink), batch, self.limits.attempt_timeout))
            .buffer_unordered(CONCURRENT_BATCHES);
        while let Some(verdicts) = batches.next().await {
            judged.extend(verdicts);
        }
        let took = started.elapsed();
        let mut outcomes = Vec::with_capacity(judged.len());
        let mut settled = Vec::with_capacity(judged.len());
        for (delivery, verdict) in judged {
            let row = settled_by(&delivery, &verdict, took);
            if let Some(error) = verdict.error() {
                tracing::warn!(
                    target: "campanile",
                    event_type = delivery.event_type,
                    channel,
                    delivery_id = %delivery.id,
                    attempt = delivery.attempt,
                    outcome = row.outcome,
                    status = error.status(),
                    %error,
                    "a delivery failed"
                );
            }
            outcomes.push((delivery.id, outcome(&verdict, row.state)));
            settled.push(row);
        }
        if let Err(error) = settle::settle(&self.database, self.worker, &settled).await {
            tracing::error!(
                target: "campanile",
                channel,
                error = &error as &dyn std::error::Error,
                "the verdicts were not recorded; the deliveries come again after their lease"
            );
        }
        outcomes
    }

    /// Resolves the addresses; who has none is judged at once.
    async fn address(
        &self,
        channel: &str,
        mut deliveries: Vec<Delivery>,
    ) -> (Vec<Delivery>, Vec<(Delivery, Verdict)>) {
        let mut users: Vec<String> = deliveries.iter().map(|its| its.user_id.clone()).collect();
        users.sort_unstable();
        users.dedup();
        let looked_up = self.address_book.addresses(channel, &users);
        let book = match tokio::time::timeout(self.limits.attempt_timeout, looked_up).await {
            Ok(Ok(book)) => book,
            failed => {
                let reason = match failed {
                    Ok(Err(error)) => format!("{error}: {}", error.cause()),
                    _ => "the address book did not answer in time".to_owned(),
                };
                let verdict = Verdict::retry(reason);
                let judged = deliveries.into_iter().map(|its| (its, verdict.clone()));
                return (Vec::new(), judged.collect());
            }
        };
        for delivery in &mut deliveries {
            delivery.addresses = book.get(&delivery.user_id).cloned().unwrap_or_default();
        }
        let (reachable, unreachable): (Vec<_>, Vec<_>) = deliveries
            .into_iter()
            .partition(|its| !its.addresses.is_empty());
        let judged = unreachable
            .into_iter()
            .map(|its| (its, Verdict::Unreachable));
        (reachable, judged.collect())
    }
}

/// One batch in a task of its own: a panic or a hang becomes a verdict.
async fn judge(
    channel: Arc<dyn Channel>,
    batch: Vec<Delivery>,
    timeout: Duration,
) -> Vec<(Delivery, Verdict)> {
    let given = batch.clone();
    let mut task = JoinSet::new();
    task.spawn(async move { channel.deliver(&given).await }.in_current_span());
    let all = |verdict: Verdict| vec![verdict; batch.len()];
    let verdicts = match tokio::time::timeout(timeout, task.join_next()).await {
        Ok(Some(Ok(verdicts))) if verdicts.len() == batch.len() => verdicts,
        Ok(Some(Ok(verdicts))) => all(Verdict::unknown(DeliveryError::new(format!(
            "the channel gave {} verdicts for {} deliveries",
            verdicts.len(),
            batch.len()
        )))),
        Ok(Some(Err(error))) if error.is_panic() => all(Verdict::retry("the channel panicked")),
        Ok(_) => all(Verdict::unknown("the channel's task was stopped")),
        Err(_) => all(Verdict::unknown(DeliveryError::new(format!(
            "the channel did not answer within {timeout:?}"
        )))),
    };
    batch.into_iter().zip(verdicts).collect()
}

/// The state a verdict leads to. The one table of what follows from what.
fn settled_by(delivery: &Delivery, verdict: &Verdict, took: Duration) -> Settled {
    let again = if delivery.attempt < MOST_ATTEMPTS {
        State::Pending
    } else {
        State::Dead
    };
    let (state, outcome) = match verdict {
        Verdict::Accepted { .. } => (State::Delivered, "accepted"),
        Verdict::Retry { .. } => (again, "retry"),
        Verdict::Unknown { .. } => (again, "unknown"),
        Verdict::Misconfigured { .. } => (again, "misconfigured"),
        Verdict::Permanent { .. } => (State::Dead, "permanent"),
        Verdict::SuppressedAddress => (State::Suppressed, "suppressed"),
        Verdict::Unreachable => (State::Unreachable, "unreachable"),
    };
    let after = match verdict {
        Verdict::Retry { after, .. } => *after,
        _ => None,
    };
    Settled {
        id: delivery.id,
        attempt: delivery.attempt,
        state,
        delay: after.map_or_else(|| backoff(delivery.attempt), |after| after.min(BACKOFF_CAP)),
        outcome,
        status: verdict.error().and_then(DeliveryError::status),
        provider_id: match verdict {
            Verdict::Accepted { provider_id } => provider_id.clone(),
            _ => None,
        },
        error: verdict.error().map(ToString::to_string),
        took,
    }
}

/// Full jitter: anywhere between nothing and the doubled pause, so that a crowd spreads out.
fn backoff(attempt: u32) -> Duration {
    let longest = BACKOFF_BASE
        .saturating_mul(1 << (attempt - 1).min(20))
        .min(BACKOFF_CAP);
    rand::rng().random_range(Duration::ZERO..=longest)
}

fn outcome(verdict: &Verdict, state: State) -> Outcome {
    match verdict {
        Verdict::Accepted { .. } => Outcome::Sent,
        Verdict::SuppressedAddress => Outcome::SuppressedAddress,
        Verdict::Unreachable => Outcome::Unreachable,
        Verdict::Retry { error, .. }
        | Verdict::Permanent { error }
        | Verdict::Misconfigured { error }
        | Verdict::Unknown { error } => Outcome::Failed {
            reason: error.to_string(),
            retry: if state == State::Pending {
                Retry::Scheduled
            } else {
                Retry::Never
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_are_spread() {
        for attempt in 1..40 {
            let longest = BACKOFF_BASE
                .saturating_mul(1 << (attempt - 1).min(20))
                .min(BACKOFF_CAP);
            assert!((0..100).all(|_| backoff(attempt) <= longest));
        }
    }
}
