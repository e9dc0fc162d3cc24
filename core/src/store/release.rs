//! Releases the **windows** of notifications that the system failed to deliver, so that the caller's next fire is not a repeat. A
//! window stays if a delivery was sent or may have been, and if the recipient cannot be reached: no address, suppressed, or
//! muted.

use sqlx::Connection as _;

use crate::database::task::run_to_end;
use crate::database::{Database, Pool, Statement, each_connection, statement};

#[cfg(feature = "postgres")]
statement! {
    /// The siblings of one notification are read by their range in the primary key, and counted as few: joined by a range, the planner
    /// would take them for a ninth of the table, and read all of it.
    on Postgres; SIBLINGS_ON_POSTGRES = "\
        select {text(id)} as id from {campanile}notification_deliveries where id = any(array(\
            select other.id from (select notification_id from {campanile}notification_deliveries \
                where id in (select {uuids($1)})) as delivery \
            cross join lateral (select id from {campanile}notification_deliveries as other where {sibling} order by id limit 255) as other)) \
        order by id {for_update}",
    sibling = super::SIBLING
}

#[cfg(feature = "sqlite")]
statement! {
    on SQLite; SIBLINGS_ON_SQLITE = "\
        select id from {campanile}notification_deliveries where id in (\
            select other.id from {campanile}notification_deliveries as delivery \
            join {campanile}notification_deliveries as other on {sibling} where delivery.id in (select {uuids($1)})) \
        order by id",
    sibling = super::SIBLING
}

/// Locks the deliveries of these deliveries' notifications, in order: when two channels end at the same time, the later
/// transaction sees both. It is called once for everything that is recorded in the same transaction, so that two workers that
/// record each other's siblings do not deadlock.
pub(super) fn lock_siblings(database: &Database) -> &'static Statement {
    match database.pool() {
        #[cfg(feature = "postgres")]
        Pool::Postgres(_) => &SIBLINGS_ON_POSTGRES,
        #[cfg(feature = "sqlite")]
        Pool::Sqlite(_) => &SIBLINGS_ON_SQLITE,
        #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
        Pool::Missing(never) => match *never {},
    }
}

statement! {
    /// Releases the windows of notifications whose deliveries have all ended without reaching the recipient, at least one of them
    /// failed. `$1` is the deliveries that have just ended.
    ///
    /// Locked windows are skipped. The lock's holder renews, prunes or forgets the window, or is a dispatch that found a repeat.
    /// Such a dispatch may be in a host's long transaction, so the window is [noted](NOTE_HELD), and [released
    /// later](release_held).
    RELEASE = "\
        delete from {campanile}notification_dedup \
        where (event_type, dedup_key, recipient_user_id, notification_id) in (\
            select event_type, dedup_key, recipient_user_id, notification_id from {campanile}notification_dedup \
            where (event_type, dedup_key, recipient_user_id, notification_id) in (\
                select dispatch.event_type, dispatch.dedup_key, delivery.user_id, delivery.notification_id \
                from {campanile}notification_deliveries as delivery \
                join {campanile}notification_dispatches as dispatch on dispatch.id = delivery.dispatch_id \
                where {failed}) \
            {skip_locked})",
        failed = FAILED, siblings = SIBLINGS, sibling = super::SIBLING
}

/// Those of these deliveries whose notification still has its window, although it should have been released.
const HELD: &str = "\
    select delivery.id from {campanile}notification_deliveries as delivery \
    join {campanile}notification_dispatches as dispatch on dispatch.id = delivery.dispatch_id \
    join {campanile}notification_dedup as held on held.event_type = dispatch.event_type \
        and held.dedup_key = dispatch.dedup_key and held.recipient_user_id = delivery.user_id \
        and held.notification_id = delivery.notification_id \
    where {failed}";

statement! {
    /// Notes the windows that were locked, in the transaction that should have released them.
    NOTE_HELD = "\
        insert into {campanile}notification_held_windows (delivery_id) {held} order by 1 on conflict (delivery_id) do nothing",
        held = HELD, failed = FAILED, siblings = SIBLINGS, sibling = super::SIBLING
}

/// An operator's cancel counts as a failure of the system: the person could have been reached.
const FAILED: &str = "\
    delivery.id in (select {uuids($1)}) and not delivery.has_local \
    and not exists (select 1 from {siblings} where maybe_sent or state not in {states.unreached}) \
    and exists (select 1 from {siblings} where state in {states.failed})";

/// With a limit, so that they are read by their range for each delivery, and not joined.
const SIBLINGS: &str = "\
    (select other.state, other.maybe_sent from {campanile}notification_deliveries as other \
        where {sibling} order by other.id limit 255) as sibling";

/// Runs, in the same transaction, when deliveries end without having reached anybody.
pub(super) static STEPS: [&Statement; 2] = [&RELEASE, &NOTE_HELD];

const NOTED_IDS: &str = "\
        select {text(delivery_id)} as id from {campanile}notification_held_windows order by delivery_id limit 1000";

statement! { NOTED = NOTED_IDS }

statement! {
    /// Skips those that another process is releasing.
    NOTED_AND_FREE = "{noted} {skip_locked}", noted = NOTED_IDS
}

statement! {
    /// Deletes the notes of windows that are no longer kept, or whose delivery is gone or was retried since.
    FORGET_RELEASED = "\
        delete from {campanile}notification_held_windows \
        where delivery_id in (select {uuids($1)}) and delivery_id not in ({held})",
        held = HELD, failed = FAILED, siblings = SIBLINGS, sibling = super::SIBLING
}

/// Releases the windows that were locked when they should have been released, whichever process noted them.
pub(crate) async fn release_held(database: &Database) -> Result<(), sqlx::Error> {
    // A query that finds nothing takes no lock on an SQLite file.
    let noted: Option<String> = each_connection!(database, |connection| {
        sqlx::query_scalar(NOTED.on(database))
            .fetch_optional(&mut *connection)
            .await
    })?;
    if noted.is_none() {
        return Ok(());
    }
    let database = database.clone();
    // In its own task: a transaction that is dropped while it begins would return to the pool in that state.
    let releasing = run_to_end(async move {
        let _turn = database.turn_to_write().await;
        each_connection!(&database, |connection| {
            let mut transaction = connection.begin_with(database.begin()).await?;
            let noted: Vec<String> = sqlx::query_scalar(NOTED_AND_FREE.on(&database))
                .fetch_all(&mut *transaction)
                .await?;
            let noted = serde_json::json!(noted).to_string();
            for statement in [lock_siblings(&database), &RELEASE, &FORGET_RELEASED] {
                sqlx::query(statement.on(&database))
                    .bind(&noted)
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await
        })
    });
    releasing.await.map_err(|_| sqlx::Error::WorkerCrashed)?
}
