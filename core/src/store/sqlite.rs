//! The write on SQLite: the steps of the Postgres statement, one after the other, in one `BEGIN IMMEDIATE`.
//!
//! Rows are passed as JSON and unpacked by `json_each`: one statement for any number of rows.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr, SqliteConnection};
use uuid::Uuid;

use super::{Admission, Batch, Candidate, Lease, LocalInsert, micros};
use crate::database::dialect::{SQLITE, translate};
use crate::database::row::Id;
use crate::database::statement;

/// The statements of one dispatcher: those of the linked local channels.
#[derive(Debug)]
pub(crate) struct WriteStatements {
    locals: Vec<(&'static str, SqlStr)>,
}

/// The steps need an enclosing transaction.
pub(super) const ONE_STATEMENT: bool = false;

/// Not deferred: a deferred transaction fails at once where it would have to wait (`SQLITE_BUSY_SNAPSHOT`).
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";

/// `$1` is the dispatches, `$2` the rows to write: the index of the dispatch, the notification and the user; and for a remote
/// delivery its id, its channel, whether it is leased, and whether its notification is in a local channel too.
const RELATIONS: &str = "\
with dispatch as materialized (
    select key as n, value ->> 'dispatch_id' as dispatch_id, value ->> 'event_type' as event_type,
        value ->> 'category' as category, value ->> 'subject_id' as subject_id, value ->> 'org_id' as org_id,
        value ->> 'payload' as payload, value ->> 'content' as content, value ->> 'dedup_key' as dedup_key,
        value ->> 'window_micros' as window_micros, value ->> 'expires_micros' as expires_micros,
        value ->> 'trace_context' as trace_context, value ->> 'variant' as variant, value ->> 'secrets' as secrets
    from json_each($1)
),
given as materialized (
    select value ->> 'dispatch' as n, value ->> 'notification' as notification_id, value ->> 'user' as user_id,
        value ->> 'delivery' as delivery_id, value ->> 'channel' as channel, value ->> 'leased' as leased,
        value ->> 'has_local' as has_local
    from json_each($2)
)";

const CLAIM_ROWS: &str = "\
insert into campanile_notification_dedup as held
    (event_type, dedup_key, recipient_user_id, fired_at, window_ends_at, notification_id, variant)
select d.event_type, d.dedup_key, g.user_id, {now}, {now} + d.window_micros, g.notification_id, d.variant
from given g join dispatch d on d.n = g.n
where d.window_micros > 0
on conflict (recipient_user_id, event_type, dedup_key) do update set
    fired_at = excluded.fired_at, window_ends_at = excluded.window_ends_at, notification_id = excluded.notification_id,
    variant = excluded.variant
where held.window_ends_at <= excluded.fired_at or held.variant is not excluded.variant
returning notification_id";

const DISPATCH_ROWS: &str = "\
insert into campanile_notification_dispatches
    (id, event_type, category, subject_id, org_id, dedup_key, payload, content, trace_context, deliveries, created_at)
select d.dispatch_id, d.event_type, d.category, d.subject_id, d.org_id, d.dedup_key, d.payload, d.content, d.trace_context,
    remote.deliveries, {now}
from (select n, count(*) as deliveries from given group by n) as remote join dispatch d on d.n = remote.n where true
on conflict (id) do update set deliveries = campanile_notification_dispatches.deliveries + excluded.deliveries";

const DELIVER_ROWS: &str = "\
insert into campanile_notification_deliveries
    (id, notification_id, dispatch_id, user_id, channel, has_local, state, attempt, run_at, lease_until, worker, claim,
        first_attempt_at, expires_at, secret, created_at)
select g.delivery_id, g.notification_id, d.dispatch_id, g.user_id, g.channel, g.has_local,
    iif(g.leased, {state.running}, {state.pending}), g.leased, {now},
    iif(g.leased, {now} + $3, null), iif(g.leased, $4, null), iif(g.leased, $5, null),
    iif(g.leased, {now}, null), {now} + d.expires_micros, d.secrets ->> g.channel, {now}
