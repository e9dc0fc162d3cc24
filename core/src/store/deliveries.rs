//! The rows of **deliveries** as an operator sees them, and the changes that only an operator makes.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use sqlx::Row as _;
use uuid::Uuid;

use crate::database::{Database, each_connection};
use crate::state::DeliveryState;

/// A delivery as an operator sees it: no address, no content. In JSON its keys are camelCase, its times RFC 3339.
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
    /// How many attempts were begun.
    pub attempts: u32,
    /// When the next attempt is due, while it is pending.
    pub run_at: Timestamp,
    /// What the last attempt said.
    pub last_error: Option<String>,
    /// When it was committed.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Whether it had a secret in it, which was erased when it ended: it cannot be tried again.
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

const SUMMARY: &str = "\
    select {text(its.id)} as id, {text(its.notification_id)} as notification_id, its.user_id, its.channel, \
        coalesce(dispatch.event_type, '') as event_type, its.state, its.attempt, {micros(its.run_at)} as run_at, its.last_error, \
        {micros(its.created_at)} as created_at, {micros(its.finished_at)} as finished_at, \
        coalesce(its.secret = '', false) as erased \
    from {campanile}notification_deliveries as its \
    left join {campanile}notification_dispatches as dispatch on dispatch.id = its.dispatch_id";

/// A fresh set of attempts: those so far no longer count.
pub(super) const RETRY: &str = "\
    update {campanile}notification_deliveries set state = {state.pending}, run_at = {now}, uncounted = attempt, \
        lost_answers = 0, outage_since = null, outage_rounds = 0, \
        first_attempt_at = null, batch_id = null, blocked_as = null, finished_at = null";

/// What there is to send is still there.
pub(super) const COMPLETE: &str = "coalesce(secret, '-') <> ''";

/// What waits for its next attempt is only made due: it may have gone out under a key that its provider still knows.
const NOW: &str = "\
    update {campanile}notification_deliveries set run_at = {now}, uncounted = attempt where id = {uuid($1)} and state = {state.pending}";

/// How many there are, by channel and state.
pub(crate) async fn counts(database: &Database) -> Result<Vec<DeliveryCount>, sqlx::Error> {
    let statement = database.sql(
        "select channel, state, count(*) as count from {campanile}notification_deliveries \
         group by channel, state order by channel, state",
    );
    each_connection!(database, |connection| {
        let rows = sqlx::query(statement).fetch_all(&mut *connection).await?;
        let counts = rows.iter().map(|row| {
            let count: i64 = row.try_get("count")?;
            Ok(DeliveryCount {
                channel: row.try_get("channel")?,
                state: DeliveryState::read(row.try_get("state")?)?,
                count: u64::try_from(count).unwrap_or_default(),
            })
        });
        counts.collect()
    })
}

/// At most so many, newest first, of those before this one.
pub(crate) async fn page(
    database: &Database,
    channel: Option<&str>,
    state: Option<DeliveryState>,
    before: Option<Uuid>,
    limit: usize,
) -> Result<Vec<DeliverySummary>, sqlx::Error> {
    let earlier = match before {
        Some(_) => "and its.id < {uuid($3)}",
        None => "and $3 is null",
    };
    let condition = format!(
        "where ($1 is null or its.channel = $1) and ($2 is null or its.state = $2) {earlier} \
         order by its.id desc limit {limit}"
    );
    let parameters = [
        channel.map(str::to_owned),
        state.map(|state| state.as_str().to_owned()),
        before.map(|id| id.to_string()),
    ];
    summaries(database, &condition, parameters).await
}

/// The one of this id.
pub(crate) async fn by_id(
    database: &Database,
    id: Uuid,
) -> Result<Option<DeliverySummary>, sqlx::Error> {
    let condition = "where its.id = {uuid($1)} and $2 is null and $3 is null";
    let found = summaries(database, condition, [Some(id.to_string()), None, None]);
    Ok(found.await?.pop())
}

/// Those of one notification, by channel.
pub(crate) async fn of_notification(
    database: &Database,
    notification: Uuid,
) -> Result<Vec<DeliverySummary>, sqlx::Error> {
    let condition =
        "where its.notification_id = {uuid($1)} and $2 is null and $3 is null order by its.channel";
    summaries(
        database,
        condition,
        [Some(notification.to_string()), None, None],
    )
    .await
}

/// Makes one due, with a fresh set of attempts; `false` if it is none that can be tried again.
pub(crate) async fn retry(database: &Database, id: Uuid) -> Result<bool, sqlx::Error> {
    let statement = format!(
        "{RETRY}, expires_at = null where id = {{uuid($1)}} and state in {{states.retriable}} and {COMPLETE}"
    );
    let id = id.to_string();
    Ok(write(database, &statement, Some(&id)).await? == 1
        || write(database, NOW, Some(&id)).await? == 1)
}

async fn write(
    database: &Database,
    statement: &str,
    parameter: Option<&str>,
) -> Result<u64, sqlx::Error> {
    let statement = database.sql(statement);
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        let write = sqlx::query(statement).bind(parameter);
        Ok(write.execute(&mut *connection).await?.rows_affected())
    })
}

async fn summaries(
    database: &Database,
    condition: &str,
    parameters: [Option<String>; 3],
) -> Result<Vec<DeliverySummary>, sqlx::Error> {
    let statement = database.sql(&format!("{SUMMARY} {condition}"));
    let [first, second, third] = parameters;
    each_connection!(database, |connection| {
        let rows = sqlx::query(statement)
            .bind(first)
            .bind(second)
            .bind(third)
            .fetch_all(&mut *connection)
            .await?;
        let summaries = rows.iter().map(|row| {
            Ok(DeliverySummary {
                id: id(row.try_get("id")?)?,
                notification_id: id(row.try_get("notification_id")?)?,
                user_id: row.try_get("user_id")?,
                channel: row.try_get("channel")?,
                event_type: row.try_get("event_type")?,
                state: DeliveryState::read(row.try_get("state")?)?,
                attempts: number(row.try_get("attempt")?),
                run_at: time(row.try_get("run_at")?)?,
                last_error: row.try_get("last_error")?,
                created_at: time(row.try_get("created_at")?)?,
                finished_at: row
                    .try_get::<Option<i64>, _>("finished_at")?
                    .map(time)
                    .transpose()?,
                erased: row.try_get("erased")?,
            })
        });
        summaries.collect()
    })
}

pub(super) fn id(text: &str) -> Result<Uuid, sqlx::Error> {
    Uuid::parse_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn time(micros: i64) -> Result<Timestamp, sqlx::Error> {
    Timestamp::from_microsecond(micros).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn number(value: i32) -> u32 {
    u32::try_from(value).unwrap_or_default()
}

/// The log of one notification, oldest first.
pub(crate) async fn attempts(
    database: &Database,
    notification: Uuid,
) -> Result<Vec<Attempt>, sqlx::Error> {
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
