//! **Delivers** after the commit: every channel in a task of its own, every batch under a time-out, every verdict recorded.
//!
//! A channel that fails, panics or hangs spoils its own deliveries and nobody else's, and takes no more than its share of
//! time. The same code makes the first attempt inside a dispatch and every later one.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::channel::delivery::Delivery;
use crate::channel::scrub::scrub_verdicts;
use crate::database::error::StoreError;
use crate::deliver::Deliverer;
use crate::deliver::brake::{Answer, Ticket};
use crate::deliver::bulkhead::{Permit, call};
use crate::deliver::last_look::LastLook;
use crate::deliver::lease::Hold;
use crate::deliver::pause::{Allowance, Here};
use crate::deliver::transition::{Judged, Ruling, past_says};
use crate::deliver::worker::Stop;
use crate::observe::telemetry;
use crate::observe::trace_context;
use crate::report::Outcome;
use crate::store::claim::{Claimed, Take};
use crate::store::log::{self, Lost};
use crate::store::release;
use crate::store::settle::Settled;

/// Verdicts are recorded when there are this many, when a call ends this long after the last record, and at the end; where calls
/// may take long, also when none has ended for a while.
const MAX_UNRECORDED: usize = 500;
const MAX_UNRECORDED_TIME: Duration = Duration::from_secs(2);
const RECORD_WHEN_IDLE: Duration = Duration::from_millis(100);

/// The deliveries of a claim, and what is to be recorded of those that cannot be read.
fn split(claimed: Vec<Result<Delivery, Settled>>) -> (Vec<Delivery>, Vec<Settled>) {
    let (mut deliveries, mut unreadable) = (Vec::with_capacity(claimed.len()), Vec::new());
    for delivery in claimed {
        match delivery {
            Ok(delivery) => deliveries.push(delivery),
            Err(settled) => unreadable.push(settled),
        }
    }
    (deliveries, unreadable)
}

/// As good as without an end: a century would be too much for a timer.
const FOREVER: Duration = Duration::from_hours(24 * 365);

/// What a share goes by.
struct Terms {
    stop: Stop,
    /// Whether it is a probe.
    probe: Option<ProbeNote>,
    /// When preferences were read.
    read_at: Instant,
}

/// A share that is to show whether a channel works again, and whether its provider was asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProbeNote(Arc<AtomicBool>);

impl ProbeNote {
    fn note(&self, answer: Answer) {
        if answer != Answer::NotAsked {
            self.0.store(true, Ordering::Release);
        }
    }

    fn has_asked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What one call of [`Dispatcher::deliver_due`](crate::Dispatcher::deliver_due) did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempted {
    /// Deliveries that were due and were taken up, also those that turned out to be muted by now.
    pub claimed: usize,
    /// Those that went out.
    pub sent: usize,
}

impl Deliverer {
    /// What is due on every channel, once.
    pub(crate) async fn deliver_due(
        self: &Arc<Self>,
        at_most: usize,
    ) -> Result<Attempted, StoreError> {
        let inner = Arc::clone(self);
        let task = async move {
            let channels = inner.channels.keys();
            let never = Stop::default();
            let shares = channels.map(async |channel| {
                let mut share = Attempted::default();
                let mut pass = Some(Pass::first(Parked::Known));
                while let Some(next) = pass {
                    let (some, then) = inner.deliver_parked_on(channel, next, &never).await?;
                    share = share.and(some);
                    pass = then;
                }
                let due = inner.deliver_due_on(channel, at_most, &never).await?;
                Ok::<_, StoreError>(share.and(due))
            });
            let releasing = release::release_held(&inner.database);
            let (released, shares) = join(releasing, join_all(shares)).await;
            let mut total = Attempted::default();
            for share in shares {
                total = total.and(share?);
            }
            released?;
            Ok(total)
        };
        match tokio::spawn(task.in_current_span()).await {
            Ok(result) => result,
            Err(stopped) if stopped.is_panic() => std::panic::resume_unwind(stopped.into_panic()),
            Err(_) => Err(StoreError::interrupted()),
        }
    }
}

impl Attempted {
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            claimed: self.claimed + other.claimed,
            sent: self.sent + other.sent,
        }
    }
}

/// Which parked deliveries are looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parked {
    /// Those whose event and channel are known here.
    Known,
    /// Those that could not be read, too.
    All,
}

/// A pass over what is parked, step by step and once, in the order of ids: where it goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pass {
    parked: Parked,
    after: Uuid,
}

