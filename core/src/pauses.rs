//! A **pause** keeps a channel's deliveries waiting: by an operator's word, or because the channel said that it is set up
//! wrongly. The others go on, no attempt is used up, and everybody can see it.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::dispatch::{Dispatcher, Inner};
use crate::error::StoreError;
use crate::recipient::InvalidInput;
use crate::report::{Outcome, Retry};
use crate::store::pauses::{self, Probe};
use crate::suggest::did_you_mean;

/// How long a channel that is set up wrongly waits before one delivery is tried again.
pub(crate) const PROBE_EVERY: Duration = Duration::from_mins(1);

/// A linked channel and whether it is paused. In JSON its keys are camelCase, its times RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ChannelStatus {
    /// The channel.
    pub channel: &'static str,
    /// Its pause, if it is paused.
    pub pause: Option<Pause>,
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

impl Dispatcher {
    /// Every linked remote channel, and whether it is paused.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn channels(&self) -> Result<Vec<ChannelStatus>, StoreError> {
        let rows = pauses::list(&self.inner.database).await?;
        let status = |channel: &&'static str| {
            let row = rows.iter().find(|(row, _)| row.channel == **channel);
            ChannelStatus {
                channel,
                pause: row.map(|(row, _)| Pause {
                    reason: row.reason.clone(),
                    paused_at: time(row.paused_at),
                    probe_at: row.probe_at.map(time),
                }),
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
        crate::recipient::check_text("reason", reason, 500)?;
        pauses::pause(&self.inner.database, channel, reason, None)
            .await
            .map_err(StoreError::from)?;
        tracing::warn!(target: "campanile", channel, reason, "a channel was paused by an operator");
        Ok(())
    }

    /// Resumes a channel. Resuming one that is not paused changes nothing.
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
        self.inner.bell.ring(self.database());
        tracing::info!(target: "campanile", channel, "a channel was resumed");
        Ok(())
    }

    fn known(&self, channel: &str) -> Result<(), PauseError> {
        if self.inner.channels.contains_key(channel) {
            return Ok(());
        }
        Err(PauseError::UnknownChannel {
            channel: crate::suggest::shown(channel),
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

    /// A channel said that it is set up wrongly.
    pub(crate) async fn pause_misconfigured(&self, channel: &str, reason: &str) {
        tracing::error!(
            target: "campanile",
            channel,
            reason,
            "a channel is set up wrongly and is paused; one delivery is tried every minute until it works"
        );
        let paused = pauses::pause(&self.database, channel, reason, Some(PROBE_EVERY)).await;
        log_failure(channel, paused);
    }

    /// A channel that took a probe, or refused it for good, works again. One that was not even asked, because the recipient
    /// could not be reached, is probed again at once.
    pub(crate) async fn judge_probe<'o>(
        &self,
        channel: &str,
        outcomes: impl Iterator<Item = &'o Outcome>,
    ) {
        let mut asked = false;
        for outcome in outcomes {
            match outcome {
                Outcome::Sent
                | Outcome::Failed {
                    retry: Retry::Never,
                    ..
                } => {
                    tracing::info!(target: "campanile", channel, "a paused channel works again and is resumed");
                    return log_failure(
                        channel,
                        pauses::resume_probed(&self.database, channel).await,
                    );
                }
                Outcome::Failed { .. } | Outcome::Queued => asked = true,
                _ => {}
            }
        }
        if !asked {
            log_failure(channel, pauses::probe_now(&self.database, channel).await);
        }
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
