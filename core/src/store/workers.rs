//! The rows of recently seen workers, and of the deliveries that wait for them.

use std::time::Duration;

use uuid::Uuid;

use super::micros;
use crate::database::row::Id;
use crate::database::{Database, Statement, each_connection, row, statement};
use crate::state::DeliveryState;

/// A worker that was not seen for this long counts as gone: six heartbeats.
pub(crate) const ALIVE: Duration = Duration::from_secs(30);

/// A worker, as its row.
#[derive(Debug)]
pub(crate) struct WorkerRow {
    pub(crate) id: Uuid,
    pub(crate) started_at: i64,
    pub(crate) seen_at: i64,
    pub(crate) channels: Vec<String>,
}

statement! {
    BEAT = "\
        insert into {campanile}notification_workers as held (id, started_at, seen_at, channels) \
        values ({uuid($1)}, {now}, {now}, {json($2)}) \
        on conflict (id) do update set seen_at = excluded.seen_at, channels = excluded.channels"
}

statement! {
    /// Deletes workers that were not seen for an hour.
    SWEEP = "delete from {campanile}notification_workers where seen_at <= {earlier(3600000000)}"
}

/// Records that this worker is alive.
pub(crate) async fn beat(
    database: &Database,
    worker: Uuid,
    channels: &[&str],
) -> Result<(), sqlx::Error> {
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        sqlx::query(BEAT.on(database))
            .bind(worker.to_string())
            .bind(serde_json::json!(channels).to_string())
            .execute(&mut *connection)
            .await?;
        sqlx::query(SWEEP.on(database))
            .execute(&mut *connection)
            .await?;
        Ok(())
    })
}

statement! {
    LEAVE = "delete from {campanile}notification_workers where id = {uuid($1)}"
}

/// Records that this worker has stopped.
pub(crate) async fn leave(database: &Database, worker: Uuid) -> Result<(), sqlx::Error> {
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        sqlx::query(LEAVE.on(database))
            .bind(worker.to_string())
            .execute(&mut *connection)
            .await?;
        Ok(())
    })
}

row! {
    /// A row of [`LIST`].
    struct ListRow {
        id: Id,
        started_at: i64,
        seen_at: i64,
        channels: String,
    }
}

statement! {
    LIST = "\
        select {text(id)} as id, {micros(started_at)} as started_at, {micros(seen_at)} as seen_at, {text(channels)} as channels \
        from {campanile}notification_workers where seen_at > {earlier($1)} order by started_at, id"
}

/// The workers that were seen within this time.
pub(crate) async fn list(
    database: &Database,
    within: Duration,
) -> Result<Vec<WorkerRow>, sqlx::Error> {
    let rows: Vec<ListRow> = each_connection!(database, |connection| {
        let workers = sqlx::query_as(LIST.on(database)).bind(micros(within));
        workers.fetch_all(&mut *connection).await
    })?;
    let workers = rows.into_iter().map(|row| {
        let channels = serde_json::from_str(&row.channels);
        Ok(WorkerRow {
            id: row.id.0,
            started_at: row.started_at,
            seen_at: row.seen_at,
            channels: channels.map_err(|error| sqlx::Error::Decode(error.into()))?,
        })
    });
    workers.collect()
}

/// The deliveries of one channel in one state.
#[cfg_attr(
    not(feature = "metrics"),
    allow(dead_code, reason = "only metrics use it")
)]
#[derive(Debug)]
pub(crate) struct QueueRow {
    pub(crate) channel: &'static str,
    pub(crate) state: &'static str,
    pub(crate) depth: f64,
    /// How long the oldest one has been due.
    pub(crate) oldest: Option<Duration>,
}

/// The maximum count: more is just as alarming, and costs more to count.
const MAX_COUNTED: i64 = 100_000;

row! {
    /// A row of [`DEPTH`].
    struct DepthRow {
        depth: i64,
        age: Option<i64>,
    }
}

/// The states are literals in the statement, so that the partial indexes can serve it.
const DEPTH: &str = "\
    select count(*) as depth, {now_micros} - min(due) as age from \
    (select {micros(run_at)} as due from {campanile}notification_deliveries \
    where channel = $1 and state = {state} {in_turn} limit $2) as waiting";

statement! { PENDING = DEPTH, state = "{state.pending}", in_turn = "order by run_at" }
statement! { RUNNING = DEPTH, state = "{state.running}", in_turn = "" }
statement! { BLOCKED = DEPTH, state = "{state.blocked}", in_turn = "" }
statement! { DEAD = DEPTH, state = "{state.dead}", in_turn = "" }
statement! { UNKNOWN = DEPTH, state = "{state.unknown}", in_turn = "" }

static DEPTHS: [(DeliveryState, &Statement); 5] = [
    (DeliveryState::Pending, &PENDING),
    (DeliveryState::Running, &RUNNING),
    (DeliveryState::Blocked, &BLOCKED),
    (DeliveryState::Dead, &DEAD),
    (DeliveryState::Unknown, &UNKNOWN),
];

/// The depth of the queues of these channels.
pub(crate) async fn queue(
    database: &Database,
    channels: &[&'static str],
) -> Result<Vec<QueueRow>, sqlx::Error> {
    let mut rows = Vec::new();
    for &channel in channels {
        for (state, statement) in DEPTHS {
            let waiting: DepthRow = each_connection!(database, |connection| {
                sqlx::query_as(statement.on(database))
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
                depth: waiting.depth as f64,
                oldest: (state == DeliveryState::Pending).then(|| {
                    Duration::from_micros(
                        u64::try_from(waiting.age.unwrap_or_default()).unwrap_or_default(),
                    )
                }),
            });
        }
    }
    Ok(rows)
}