impl Pass {
    pub(crate) const fn first(parked: Parked) -> Self {
        Self {
            parked,
            after: Uuid::nil(),
        }
    }
}

impl Deliverer {
    /// Claims what is due on one channel, and tries it.
    pub(crate) async fn deliver_due_on(
        self: &Arc<Self>,
        channel: &'static str,
        at_most: usize,
        stop: &Stop,
    ) -> Result<Attempted, StoreError> {
        let remote = &self.channels[channel];
        if remote.bulkhead.brake.is_paused() {
            match self.allowance_here(channel).await? {
                Here::Open => {}
                Here::Probe(take) => return self.probe(channel, take, stop).await,
                Here::Nothing => return Ok(Attempted::default()),
            }
        }
        let at_most = remote.room(at_most);
        if at_most == 0 {
            return Ok(Attempted::default());
        }
        let (attempted, _) = self.take(channel, Take::Due, at_most, stop, None).await?;
        if attempted.claimed > 0 || self.allowance(channel).await? != Allowance::OneProbe {
            return Ok(attempted);
        }
        self.probe(channel, Take::Probe, stop).await
    }

    /// Tries one delivery to see whether a channel that was misconfigured works again.
    async fn probe(
        self: &Arc<Self>,
        channel: &'static str,
        take: Take<'_>,
        stop: &Stop,
    ) -> Result<Attempted, StoreError> {
        let brake = &self.channels[channel].bulkhead.brake;
        if brake.is_paused() {
            brake.probe();
        }
        let probe = ProbeNote::default();
        let taken = self.take(channel, take, 1, stop, Some(&probe)).await;
        brake.end_probe();
        let (attempted, _) = taken?;
        if attempted.claimed > 0 && !probe.has_asked() {
            self.probe_at_once(channel).await;
        }
        Ok(attempted)
    }

    /// Claims some of what was parked on one channel, tries it, and says where the pass goes on, if there may be more.
    pub(crate) async fn deliver_parked_on(
        self: &Arc<Self>,
        channel: &'static str,
        pass: Pass,
        stop: &Stop,
    ) -> Result<(Attempted, Option<Pass>), StoreError> {
        let (events, after) = (&self.registry.event_types()[..], pass.after);
        let take = match pass.parked {
            Parked::Known => Take::Known { events, after },
            Parked::All => Take::Parked { events, after },
        };
        let remote = &self.channels[channel];
        let at_most = remote.room(remote.policy.batch);
        if at_most == 0 {
            return Ok((Attempted::default(), None));
        }
        let (attempted, last) = self.take(channel, take, at_most, stop, None).await?;
        let next = last.map(|after| Pass { after, ..pass });
        Ok((attempted, next))
    }

    /// Claims, and tries what its past and the recipient's preferences allow. Says also where the next claim of a pass goes on.
    async fn take(
        self: &Arc<Self>,
        channel: &'static str,
        take: Take<'_>,
        at_most: usize,
        stop: &Stop,
        probe: Option<&ProbeNote>,
    ) -> Result<(Attempted, Option<Uuid>), StoreError> {
        // The leases begin in the claim, a little later than this.
        let leased_at = Instant::now();
        let Claimed {
            deliveries: claimed,
            last,
        } = self.claim(channel, take, at_most).await?;
        if claimed.is_empty() {
            return Ok((Attempted::default(), None));
        }
        let count = claimed.len();
        if count >= at_most && matches!(take, Take::Due) {
            // There may be more, for another task.
            self.channels[channel].wake.notify_one();
        }
        let (mut deliveries, mut settled) = split(claimed);
        self.log_rescued(channel, &deliveries).await;
        let hold = Hold::new(self, channel, &deliveries, leased_at);
        let mut judged = self.take_settled(channel, &mut deliveries);
        let read_at = Instant::now();
        let failure = match self.take_muted(channel, &mut deliveries).await {
            Ok(muted) => {
                judged.extend(muted);
                None
            }
            Err(error) => {
                judged.extend(Judged::not_begun(std::mem::take(&mut deliveries)));
                Some(error)
            }
        };
        settled.extend(
            judged
                .iter()
                .map(|its| its.settled(&self.channels[channel].policy)),
        );
        self.record(channel, &settled, &hold).await;
        if let Some(error) = failure {
            return Err(error);
        }
        let terms = Terms {
            stop: stop.clone(),
            probe: probe.cloned(),
            read_at,
        };
        let share = self.attempt_share(channel, deliveries, hold, terms);
        let outcomes = share.await;
        let sent = outcomes.iter().filter(|its| its.1 == Outcome::Sent).count();
        let attempted = Attempted {
            claimed: count,
            sent,
        };
        Ok((attempted, last))
    }

