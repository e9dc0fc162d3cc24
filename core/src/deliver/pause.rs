//! The **pause** of a misconfigured channel: what may be claimed from it meanwhile, which processes it is paused for, and what
//! ends the pause.
//!
//! A process in which a channel is misconfigured pauses it for itself, so that other processes deliver. The channel is paused for
//! all processes when every live worker that links it has paused it, or when an operator pauses it. A probe is one delivery that
//! is tried despite the pause, to find out whether the channel works again.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::database::error::StoreError;
use crate::deliver::Deliverer;
use crate::store::claim::Take;
use crate::store::pauses::{self, Own};
use crate::store::workers::{self, ALIVE};

/// How long a channel that is misconfigured waits before one delivery is tried again.
pub(crate) const PROBE_EVERY: Duration = Duration::from_mins(1);

/// What may be claimed from a channel.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Allowance {
    /// Everything that is due.
    Open,
    /// One delivery, to find out whether the channel works again.
    Probe(Take<'static>),
    /// Nothing.
    Nothing,
}

/// What may be claimed from a channel, considering its global pause. Only one worker of a fleet makes the probe.
pub(crate) async fn allowance(
    deliverer: &Deliverer,
    channel: &str,
) -> Result<Allowance, StoreError> {
    let database = &deliverer.database;
    let rows = pauses::list(database).await?;
    match rows.iter().find(|(row, _)| row.channel == channel) {
        None => Ok(Allowance::Open),
        Some((_, pauses::Probe::Due))
            if pauses::take_probe(database, channel, PROBE_EVERY).await? =>
        {
            Ok(Allowance::Probe(Take::Probe))
        }
        Some(_) => Ok(Allowance::Nothing),
    }
}

/// What may be claimed from a channel that is misconfigured here.
pub(crate) async fn allowance_here(
    deliverer: &Deliverer,
    channel: &str,
) -> Result<Allowance, StoreError> {
    let own = own_pause(deliverer, channel).await?;
    if own == Own::Over {
        return Ok(Allowance::Open);
    }
    Ok(match (allowance(deliverer, channel).await?, own) {
        (probe @ Allowance::Probe(_), _) => probe,
        (Allowance::Open, Own::ProbeDue) => Allowance::Probe(Take::Due),
        _ => Allowance::Nothing,
    })
}

/// Whether a dispatch may probe a channel that is misconfigured here.
pub(crate) async fn may_probe_here(deliverer: &Deliverer, channel: &str) -> bool {
    // If the database does not answer, a worker or another process delivers.
    matches!(own_pause(deliverer, channel).await, Ok(Own::ProbeDue))
}

/// The status of this process's own pause; a pause that is over ends here.
async fn own_pause(deliverer: &Deliverer, channel: &str) -> Result<Own, StoreError> {
    let brake = &deliverer.channels[channel].bulkhead.brake;
    if !brake.is_noted() {
        return Ok(Own::NotYet);
    }
    let own = pauses::own(&deliverer.database, deliverer.worker, channel, PROBE_EVERY).await?;
    if own == Own::Over {
        brake.resume();
    }
    Ok(own)
}

/// Records that a channel is misconfigured here. It runs in its own task and waits for it; the task continues if the caller is
/// dropped.
pub(crate) async fn pause(deliverer: &Arc<Deliverer>, channel: &'static str, reason: String) {
    let deliverer = Arc::clone(deliverer);
    let noting = tokio::spawn(async move {
        pause_misconfigured(&deliverer, channel, &reason).await;
        deliverer.channels[channel].bulkhead.brake.noted();
    });
    let _ = noting.await;
}

/// Handles a channel that is misconfigured here.
async fn pause_misconfigured(deliverer: &Deliverer, channel: &str, reason: &str) {
    tracing::error!(
        target: "campanile",
        channel,
        reason,
        "a channel is misconfigured and is paused in this process; one delivery is tried every minute until it works"
    );
    let paused = pauses::pause_here(
        &deliverer.database,
        deliverer.worker,
        channel,
        reason,
        PROBE_EVERY,
    )
    .await;
    log_failure(channel, paused);
    match is_paused_by_all_others(deliverer, channel).await {
        Ok(true) => {
            let paused = pauses::pause(&deliverer.database, channel, reason, Some(PROBE_EVERY));
            log_failure(channel, paused.await);
        }
        Ok(false) => {}
        Err(error) => log_failure(channel, Err(error)),
    }
}

/// Whether every other live worker that links a channel has paused it for itself. A process that runs no worker can only pause
/// the channel for itself: it does not know which other processes deliver.
async fn is_paused_by_all_others(
    deliverer: &Deliverer,
    channel: &str,
) -> Result<bool, sqlx::Error> {
    let workers = workers::list(&deliverer.database, ALIVE).await?;
    let pauses = pauses::by_workers(&deliverer.database, PROBE_EVERY * 2).await?;
    let has_paused = |worker: Uuid| {
        let mut pauses = pauses.iter();
        pauses.any(|pause| pause.worker == worker && pause.channel == channel)
    };
    if workers.iter().all(|worker| worker.id != deliverer.worker) {
        return Ok(false);
    }
    let mut others = workers.iter().filter(|worker| {
        worker.id != deliverer.worker && worker.channels.iter().any(|linked| linked == channel)
    });
    Ok(others.all(|worker| has_paused(worker.id)))
}

/// Handles a misconfigured channel that accepted a probe, or rejected it permanently.
pub(crate) async fn works_again(deliverer: &Deliverer, channel: &str) {
    deliverer.channels[channel].bulkhead.brake.resume();
    tracing::info!(target: "campanile", channel, "a paused channel works again and is resumed");
    let resumed = pauses::resume_probed(&deliverer.database, deliverer.worker, channel).await;
    log_failure(channel, resumed);
}

/// Makes the next probe due at once, because this one did not call the provider.
pub(crate) async fn probe_at_once(deliverer: &Deliverer, channel: &str) {
    let due = pauses::probe_now(&deliverer.database, deliverer.worker, channel).await;
    log_failure(channel, due);
}

fn log_failure(channel: &str, result: Result<(), sqlx::Error>) {
    if let Err(error) = result {
        tracing::error!(
            target: "campanile",
            channel,
            error = &error as &dyn std::error::Error,
            "the pause of a channel was not recorded"
        );
    }
}
