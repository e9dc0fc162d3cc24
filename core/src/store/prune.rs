//! Deletes rows that are no longer needed, batch by batch.
//!
//! Nothing here waits for a lock: dispatches and their recipients are locked first, and rows that are already locked are skipped.

use std::time::Duration;

use sqlx::Connection as _;

use super::{micros, removal};
use crate::database::error::StoreError;
use crate::database::task::run_to_end;
use crate::database::{Database, Pool, Statement, each_connection, row, statement};

statement! {
    /// Ids that callers gave to their dispatches.
    pub(crate) DISPATCH_IDS = "\
        delete from {campanile}notification_dispatch_ids where id in \
        (select id from {campanile}notification_dispatch_ids where created_at <= {earlier($1)} limit $2)"
}

/// How many rows one transaction deletes.
pub(crate) const BATCH: usize = 1_000;

/// How many windows one pass over their table finds.
pub(crate) const MAX_PLACES: usize = 200_000;

/// Which deliveries are deleted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ended {
    Finished,
    Parked,
}

/// The result of one batch.
#[derive(Debug, Default)]
pub(crate) struct Removed {
    /// How many deliveries were examined.
    pub(crate) seen: usize,
    /// When the last of these ended, in microseconds: the next batch begins there, and does not read the dead entries of the
    /// index again.
    pub(crate) until: i64,
    pub(crate) deliveries: u64,
    pub(crate) attempts: u64,
    pub(crate) dispatches: u64,
}

statement! {
    /// `$1` is the age, `$2` the limit, `$3` where to begin.
    FINISHED = "\
        select {text(id)} as id, {text(dispatch_id)} as dispatch_id, {micros(finished_at)} as ended \
        from {campanile}notification_deliveries \
        where finished_at <= (select {earlier($1)}) and finished_at >= (select {moment($3)}) order by finished_at limit $2"
}

statement! {
    PARKED = "\
        select {text(id)} as id, {text(dispatch_id)} as dispatch_id, {int($3)} as ended \
        from {campanile}notification_deliveries \
        where state = {state.blocked} and created_at <= (select {earlier($1)}) limit $2"
}

row! {
    /// A row of [`FINISHED`] and [`PARKED`].
    struct EndedRow {
        id: String,
        dispatch_id: String,
        ended: i64,
    }
}

statement! {
    /// A transaction that deletes deliveries of a dispatch locks the dispatch first, so that of two transactions one sees that it
    /// has deleted the last delivery.
    LOCK_DISPATCHES = "\
        select {text(id)} as id from {campanile}notification_dispatches where id in (select {uuids($1)}) order by id {skip_locked}"
}

statement! {
    /// `$1` is the deliveries, `$2` the dispatches that are locked. The state is checked again: they may have been retried.
    LOCK_DELIVERIES = "\
        select {text(id)} as id from {campanile}notification_deliveries as delivery \
        where id in (select {uuids($1)}) and (finished_at is not null or state = {state.blocked}) \
            and (dispatch_id in (select {uuids($2)}) or not exists \
                (select 1 from {campanile}notification_dispatches as dispatch where dispatch.id = delivery.dispatch_id)) \
        order by id {skip_locked}"
}

impl Ended {
    /// Deletes a batch of the deliveries that ended longer ago, beginning with those that ended at `from`.
    pub(crate) async fn prune_batch(
        self,
        database: &Database,
        older_than: Duration,
        from: i64,
    ) -> Result<Removed, StoreError> {
        let found: &Statement = match self {
            Self::Finished => &FINISHED,
            Self::Parked => &PARKED,
        };
        let database = database.clone();
        // In its own task: a transaction that is dropped while it begins would return to the pool in that state.
        let removed: Result<_, sqlx::Error> = run_to_end(async move {
            let _turn = database.turn_to_write().await;
            each_connection!(&database, |connection| {
                let mut transaction = connection.begin_with(database.begin()).await?;
                let rows: Vec<EndedRow> = sqlx::query_as(found.on(&database))
                    .bind(micros(older_than))
                    .bind(i64::try_from(BATCH).unwrap_or(i64::MAX))
                    .bind(from)
                    .fetch_all(&mut *transaction)
                    .await?;
                let seen = rows.len();
                let until = rows.last().map_or(from, |row| row.ended);
                let (ids, dispatches): (Vec<_>, Vec<_>) = rows
                    .into_iter()
                    .map(|row| (row.id, row.dispatch_id))
                    .unzip();
                let dispatches: Vec<String> = sqlx::query_scalar(LOCK_DISPATCHES.on(&database))
                    .bind(serde_json::json!(dispatches).to_string())
                    .fetch_all(&mut *transaction)
                    .await?;
                let dispatches = serde_json::json!(dispatches).to_string();
                let ids: Vec<String> = sqlx::query_scalar(LOCK_DELIVERIES.on(&database))
                    .bind(serde_json::json!(ids).to_string())
                    .bind(&dispatches)
                    .fetch_all(&mut *transaction)
                    .await?;
                let ids = serde_json::json!(ids).to_string();
                let mut counts = [0; removal::STEPS.len()];
                for (statement, count) in removal::STEPS.into_iter().zip(&mut counts) {
                    let done = sqlx::query(statement.on(&database)).bind(&ids);
                    *count = done.execute(&mut *transaction).await?.rows_affected();
                }
                transaction.commit().await?;
                let [dispatches, _, attempts, deliveries] = counts;
                Ok(Removed {
                    seen,
                    until,
                    deliveries,
                    attempts,
                    dispatches,
                })
            })
        })
        .await?;
        Ok(removed?)
    }
}

