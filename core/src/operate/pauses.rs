//! A **pause** keeps a channel's deliveries waiting: because an operator said so, or because the channel is misconfigured. Other
//! channels go on, and no attempt is used.
//!
//! A process in which a channel is misconfigured pauses it for itself, so that other processes deliver. The channel is paused
//! for all when every live worker that links it finds the same, or when an operator pauses it.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::database::error::StoreError;
use crate::event::recipient::InvalidInput;
use crate::event::suggest::did_you_mean;
use crate::operate::Operations;
use crate::store::pauses::{self};

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
    /// The process, as the delivery log and [`Operations::workers`] name it.
    pub worker: Uuid,
    /// What the channel said.
    pub reason: String,
    /// When it was paused.
    pub paused_at: Timestamp,
    /// When that process next tries one delivery to see whether the channel works again.
    pub probe_at: Timestamp,
}

/// Why and since when a channel is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Pause {
    /// What the operator or the channel said.
    pub reason: String,
    /// When it was paused.
    pub paused_at: Timestamp,
    /// When one delivery is next tried to see whether the channel works again; `None` if an operator paused it.
    pub probe_at: Option<Timestamp>,
}

/// Why a channel was not paused or resumed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PauseError {
    /// No remote channel of this name is linked. A local channel writes with the dispatch and cannot wait.
    #[error("no remote channel `{channel}` is linked; there are {}{}", known.join(", "), did_you_mean(channel, known.iter().copied()))]
    UnknownChannel {
        /// The unknown name.
        channel: String,
        /// The linked remote channels.
        known: Vec<&'static str>,
    },
    /// The reason is empty, too long or holds a control character.
    #[error(transparent)]
    InvalidInput(#[from] InvalidInput),
    /// The database refused or did not answer.
    #[error("the channel was not paused or resumed")]
    Store(#[from] StoreError),
}

impl Operations {
    /// Every linked remote channel, and whether it is paused.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn channels(&self) -> Result<Vec<ChannelStatus>, StoreError> {
        let rows = pauses::list(&self.deliverer.database).await?;
        let by_workers = pauses::by_workers(
            &self.deliverer.database,
            crate::deliver::pause::PROBE_EVERY * 2,
        )
        .await?;
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
        Ok(self.deliverer.channels.keys().map(status).collect())
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
        pauses::pause(&self.deliverer.database, channel, reason, None)
            .await
            .map_err(StoreError::from)?;
        tracing::warn!(target: "campanile", channel, reason, "a channel was paused by an operator");
        Ok(())
    }

    /// Resumes a channel, including in processes that paused it for themselves. Resuming one that is not paused changes nothing.
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
        pauses::resume(&self.deliverer.database, channel)
            .await
            .map_err(StoreError::from)?;
        self.deliverer.channels[channel].bulkhead.brake.resume();
        self.deliverer.queued.send(self.database());
        tracing::info!(target: "campanile", channel, "a channel was resumed");
        Ok(())
    }

    fn known(&self, channel: &str) -> Result<(), PauseError> {
        if self.deliverer.channels.contains_key(channel) {
            return Ok(());
        }
        Err(PauseError::UnknownChannel {
            channel: crate::event::suggest::shown(channel),
            known: self.deliverer.channels.keys().copied().collect(),
        })
    }
}

fn time(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX)
}
