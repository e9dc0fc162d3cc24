//! Releases the **windows** of notifications that reached nobody.

use std::collections::HashSet;

use uuid::Uuid;

use super::uuids;
use crate::database::{Database, each_connection};

/// Locks the deliveries of these deliveries' notifications, in order: of two channels that end at the same time the later
/// one sees both. It is asked with everything that is recorded in the same transaction, so that two workers that record each
/// other's siblings do not wait for each other in a ring.
pub(super) const LOCK_SIBLINGS: &str = "\
    select {text(id)} as id from {campanile}notification_deliveries where notification_id in \
    (select notification_id from {campanile}notification_deliveries where id in (select {uuids($1)})) \
    order by id {for_update}";

/// Releases the windows of notifications that ended without having reached anybody on any channel, so that the caller's
/// next fire is no repeat. `$1` is the deliveries that have just ended.
///
/// It waits for nobody: whoever holds a window is renewing, pruning or forgetting it, or has just been told that it is a repeat.
/// The last may stay open for long; such a window is [released later](release).
pub(super) const RELEASE: &str = "\
    delete from {campanile}notification_dedup \
    where (event_type, dedup_key, recipient_user_id, notification_id) in (\
        select event_type, dedup_key, recipient_user_id, notification_id from {campanile}notification_dedup \
        where (event_type, dedup_key, recipient_user_id, notification_id) in (\
            select dispatch.event_type, dispatch.dedup_key, its.user_id, its.notification_id \
            from {campanile}notification_deliveries as its \
            join {campanile}notification_dispatches as dispatch on dispatch.id = its.dispatch_id \
            where {unreached}) \
        {skip_locked})";

/// Of these deliveries those whose notification reached nobody and has its window still.
pub(super) const HELD: &str = "\
    select {text(its.id)} as id from {campanile}notification_deliveries as its \
    join {campanile}notification_dispatches as dispatch on dispatch.id = its.dispatch_id \
    join {campanile}notification_dedup as held on held.event_type = dispatch.event_type \
        and held.dedup_key = dispatch.dedup_key and held.recipient_user_id = its.user_id \
        and held.notification_id = its.notification_id \
    where {unreached}";

const UNREACHED: &str = "\
    its.id in (select {uuids($1)}) and not its.has_local and not exists (\
        select 1 from {campanile}notification_deliveries as other \
        where other.notification_id = its.notification_id and (other.maybe_sent \
        or other.state in ('pending', 'running', 'delivered', 'unknown', 'blocked')))";

pub(super) fn of_unreached(statement: &str) -> String {
    statement.replace("{unreached}", UNREACHED)
}

/// Releases the windows of deliveries that ended before, and says which are still held by somebody.
pub(crate) async fn release(
    database: &Database,
    ended: &[Uuid],
) -> Result<HashSet<Uuid>, sqlx::Error> {
    let ended = serde_json::json!(ended).to_string();
    let _turn = database.turn_to_write().await;
    let held: Vec<String> = each_connection!(database, |connection| {
        sqlx::query(database.sql(&of_unreached(RELEASE)))
            .bind(&ended)
            .execute(&mut *connection)
            .await?;
        sqlx::query_scalar(database.sql(&of_unreached(HELD)))
            .bind(&ended)
            .fetch_all(&mut *connection)
            .await
    })?;
    Ok(uuids(&held))
}
