//! Makes dead deliveries due again, a thousand in one statement.

use jiff::Timestamp;
use uuid::Uuid;

use super::deliveries::{COMPLETE, RETRY};
use crate::channel::delivery::ErrorClass;
use crate::database::row::Id;
use crate::database::{Database, each_connection, statement};

/// How many rows one statement changes.
const BATCH: i64 = 1_000;

/// Selects dead deliveries: those that match all of the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(
    clippy::exhaustive_structs,
    reason = "made by callers with `..DeadFilter::default()`"
)]
pub struct DeadFilter<'a> {
    /// Their channel is this one.
    pub channel: Option<&'a str>,
    /// Their event is this one.
    pub event_type: Option<&'a str>,
    /// They died at this time or later.
    pub since: Option<Timestamp>,
    /// They died before this time.
    pub until: Option<Timestamp>,
    /// Their last attempt failed with this class of error.
    pub error_class: Option<ErrorClass>,
}

/// `$3` and `$4` are microseconds. Deliveries that have expired since are no longer worth sending; deliveries that contained a
/// secret have nothing left to send.
const DEAD: &str = "\
    from {campanile}notification_deliveries as delivery where state = {state.dead} \
        and ($1 is null or channel = $1) \
        and ($2 is null or exists (select 1 from {campanile}notification_dispatches as dispatch \
            where dispatch.id = delivery.dispatch_id and dispatch.event_type = $2)) \
        and finished_at >= {moment($3)} and finished_at < {moment($4)} \
        and (expires_at is null or expires_at > {now}) and {complete} \
        and ($5 is null or $5 = (select error_class from {campanile}notification_attempts as log \
            where log.delivery_id = delivery.id order by log.attempt desc limit 1))";

statement! { COUNT = "select count(*) {dead}", dead = DEAD, complete = COMPLETE }

statement! { CLOCK = "select {now_micros}" }

statement! {
    REDRIVE = "\
        with chosen as materialized (select id {dead} and id > {uuid($6)} order by id limit $7 {for_update}) \
        {retry} where id in (select id from chosen) returning {text(id)} as id",
    dead = DEAD, complete = COMPLETE, retry = RETRY
}

/// Binds the parameters of [`DEAD`].
macro_rules! bind {
    ($query:expr, $filter:expr, $until:expr) => {
        $query
            .bind($filter.channel)
            .bind($filter.event_type)
            .bind($filter.since.map_or(0, Timestamp::as_microsecond))
            .bind($until)
            .bind($filter.error_class.map(ErrorClass::as_str))
    };
}

/// How many there are.
pub(crate) async fn count(
    database: &Database,
    filter: DeadFilter<'_>,
    until: i64,
) -> Result<u64, sqlx::Error> {
    let count: Result<i64, _> = each_connection!(database, |connection| {
        let count = bind!(sqlx::query_scalar(COUNT.on(database)), filter, until);
        count.fetch_one(&mut *connection).await
    });
    Ok(u64::try_from(count?).unwrap_or_default())
}

/// The time, by the database's clock, before which they must have died: now at the latest.
pub(crate) async fn until(database: &Database, filter: DeadFilter<'_>) -> Result<i64, sqlx::Error> {
    let now: Result<i64, _> = each_connection!(database, |connection| {
        let now = sqlx::query_scalar(CLOCK.on(database));
        now.fetch_one(&mut *connection).await
    });
    let asked = filter.until.map_or(i64::MAX, Timestamp::as_microsecond);
    Ok(asked.min(now?))
}

/// Those after this one, in the order of their ids, in which all statements lock them.
pub(crate) async fn redrive(
    database: &Database,
    filter: DeadFilter<'_>,
    until: i64,
    after: Uuid,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let _turn = database.turn_to_write().await;
    let redriven: Vec<Id> = each_connection!(database, |connection| {
        bind!(sqlx::query_scalar(REDRIVE.on(database)), filter, until)
            .bind(after.to_string())
            .bind(BATCH)
            .fetch_all(&mut *connection)
            .await
    })?;
    Ok(redriven.into_iter().map(|id| id.0).collect())
}
