//! `GET /api/deliveries`: remote deliveries that wait for their next attempt, and why.

use axum::Json;
use axum::extract::State;
use campanile::StoreError;
use campanile::database::{each_connection, statement};
use campanile::sqlx::{self, Row as _};
use serde::Serialize;

use crate::inspector::Inspector;
use crate::problem::Problem;

/// A delivery that is not finished yet.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Waiting {
    id: String,
    event_type: String,
    recipient_user_id: String,
    channel: String,
    state: String,
    attempts: i64,
    last_error: Option<String>,
    milliseconds_left: i64,
}

statement! {
    OPEN = "\
        select {text(delivery.id)} as id, event_type, user_id, channel, state, \
         {int(attempt)} as attempts, last_error, {micros(run_at)} as run_at, \
         {micros(clock.now)} as now \
         from {campanile}notification_deliveries as delivery \
         join {campanile}notification_dispatches as dispatch on dispatch.id = dispatch_id \
         cross join (select {now} as now) as clock \
         where state in {states.open} order by run_at, delivery.id limit 100"
}

pub(crate) async fn list(
    State(inspector): State<Inspector>,
) -> Result<Json<Vec<Waiting>>, Problem> {
    let database = inspector.dispatcher().database();
    let waiting: Result<Vec<Waiting>, sqlx::Error> = each_connection!(database, |connection| {
        let rows = sqlx::query(OPEN.on(database))
            .fetch_all(&mut *connection)
            .await?;
        rows.iter()
            .map(|row| {
                let (run_at, now): (i64, i64) = (row.try_get("run_at")?, row.try_get("now")?);
                Ok(Waiting {
                    id: row.try_get("id")?,
                    event_type: row.try_get("event_type")?,
                    recipient_user_id: row.try_get("user_id")?,
                    channel: row.try_get("channel")?,
                    state: row.try_get("state")?,
                    attempts: row.try_get("attempts")?,
                    last_error: row.try_get("last_error")?,
                    milliseconds_left: ((run_at - now) / 1_000).max(0),
                })
            })
            .collect()
    });
    Ok(Json(waiting.map_err(StoreError::from)?))
}
