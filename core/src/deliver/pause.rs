//! **Probes** a channel that waits: what a round may take from it, and what a call says of it.
//!
//! A process in which a channel is misconfigured pauses it for itself, so that other processes deliver. The channel is paused
//! for all when every worker that is alive and links it says the same, or when an operator says so.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::channel::delivery::Verdict;
use crate::database::error::StoreError;
use crate::deliver::Deliverer;
use crate::deliver::brake::Then;
use crate::store::claim::Take;
use crate::store::pauses::{self, Own, Probe};
use crate::store::workers::{self, ALIVE};

/// How long a channel that is misconfigured waits before one delivery is tried again.
pub(crate) const PROBE_EVERY: Duration = Duration::from_mins(1);

/// What a round may take from a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// As much as it wants.
    Open,
    /// One delivery, to see whether the channel works again.
    OneProbe,
    /// Nothing.
    Nothing,
}

/// What a round may take from a channel that is misconfigured in this process.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Here {
    /// As much as it wants: it was resumed.
    Open,
    /// One delivery.
    Probe(Take<'static>),
    /// Nothing.
    Nothing,
}

impl Deliverer {
    /// What a round may take from a channel. Of a fleet one worker makes the probe.
    pub(crate) async fn allowance(&self, channel: &str) -> Result<Allowance, StoreError> {
        let rows = pauses::list(&self.database).await?;
        match rows.iter().find(|(row, _)| row.channel == channel) {
            None => Ok(Allowance::Open),
            Some((_, Probe::NotYet)) => Ok(Allowance::Nothing),
            Some((_, Probe::Due)) => {
                let taken = pauses::take_probe(&self.database, channel, PROBE_EVERY).await?;
                Ok(if taken {
                    Allowance::OneProbe
                } else {
                    Allowance::Nothing
                })
            }
        }
    }

    /// What a round may take from a channel that is misconfigured here.
    pub(crate) async fn allowance_here(&self, channel: &str) -> Result<Here, StoreError> {
        let own = self.own_pause(channel).await?;
        if own == Own::Over {
            return Ok(Here::Open);
        }
        Ok(match (self.allowance(channel).await?, own) {
            (Allowance::OneProbe, _) => Here::Probe(Take::Probe),
            (Allowance::Open, Own::ProbeDue) => Here::Probe(Take::Due),
            _ => Here::Nothing,
        })
    }

    /// Whether a dispatch may see if a channel that is misconfigured here works again.
    pub(crate) async fn may_probe_here(&self, channel: &str) -> bool {
        // Without an answer a worker delivers, or another process.
        matches!(self.own_pause(channel).await, Ok(Own::ProbeDue))
    }

    /// How it stands with this process's own pause; one that is over ends here.
    async fn own_pause(&self, channel: &str) -> Result<Own, StoreError> {
        let brake = &self.channels[channel].bulkhead.brake;
        if !brake.is_noted() {
            return Ok(Own::NotYet);
        }
        let own = pauses::own(&self.database, self.worker, channel, PROBE_EVERY).await?;
        if own == Own::Over {
            brake.resume();
        }
        Ok(own)
    }

    /// Writes down what a call said of its channel.
    pub(crate) async fn heed(
        self: &Arc<Self>,
        channel: &'static str,
        then: Then,
        verdicts: &[Verdict],
    ) {
        if then == Then::Nothing {
            return;
        }
        let is_wrong = |verdict: &&Verdict| matches!(verdict, Verdict::Misconfigured { .. });
        let error = verdicts.iter().find(is_wrong).and_then(Verdict::error);
        let reason = error.map(ToString::to_string).unwrap_or_default();
        let inner = Arc::clone(self);
        // In a task of its own, so that it is written down whoever goes away.
        let noting = tokio::spawn(async move {
            inner.pause_misconfigured(channel, &reason).await;
            inner.channels[channel].bulkhead.brake.noted();
        });
        let _ = noting.await;
    }

    /// A channel is misconfigured here.
    async fn pause_misconfigured(&self, channel: &str, reason: &str) {
        tracing::error!(
            target: "campanile",
            channel,
            reason,
            "a channel is misconfigured and is paused in this process; one delivery is tried every minute until it works"
        );
        let paused =
            pauses::pause_here(&self.database, self.worker, channel, reason, PROBE_EVERY).await;
        log_failure(channel, paused);
        match self.is_paused_by_all_others(channel).await {
            Ok(true) => {
                let paused = pauses::pause(&self.database, channel, reason, Some(PROBE_EVERY));
                log_failure(channel, paused.await);
            }
            Ok(false) => {}
            Err(error) => log_failure(channel, Err(error)),
        }
    }

    /// Whether every other worker that is alive and links a channel has paused it for itself. A process that runs no worker speaks for
    /// itself alone: who else delivers beside it, it does not know.
    async fn is_paused_by_all_others(&self, channel: &str) -> Result<bool, sqlx::Error> {
        let workers = workers::list(&self.database, ALIVE).await?;
        let pauses = pauses::by_workers(&self.database, PROBE_EVERY * 2).await?;
        let has_paused = |worker: Uuid| {
            let mut pauses = pauses.iter();
            pauses.any(|pause| pause.worker == worker && pause.channel == channel)
        };
        if workers.iter().all(|worker| worker.id != self.worker) {
            return Ok(false);
        }
        let mut others = workers.iter().filter(|worker| {
            worker.id != self.worker && worker.channels.iter().any(|linked| linked == channel)
        });
        Ok(others.all(|worker| has_paused(worker.id)))
    }

    /// A channel that was misconfigured took a probe, or refused it for good.
    pub(crate) async fn works_again(&self, channel: &str) {
        self.channels[channel].bulkhead.brake.resume();
        tracing::info!(target: "campanile", channel, "a paused channel works again and is resumed");
        let resumed = pauses::resume_probed(&self.database, self.worker, channel).await;
        log_failure(channel, resumed);
    }

    /// The next probe is due at once: this one asked nobody.
    pub(crate) async fn probe_at_once(&self, channel: &str) {
        let due = pauses::probe_now(&self.database, self.worker, channel).await;
        log_failure(channel, due);
    }
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