    /// Takes out what its past has decided about, and whose event is not known here.
    fn take_settled(&self, channel: &str, deliveries: &mut Vec<Delivery>) -> Vec<Judged> {
        let policy = &self.channels[channel].policy;
        let is_strange = |its: &Delivery| self.registry.event(&its.event_type).is_none();
        // A batch comes again as it was, or not yet.
        let strange = deliveries.iter().filter(|its| is_strange(its));
        let strange: HashSet<Uuid> = strange.filter_map(|its| its.batch_id).collect();
        let mut judged = Vec::new();
        for delivery in std::mem::take(deliveries) {
            let goes_with_one = delivery.batch_id.is_some_and(|its| strange.contains(&its));
            let ruling = if goes_with_one || is_strange(&delivery) {
                Some(Ruling::Stranger)
            } else {
                past_says(&delivery, policy)
            };
            match ruling {
                Some(ruling) => judged.push(Judged::new(delivery, ruling)),
                None => deliveries.push(delivery),
            }
        }
        judged
    }

    /// Logs the attempts of workers whose leases had run out.
    async fn log_rescued(&self, channel: &'static str, deliveries: &[Delivery]) {
        let lost = deliveries.iter().filter_map(|its| {
            Some(Lost {
                delivery: its.id,
                attempt: its.attempt - 1,
                worker: its.past.lost_worker?,
            })
        });
        let lost: Vec<_> = lost.collect();
        if lost.is_empty() {
            return;
        }
        tracing::warn!(
            target: "campanile",
            channel,
            deliveries = lost.len(),
            "deliveries of a worker that was lost are taken over"
        );
        telemetry::leases_rescued(channel, lost.len());
        if let Err(error) = log::lost(&self.database, &lost).await {
            tracing::error!(
                target: "campanile",
                channel,
                error = &error as &dyn std::error::Error,
                "lost attempts were not logged"
            );
        }
    }

