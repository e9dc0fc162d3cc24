//! The rows of **chores**: what one worker of a fleet does now and then for all of them.

use std::time::Duration;

use rand::RngExt as _;
use uuid::Uuid;

use super::micros;
use crate::database::{Database, each_connection, statement};

/// To delete rows past their retention.
pub(crate) const PRUNE: &str = "prune";

statement! {
    IS_DUE = "select count(*) from {campanile}notification_chores where name = $1 and due_at <= {now}"
}

statement! {
    TAKE = "\
        update {campanile}notification_chores set due_at = {later($2)}, taken_by = {uuid($3)} \
        where name = $1 and due_at <= {now}"
}

/// Whether a chore is due; then it is this worker's, and due again after about this time.
pub(crate) async fn take_turn(
    database: &Database,
    chore: &str,
    worker: Uuid,
    every: Duration,
) -> Result<bool, sqlx::Error> {
    // A look that finds nothing must not take the lock of an SQLite file.
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
