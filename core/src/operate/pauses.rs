//! A **pause** keeps a channel's deliveries waiting: by an operator, or because the channel is misconfigured. The others go on,
//! no attempt is used, and everybody can see it.
//!
//! A process in which a channel is misconfigured pauses it for itself, so that other processes deliver. The channel is paused
//! for all when every worker that is alive and links it says the same, or when an operator says so.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::channel::delivery::Verdict;
use crate::deliver::brake::Then;
use crate::dispatch::{Dispatcher, Inner};
use crate::error::StoreError;
use crate::event::recipient::InvalidInput;
use crate::event::suggest::did_you_mean;
use crate::operate::fleet::ALIVE;
use crate::store::claim::Take;
use crate::store::pauses::{self, Own, Probe};
use crate::store::workers;

/// How long a channel that is misconfigured waits before one delivery is tried again.
pub(crate) const PROBE_EVERY: Duration = Duration::from_mins(1);

/// A linked channel and whether it is paused. In JSON its keys are camelCase, its times RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ChannelStatus {
    /// The channel.
    pub channel: &'static str,
    /// Its pause, if it is paused for all.
    pub pause: Option<Pause>,
    /// The processes that have paused it for themselves, because it is misconfigured there.
    pub worker_pauses: Vec<WorkerPause>,
}

/// Why and since when one process has paused a channel for itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct WorkerPause {
    /// The process, as the delivery log and [`Dispatcher::workers`] name it.
    pub worker: Uuid,
    /// What the channel said.
    pub reason: String,
    /// Since when.
    pub paused_at: Timestamp,
    /// When that process tries one delivery to see whether it works again.
    pub probe_at: Timestamp,
}

/// Why and since when a channel is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Pause {
    /// What the operator or the channel said.
    pub reason: String,
    /// Since when.
    pub paused_at: Timestamp,
    /// When one delivery is tried to see whether it works again; never, if an operator paused it.
    pub probe_at: Option<Timestamp>,
}

/// Why a channel was not paused or resumed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PauseError {
    /// No remote channel of this name is linked. A local channel writes with the dispatch and cannot wait.
    #[error("no remote channel `{channel}` is linked; there are {}{}", known.join(", "), did_you_mean(channel, known.iter().copied()))]
    UnknownChannel {
        /// What was asked for.
        channel: String,
        /// The remote channels there are.
        known: Vec<&'static str>,
    },
    /// The reason cannot be stored.
    #[error(transparent)]
    InvalidInput(#[from] InvalidInput),
    /// The database refused or did not answer.
    #[error("the channel was not paused or resumed")]
    Store(#[from] StoreError),
}

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

impl Dispatcher {
    /// Every linked remote channel, and whether it is paused.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn channels(&self) -> Result<Vec<ChannelStatus>, StoreError> {
        let rows = pauses::list(&self.inner.database).await?;
        let by_workers = pauses::by_workers(&self.inner.database, PROBE_EVERY * 2).await?;
        let status = |channel: &&'static str| {
            let row = rows.iter().find(|(row, _)| row.channel == **channel);
            ChannelStatus {
                channel,
                pause: row.map(|(row, _)| Pause {
                    reason: row.reason.clone(),
                    paused_at: time(row.paused_at),
                    probe_at: row.probe_at.map(time),
                }),
                worker_pauses: by_workers
                    .iter()
                    .filter(|row| row.channel == **channel)
                    .map(|row| WorkerPause {
                        worker: row.worker,
                        reason: row.reason.clone(),
                        paused_at: time(row.paused_at),
                        probe_at: time(row.probe_at),
                    })
                    .collect(),
            }
        };
        Ok(self.inner.channels.keys().map(status).collect())
    }

    /// Pauses a channel until somebody resumes it: its deliveries are committed and wait.
    ///
    /// # Errors
    ///
    /// [`PauseError::UnknownChannel`], [`PauseError::InvalidInput`], [`PauseError::Store`].
    ///
    /// # Cancel safety
    ///
    /// One statement: it is paused or it is not.
    pub async fn pause_channel(&self, channel: &str, reason: &str) -> Result<(), PauseError> {
        self.known(channel)?;
        crate::event::recipient::check_text("reason", reason, 500)?;
        pauses::pause(&self.inner.database, channel, reason, None)
            .await
            .map_err(StoreError::from)?;
        tracing::warn!(target: "campanile", channel, reason, "a channel was paused by an operator");
        Ok(())
    }

    /// Resumes a channel, also where processes have paused it for themselves. Resuming one that is not paused changes nothing.
    ///
    /// # Errors
    ///
    /// [`PauseError::UnknownChannel`], [`PauseError::Store`].
    ///
    /// # Cancel safety
    ///
    /// One statement: it is resumed or it is not.
    pub async fn resume_channel(&self, channel: &str) -> Result<(), PauseError> {
        self.known(channel)?;
        pauses::resume(&self.inner.database, channel)
            .await
            .map_err(StoreError::from)?;
        self.inner.channels[channel].bulkhead.brake.resume();
        self.inner.bell.ring(self.database());
        tracing::info!(target: "campanile", channel, "a channel was resumed");
        Ok(())
    }

    fn known(&self, channel: &str) -> Result<(), PauseError> {
        if self.inner.channels.contains_key(channel) {
            return Ok(());
        }
        Err(PauseError::UnknownChannel {
            channel: crate::event::suggest::shown(channel),
            known: self.inner.channels.keys().copied().collect(),
        })
    }
}

impl Inner {
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

    /// Whether every other worker that is alive and links a channel has paused it for itself.
    async fn is_paused_by_all_others(&self, channel: &str) -> Result<bool, sqlx::Error> {
        let workers = workers::list(&self.database, ALIVE).await?;
        let pauses = pauses::by_workers(&self.database, PROBE_EVERY * 2).await?;
        let has_paused = |worker: Uuid| {
            let mut pauses = pauses.iter();
            pauses.any(|pause| pause.worker == worker && pause.channel == channel)
        };
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

fn time(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
}
