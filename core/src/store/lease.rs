//! Keeps claims: renews **leases**, checks claimed deliveries right before they are sent, and records the members of batches.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use uuid::Uuid;

use super::{LOCKED, micros};
use crate::channel::delivery::Delivery;
use crate::database::error::StoreError;
use crate::database::row::Id;
use crate::database::{Database, each_connection, row, statement};

statement! {
    /// `$1` is the deliveries with their claims, `$2` the worker, `$3` the lease.
    RENEW = "\
        with {locked} update {campanile}notification_deliveries as delivery set lease_until = {later($3)} \
        from {rows($1)} as mine \
        where delivery.id in (select id from locked) and delivery.id = {uuid(mine.value ->> 'id')} \
            and delivery.claim = {uuid(mine.value ->> 'claim')} \
            and delivery.state = {state.running} and delivery.worker = {uuid($2)} \
        returning {text(id)} as id",
    locked = LOCKED
}

statement! {
    /// `$1` is the deliveries with their claims, `$2` the worker.
    LOOK = "\
        select {text(delivery.id)} as id, choice.enabled, \
            (delivery.expires_at is not null and delivery.expires_at <= {now}) as is_expired \
        from {rows($1)} as mine \
        join {campanile}notification_deliveries as delivery on delivery.id = {uuid(mine.value ->> 'id')} \
        join {campanile}notification_dispatches as dispatch on dispatch.id = delivery.dispatch_id \
        left join {campanile}user_notification_preferences as choice on choice.user_id = delivery.user_id and choice.org_id = '' \
            and choice.category = dispatch.category and choice.channel = delivery.channel \
        where delivery.claim = {uuid(mine.value ->> 'claim')} and delivery.state = {state.running} \
            and delivery.worker = {uuid($2)}"
}

statement! {
    /// `$1` is the deliveries with their claims and batches, `$2` the worker, `$3` the lease.
    ///
    /// Freezing also renews the leases. Otherwise another worker's claim that began just when they expired could take some
    /// members of the batch and leave the others.
    FREEZE = "\
        with {locked} update {campanile}notification_deliveries as delivery \
        set batch_id = {uuid(mine.value ->> 'batch')}, lease_until = {later($3)} \
        from {rows($1)} as mine \
        where delivery.id in (select id from locked) and delivery.id = {uuid(mine.value ->> 'id')} \
            and delivery.claim = {uuid(mine.value ->> 'claim')} \
            and delivery.state = {state.running} and delivery.worker = {uuid($2)}",
    locked = LOCKED
}

/// Deliveries with their claims, as `$1` of the statements.
fn held_rows(held: &[(Uuid, Uuid)]) -> String {
    let rows = held.iter();
    let rows = rows.map(|(id, claim)| serde_json::json!({ "id": id, "claim": claim }));
    rows.collect::<serde_json::Value>().to_string()
}

/// Renews these leases, and returns which were still this worker's. If the database rejects them together, they are renewed one
/// by one: a lease that cannot be renewed does not affect the others.
pub(crate) async fn renew(
    database: &Database,
    worker: Uuid,
    held: &HashMap<Uuid, Uuid>,
    lease: Duration,
) -> Result<HashSet<Uuid>, StoreError> {
    let mut held: Vec<_> = held.iter().map(|(id, claim)| (*id, *claim)).collect();
    held.sort_unstable();
    let refusal = match renew_these(database, worker, &held, lease)
        .await
        .map_err(StoreError::from)
    {
        Err(error) if error.is_of_a_row() && held.len() > 1 => error,
        renewed => return renewed,
    };
    tracing::error!(
        target: "campanile",
        error = &refusal as &dyn std::error::Error,
        "the database refuses to renew a lease; the others are renewed without it"
    );
    let mut renewed = HashSet::new();
    for one in held {
        match renew_these(database, worker, &[one], lease)
            .await
            .map_err(StoreError::from)
        {
            Ok(one) => renewed.extend(one),
            Err(error) if error.is_of_a_row() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(renewed)
}

async fn renew_these(
    database: &Database,
    worker: Uuid,
    held: &[(Uuid, Uuid)],
    lease: Duration,
) -> Result<HashSet<Uuid>, sqlx::Error> {
    let _turn = database.turn_to_write().await;
    let renewed: Vec<Id> = each_connection!(database, |connection| {
        sqlx::query_scalar(RENEW.on(database))
            .bind(held_rows(held))
            .bind(worker.to_string())
            .bind(micros(lease))
            .fetch_all(&mut *connection)
            .await
    })?;
    Ok(renewed.into_iter().map(|id| id.0).collect())
}

row! {
    /// A row of [`LOOK`].
    struct LookRow {
        id: Id,
        enabled: Option<bool>,
        is_expired: bool,
    }
}

/// The result of a [`look`] for a delivery that is still this worker's.
#[derive(Debug)]
pub(crate) struct Look {
    /// The recipient's preference for its category and channel.
    pub(crate) enabled: Option<bool>,
    pub(crate) is_expired: bool,
}

/// Which of these deliveries, given with their claims, are still this worker's, and what has to be known about them before they
/// are sent.
pub(crate) async fn look(
    database: &Database,
    worker: Uuid,
    held: &[(Uuid, Uuid)],
) -> Result<HashMap<Uuid, Look>, sqlx::Error> {
    let rows: Vec<LookRow> = each_connection!(database, |connection| {
        sqlx::query_as(LOOK.on(database))
            .bind(held_rows(held))
            .bind(worker.to_string())
            .fetch_all(&mut *connection)
            .await
    })?;
    let looks = rows.into_iter().map(|row| {
        let seen = Look {
            enabled: row.enabled,
            is_expired: row.is_expired,
        };
        (row.id.0, seen)
    });
    Ok(looks.collect())
}

/// Records which deliveries are in which batch before the batch is sent; `false` if a lease was lost.
pub(crate) async fn freeze(
    database: &Database,
    worker: Uuid,
    batches: &[&[Delivery]],
    lease: Duration,
) -> Result<bool, sqlx::Error> {
    let deliveries = batches.iter().flat_map(|batch| batch.iter());
    let rows: Vec<_> = deliveries
        .map(|delivery| {
            let (id, claim, batch) = (delivery.id, delivery.past.claim, delivery.batch_id);
            serde_json::json!({ "id": id, "claim": claim, "batch": batch })
        })
        .collect();
    let _turn = database.turn_to_write().await;
    let frozen: u64 = each_connection!(database, |connection| {
        let frozen = sqlx::query(FREEZE.on(database))
            .bind(serde_json::json!(rows).to_string())
            .bind(worker.to_string())
            .bind(micros(lease))
            .execute(&mut *connection)
            .await?;
        Ok(frozen.rows_affected())
    })?;
    Ok(frozen == rows.len() as u64)
}
