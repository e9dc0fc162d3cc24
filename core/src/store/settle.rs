//! Deliveries after the write: claim what is due, and record the verdict of an attempt.
//!
//! Every transition is guarded by state and attempt number, so that whoever lost its lease changes nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Row as _;
use uuid::Uuid;

use super::micros;
use crate::database::{Database, each_database};
use crate::delivery::{Delivery, Parts};
use crate::settlement::MOST_ATTEMPTS;

/// The state a delivery goes to after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Pending,
    Delivered,
    Suppressed,
    Unreachable,
    Dead,
    /// Nobody will ever know whether it went out.
    Unknown,
    /// It cannot be read: parked, without using an attempt.
    Blocked,
    /// Back to pending, without having been begun.
    Released,
    /// Back to pending; the attempt does not count, because the channel was set up wrongly.
    Waiting,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pending | Self::Released | Self::Waiting => "pending",
            Self::Delivered => "delivered",
            Self::Suppressed => "suppressed",
            Self::Unreachable => "unreachable",
            Self::Dead => "dead",
            Self::Unknown => "unknown",
            Self::Blocked => "blocked",
        }
    }
}

/// What is recorded of one attempt.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) id: Uuid,
    pub(crate) attempt: u32,
    pub(crate) state: State,
    /// When to try again, for [`State::Pending`].
    pub(crate) delay: Duration,
    /// What the delivery log says; `None` if there was no attempt.
    pub(crate) outcome: Option<&'static str>,
    pub(crate) status: Option<u16>,
    pub(crate) provider_id: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) took: Duration,
}

/// `$1` is `[id, attempt, state, delay, outcome, status, provider id, error, took, attempts given back,
/// attempts that do not count]` rows, `$2` the worker.
const SETTLE: &str = "\
    update {campanile}notification_deliveries as delivery set \
        state = verdict.value ->> 2, attempt = delivery.attempt - {int(verdict.value ->> 9)}, \
        uncounted = delivery.uncounted + {int(verdict.value ->> 10)}, lease_until = null, worker = null, last_error = verdict.value ->> 7, \
        run_at = case when verdict.value ->> 2 = 'pending' \
            then {later(verdict.value ->> 3)} else delivery.run_at end, \
        finished_at = case when verdict.value ->> 2 = 'pending' then null else {now} end \
    from {rows($1)} as verdict \
    where delivery.id = {uuid(verdict.value ->> 0)} and delivery.state = 'running' \
        and delivery.attempt = {int(verdict.value ->> 1)}";

const LOG: &str = "\
    insert into {campanile}notification_attempts \
        (delivery_id, attempt, started_at, took_micros, outcome, status, provider_id, error, worker) \
    select {uuid(verdict.value ->> 0)}, {int(verdict.value ->> 1)}, {earlier(verdict.value ->> 8)}, \
        {int(verdict.value ->> 8)}, verdict.value ->> 4, {int(verdict.value ->> 5)}, verdict.value ->> 6, \
        verdict.value ->> 7, {uuid($2)} \
    from {rows($1)} as verdict \
    where verdict.value ->> 4 is not null and exists (select 1 from {campanile}notification_deliveries where id = {uuid(verdict.value ->> 0)}) \
    on conflict (delivery_id, attempt) do nothing";

/// Releases the windows of notifications that ended without having reached anybody on any channel, so that the caller's
/// next fire is no repeat. `$1` is the deliveries that have just ended.
///
/// Whoever holds a window is renewing, pruning or forgetting it, so that there is nothing to wait for.
///
/// Two channels of one notification may end at the same time: each looks only after its own end is committed, so the later
/// one sees both.
const RELEASE: &str = "\
    delete from {campanile}notification_dedup \
    where (event_type, dedup_key, recipient_user_id, notification_id) in (\
        select event_type, dedup_key, recipient_user_id, notification_id from {campanile}notification_dedup \
        where (event_type, dedup_key, recipient_user_id, notification_id) in (\
            select dispatch.event_type, dispatch.dedup_key, its.user_id, its.notification_id \
            from {campanile}notification_deliveries as its \
            join {campanile}notification_dispatches as dispatch on dispatch.id = its.dispatch_id \
            where its.id in (select {uuids($1)}) and not its.has_local and not exists (\
                select 1 from {campanile}notification_deliveries as other \
                where other.notification_id = its.notification_id \
                and other.state in ('pending', 'running', 'delivered', 'unknown', 'blocked'))) \
        {skip_locked})";

