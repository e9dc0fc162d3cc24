//! The write on Postgres: one statement in one round trip.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;

use sqlx::{AssertSqlSafe, PgConnection, SqlSafeStr as _, SqlStr};
use uuid::Uuid;

use super::{Admission, Batch, Candidate, Lease, LocalInsert, micros};
use crate::database::dialect::{POSTGRES, translate};
use crate::database::{row, statement};

/// One chunk needs no transaction around it.
pub(super) const ONE_STATEMENT: bool = true;

pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// The parts of the statement, in the order of the data flow.
///
/// * `dispatch` holds the data that the recipients share; the relations after it carry only ids. On the dispatcher's own
///   connection it also sets the lock timeout of this statement: a key may be held by a host's open transaction.
/// * `claimed` takes the windows in sorted order, so that two writers never lock them crosswise. Its `not exists` skips open
///   windows without locking or rewriting their rows; the conflict clause still decides. The clock is `clock_timestamp()`,
///   because `now()` is the start of the transaction, and a claim may wait in it. A window with a variant is open for that
///   variant only; it is always locked, because a later statement of the transaction may claim it for another variant.
/// * `admission` is the recipients that are not repeats. It is tested with `(.. in (..)) is true`, for which the planner uses a
///   hash table; for a join it would estimate a few rows and choose a nested loop.
/// * A dispatch row is written only for its remote deliveries, which share its content.
/// * Each local channel adds its insert over `admitted`.
/// * The first `$16` remote deliveries whose channel is not paused are leased to this process at once.
const HEAD: &str = "\
with dispatch as materialized (
    select d.dispatch_id, d.event_type, d.category, d.subject_id, d.org_id, d.payload::jsonb as payload,
        d.content::jsonb as content, d.dedup_key, d.window_micros, d.expires_micros, d.trace_context, d.variant,
        d.secrets::jsonb as secrets, d.n
    from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[],
            $22::bigint[], $23::text[], $25::text[], $26::text[]) with ordinality as d(dispatch_id, event_type, category, subject_id, org_id,
            payload, content, dedup_key, window_micros, expires_micros, trace_context, variant, secrets, n)
    cross join (select case when $19::text is not null then set_config('lock_timeout', $19, true) end) as bounded
),
candidate as materialized (
    select c.notification_id, c.user_id, d.n, d.event_type, d.dedup_key, d.window_micros, d.variant
    from unnest($10::bigint[], $11::uuid[], $12::text[]) as c(n, notification_id, user_id)
    join dispatch d on d.n = c.n
),
planned as materialized (
    select * from unnest($13::uuid[], $14::uuid[], $15::text[], $20::bigint[], $21::text[])
        as p(notification_id, delivery_id, channel, n, user_id)
),
claimed as (
    insert into campanile.notification_dedup as held
        (event_type, dedup_key, recipient_user_id, fired_at, window_ends_at, notification_id, variant)
    select c.event_type, c.dedup_key, c.user_id, clock_timestamp(),
        clock_timestamp() + c.window_micros * interval '1 microsecond', c.notification_id, c.variant
    from candidate c
    where c.window_micros > 0 and (c.variant is not null or {closed})
    order by c.user_id collate \"C\", c.event_type collate \"C\", c.dedup_key collate \"C\"
    on conflict (recipient_user_id, event_type, dedup_key) do update set
        fired_at = clock_timestamp(),
        window_ends_at = clock_timestamp() + (excluded.window_ends_at - excluded.fired_at),
        notification_id = excluded.notification_id,
        variant = excluded.variant
    where held.window_ends_at <= clock_timestamp() or held.variant is distinct from excluded.variant
    returning notification_id
),
admission as materialized (
    select notification_id from claimed
    union all
    select notification_id from candidate where window_micros = 0
),
admitted_delivery as materialized (
    select p.*, clock_timestamp() as created_at from planned p
    where (p.notification_id in (select notification_id from admission)) is true
),
dispatched as (
    insert into campanile.notification_dispatches
        (id, event_type, category, subject_id, org_id, dedup_key, payload, content, trace_context, deliveries, created_at)
    select d.dispatch_id, d.event_type, d.category, d.subject_id, d.org_id, d.dedup_key, d.payload, d.content,
        d.trace_context, remote.deliveries, clock_timestamp()
    from (select p.n, count(*) as deliveries from admitted_delivery p where p.channel not in ({locals}) group by p.n) as remote
    join dispatch d on d.n = remote.n
    on conflict (id) do update set deliveries = notification_dispatches.deliveries + excluded.deliveries
),
";