from given g join dispatch d on d.n = g.n where true";

statement! { on SQLite; CLAIM = "{relations}\n{rows}", relations = RELATIONS, rows = CLAIM_ROWS }
statement! { on SQLite; DISPATCH = "{relations}\n{rows}", relations = RELATIONS, rows = DISPATCH_ROWS }
statement! { on SQLite; DELIVER = "{relations}\n{rows}", relations = RELATIONS, rows = DELIVER_ROWS }

const LOCAL: &str = "\
{relations},
admitted as (
    select g.notification_id, d.dispatch_id, g.user_id, d.org_id, d.event_type, d.subject_id, d.category, d.payload,
        d.content -> '{channel}' as parts, {now} as created_at
    from given g join dispatch d on d.n = g.n
)
";

impl WriteStatements {
    pub(crate) fn compose(locals: &[LocalInsert]) -> Self {
        let local = |local: &LocalInsert| {
            let pieces = [("relations", RELATIONS), ("channel", local.channel)];
            let sql = translate(LOCAL, &SQLITE, &pieces) + local.statement.sqlite;
            let sql = AssertSqlSafe(Arc::<str>::from(sql));
            (local.channel, sql.into_sql_str())
        };
        Self {
            locals: locals.iter().map(local).collect(),
        }
    }

    /// Each statement with a name.
    pub(crate) fn every(&self) -> Vec<(String, SqlStr)> {
        let locals = self.locals.iter();
        let named = locals.map(|(channel, sql)| (format!("the write of {channel}"), sql.clone()));
        named.collect()
    }
}

/// A row to write, without a delivery.
fn notification_row(candidate: &Candidate) -> Value {
    json!({
        "dispatch": candidate.dispatch,
        "notification": candidate.notification_id,
        "user": candidate.user_id,
    })
}

statement! { on SQLite; PAUSED = "select channel from {campanile}notification_channel_pauses" }

pub(crate) async fn write(
    connection: &mut SqliteConnection,
    statements: &WriteStatements,
    batch: &Batch,
    lease: Lease,
) -> Result<Admission, sqlx::Error> {
    let dispatches = dispatches(batch);
    let mut admission = Admission::default();
    let candidates = batch.candidates.iter().map(notification_row);
    let claimed: Vec<Id> = sqlx::query_scalar(CLAIM.on_sqlite())
        .bind(&dispatches)
        .bind(array(candidates))
        .fetch_all(&mut *connection)
        .await?;
    admission.admitted = claimed.into_iter().map(|id| id.0).collect();
    for candidate in &batch.candidates {
        if batch.dispatches[candidate.dispatch].window.is_zero() {
            admission.admitted.insert(candidate.notification_id);
        }
    }
    if admission.admitted.is_empty() {
        return Ok(admission);
    }
    write_admitted(
        connection,
        statements,
        batch,
        &dispatches,
        lease,
        &mut admission,
    )
    .await?;
    Ok(admission)
}

