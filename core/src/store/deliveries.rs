//! The rows of **deliveries** as an operator sees them, and the changes that only operators make.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::database::row::{Id, Number, Time};
use crate::database::{Database, Statement, each_connection, row, statement};
use crate::state::DeliveryState;

/// A delivery as an operator sees it, without its address and content. In JSON, keys are camelCase and times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DeliverySummary {
    /// The delivery.
    pub id: Uuid,
    /// The notification it belongs to.
    pub notification_id: Uuid,
    /// The recipient.
    pub user_id: String,
    /// The channel.
    pub channel: String,
    /// The event's type.
    pub event_type: String,
    /// Its state.
    pub state: DeliveryState,
    /// How many attempts were started.
    pub attempts: u32,
    /// When the next attempt is due, while it is pending.
    pub run_at: Timestamp,
    /// The error of the last attempt.
    pub last_error: Option<String>,
    /// When it was committed.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Whether it contained a secret, which was erased when the delivery ended: it cannot be retried.
    pub erased: bool,
}

/// How many deliveries of a channel are in a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DeliveryCount {
    /// The channel.
    pub channel: String,
    /// The state.
    pub state: DeliveryState,
    /// How many.
    pub count: u64,
}

/// One line of the delivery log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Attempt {
    /// The delivery that was attempted.
    pub delivery_id: Uuid,
    /// The number of the attempt; the first is 1.
    pub attempt: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    #[serde(rename = "tookMicros", serialize_with = "as_micros")]
    pub took: Duration,
    /// The outcome: `accepted`, `retry`, `unknown`, `misconfigured`, `permanent`, `suppressed`, `unreachable`, `muted`,
    /// `expired`; `lost`, if its worker stopped or was cut off before it could record one.
    pub outcome: String,
    /// The provider's status, an HTTP or SMTP code.
    pub status: Option<u16>,
    /// The provider's own id.
    pub provider_id: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// The class of the error, in one word; see [`ErrorClass`](crate::channel::delivery::ErrorClass).
    pub error_class: Option<String>,
    /// The trace of the attempt, where the app traces with OpenTelemetry.
    pub trace_id: Option<String>,
    /// The process that made the attempt.
    pub worker: Uuid,
}

const SUMMARY: &str = "\
    select {text(delivery.id)} as id, {text(delivery.notification_id)} as notification_id, delivery.user_id, delivery.channel, \
        coalesce(dispatch.event_type, '') as event_type, delivery.state, delivery.attempt, {micros(delivery.run_at)} as run_at, delivery.last_error, \
        {micros(delivery.created_at)} as created_at, {micros(delivery.finished_at)} as finished_at, \
        coalesce(delivery.secret = '', false) as erased \
    from {campanile}notification_deliveries as delivery \
    left join {campanile}notification_dispatches as dispatch on dispatch.id = delivery.dispatch_id";

/// A fresh set of attempts: the earlier ones no longer count.
pub(super) const RETRY: &str = "\
    update {campanile}notification_deliveries set state = {state.pending}, run_at = {now}, uncounted = attempt, \
        lost_answers = 0, outage_since = null, outage_rounds = 0, \
        first_attempt_at = null, batch_id = null, blocked_as = null, finished_at = null";

/// The content to send still exists.
pub(super) const COMPLETE: &str = "coalesce(secret, '-') <> ''";

statement! {
    COUNTS = "\
        select channel, state, count(*) as count from {campanile}notification_deliveries \
        group by channel, state order by channel, state"
}

const PAGE: &str = "\
    {summary} where ($1 is null or delivery.channel = $1) and ($2 is null or delivery.state = $2) and {earlier} \
    order by delivery.id desc limit $4";

statement! { FIRST_PAGE = PAGE, summary = SUMMARY, earlier = "$3 is null" }
statement! { NEXT_PAGE = PAGE, summary = SUMMARY, earlier = "delivery.id < {uuid($3)}" }

/// Those of the notification `$1`.
const OF_ONE: &str = "\
    delivery.id > {uuid($1)} and delivery.id <= {last_delivery($1)} and delivery.notification_id = {uuid($1)}";

statement! { BY_ID = "{summary} where delivery.id = {uuid($1)}", summary = SUMMARY }
statement! {
    OF_NOTIFICATION = "{summary} where {of_notification} order by delivery.channel",
    summary = SUMMARY, of_notification = OF_ONE
}

statement! {
    RETRY_ONE = "{retry}, expires_at = null where id = {uuid($1)} and state in {states.retriable} and {complete}",
    retry = RETRY, complete = COMPLETE
}

statement! {
    /// A delivery that waits for its next attempt is only made due: it may have been sent under a key that its provider still
    /// knows.
    NOW = "\
        update {campanile}notification_deliveries set run_at = {now}, uncounted = attempt \
        where id = {uuid($1)} and state = {state.pending}"
}

statement! {
    /// In the order in which they began. An attempt that is recorded late seems to have begun later than it did, perhaps after the one
    /// that followed it; of one delivery the numbers decide.
    ATTEMPTS = "\
        select {text(attempt.delivery_id)} as delivery_id, attempt.attempt, {micros(attempt.started_at)} as started_at, \
        attempt.took_micros, attempt.outcome, attempt.status, attempt.provider_id, attempt.error, attempt.error_class, attempt.trace_id, \
        {text(attempt.worker)} as worker \
        from {campanile}notification_attempts as attempt \
        join {campanile}notification_deliveries as delivery on delivery.id = attempt.delivery_id \
        where {of_notification} \
        order by max(attempt.started_at) over (partition by attempt.delivery_id order by attempt.attempt), \
            attempt.delivery_id, attempt.attempt",
    of_notification = OF_ONE
}

