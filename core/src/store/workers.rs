//! The rows of workers that were seen lately, and of what waits for them.

use std::time::Duration;

use sqlx::Row as _;
use uuid::Uuid;

use super::micros;
use crate::database::{Database, each_connection};
use crate::state::DeliveryState;

/// Who was not seen for this long counts as gone: six heartbeats.
pub(crate) const ALIVE: Duration = Duration::from_secs(30);

/// A worker, as its row.
#[derive(Debug)]
pub(crate) struct WorkerRow {
    pub(crate) id: Uuid,
    pub(crate) started_at: i64,
    pub(crate) seen_at: i64,
    pub(crate) channels: Vec<String>,
}

const BEAT: &str = "\
    insert into {campanile}notification_workers as held (id, started_at, seen_at, channels) \
    values ({uuid($1)}, {now}, {now}, {json($2)}) \
    on conflict (id) do update set seen_at = excluded.seen_at, channels = excluded.channels";

/// Of those that were not seen for an hour nobody asks any more.
const SWEEP: &str =
    "delete from {campanile}notification_workers where seen_at <= {earlier(3600000000)}";

/// Says that this worker is alive.
pub(crate) async fn beat(
    database: &Database,
    worker: Uuid,
    channels: &[&str],
) -> Result<(), sqlx::Error> {
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        sqlx::query(database.sql(BEAT))
            .bind(worker.to_string())
            .bind(serde_json::json!(channels).to_string())
            .execute(&mut *connection)
            .await?;
        sqlx::query(database.sql(SWEEP))
            .execute(&mut *connection)
            .await?;
        Ok(())
    })
}

const LEAVE: &str = "delete from {campanile}notification_workers where id = {uuid($1)}";

/// Says that this worker has stopped.
pub(crate) async fn leave(database: &Database, worker: Uuid) -> Result<(), sqlx::Error> {
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        sqlx::query(database.sql(LEAVE))
            .bind(worker.to_string())
            .execute(&mut *connection)
            .await?;
        Ok(())
    })
}

const LIST: &str = "\
    select {text(id)} as id, {micros(started_at)} as started_at, {micros(seen_at)} as seen_at, {text(channels)} as channels \
    from {campanile}notification_workers where seen_at > {earlier($1)} order by started_at, id";

/// The workers that were seen within this time.
pub(crate) async fn list(
    database: &Database,
    within: Duration,
) -> Result<Vec<WorkerRow>, sqlx::Error> {
    each_connection!(database, |connection| {
        let rows = sqlx::query(database.sql(LIST))
            .bind(micros(within))
            .fetch_all(&mut *connection)
            .await?;
        let decode = |error: Box<dyn std::error::Error + Send + Sync>| sqlx::Error::Decode(error);
        rows.iter()
            .map(|row| {
                let (id, channels): (&str, &str) = (row.try_get("id")?, row.try_get("channels")?);
                Ok(WorkerRow {
                    id: Uuid::parse_str(id).map_err(|error| decode(error.into()))?,
                    started_at: row.try_get("started_at")?,
                    seen_at: row.try_get("seen_at")?,
                    channels: serde_json::from_str(channels)
                        .map_err(|error| decode(error.into()))?,
                })
            })
            .collect()
    })
}

/// What waits on one channel in one state.
#[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "it is measured"))]
#[derive(Debug)]
pub(crate) struct QueueRow {
    pub(crate) channel: &'static str,
    pub(crate) state: &'static str,
    pub(crate) depth: f64,
    /// How long the oldest has been due.
    pub(crate) oldest: Option<Duration>,
}

const STATES: [DeliveryState; 5] = [
    DeliveryState::Pending,
    DeliveryState::Running,
    DeliveryState::Blocked,
    DeliveryState::Dead,
    DeliveryState::Unknown,
];

/// Counted to this much: more is as alarming, and costs more.
const MAX_COUNTED: i64 = 100_000;

const DEPTH: &str = "\
    select count(*) as depth, {now_micros} - min(due) as age from \
    (select {micros(run_at)} as due from {campanile}notification_deliveries \
    where channel = $1 and state = '{state}'{in_turn} limit $2) as waiting";

/// What waits on these channels.
pub(crate) async fn queue(
    database: &Database,
    channels: &[&'static str],
) -> Result<Vec<QueueRow>, sqlx::Error> {
    let mut rows = Vec::new();
    for &channel in channels {
        for state in STATES {
            // In words of the statement, so that the partial indexes serve it.
            let in_turn = if state == DeliveryState::Pending {
                " order by run_at"
            } else {
                ""
            };
            let statement = DEPTH
                .replace("{state}", state.as_str())
                .replace("{in_turn}", in_turn);
            let statement = database.sql(&statement);
            let (depth, age): (i64, Option<i64>) = each_connection!(database, |connection| {
                sqlx::query_as(statement)
                    .bind(channel)
                    .bind(MAX_COUNTED)
                    .fetch_one(&mut *connection)
                    .await
            })?;
            #[allow(
                clippy::cast_precision_loss,
                reason = "it is at most a hundred thousand"
            )]
            rows.push(QueueRow {
                channel,
                state: state.as_str(),
                depth: depth as f64,
                oldest: (state == DeliveryState::Pending).then(|| {
                    Duration::from_micros(
                        u64::try_from(age.unwrap_or_default()).unwrap_or_default(),
                    )
                }),
            });
        }
    }
    Ok(rows)
}
