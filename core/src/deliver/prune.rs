//! **Prunes** rows that are no longer needed: deliveries that ended long ago with their log and content, windows that are over,
//! and, if the host configures it, items that users have read, items that they never read, and deliveries that were parked for
//! too long.
//!
//! It works in small batches, each in its own transaction that waits for no lock: locked rows are skipped until the next time.
//! The channel that owns a local table defines which of its rows are read.

use std::time::Duration;

use serde::Serialize;

use crate::database::error::StoreError;
use crate::database::{Database, Statement};
use crate::store::prune::{self, BATCH, Ended};

/// How long finished things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_structs,
    reason = "made by callers with `..Retention::default()`"
)]
pub struct Retention {
    /// Deliveries that have ended, with their attempts and, when none of its deliveries is left, the dispatch. Default: 30 days.
    /// Ids that callers gave to dispatches are kept for the same time.
    pub deliveries: Duration,
    /// Windows that are over. Default: a day.
    pub windows: Duration,
    /// Items of local channels, an inbox for example, counted from when the user read them. Default: they are kept.
    pub read_items: Option<Duration>,
    /// Items of local channels that the user never read, counted from when they were written. Default: they are kept.
    pub unread_items: Option<Duration>,
    /// Deliveries that are parked, counted from when they were committed; they were never sent, and never will be. Default: they
    /// are kept.
    pub parked: Option<Duration>,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            deliveries: Duration::from_hours(30 * 24),
            windows: Duration::from_hours(24),
            read_items: None,
            unread_items: None,
            parked: None,
        }
    }
}

/// How many rows were deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Pruned {
    /// Deliveries that had ended.
    pub deliveries: u64,
    /// Attempts of the deleted deliveries.
    pub attempts: u64,
    /// Dispatches without remaining deliveries.
    pub dispatches: u64,
    /// Windows.
    pub windows: u64,
    /// Items that were read.
    pub read_items: u64,
    /// Items that were never read.
    pub unread_items: u64,
    /// Deliveries that were parked.
    pub parked: u64,
}

/// Prunes everything that is past its retention.
pub(crate) async fn prune(
    database: &Database,
    statements: &PruneStatements,
    retention: Retention,
) -> Result<Pruned, StoreError> {
    let database = &database.for_chores();
    let mut pruned = Pruned::default();
    let mut some = Ended::Finished
        .prune(database, retention.deliveries)
        .await?;
    pruned.deliveries = some.deliveries;
    if let Some(older_than) = retention.parked {
        let parked = Ended::Parked.prune(database, older_than).await?;
        pruned.parked = parked.deliveries;
        some.attempts += parked.attempts;
        some.dispatches += parked.dispatches;
    }
    (pruned.attempts, pruned.dispatches) = (some.attempts, some.dispatches);
    pruned.windows = prune_windows(database, retention.windows).await?;
    prune_items(database, &prune::DISPATCH_IDS, retention.deliveries).await?;
    for (statements, older_than, removed) in [
        (
            &statements.read,
            retention.read_items,
            &mut pruned.read_items,
        ),
        (
            &statements.unread,
            retention.unread_items,
            &mut pruned.unread_items,
        ),
    ] {
        let Some(older_than) = older_than else {
            continue;
        };
        for statement in statements {
            *removed += prune_items(database, statement, older_than).await?;
        }
    }
    Ok(pruned)
}

/// The statements that delete items from the local channels' own tables.
#[derive(Debug, Default)]
pub(crate) struct PruneStatements {
    pub(crate) read: Vec<&'static Statement>,
    pub(crate) unread: Vec<&'static Statement>,
}

impl Ended {
    async fn prune(
        self,
        database: &Database,
        older_than: Duration,
    ) -> Result<prune::Removed, StoreError> {
        let (mut total, mut from) = (prune::Removed::default(), 0);
        loop {
            let batch = self.prune_batch(database, older_than, from).await?;
            total.deliveries += batch.deliveries;
            total.attempts += batch.attempts;
            total.dispatches += batch.dispatches;
            let moved = batch.deliveries > 0 || batch.until > from;
            if batch.seen < BATCH || !moved {
                return Ok(total);
            }
            from = batch.until;
        }
    }
}

/// Finds the windows that are over in one pass over the table, and deletes them by their row address.
async fn prune_windows(database: &Database, older_than: Duration) -> Result<u64, StoreError> {
    let mut removed = 0;
    loop {
        let places = prune::ended_windows(database, older_than).await?;
        let before = removed;
        for batch in places.chunks(BATCH) {
            removed += prune::windows(database, batch, older_than).await?;
        }
        if places.len() < prune::MAX_PLACES || removed == before {
            return Ok(removed);
        }
    }
}

/// Repeats a statement, a local channel's for example, until it deletes nothing more.
async fn prune_items(
    database: &Database,
    statement: &'static Statement,
    older_than: Duration,
) -> Result<u64, StoreError> {
    let mut removed = 0;
    loop {
        match prune::items(database, statement, older_than).await? {
            0 => return Ok(removed),
            batch => removed += batch,
        }
    }
}
