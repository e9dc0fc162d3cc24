//! The dedup ledger: `GET /api/dedup` lists the windows, `POST /api/dedup/release` ends them early.

use axum::Json;
use axum::extract::State;
use campanile::StoreError;
use campanile::database::{each_connection, statement};
use campanile::sqlx::{self, Row as _};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::timestamp;
use crate::body::Document;
use crate::inspector::Inspector;
use crate::problem::Problem;

/// One entry of the ledger: a window. Its remaining time is by the database's clock, which alone decides.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    event_type: String,
    dedup_key: String,
    recipient_user_id: String,
    fired_at: Timestamp,
    window_ends_at: Timestamp,
    milliseconds_left: i64,
}

/// Which windows to end; a missing field matches all.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Which {
    #[serde(default)]
    event_type: Option<String>,
    #[serde(default)]
    dedup_key: Option<String>,
    #[serde(default)]
    recipient_user_id: Option<String>,
}

statement! {
    NEWEST = "\
        select event_type, coalesce(variant, dedup_key) as dedup_key, recipient_user_id, {micros(fired_at)} as fired_at, \
         {micros(window_ends_at)} as window_ends_at, {micros(clock.now)} as now \
         from {campanile}notification_dedup cross join (select {now} as now) as clock \
         order by fired_at desc, event_type, 2, recipient_user_id limit 500"
}

pub(crate) async fn list(State(inspector): State<Inspector>) -> Result<Json<Vec<Entry>>, Problem> {
    let database = inspector.dispatcher().database();
    let windows: Result<Vec<Entry>, sqlx::Error> = each_connection!(database, |connection| {
        let rows = sqlx::query(NEWEST.on(database))
            .fetch_all(&mut *connection)
            .await?;
        rows.iter()
            .map(|row| {
                let (ends_at, now): (i64, i64) =
                    (row.try_get("window_ends_at")?, row.try_get("now")?);
                Ok(Entry {
                    event_type: row.try_get("event_type")?,
                    dedup_key: row.try_get("dedup_key")?,
                    recipient_user_id: row.try_get("recipient_user_id")?,
                    fired_at: timestamp(row.try_get("fired_at")?),
                    window_ends_at: timestamp(ends_at),
                    milliseconds_left: ((ends_at - now) / 1_000).max(0),
                })
            })
            .collect()
    });
    Ok(Json(windows.map_err(StoreError::from)?))
}

statement! {
    RELEASE = "\
        delete from {campanile}notification_dedup \
         where ($1 is null or event_type = $1) and ($2 is null or coalesce(variant, dedup_key) = $2) \
         and ($3 is null or recipient_user_id = $3)"
}

pub(crate) async fn release(
    State(inspector): State<Inspector>,
    which: Option<Document<Which>>,
) -> Result<Json<Value>, Problem> {
    let which = which.map_or_else(Which::default, |Document(which)| which);
    let named = [
        &which.event_type,
        &which.dedup_key,
        &which.recipient_user_id,
    ];
    if named.into_iter().flatten().any(|name| name.contains('\0')) {
        let detail = "a window's fields cannot contain a NUL character";
        return Err(Problem::unprocessable("INVALID_INPUT", detail));
    }
    let database = inspector.dispatcher().database();
    let released: Result<u64, sqlx::Error> = each_connection!(database, |connection| {
        let released = sqlx::query(RELEASE.on(database))
            .bind(&which.event_type)
            .bind(&which.dedup_key)
            .bind(&which.recipient_user_id)
            .execute(&mut *connection)
            .await?;
        Ok(released.rows_affected())
    });
    let released = released.map_err(StoreError::from)?;
    Ok(Json(json!({ "released": released })))
}