row! {
    /// A row of [`SUMMARY`].
    struct SummaryRow {
        id: Id,
        notification_id: Id,
        user_id: String,
        channel: String,
        event_type: String,
        state: DeliveryState,
        attempt: Number,
        run_at: Time,
        last_error: Option<String>,
        created_at: Time,
        finished_at: Option<Time>,
        erased: bool,
    }
}

impl From<SummaryRow> for DeliverySummary {
    fn from(row: SummaryRow) -> Self {
        Self {
            id: row.id.0,
            notification_id: row.notification_id.0,
            user_id: row.user_id,
            channel: row.channel,
            event_type: row.event_type,
            state: row.state,
            attempts: row.attempt.0,
            run_at: row.run_at.0,
            last_error: row.last_error,
            created_at: row.created_at.0,
            finished_at: row.finished_at.map(|at| at.0),
            erased: row.erased,
        }
    }
}

row! {
    struct CountRow {
        channel: String,
        state: DeliveryState,
        count: i64,
    }
}

row! {
    /// A row of [`ATTEMPTS`].
    struct AttemptRow {
        delivery_id: Id,
        attempt: Number,
        started_at: Time,
        took_micros: i64,
        outcome: String,
        status: Option<i32>,
        provider_id: Option<String>,
        error: Option<String>,
        error_class: Option<String>,
        trace_id: Option<String>,
        worker: Id,
    }
}

impl From<AttemptRow> for Attempt {
    fn from(row: AttemptRow) -> Self {
        Self {
            delivery_id: row.delivery_id.0,
            attempt: row.attempt.0,
            started_at: row.started_at.0,
            took: Duration::from_micros(u64::try_from(row.took_micros).unwrap_or_default()),
            outcome: row.outcome,
            status: row.status.and_then(|status| u16::try_from(status).ok()),
            provider_id: row.provider_id,
            error: row.error,
            error_class: row.error_class,
            trace_id: row.trace_id,
            worker: row.worker.0,
        }
    }
}

/// How many there are, by channel and state.
pub(crate) async fn counts(database: &Database) -> Result<Vec<DeliveryCount>, sqlx::Error> {
    let rows: Vec<CountRow> = each_connection!(database, |connection| {
        let counts = sqlx::query_as(COUNTS.on(database));
        counts.fetch_all(&mut *connection).await
    })?;
    let counts = rows.into_iter().map(|row| DeliveryCount {
        channel: row.channel,
        state: row.state,
        count: u64::try_from(row.count).unwrap_or_default(),
    });
    Ok(counts.collect())
}

/// Up to this many deliveries before this one, newest first.
pub(crate) async fn page(
    database: &Database,
    channel: Option<&str>,
    state: Option<DeliveryState>,
    before: Option<Uuid>,
    limit: usize,
) -> Result<Vec<DeliverySummary>, sqlx::Error> {
    let statement = match before {
        Some(_) => &NEXT_PAGE,
        None => &FIRST_PAGE,
    };
    let rows: Vec<SummaryRow> = each_connection!(database, |connection| {
        sqlx::query_as(statement.on(database))
            .bind(channel)
            .bind(state.map(DeliveryState::as_str))
            .bind(before.map(|id| id.to_string()))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&mut *connection)
            .await
    })?;
    Ok(rows.into_iter().map(DeliverySummary::from).collect())
}

/// The delivery with this id.
pub(crate) async fn by_id(
    database: &Database,
    id: Uuid,
) -> Result<Option<DeliverySummary>, sqlx::Error> {
    let row: Option<SummaryRow> = each_connection!(database, |connection| {
        let found = sqlx::query_as(BY_ID.on(database)).bind(id.to_string());
        found.fetch_optional(&mut *connection).await
    })?;
    Ok(row.map(DeliverySummary::from))
}

/// The deliveries of one notification, by channel.
pub(crate) async fn of_notification(
    database: &Database,
    notification: Uuid,
) -> Result<Vec<DeliverySummary>, sqlx::Error> {
    let rows: Vec<SummaryRow> = each_connection!(database, |connection| {
        let found = sqlx::query_as(OF_NOTIFICATION.on(database)).bind(notification.to_string());
        found.fetch_all(&mut *connection).await
    })?;
    Ok(rows.into_iter().map(DeliverySummary::from).collect())
}

/// The log of one notification, oldest first.
pub(crate) async fn attempts(
    database: &Database,
    notification: Uuid,
) -> Result<Vec<Attempt>, sqlx::Error> {
    let rows: Vec<AttemptRow> = each_connection!(database, |connection| {
        let found = sqlx::query_as(ATTEMPTS.on(database)).bind(notification.to_string());
        found.fetch_all(&mut *connection).await
    })?;
    Ok(rows.into_iter().map(Attempt::from).collect())
}

/// Makes a delivery due, with a fresh set of attempts; `false` if it cannot be retried.
pub(crate) async fn retry(database: &Database, id: Uuid) -> Result<bool, sqlx::Error> {
    Ok(write(database, &RETRY_ONE, id).await? == 1 || write(database, &NOW, id).await? == 1)
}

async fn write(
    database: &Database,
    statement: &'static Statement,
    id: Uuid,
) -> Result<u64, sqlx::Error> {
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        let write = sqlx::query(statement.on(database)).bind(id.to_string());
        Ok(write.execute(&mut *connection).await?.rows_affected())
    })
}

fn as_micros<S: serde::Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(took.as_micros()).unwrap_or(u64::MAX))
}