async fn release_windows(database: &Database, verdicts: &[Settled]) -> Result<(), sqlx::Error> {
    let unreached = |its: &&Settled| {
        matches!(
            its.state,
            State::Suppressed | State::Unreachable | State::Dead
        )
    };
    let ended: Vec<_> = verdicts
        .iter()
        .filter(unreached)
        .map(|its| its.id)
        .collect();
    if ended.is_empty() {
        return Ok(());
    }
    release_windows_of(database, &ended).await
}

/// The same for deliveries that have just ended without an attempt.
pub(crate) async fn release_windows_of(
    database: &Database,
    ended: &[Uuid],
) -> Result<(), sqlx::Error> {
    let ended = serde_json::json!(ended).to_string();
    let _turn = database.turn_to_write().await;
    each_database!(database, |pool| {
        sqlx::query(database.sql(RELEASE))
            .bind(ended)
            .execute(pool)
            .await?;
    });
    Ok(())
}

/// Records the verdicts: one update and one log line each, in two statements for any number of them. If the database
/// refuses them together, one by one, so that one that cannot be stored keeps none of the others.
///
/// A delivery whose lease was lost in between is left as it is; its attempt is logged all the same, because it happened.
pub(crate) async fn settle(
    database: &Database,
    worker: Uuid,
    verdicts: &[Settled],
) -> Result<(), sqlx::Error> {
    let rows: Vec<_> = verdicts.iter().map(row).collect();
    match record(database, worker, &rows).await {
        Err(sqlx::Error::Database(_)) if rows.len() > 1 => {
            let mut result = Ok(());
            for row in rows {
                result = record(database, worker, &[row]).await.and(result);
            }
            result?;
        }
        together => together?,
    }
    release_windows(database, verdicts).await
}

async fn record(
    database: &Database,
    worker: Uuid,
    rows: &[serde_json::Value],
) -> Result<(), sqlx::Error> {
    let rows = serde_json::json!(rows).to_string();
    let _turn = database.turn_to_write().await;
    each_database!(database, |pool| {
        // The state first: a delivery that went out and was not logged is better than one that goes out again.
        sqlx::query(database.sql(SETTLE))
            .bind(&rows)
            .execute(pool)
            .await?;
        sqlx::query(database.sql(LOG))
            .bind(&rows)
            .bind(worker.to_string())
            .execute(pool)
            .await?;
    });
    Ok(())
}

fn row(verdict: &Settled) -> serde_json::Value {
    let given_back = matches!(verdict.state, State::Released | State::Blocked);
    serde_json::json!([
        verdict.id,
        verdict.attempt,
        verdict.state.as_str(),
        micros(verdict.delay),
        verdict.outcome,
        verdict.status,
        verdict.provider_id,
        verdict.error,
        micros(verdict.took),
        i32::from(given_back),
        i32::from(verdict.state == State::Waiting),
    ])
}

/// `$1` the channel, `$2` how many, `$3` the lease, `$4` the worker, `$5` the most attempts. Leases that ran out come
/// first. Whatever has used up its attempts because its verdicts could never be recorded may have gone out or not. The clock
/// is asked once (`select {now}`), or no index would serve the comparison.
const CLAIM: &str = "\
    with lost as materialized (\
        select id from {campanile}notification_deliveries \
        where channel = $1 and state = 'running' and lease_until <= (select {now}) \
        order by lease_until limit $2 {skip_locked}), \
    due as materialized (\
        select id from {campanile}notification_deliveries \
        where channel = $1 and state = 'pending' and run_at <= (select {now}) \
        order by run_at limit $2 {skip_locked}) \
    update {campanile}notification_deliveries set \
        state = case when attempt - uncounted >= $5 then 'unknown' else 'running' end, \
        attempt = case when attempt - uncounted >= $5 then attempt else attempt + 1 end, \
        finished_at = case when attempt - uncounted >= $5 then {now} end, \
        lease_until = case when attempt - uncounted >= $5 then null else {later($3)} end, \
        worker = case when attempt - uncounted >= $5 then null else {uuid($4)} end \
    where id in (select id from (select id from lost union all select id from due) as taken limit $2) \
    returning {text(id)} as id";

