//! The **fleet**: the workers that are alive, each with the channels it links, by their heartbeats.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::database::error::StoreError;
use crate::operate::Operations;
use crate::store::workers::{self, ALIVE};

/// A worker that was seen within the last half minute. In JSON its keys are camelCase, its times RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct WorkerStatus {
    /// The worker's id, as the delivery log names it.
    pub id: Uuid,
    /// When it started.
    pub started_at: Timestamp,
    /// When it was last seen.
    pub seen_at: Timestamp,
    /// The channels it delivers on.
    pub channels: Vec<String>,
}

impl Operations {
    /// The workers that are alive, in this process or in others, oldest first.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn workers(&self) -> Result<Vec<WorkerStatus>, StoreError> {
        let time = |micros| Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX);
        let rows = workers::list(self.database(), ALIVE).await?;
        let workers = rows.into_iter().map(|row| WorkerStatus {
            id: row.id,
            started_at: time(row.started_at),
            seen_at: time(row.seen_at),
            channels: row.channels,
        });
        Ok(workers.collect())
    }
}