/// Skips open windows.
const NO_OPEN_WINDOW: &str = "\
not exists (
        select 1 from campanile.notification_dedup as open
        where open.event_type = c.event_type and open.dedup_key = c.dedup_key
            and open.recipient_user_id = c.user_id and open.window_ends_at > clock_timestamp()
    )";

/// The same check inside the host's transaction, skipped at `SERIALIZABLE`: there its reads take predicate locks on whole index
/// pages, so two hosts that claim windows at the same time would fail with 40001. `on conflict` takes none.
const CLOSED_WITHIN: &str = "case when current_setting('transaction_isolation') = 'serializable' then true else {no_open_window} end";

const TAIL: &str = "\
delivery as (
    insert into campanile.notification_deliveries
        (id, notification_id, dispatch_id, user_id, channel, has_local, state, attempt, run_at, lease_until, worker, claim,
            first_attempt_at, expires_at, secret, created_at)
    select r.delivery_id, r.notification_id, r.dispatch_id, r.user_id, r.channel,
        (r.notification_id in (select l.notification_id from planned l where l.channel in ({locals}))) is true,
        case when r.leased then {state.running} else {state.pending} end,
        case when r.leased then 1 else 0 end,
        r.created_at,
        case when r.leased then r.created_at + $17 * interval '1 microsecond' end,
        case when r.leased then $18::uuid end,
        case when r.leased then $24::uuid end,
        case when r.leased then r.created_at end,
        r.created_at + r.expires_micros * interval '1 microsecond',
        r.secrets ->> r.channel,
        r.created_at
    from (
        select p.*, d.dispatch_id, d.expires_micros, d.secrets, pause.channel is null
            and row_number() over (partition by pause.channel is null order by p.delivery_id) <= $16 as leased
        from admitted_delivery p join dispatch d on d.n = p.n
        left join campanile.notification_channel_pauses as pause on pause.channel = p.channel
        where p.channel not in ({locals})
    ) as r
    returning id, state
)
select notification_id as id, 'admitted' as what from admission
union all
select id, 'leased' from delivery where state = {state.running}
";

/// The statements of one dispatcher.
#[derive(Debug)]
pub(crate) struct WriteStatements {
    alone: SqlStr,
    within: SqlStr,
}

impl WriteStatements {
    pub(crate) fn compose(locals: &[LocalInsert]) -> Self {
        Self {
            alone: compose(locals, NO_OPEN_WINDOW),
            within: compose(locals, CLOSED_WITHIN),
        }
    }

    /// Each statement with a name.
    pub(crate) fn every(&self) -> Vec<(String, SqlStr)> {
        vec![
            ("the write".to_owned(), self.alone.clone()),
            ("the write in a transaction".to_owned(), self.within.clone()),
        ]
    }
}

/// Composes the statement with the inserts of the linked local channels.
fn compose(locals: &[LocalInsert], closed: &str) -> SqlStr {
    let names: Vec<_> = locals
        .iter()
        .map(|local| format!("'{}'", local.channel))
        .chain(["''".to_owned()])
        .collect();
    let names = names.join(", ");
    let pieces = [
        ("locals", names.as_str()),
        ("closed", closed),
        ("no_open_window", NO_OPEN_WINDOW),
    ];
    let own = |part| translate(part, &POSTGRES, &pieces);
    let mut statement = own(HEAD);
    for local in locals {
        // A channel's name is a lower-case word and needs no quoting.
        let _ = write!(
            statement,
            "local_{channel} as (\n\
             with admitted as (\n\
             select p.notification_id, d.dispatch_id, p.user_id, d.org_id, d.event_type, d.subject_id, d.category,\n\
             d.payload, d.content -> '{channel}' as parts, p.created_at\n\
             from admitted_delivery p join dispatch d on d.n = p.n where p.channel = '{channel}'\n\
             )\n{insert}\n),\n",
            channel = local.channel,
            insert = local.statement.postgres,
        );
    }
    statement += &own(TAIL);
    // Cloned for each write: the text is shared, not copied.
    AssertSqlSafe(Arc::<str>::from(statement)).into_sql_str()
}

row! {
    /// A row of the result: a notification that is `admitted`, or a delivery that is `leased`.
    struct WrittenRow {
        id: Uuid,
        what: String,
    }
}

/// The place of a candidate's dispatch, beginning with one.
fn ordinal(candidate: &Candidate) -> i64 {
    i64::try_from(candidate.dispatch + 1).expect("a batch is small")
}