#[cfg(feature = "postgres")]
statement! {
    /// The row addresses of expired windows, as a JSON array. There is no index on their end: every renewal would have to write
    /// to it, and could not be a HOT update.
    on Postgres; PLACES_ON_POSTGRES = "\
        select coalesce(json_agg(place), '[]')::text from (select ctid::text as place from {campanile}notification_dedup \
        where window_ends_at <= (select {earlier($1)}) limit $2) as ended"
}

#[cfg(feature = "sqlite")]
statement! {
    on SQLite; PLACES_ON_SQLITE = "\
        select json_group_array(json_object('event_type', event_type, 'dedup_key', dedup_key, 'user', recipient_user_id)) from (select * from campanile_notification_dedup \
        where window_ends_at <= (select {earlier($1)}) limit $2) as ended"
}

#[cfg(feature = "postgres")]
statement! {
    /// `$1` is the places, `$2` the age. The clock is compared again when a row is locked: a renewed window stays.
    on Postgres; WINDOWS_ON_POSTGRES = "\
        delete from {campanile}notification_dedup where ctid = any(array(\
            select ctid from {campanile}notification_dedup \
            where ctid = any(array(select place::tid from (select {texts($1)} as place) as given)) \
                and window_ends_at <= (select {earlier($2)}) {skip_locked}))"
}

#[cfg(feature = "sqlite")]
statement! {
    on SQLite; WINDOWS_ON_SQLITE = "\
        delete from campanile_notification_dedup where (event_type, dedup_key, recipient_user_id) in \
            (select value ->> 'event_type', value ->> 'dedup_key', value ->> 'user' from json_each($1)) and window_ends_at <= (select {earlier($2)})"
}

/// Finds windows that ended longer ago, in one pass.
pub(crate) async fn ended_windows(
    database: &Database,
    older_than: Duration,
) -> Result<Vec<serde_json::Value>, StoreError> {
    let statement: &Statement = match database.pool() {
        #[cfg(feature = "postgres")]
        Pool::Postgres(_) => &PLACES_ON_POSTGRES,
        #[cfg(feature = "sqlite")]
        Pool::Sqlite(_) => &PLACES_ON_SQLITE,
        #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
        Pool::Missing(never) => match *never {},
    };
    let places: Result<String, _> = each_connection!(database, |connection| {
        sqlx::query_scalar(statement.on(database))
            .bind(micros(older_than))
            .bind(i64::try_from(MAX_PLACES).unwrap_or(i64::MAX))
            .fetch_one(&mut *connection)
            .await
    });
    let places = serde_json::from_str(&places?);
    Ok(places.map_err(|error| sqlx::Error::Decode(error.into()))?)
}

/// Deletes the windows at these places that have not been renewed, and returns how many.
pub(crate) async fn windows(
    database: &Database,
    places: &[serde_json::Value],
    older_than: Duration,
) -> Result<u64, StoreError> {
    let statement: &Statement = match database.pool() {
        #[cfg(feature = "postgres")]
        Pool::Postgres(_) => &WINDOWS_ON_POSTGRES,
        #[cfg(feature = "sqlite")]
        Pool::Sqlite(_) => &WINDOWS_ON_SQLITE,
        #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
        Pool::Missing(never) => match *never {},
    };
    let _turn = database.turn_to_write().await;
    let removed: Result<u64, sqlx::Error> = each_connection!(database, |connection| {
        let done = sqlx::query(statement.on(database))
            .bind(serde_json::json!(places).to_string())
            .bind(micros(older_than))
            .execute(&mut *connection)
            .await?;
        Ok(done.rows_affected())
    });
    Ok(removed?)
}

/// Runs a local channel's own statement once, and returns how many rows it has deleted.
pub(crate) async fn items(
    database: &Database,
    statement: &'static Statement,
    older_than: Duration,
) -> Result<u64, StoreError> {
    let _turn = database.turn_to_write().await;
    let removed: Result<u64, sqlx::Error> = each_connection!(database, |connection| {
        let done = sqlx::query(statement.on(database))
            .bind(micros(older_than))
            .bind(i64::try_from(BATCH).unwrap_or(i64::MAX))
            .execute(&mut *connection)
            .await?;
        Ok(done.rows_affected())
    });
    Ok(removed?)
}
