//! The **trace** of a notification: its deliveries, and the log of their attempts.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use sqlx::Row as _;
use uuid::Uuid;

use super::{DeliverySummary, id, number, summaries, time};
use crate::database::error::StoreError;
use crate::database::{Database, each_connection};
use crate::operate::Operations;

/// One line of the delivery log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Attempt {
    /// The delivery that was tried.
    pub delivery_id: Uuid,
    /// The attempt; the first is 1.
    pub attempt: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    #[serde(rename = "tookMicros", serialize_with = "as_micros")]
    pub took: Duration,
    /// What came of it: `accepted`, `retry`, `unknown`, `misconfigured`, `permanent`, `suppressed`, `unreachable`, `muted`,
    /// `expired`; `lost`, if its worker stopped or was cut off before it could say so.
    pub outcome: String,
    /// The provider's status, an HTTP or SMTP code.
    pub status: Option<u16>,
    /// The provider's own id.
    pub provider_id: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// The kind of what went wrong, in one word; see [`ErrorClass`](crate::channel::delivery::ErrorClass).
    pub error_class: Option<String>,
    /// The trace of the attempt, where the app traces with OpenTelemetry.
    pub trace_id: Option<String>,
    /// The process that tried it.
    pub worker: Uuid,
}

/// What happened to one notification on its remote channels, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Trace {
    /// Its deliveries, by channel.
    pub deliveries: Vec<DeliverySummary>,
    /// Their attempts, oldest first.
    pub attempts: Vec<Attempt>,
}

impl Operations {
    /// What happened to one notification on its remote channels: its deliveries and the log of their attempts. Empty for
    /// one that has none.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn trace(&self, notification: Uuid) -> Result<Trace, StoreError> {
        let condition = "where its.notification_id = {uuid($1)} and $2 is null and $3 is null order by its.channel";
        let parameters = [Some(notification.to_string()), None, None];
        let deliveries = summaries(self.database(), condition, parameters).await?;
        Ok(Trace {
            deliveries,
            attempts: attempts(self.database(), notification).await?,
        })
    }
}

async fn attempts(database: &Database, notification: Uuid) -> Result<Vec<Attempt>, sqlx::Error> {
    let statement = database.sql(
        "select {text(its.delivery_id)} as delivery_id, its.attempt, {micros(its.started_at)} as started_at, \
         its.took_micros, its.outcome, its.status, its.provider_id, its.error, its.error_class, its.trace_id, \
         {text(its.worker)} as worker \
         from {campanile}notification_attempts as its \
         join {campanile}notification_deliveries as delivery on delivery.id = its.delivery_id \
         where delivery.notification_id = {uuid($1)} order by its.started_at, its.delivery_id, its.attempt",
    );
    each_connection!(database, |connection| {
        let rows = sqlx::query(statement)
            .bind(notification.to_string())
            .fetch_all(&mut *connection)
            .await?;
        let attempts = rows.iter().map(|row| {
            let took: i64 = row.try_get("took_micros")?;
            Ok(Attempt {
                delivery_id: id(row.try_get("delivery_id")?)?,
                attempt: number(row.try_get("attempt")?),
                started_at: time(row.try_get("started_at")?)?,
                took: Duration::from_micros(u64::try_from(took).unwrap_or_default()),
                outcome: row.try_get("outcome")?,
                status: row
                    .try_get::<Option<i32>, _>("status")?
                    .and_then(|status| u16::try_from(status).ok()),
                provider_id: row.try_get("provider_id")?,
                error: row.try_get("error")?,
                error_class: row.try_get("error_class")?,
                trace_id: row.try_get("trace_id")?,
                worker: id(row.try_get("worker")?)?,
            })
        });
        attempts.collect()
    })
}

fn as_micros<S: serde::Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(took.as_micros()).unwrap_or(u64::MAX))
}
