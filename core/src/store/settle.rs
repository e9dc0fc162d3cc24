//! Deliveries after the write: claim what is due, and record the verdict of an attempt.
//!
//! Every transition is guarded by state and attempt number, so that whoever lost its lease changes nothing.

use std::time::Duration;

use sqlx::Row as _;
use uuid::Uuid;

use super::micros;
use crate::database::{Database, each_database};
use crate::delivery::Parts;

/// The state a delivery goes to after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Pending,
    Delivered,
    Suppressed,
    Unreachable,
    Dead,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Suppressed => "suppressed",
            Self::Unreachable => "unreachable",
            Self::Dead => "dead",
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
    pub(crate) outcome: &'static str,
    pub(crate) status: Option<u16>,
    pub(crate) provider_id: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) took: Duration,
}

/// A delivery as a worker claims it, with what it needs to be sent.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) id: Uuid,
    pub(crate) notification_id: Uuid,
    pub(crate) dispatch_id: Uuid,
    pub(crate) user_id: String,
    pub(crate) org_id: Option<String>,
    pub(crate) channel: String,
    pub(crate) event_type: String,
    pub(crate) category: String,
    pub(crate) subject_id: Option<String>,
    pub(crate) attempt: u32,
    pub(crate) parts: Parts,
    pub(crate) payload: serde_json::Value,
}

/// `$1` is `[id, attempt, state, delay, outcome, status, provider id, error, took]` rows, `$2` the worker.
const SETTLE: &str = "\
    update {campanile}notification_deliveries as delivery set \
        state = verdict.value ->> 2, lease_until = null, worker = null, last_error = verdict.value ->> 7, \
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
    from {rows($1)} as verdict where true on conflict (delivery_id, attempt) do nothing";

/// Records the verdicts: one update and one log line each, in two statements for any number of them.
///
/// A delivery whose lease was lost in between is left as it is; its attempt is logged all the same, because it happened.
pub(crate) async fn settle(
    database: &Database,
    worker: Uuid,
    verdicts: &[Settled],
) -> Result<(), sqlx::Error> {
    let rows: Vec<_> = verdicts
        .iter()
        .map(|verdict| {
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
            ])
        })
        .collect();
    let rows = serde_json::Value::Array(rows).to_string();
    let _turn = database.turn_to_write().await;
    each_database!(database, |pool| {
        sqlx::query(database.sql(LOG))
            .bind(&rows)
            .bind(worker.to_string())
            .execute(pool)
            .await?;
        sqlx::query(database.sql(SETTLE))
            .bind(&rows)
            .execute(pool)
            .await?;
    });
    Ok(())
}

/// `$1` the linked channels, `$2` how many, `$3` the lease, `$4` the worker.
const CLAIM: &str = "\
    with due as materialized (\
        select id from {campanile}notification_deliveries \
        where channel in (select {texts($1)}) \
            and (state = 'pending' and run_at <= {now} or state = 'running' and lease_until <= {now}) \
        order by run_at limit $2 {skip_locked}) \
    update {campanile}notification_deliveries set state = 'running', attempt = attempt + 1, \
        lease_until = {later($3)}, worker = {uuid($4)} \
    where id in (select id from due) \
    returning {text(id)} as id";

const READ: &str = "\
    select {text(delivery.id)} as id, {text(delivery.notification_id)} as notification_id, \
        {text(delivery.dispatch_id)} as dispatch_id, delivery.user_id, delivery.channel, delivery.attempt, \
        dispatch.event_type, dispatch.category, dispatch.subject_id, dispatch.org_id, \
        {text(dispatch.payload)} as payload, {text(dispatch.content -> delivery.channel)} as parts \
    from {campanile}notification_deliveries as delivery \
    join {campanile}notification_dispatches as dispatch on dispatch.id = delivery.dispatch_id \
    where delivery.id in (select {uuids($1)}) order by delivery.run_at, delivery.id";

/// Leases up to `at_most` due deliveries of these channels to this worker.
pub(crate) async fn claim(
    database: &Database,
    channels: &[&str],
    at_most: usize,
    lease: Duration,
    worker: Uuid,
) -> Result<Vec<Claimed>, sqlx::Error> {
    let channels = serde_json::json!(channels).to_string();
    let _turn = database.turn_to_write().await;
    each_database!(database, |pool| {
        let ids: Vec<String> = sqlx::query_scalar(database.sql(CLAIM))
            .bind(channels)
            .bind(i64::try_from(at_most).unwrap_or(i64::MAX))
            .bind(micros(lease))
            .bind(worker.to_string())
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
                Ok(Claimed {
                    id: id("id")?,
                    notification_id: id("notification_id")?,
                    dispatch_id: id("dispatch_id")?,
                    user_id: row.try_get("user_id")?,
                    org_id: row.try_get("org_id")?,
                    channel: row.try_get("channel")?,
                    event_type: row.try_get("event_type")?,
                    category: row.try_get("category")?,
                    subject_id: row.try_get("subject_id")?,
                    attempt: u32::try_from(attempt).unwrap_or(1),
                    parts: json(row.try_get("parts")?)?,
                    payload: json(row.try_get("payload")?)?,
                })
            })
            .collect()
    })
}

fn json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, sqlx::Error> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}