/// The rows of `planned`: notification, delivery, channel, the dispatch's place, user.
fn planned(candidates: &[Candidate]) -> Vec<(Uuid, Uuid, &str, i64, &str)> {
    let rows = candidates.iter().flat_map(|candidate| {
        let pairs = candidate.deliveries.iter();
        pairs.map(move |(id, channel)| {
            let user = candidate.user_id.as_str();
            let ordinal = ordinal(candidate);
            (candidate.notification_id, *id, *channel, ordinal, user)
        })
    });
    rows.collect()
}

pub(crate) async fn write(
    connection: &mut PgConnection,
    statements: &WriteStatements,
    batch: &Batch,
    lease: Lease,
) -> Result<Admission, sqlx::Error> {
    let dispatches = &batch.dispatches;
    let candidates = &batch.candidates;
    let deliveries = planned(candidates);
    let statement = match lease.lock_wait {
        Some(_) => &statements.alone,
        None => &statements.within,
    };
    let rows: Vec<WrittenRow> = sqlx::query_as(statement.clone())
        .bind(column(dispatches, |row| row.id))
        .bind(column(dispatches, |row| row.event_type))
        .bind(column(dispatches, |row| row.category))
        .bind(column(dispatches, |row| row.subject_id.as_deref()))
        .bind(column(dispatches, |row| row.org_id.as_deref()))
        .bind(column(dispatches, |row| row.payload.as_str()))
        .bind(column(dispatches, |row| row.content.as_str()))
        .bind(column(dispatches, |row| row.dedup_key.as_str()))
        .bind(column(dispatches, super::DispatchRow::window_micros))
        .bind(column(candidates, ordinal))
        .bind(column(candidates, |candidate| candidate.notification_id))
        .bind(column(candidates, |candidate| candidate.user_id.as_str()))
        .bind(column(&deliveries, |delivery| delivery.0))
        .bind(column(&deliveries, |delivery| delivery.1))
        .bind(column(&deliveries, |delivery| delivery.2))
        .bind(i64::try_from(lease.at_most).unwrap_or(i64::MAX))
        .bind(micros(lease.time))
        .bind(lease.worker)
        .bind(lock_timeout(lease))
        .bind(column(&deliveries, |delivery| delivery.3))
        .bind(column(&deliveries, |delivery| delivery.4))
        .bind(column(dispatches, super::DispatchRow::expires_after_micros))
        .bind(column(dispatches, |row| row.trace_context.as_deref()))
        .bind(lease.claim)
        .bind(column(dispatches, |row| row.variant.as_deref()))
        .bind(column(dispatches, |row| row.secrets.as_deref()))
        .fetch_all(connection)
        .await?;
    let mut admission = Admission::default();
    for row in rows {
        match row.what.as_str() {
            "leased" => admission.leased.insert(row.id),
            _ => admission.admitted.insert(row.id),
        };
    }
    Ok(admission)
}

statement! {
    on Postgres; TAKE_IDS = "\
        insert into {campanile}notification_dispatch_ids (id, created_at) \
        select given.id, {now} from unnest($1::uuid[]) as given(id) \
        cross join (select case when $2::text is not null then set_config('lock_timeout', $2, true) end) as bounded \
        on conflict (id) do nothing returning id"
}

/// Takes the ids that callers gave, and returns which were free. It waits for an open transaction that holds one.
pub(super) async fn take_ids(
    connection: &mut PgConnection,
    ids: &[Uuid],
    lease: Lease,
) -> Result<HashSet<Uuid>, sqlx::Error> {
    let taken: Vec<Uuid> = sqlx::query_scalar(TAKE_IDS.on_postgres())
        .bind(ids)
        .bind(lock_timeout(lease))
        .fetch_all(connection)
        .await?;
    Ok(taken.into_iter().collect())
}

fn lock_timeout(lease: Lease) -> Option<String> {
    let wait = lease.lock_wait?;
    Some(format!("{}ms", wait.as_millis()))
}

fn column<'a, T, C>(rows: &'a [T], value: impl Fn(&'a T) -> C) -> Vec<C> {
    rows.iter().map(value).collect()
}

/// Nothing to do: rows are locked one by one.
#[allow(clippy::unused_async, reason = "on SQLite it has to wait here")]
pub(super) async fn take_write_lock(_: &mut PgConnection) -> Result<(), sqlx::Error> {
    Ok(())
}

/// Sets a savepoint; `false` outside a transaction (SQLSTATE 25P01).
pub(super) async fn set_savepoint(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    match sqlx::query("savepoint campanile").execute(connection).await {
        Ok(_) => Ok(true),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("25P01") => Ok(false),
        Err(error) => Err(error),
    }
}