    /// Tries every delivery that the write has leased once, and records what came of it.
    pub(crate) async fn attempt(
        self: &Arc<Self>,
        leased: Vec<(&'static str, Delivery)>,
        leased_at: Instant,
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
            let inner = Arc::clone(self);
            let hold = Hold::new(self, channel, &deliveries, leased_at);
            let share = async move {
                let brake = &inner.channels[channel].bulkhead.brake;
                let is_probe = brake.is_paused() && inner.may_probe_here(channel).await;
                if is_probe {
                    brake.probe();
                }
                let terms = Terms {
                    stop: Stop::default(),
                    probe: is_probe.then(ProbeNote::default),
                    read_at: leased_at,
                };
                let share = inner.attempt_share(channel, deliveries, hold, terms);
                let outcomes = share.await;
                if is_probe {
                    brake.end_probe();
                }
                outcomes
            };
            shares.spawn(share.in_current_span());
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

    /// One channel's share, as long as its caller waits for it: until the end, or until the builder's time-out where a call of
    /// this channel may take longer. What is under way by then goes on by itself, and is recorded when it ends.
    async fn attempt_share(
        self: &Arc<Self>,
        channel: &'static str,
        deliveries: Vec<Delivery>,
        hold: Hold,
        terms: Terms,
    ) -> Vec<(Uuid, Outcome)> {
        if deliveries.is_empty() {
            return Vec::new();
        }
        let (tell, mut told) = mpsc::unbounded_channel();
        let (inner, is_probe) = (Arc::clone(self), terms.probe.is_some());
        let mut share = JoinSet::new();
        let work = async move {
            inner
                .run_share(channel, deliveries, hold, &terms, &tell)
                .await;
        };
        share.spawn(work.in_current_span());
        // What a probe says is waited for.
        let patience = if self.has_long_calls(channel) && !is_probe {
            self.limits.attempt_timeout
        } else {
            FOREVER
        };
        let mut outcomes = Vec::new();
        let listening = async {
            while let Some(more) = told.recv().await {
                outcomes.extend(more);
            }
        };
        if tokio::time::timeout(patience, listening).await.is_err() {
            self.channels[channel].bulkhead.left.add(share);
        } else if let Some(Err(error)) = share.join_next().await {
            tracing::error!(target: "campanile", %error, "a share of deliveries broke off; its leases will run out");
        }
        outcomes
    }

    /// One channel's share: addresses in one look-up, calls side by side until the time to start is over, the leases are no
    /// longer surely held, the worker is told to stop, or the brake is put on; verdicts recorded together. What was not begun is
    /// given back untouched.
    async fn run_share(
        self: &Arc<Self>,
        channel: &'static str,
        deliveries: Vec<Delivery>,
        hold: Hold,
        terms: &Terms,
        tell: &mpsc::UnboundedSender<Vec<(Uuid, Outcome)>>,
    ) {
        let remote = &self.channels[channel];
        let (reachable, mut judged) = self.address(channel, deliveries).await;
        let (batches, not_called) = self.batches(remote, reachable).await;
        judged.extend(not_called);
        let look = LastLook::new(self, channel, batches.iter().flatten(), terms.read_at);
        let last_start = Instant::now() + self.limits.time_to_start();
        let mut batches = stream::iter(batches)
            .map(|batch| self.begin(channel, batch, &hold, &look, last_start, terms))
            .buffer_unordered(remote.policy.concurrency);
        // A call that takes minutes does not keep the others' verdicts from being recorded.
        let idle = if self.has_long_calls(channel) {
            RECORD_WHEN_IDLE
        } else {
            FOREVER
        };
        let mut recorded = Instant::now();
        loop {
            let next = tokio::time::timeout(idle, batches.next()).await;
            let (is_idle, is_over) = (next.is_err(), matches!(next, Ok(None)));
            let more = next.ok().flatten().unwrap_or_default();
            judged.extend(more);
            if is_over
                || is_idle
                || judged.len() >= MAX_UNRECORDED
                || recorded.elapsed() > MAX_UNRECORDED_TIME
            {
                let judged = std::mem::take(&mut judged);
                if !judged.is_empty() {
                    let _ = tell.send(self.conclude(channel, judged, &hold).await);
                }
                recorded = Instant::now();
            }
            if is_over {
                return;
            }
        }
    }

    /// Waits for the bulkhead, looks once more for opt-outs, then makes one call. Gives the batch back as not begun if the time to
    /// start is over, the leases are no longer surely held, or a stop was asked for.
    async fn begin(
        self: &Arc<Self>,
        channel: &'static str,
        batch: Vec<Delivery>,
        hold: &Hold,
        look: &LastLook,
        last_start: Instant,
        terms: &Terms,
    ) -> Vec<Judged> {
        let too_late = |batch: &[Delivery]| {
            Instant::now() > last_start || !hold.covers(batch) || terms.stop.is_asked()
        };
        if too_late(&batch) {
            return Judged::not_begun(batch);
        }
        let remote = &self.channels[channel];
        let entered = tokio::time::timeout_at(last_start.into(), remote.bulkhead.enter()).await;
        let Ok(Some(leave)) = entered else {
            return Judged::not_begun(batch);
        };
        // It may have waited for its leave.
        if too_late(&batch) {
            return Judged::not_begun(batch);
        }
        let (batch, mut judged) = self.look(look, batch).await;
        if batch.is_empty() {
            return judged;
        }
        if too_late(&batch) {
            judged.extend(Judged::not_begun(batch));
            return judged;
        }
        judged.extend(self.call(channel, batch, leave, terms).await);
        judged
    }

    /// One call of the channel, and what follows from it for the channel itself.
    async fn call(
        self: &Arc<Self>,
        channel: &'static str,
        batch: Vec<Delivery>,
        (leave, ticket): (Permit, Ticket),
        terms: &Terms,
    ) -> Vec<Judged> {
        let remote = &self.channels[channel];
        let span = tracing::info_span!(
            target: "campanile",
            "attempt",
            channel,
            deliveries = batch.len(),
        );
        trace_context::link(&span, &batch);
        let trace_id = trace_context::trace_id(&span);
        let timeout = self.call_timeout(channel);
        let call = call(Arc::clone(&remote.channel), batch.clone(), timeout, leave);
        let (verdicts, took) = call.instrument(span).await;
        let verdicts = scrub_verdicts(verdicts, &batch);
        telemetry::call(channel, took);
        let answer = Answer::of(&verdicts);
        self.heed(channel, ticket.tell(answer), &verdicts).await;
        if let Some(probe) = &terms.probe {
            probe.note(answer);
            if answer == Answer::Well {
                self.works_again(channel).await;
            }
        }
        let pairs = batch.into_iter().zip(verdicts);
        pairs
            .map(|(delivery, verdict)| Judged {
                delivery,
                ruling: Ruling::Verdict(verdict),
                took,
                trace_id: trace_id.clone(),
            })
            .collect()
    }
}
