//! **Prunes** what nobody needs any more: deliveries that ended long ago with their log and content, windows that are over,
//! and, if the host says so, what its users have read.
//!
//! In small batches, each a transaction of its own, so that dispatches go on in between. Which rows are read is said by the
//! local channel that owns them.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use sqlx::{Connection as _, Row as _};

use crate::database::{Database, each_database};
use crate::dispatch::Dispatcher;
use crate::error::StoreError;
use crate::store::micros;

/// How many rows one transaction removes.
const BATCH: i64 = 1_000;

/// How long finished things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_structs,
    reason = "made by callers with `..Retention::default()`"
)]
pub struct Retention {
    /// Deliveries that have ended, with their attempts and, when no delivery of it is left, the dispatch. 30 days unless
    /// said otherwise.
    pub deliveries: Duration,
    /// Windows that are over. A day unless said otherwise.
    pub windows: Duration,
    /// Items of local channels, an inbox for example, since the user read them. Kept for good unless said otherwise; what
    /// was never read is kept in any case.
    pub read_items: Option<Duration>,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            deliveries: Duration::from_hours(30 * 24),
            windows: Duration::from_hours(24),
            read_items: None,
        }
    }
}

/// How many rows were removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Pruned {
    /// Deliveries.
    pub deliveries: u64,
    /// Attempts of theirs.
    pub attempts: u64,
    /// Dispatches of which no delivery is left.
    pub dispatches: u64,
    /// Windows.
    pub windows: u64,
    /// Items that were read.
    pub read_items: u64,
}

const FINISHED: &str = "\
    select {text(id)} as id, {text(dispatch_id)} as dispatch_id from {campanile}notification_deliveries \
    where finished_at <= (select {earlier($1)}) order by finished_at limit $2 {skip_locked}";

/// Two that prune at the same time wait here for each other; otherwise each would see the other's delivery of a shared
/// dispatch, and neither would remove it.
const LOCK_DISPATCHES: &str = "\
    select {text(id)} as id from {campanile}notification_dispatches where id in (select {uuids($1)}) order by id {for_update}";

const ATTEMPTS: &str =
    "delete from {campanile}notification_attempts where delivery_id in (select {uuids($1)})";

const DELIVERIES: &str =
    "delete from {campanile}notification_deliveries where id in (select {uuids($1)})";

const DISPATCHES: &str = "\
    delete from {campanile}notification_dispatches where id in (select {uuids($1)}) and not exists \
    (select 1 from {campanile}notification_deliveries as its where its.dispatch_id = notification_dispatches.id)";

/// The clock is looked at again when the row is locked: a renewed window stays.
const WINDOWS: &str = "\
    delete from {campanile}notification_dedup where (event_type, dedup_key, recipient_user_id) in \
    (select event_type, dedup_key, recipient_user_id from {campanile}notification_dedup \
    where window_ends_at <= {earlier($1)} limit $2) and window_ends_at <= {earlier($1)}";

impl Dispatcher {
    /// Removes what is older than the retention, in batches of a thousand, and says how much. Call it now and then, from
    /// one process or from several.
    ///
    /// # Errors
    ///
    /// When the database does not answer; what was removed until then stays removed.
    ///
    /// # Cancel safety
    ///
    /// Once polled it goes on in a task of its own; each batch is removed whole or not at all.
    pub async fn prune(&self, retention: Retention) -> Result<Pruned, StoreError> {
        let inner = Arc::clone(&self.inner);
        let pruning = tokio::spawn(async move {
            let database = &inner.database;
            let mut pruned = Pruned::default();
            while prune_deliveries(database, retention.deliveries, &mut pruned).await? > 0 {}
            pruned.windows = prune_by(database, WINDOWS, retention.windows).await?;
            if let Some(older_than) = retention.read_items {
                for statement in &inner.prune_statements {
                    pruned.read_items += prune_by(database, statement, older_than).await?;
                }
            }
            Ok::<_, sqlx::Error>(pruned)
        });
        let pruned = pruning.await.map_err(|_| StoreError::interrupted())?;
        Ok(pruned?)
    }
}

async fn prune_deliveries(
    database: &Database,
    older_than: Duration,
    pruned: &mut Pruned,
) -> Result<u64, sqlx::Error> {
    let _turn = database.turn_to_write().await;
    each_database!(database, |pool| {
        let mut connection = pool.acquire().await?;
        let mut transaction = connection.begin_with(database.begin()).await?;
        let rows = sqlx::query(database.sql(FINISHED))
            .bind(micros(older_than))
            .bind(BATCH)
            .fetch_all(&mut *transaction)
            .await?;
        let column = |name| -> Result<String, sqlx::Error> {
            let ids = rows.iter().map(|row| row.try_get::<String, _>(name));
            let ids: Vec<String> = ids.collect::<Result<_, _>>()?;
            Ok(serde_json::json!(ids).to_string())
        };
        let (ids, dispatches) = (column("id")?, column("dispatch_id")?);
        sqlx::query(database.sql(LOCK_DISPATCHES))
            .bind(&dispatches)
            .fetch_all(&mut *transaction)
            .await?;
        let mut removed = [0; 3];
        for ((statement, ids), count) in [
            (ATTEMPTS, &ids),
            (DELIVERIES, &ids),
            (DISPATCHES, &dispatches),
        ]
        .into_iter()
        .zip(&mut removed)
        {
            let done = sqlx::query(database.sql(statement)).bind(ids);
            *count = done.execute(&mut *transaction).await?.rows_affected();
        }
        transaction.commit().await?;
        pruned.attempts += removed[0];
        pruned.deliveries += removed[1];
        pruned.dispatches += removed[2];
        Ok(removed[1])
    })
}

/// Runs a statement until it removes nothing more, and says how much that was.
async fn prune_by(
    database: &Database,
    statement: &str,
    older_than: Duration,
) -> Result<u64, sqlx::Error> {
    let mut removed = 0;
    loop {
        let _turn = database.turn_to_write().await;
        let batch: u64 = each_database!(database, |pool| {
            sqlx::query(database.sql(statement))
                .bind(micros(older_than))
                .bind(BATCH)
                .execute(pool)
                .await?
                .rows_affected()
        });
        if batch == 0 {
            return Ok(removed);
        }
        removed += batch;
    }
}
