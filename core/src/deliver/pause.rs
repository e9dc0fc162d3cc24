//! The **pause** of a channel that is misconfigured: what may be claimed from it meanwhile, for whom it is paused, what ends it.
//!
//! A process in which a channel is misconfigured pauses it for itself, so that other processes deliver. The channel is paused
//! for all when every worker that is alive and links it says the same, or when an operator says so. A probe is one delivery that is
//! tried all the same, to see whether the channel works again.

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
    /// As much as there is.
    Open,
    /// One delivery, to see whether the channel works again.
    Probe(Take<'static>),
    /// Nothing.
    Nothing,
}

/// What may be claimed from a channel, as far as all processes are concerned. Of a fleet one worker makes the probe.
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

/// Whether a dispatch may see if a channel that is misconfigured here works again.
pub(crate) async fn may_probe_here(deliverer: &Deliverer, channel: &str) -> bool {
    // Without an answer a worker delivers, or another process.
    matches!(own_pause(deliverer, channel).await, Ok(Own::ProbeDue))
}

/// How it stands with this process's own pause; one that is over ends here.
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

/// Writes down that a channel is misconfigured here. It waits, and goes on in a task of its own, whoever goes away.
pub(crate) async fn pause(deliverer: &Arc<Deliverer>, channel: &'static str, reason: String) {
    let deliverer = Arc::clone(deliverer);
    let noting = tokio::spawn(async move {
        pause_misconfigured(&deliverer, channel, &reason).await;
        deliverer.channels[channel].bulkhead.brake.noted();
    });
    let _ = noting.await;
}

/// A channel is misconfigured here.
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

/// Whether every other worker that is alive and links a channel has paused it for itself. A process that runs no worker speaks for
/// itself alone: who else delivers beside it, it does not know.
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

/// A channel that was misconfigured took a probe, or refused it for good.
pub(crate) async fn works_again(deliverer: &Deliverer, channel: &str) {
    deliverer.channels[channel].bulkhead.brake.resume();
    tracing::info!(target: "campanile", channel, "a paused channel works again and is resumed");
    let resumed = pauses::resume_probed(&deliverer.database, deliverer.worker, channel).await;
    log_failure(channel, resumed);
}

/// The next probe is due at once: this one asked nobody.
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
