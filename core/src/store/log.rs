//! The **delivery log**: one row for each attempt.

use std::collections::HashMap;

use uuid::Uuid;

use super::settle::GIVEN;
use crate::database::{Database, each_connection, statement};

/// An attempt whose worker was lost is logged when another worker detects it; if its own worker still records an outcome later,
/// that outcome replaces it.
pub(super) const LOG: &str = "\
    insert into {campanile}notification_attempts as attempts \
        (delivery_id, attempt, started_at, took_micros, outcome, status, provider_id, error, worker, error_class, trace_id) \
    select delivery_id, attempt, {earlier(took)}, took, outcome, status, provider_id, error, {uuid($2)}, error_class, trace_id \
    from given \
    where outcome is not null and {whose} \
    order by delivery_id, attempt \
    on conflict (delivery_id, attempt) do update set started_at = excluded.started_at, \
        took_micros = excluded.took_micros, outcome = excluded.outcome, status = excluded.status, \
        provider_id = excluded.provider_id, error = excluded.error, error_class = excluded.error_class, \
        trace_id = excluded.trace_id \
    where attempts.outcome = 'lost'";

/// Nothing is logged about a user who is being forgotten at the same time.
const STILL_THERE: &str = "\
    delivery_id in (select id from {campanile}notification_deliveries where id in (select {uuids($3)}) order by id {key_share})";

/// An attempt that ended without being recorded: its worker died, or lost its lease.
#[derive(Debug)]
pub(crate) struct Lost {
    pub(crate) delivery: Uuid,
    pub(crate) attempt: u32,
    pub(crate) worker: Uuid,
}

/// Logs the attempts of workers that were lost.
pub(crate) async fn lost(database: &Database, lost: &[Lost]) -> Result<(), sqlx::Error> {
    let mut by_worker: HashMap<Uuid, Vec<serde_json::Value>> = HashMap::new();
    for attempt in lost {
        let row = serde_json::json!({
            "id": attempt.delivery,
            "attempt": attempt.attempt,
            "took": 0,
            "outcome": "lost",
            "error": "its worker stopped or was cut off",
        });
        by_worker.entry(attempt.worker).or_default().push(row);
    }
    for (worker, rows) in by_worker {
        write(database, worker, &rows).await?;
    }
    Ok(())
}

statement! {
    pub(super) WRITE = "with {given} {log}", given = GIVEN, log = LOG, whose = STILL_THERE
}

pub(super) async fn write(
    database: &Database,
    worker: Uuid,
    rows: &[serde_json::Value],
) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = rows.iter().map(|row| row["id"].clone()).collect();
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        sqlx::query(WRITE.on(database))
            .bind(serde_json::json!(rows).to_string())
            .bind(worker.to_string())
            .bind(serde_json::json!(ids).to_string())
            .execute(&mut *connection)
            .await?;
        Ok(())
    })
}
