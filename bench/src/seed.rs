//! What is in the tables before a work begins. All SQL of it stands here, with the placeholders of [`Database::sql`].

use campanile::Database;
use campanile::database::each_database;
use sqlx::Executor as _;

use crate::Result;

/// How many users there are who have an address on the remote channel.
pub(crate) const USERS: usize = 1_000;

/// How many users there are who muted everything.
pub(crate) const MUTED: usize = 6_000;

/// Old rows are written so many at a time.
const PORTION: u64 = 100_000;

pub(crate) fn user(number: usize) -> String {
    format!("u_{number}")
}

pub(crate) fn muted(number: usize) -> String {
    format!("m_{number}")
}

/// Addresses, and the preferences of those who muted everything.
pub(crate) async fn people(database: &Database) -> Result<()> {
    let users = series(database, 0, USERS as u64 - 1);
    let muted = series(database, 0, MUTED as u64 - 1);
    execute(
        database,
        &format!(
            "insert into {{campanile}}notification_addresses (user_id, channel, address, created_at) \
             select 'u_' || n, 'wire', 'socket', {{now}} from {users}"
        ),
    )
    .await?;
    for channel in ["inbox", "wire"] {
        execute(
            database,
            &format!(
                "insert into {{campanile}}user_notification_preferences (user_id, category, channel, enabled, updated_at) \
                 select 'm_' || n, 'bench', '{channel}', {{flag(0)}}, {{now}} from {muted}"
            ),
        )
        .await?;
    }
    execute(database, "analyze").await
}

/// How many inboxes so many old items are in.
pub(crate) fn inboxes(rows: u64) -> u64 {
    (rows / 1_000).max(200)
}

/// Old items and deliveries that have ended, as many of each, with windows that are over: what a year of dispatches leaves. Half of
/// the items are read.
pub(crate) async fn old_rows(database: &Database, rows: u64) -> Result<()> {
    let users = inboxes(rows);
    for first in (0..rows).step_by(usize::try_from(PORTION)?) {
        let last = (first + PORTION).min(rows) - 1;
        for statement in old(database, users, first, last) {
            execute(database, &statement).await?;
        }
    }
    Ok(())
}

fn old(database: &Database, users: u64, first: u64, last: u64) -> [String; 5] {
    let series = series(database, first, last);
    // Ids of September 2020, ordered by time as those that campanile makes.
    let id = |table: u8, number: &str| match database.kind() {
        "Postgres" => format!(
            "(lpad(to_hex(1600000000000 + {number}), 12, '0') || '700{table}8000' || lpad(to_hex({number}), 12, '0'))::uuid"
        ),
        _ => format!(
            "printf('%08x-%04x-700{table}-8000-%012x', (1600000000000 + {number}) >> 16, (1600000000000 + {number}) & 65535, {number})"
        ),
    };
    let at = "{moment((1600000000000 + n) * 1000)}";
    let (notification, dispatch, delivery) = (id(1, "n"), id(2, "(n / 10)"), id(3, "n"));
    let user = format!("'u_' || (n % {users})");
    let (object, yes) = match database.kind() {
        "Postgres" => ("jsonb_build_object", "true"),
        _ => ("json_object", "1"),
    };
    let payload = format!("{object}('number', n, 'payer', 'Ada Lovelace', 'amount', '1,200 EUR')");
    let worker = id(4, "0");
    [
        format!(
            "insert into {{campanile}}notifications \
             (id, user_id, event_type, category, subject_id, title, body, payload, created_at, {{sqlite(created_in, changed_in, )}}read_at, seen_at) \
             select {notification}, {user}, 'bench.invoice.paid', 'bench', n, 'Invoice ' || n || ' was paid', \
             'Ada Lovelace paid 1,200 EUR for invoice ' || n || '.', {payload}, {at}, {{sqlite(0, 0, )}}\
             case when n / {users} % 2 = 0 then {at} end, case when n / {users} % 2 = 0 then {at} end from {series}"
        ),
        format!(
            "insert into {{campanile}}notification_dedup \
             (event_type, dedup_key, recipient_user_id, fired_at, window_ends_at, notification_id) \
             select 'bench.invoice.paid', 'old ' || n, {user}, {at}, {at}, {notification} from {series}"
        ),
        format!(
            "insert into {{campanile}}notification_dispatches \
             (id, event_type, category, subject_id, dedup_key, payload, content, deliveries, created_at) \
             select {dispatch}, 'bench.invoice.paid', 'bench', n, 'old ' || n, {payload}, {payload}, 10, {at} \
             from {series} where n % 10 = 0"
        ),
        format!(
            "insert into {{campanile}}notification_deliveries \
             (id, notification_id, dispatch_id, user_id, channel, has_local, state, attempt, run_at, created_at, finished_at) \
             select {delivery}, {notification}, {dispatch}, {user}, 'wire', {yes}, 'delivered', 1, {at}, {at}, {at} from {series}"
        ),
        format!(
            "insert into {{campanile}}notification_attempts \
             (delivery_id, attempt, started_at, took_micros, outcome, worker) \
             select {delivery}, 1, {at}, 100, 'accepted', {worker} from {series}"
        ),
    ]
}

/// A table of numbers, `n`.
fn series(database: &Database, first: u64, last: u64) -> String {
    match database.kind() {
        "Postgres" => format!("generate_series({first}::bigint, {last}) as series(n)"),
        _ => format!(
            "(with recursive series(n) as (select {first} union all select n + 1 from series where n < {last}) select n from series)"
        ),
    }
}

/// How many deliveries have not ended.
pub(crate) async fn left(database: &Database) -> Result<i64> {
    let statement = "select count(*) from (select 1 from {campanile}notification_deliveries \
         where state in ('pending', 'running') limit 1) as left_over";
    number(database, statement).await
}

pub(crate) async fn number(database: &Database, statement: &str) -> Result<i64> {
    let statement = database.sql(statement);
    Ok(each_database!(database, |pool| {
        sqlx::query_scalar(statement).fetch_one(pool).await?
    }))
}

/// Has the database do now what it would do later, in the middle of a measurement.
pub(crate) async fn settle(database: &Database) -> Result<()> {
    let statements: &[&str] = match database.kind() {
        "Postgres" => &["vacuum (analyze)", "checkpoint"],
        _ => &["analyze", "pragma wal_checkpoint(truncate)"],
    };
    for statement in statements {
        execute(database, statement).await?;
    }
    Ok(())
}

pub(crate) async fn execute(database: &Database, statement: &str) -> Result<()> {
    let statement = database.sql(statement);
    each_database!(database, |pool| {
        pool.execute(statement).await?;
    });
    Ok(())
}