const READ: &str = "\
    select {text(delivery.id)} as id, {text(delivery.notification_id)} as notification_id, \
        {text(delivery.dispatch_id)} as dispatch_id, delivery.user_id, delivery.attempt, delivery.uncounted, \
        dispatch.event_type, dispatch.category, dispatch.subject_id, dispatch.org_id, \
        {text(dispatch.payload)} as payload, {text(dispatch.content)} as content \
    from {campanile}notification_deliveries as delivery \
    left join {campanile}notification_dispatches as dispatch on dispatch.id = delivery.dispatch_id \
    where delivery.id in (select {uuids($1)}) and delivery.state = 'running' \
    order by delivery.run_at, delivery.id";

/// Leases up to `at_most` due deliveries of a channel to this worker. One that cannot be read comes back as what is to be
/// recorded of it.
pub(crate) async fn claim(
    database: &Database,
    channel: &str,
    at_most: usize,
    lease: Duration,
    worker: Uuid,
) -> Result<Vec<Result<Delivery, Settled>>, sqlx::Error> {
    let _turn = database.turn_to_write().await;
    each_database!(database, |pool| {
        let ids: Vec<String> = sqlx::query_scalar(database.sql(CLAIM))
            .bind(channel)
            .bind(i64::try_from(at_most).unwrap_or(i64::MAX))
            .bind(micros(lease))
            .bind(worker.to_string())
            .bind(i64::from(MOST_ATTEMPTS))
            .fetch_all(pool)
            .await?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        sqlx::query(database.sql(READ))
            .bind(serde_json::json!(ids).to_string())
            .fetch_all(pool)
            .await?
            .iter()
            .map(|row| {
                let id = |column| -> Result<Uuid, sqlx::Error> {
                    let text: &str = row.try_get(column)?;
                    Uuid::parse_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
                };
                let attempt: i32 = row.try_get("attempt")?;
                let attempt = u32::try_from(attempt).unwrap_or(1);
                let uncounted: i32 = row.try_get("uncounted")?;
                let uncounted = u32::try_from(uncounted).unwrap_or(0);
                let delivery_id = id("id")?;
                let read = || -> Result<Delivery, sqlx::Error> {
                    Ok(Delivery {
                        id: delivery_id,
                        notification_id: id("notification_id")?,
                        dispatch_id: id("dispatch_id")?,
                        user_id: row.try_get("user_id")?,
                        org_id: row.try_get("org_id")?,
                        event_type: row.try_get("event_type")?,
                        subject_id: row.try_get("subject_id")?,
                        category: row.try_get("category")?,
                        attempt,
                        uncounted,
                        addresses: Vec::new(),
                        parts: Arc::new(parts_of(channel, row.try_get("content")?)?),
                        payload: Arc::new(json(row.try_get("payload")?)?),
                    })
                };
                Ok(read().map_err(|_| blocked(delivery_id, attempt)))
            })
            .collect()
    })
}

/// A row that cannot be read keeps no other from being delivered.
fn blocked(id: Uuid, attempt: u32) -> Settled {
    Settled {
        id,
        attempt,
        state: State::Blocked,
        delay: Duration::ZERO,
        outcome: None,
        status: None,
        provider_id: None,
        error: Some("its content cannot be read".to_owned()),
        took: Duration::ZERO,
    }
}

/// The channel's part of the content. It is taken apart here and not by the database, where one row that is no JSON would
/// fail the others.
fn parts_of(channel: &str, content: &str) -> Result<Parts, sqlx::Error> {
    let mut content: HashMap<String, serde_json::Value> = json(content)?;
    let parts = content.remove(channel).unwrap_or_default();
    serde_json::from_value(parts).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}