async fn write_admitted(
    connection: &mut SqliteConnection,
    statements: &WriteStatements,
    batch: &Batch,
    dispatches: &str,
    lease: Lease,
    admission: &mut Admission,
) -> Result<(), sqlx::Error> {
    let admitted: Vec<_> = batch
        .candidates
        .iter()
        .filter(|candidate| admission.admitted.contains(&candidate.notification_id))
        .collect();
    let paused: Vec<String> = sqlx::query_scalar(PAUSED.on_sqlite())
        .fetch_all(&mut *connection)
        .await?;
    let remote = remote_rows(statements, &admitted, lease, &paused, admission);
    for (channel, statement) in &statements.locals {
        let is_in =
            |candidate: &Candidate| candidate.deliveries.iter().any(|(_, to)| to == channel);
        let rows = admitted.iter().filter(|candidate| is_in(candidate));
        let rows = rows.map(|candidate| notification_row(candidate));
        sqlx::query(statement.clone())
            .bind(dispatches)
            .bind(array(rows))
            .execute(&mut *connection)
            .await?;
    }
    if !remote.is_empty() {
        let remote = Value::Array(remote).to_string();
        // A dispatch row is written only for its remote deliveries, which share its content.
        sqlx::query(DISPATCH.on_sqlite())
            .bind(dispatches)
            .bind(&remote)
            .execute(&mut *connection)
            .await?;
        sqlx::query(DELIVER.on_sqlite())
            .bind(dispatches)
            .bind(remote)
            .bind(micros(lease.time))
            .bind(lease.worker.to_string())
            .bind(lease.claim.to_string())
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// The remote deliveries of these candidates; the first ones whose channel is not paused are leased.
fn remote_rows(
    statements: &WriteStatements,
    admitted: &[&Candidate],
    lease: Lease,
    paused: &[String],
    admission: &mut Admission,
) -> Vec<Value> {
    let is_local = |channel: &str| statements.locals.iter().any(|(local, _)| *local == channel);
    let mut rows = Vec::new();
    for candidate in admitted {
        let has_local = candidate.deliveries.iter().any(|(_, to)| is_local(to));
        for (id, channel) in candidate.deliveries.iter().filter(|(_, to)| !is_local(to)) {
            let is_leased = admission.leased.len() < lease.at_most
                && !paused.iter().any(|paused| paused == channel);
            if is_leased {
                admission.leased.insert(*id);
            }
            let mut row = notification_row(candidate);
            row["delivery"] = json!(id);
            row["channel"] = json!(channel);
            row["leased"] = json!(is_leased);
            row["has_local"] = json!(has_local);
            rows.push(row);
        }
    }
    rows
}

statement! {
    on SQLite; TAKE_IDS = "\
        insert into {campanile}notification_dispatch_ids (id, created_at) \
        select value, {now} from json_each($1) where true \
        on conflict (id) do nothing returning id"
}

/// Takes the ids that callers gave, and returns which were free.
pub(super) async fn take_ids(
    connection: &mut SqliteConnection,
    ids: &[Uuid],
    _: Lease,
) -> Result<HashSet<Uuid>, sqlx::Error> {
    let taken: Vec<String> = sqlx::query_scalar(TAKE_IDS.on_sqlite())
        .bind(json!(ids).to_string())
        .fetch_all(connection)
        .await?;
    Ok(super::uuids(&taken))
}

fn dispatches(batch: &Batch) -> String {
    array(batch.dispatches.iter().map(|row| {
        json!({
            "dispatch_id": row.id, "event_type": row.event_type, "category": row.category,
            "subject_id": row.subject_id, "org_id": row.org_id, "payload": row.payload, "content": row.content,
            "dedup_key": row.dedup_key, "window_micros": row.window_micros(),
            "expires_micros": row.expires_after_micros(), "trace_context": row.trace_context,
            "variant": row.variant, "secrets": row.secrets,
        })
    }))
}

fn array(rows: impl Iterator<Item = Value>) -> String {
    Value::Array(rows.collect()).to_string()
}

statement! { on SQLite; WRITE_NOTHING = "delete from {campanile}notification_dedup where false" }

/// Waits for the write lock before the first read: a deferred transaction that reads and then writes fails at once where
/// it would have to wait (`SQLITE_BUSY_SNAPSHOT`).
pub(super) async fn take_write_lock(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query(WRITE_NOTHING.on_sqlite())
        .execute(connection)
        .await?;
    Ok(())
}

/// Sets a savepoint; `false` outside a transaction, which is detected by whether a `BEGIN` succeeds.
pub(super) async fn set_savepoint(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if sqlx::query("begin").execute(&mut *connection).await.is_ok() {
        sqlx::query("rollback").execute(connection).await?;
        return Ok(false);
    }
    sqlx::query("savepoint campanile")
        .execute(connection)
        .await?;
    Ok(true)
}
