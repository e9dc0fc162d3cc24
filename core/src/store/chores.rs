//! The rows of **chores**: periodic work that one worker does for the whole fleet.

use std::time::Duration;

use rand::RngExt as _;
use uuid::Uuid;

use super::micros;
use crate::database::{Database, each_connection, statement};

/// Deletes rows past their retention.
pub(crate) const PRUNE: &str = "prune";

statement! {
    IS_DUE = "select count(*) from {campanile}notification_chores where name = $1 and due_at <= {now}"
}

statement! {
    TAKE = "\
        update {campanile}notification_chores set due_at = {later($2)}, taken_by = {uuid($3)} \
        where name = $1 and due_at <= {now}"
}

/// Takes a chore if it is due; it is due again after about this time. Returns whether this worker took it.
pub(crate) async fn take_turn(
    database: &Database,
    chore: &str,
    worker: Uuid,
    every: Duration,
) -> Result<bool, sqlx::Error> {
    // A query that finds nothing must not take the lock of an SQLite file.
    let due: i64 = each_connection!(database, |connection| {
        sqlx::query_scalar(IS_DUE.on(database))
            .bind(chore)
            .fetch_one(&mut *connection)
            .await
    })?;
    if due == 0 {
        return Ok(false);
    }
    let pause = rand::rng().random_range(every * 9 / 10..=every * 11 / 10);
    let _turn = database.turn_to_write().await;
    let taken: u64 = each_connection!(database, |connection| {
        let taken = sqlx::query(TAKE.on(database))
            .bind(chore)
            .bind(micros(pause))
            .bind(worker.to_string())
            .execute(&mut *connection)
            .await?;
        Ok(taken.rows_affected())
    })?;
    Ok(taken == 1)
}
