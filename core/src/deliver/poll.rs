//! A **poll** of a channel finds deliveries that are due or parked, or, for a misconfigured channel, the one delivery of a probe.
//! The deliveries that it claims form a [round](super::round).

use std::sync::Arc;

use futures_util::future::{join, join_all};
use uuid::Uuid;

use crate::database::error::StoreError;
use crate::database::task::run_to_end;
use crate::deliver::Deliverer;
use crate::deliver::pause::{self, Allowance};
use crate::deliver::round::{Attempted, Round};
use crate::deliver::terms::{Probe, Stop, Terms};
use crate::store::claim::Take;
use crate::store::release;

/// Polls every channel once for due deliveries.
pub(crate) async fn all(
    deliverer: &Arc<Deliverer>,
    at_most: usize,
) -> Result<Attempted, StoreError> {
    let deliverer = Arc::clone(deliverer);
    let task = async move {
        let channels = deliverer.channels.keys();
        let polls = channels.map(|channel| all_on(&deliverer, channel, at_most));
        let releasing = release::release_held(&deliverer.database);
        let (released, polls) = join(releasing, join_all(polls)).await;
        let mut total = Attempted::default();
        for attempted in polls {
            total = total.and(attempted?);
        }
        released?;
        Ok(total)
    };
    run_to_end(task).await?
}

async fn all_on(
    deliverer: &Arc<Deliverer>,
    channel: &'static str,
    at_most: usize,
) -> Result<Attempted, StoreError> {
    let never = Stop::default();
    let mut total = Attempted::default();
    let mut pass = Some(Pass::first(Parked::Known));
    while let Some(next) = pass {
        let (attempted, then) = parked(deliverer, channel, next, &never).await?;
        total = total.and(attempted);
        pass = then;
    }
    let attempted = due(deliverer, channel, at_most, &never).await?;
    Ok(total.and(attempted))
}

/// Claims the due deliveries of one channel, and tries them.
pub(crate) async fn due(
    deliverer: &Arc<Deliverer>,
    channel: &'static str,
    at_most: usize,
    stop: &Stop,
) -> Result<Attempted, StoreError> {
    let remote = &deliverer.channels[channel];
    if remote.bulkhead.brake.is_paused() {
        match pause::allowance_here(deliverer, channel).await? {
            Allowance::Open => {}
            Allowance::Probe(take) => return probe(deliverer, channel, take, stop).await,
            Allowance::Nothing => return Ok(Attempted::default()),
        }
    }
    let at_most = remote.room(at_most);
    if at_most == 0 {
        return Ok(Attempted::default());
    }
    let terms = Terms::until(stop);
    let (attempted, _) = Round::run(deliverer, channel, Take::Due, at_most, terms).await?;
    if attempted.claimed > 0 {
        return Ok(attempted);
    }
    match pause::allowance(deliverer, channel).await? {
        Allowance::Probe(take) => probe(deliverer, channel, take, stop).await,
        Allowance::Open | Allowance::Nothing => Ok(attempted),
    }
}

/// Tries one delivery to find out whether a misconfigured channel works again.
async fn probe(
    deliverer: &Arc<Deliverer>,
    channel: &'static str,
    take: Take<'_>,
    stop: &Stop,
) -> Result<Attempted, StoreError> {
    let brake = &deliverer.channels[channel].bulkhead.brake;
    if brake.is_paused() {
        brake.probe();
    }
    let probe = Probe::default();
    let terms = Terms {
        stop: stop.clone(),
        probe: Some(probe.clone()),
    };
    let attempted = Round::run(deliverer, channel, take, 1, terms).await;
    brake.end_probe();
    let (attempted, _) = attempted?;
    if attempted.claimed > 0 && !probe.has_asked() {
        pause::probe_at_once(deliverer, channel).await;
    }
    Ok(attempted)
}

/// Which parked deliveries are retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parked {
    /// Those whose event and channel are known here.
    Known,
    /// The same, and those that could not be read.
    All,
}

/// One pass over the parked deliveries, step by step in the order of ids: the position of its next step.
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

/// Claims some of the parked deliveries of one channel, tries them, and returns where the pass continues, if there may be more.
pub(crate) async fn parked(
    deliverer: &Arc<Deliverer>,
    channel: &'static str,
    pass: Pass,
    stop: &Stop,
) -> Result<(Attempted, Option<Pass>), StoreError> {
    let (events, after) = (&deliverer.registry.event_types()[..], pass.after);
    let take = match pass.parked {
        Parked::Known => Take::Known { events, after },
        Parked::All => Take::Parked { events, after },
    };
    let remote = &deliverer.channels[channel];
    let at_most = remote.room(remote.policy.batch);
    if at_most == 0 {
        return Ok((Attempted::default(), None));
    }
    let terms = Terms::until(stop);
    let (attempted, last) = Round::run(deliverer, channel, take, at_most, terms).await?;
    let next = last.map(|after| Pass { after, ..pass });
    Ok((attempted, next))
}
