//! **Parks** deliveries that no worker can deliver, and erases the secrets of expired deliveries.

use std::time::Duration;

use super::micros;
use crate::database::{Database, Statement, each_connection, statement};

/// The channels that have deliveries in a state, found by skipping from one to the next in the index.
const CHANNELS_IN: &str = "\
    with recursive waiting(channel) as (\
        select min(channel) from {campanile}notification_deliveries where state = {state} \
        union all \
        select (select min(channel) from {campanile}notification_deliveries \
            where state = {state} and channel > waiting.channel) \
        from waiting where waiting.channel is not null) \
    select channel from waiting where channel is not null and channel not in (select {texts($1)}) \
        and channel not in (select channel from {campanile}notification_channel_pauses)";

const PARK: &str = "\
    update {campanile}notification_deliveries set state = {state.blocked}, blocked_as = 'channel', \
        maybe_sent = maybe_sent or state = {state.running}, lease_until = null, worker = null, \
        lost_answers = lost_answers + case when state = {state.running} then 1 else 0 end, \
        last_error = 'no running worker links its channel' \
    where id in (select id from {campanile}notification_deliveries \
        where channel = $1 and state = {state} and {due} <= (select {earlier($2)}) \
        order by {due} limit 1000 {skip_locked})";

statement! { PENDING_CHANNELS = CHANNELS_IN, state = "{state.pending}" }
statement! { RUNNING_CHANNELS = CHANNELS_IN, state = "{state.running}" }
statement! { PARK_PENDING = PARK, state = "{state.pending}", due = "run_at" }
statement! { PARK_RUNNING = PARK, state = "{state.running}", due = "lease_until" }

/// The states from which deliveries are parked: they wait, or their worker was lost.
static STEPS: [(&Statement, &Statement); 2] = [
    (&PENDING_CHANNELS, &PARK_PENDING),
    (&RUNNING_CHANNELS, &PARK_RUNNING),
];

/// Parks deliveries that have been due for a while on channels that are not among these, and returns how many.
pub(crate) async fn park_unlinked(
    database: &Database,
    linked: &[String],
    overdue: Duration,
) -> Result<u64, sqlx::Error> {
    let linked = serde_json::json!(linked).to_string();
    // First the turn to write, then a connection, as everywhere.
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        let mut parked = 0;
        for (channels, park) in STEPS {
            let strange: Vec<String> = sqlx::query_scalar(channels.on(database))
                .bind(&linked)
                .fetch_all(&mut *connection)
                .await?;
            for channel in strange {
                let done = sqlx::query(park.on(database))
                    .bind(channel)
                    .bind(micros(overdue))
                    .execute(&mut *connection)
                    .await?;
                parked += done.rows_affected();
            }
        }
        Ok(parked)
    })
}

statement! {
    /// An expired delivery is not sent any more, so its secret is erased, although the delivery ends only when it is claimed: its
    /// channel may be paused, or no worker may link it.
    ERASE_EXPIRED = "\
        update {campanile}notification_deliveries set secret = '' \
        where id in (select id from {campanile}notification_deliveries \
            where secret <> '' and expires_at <= {now} and state in {states.waiting} \
            order by id limit 1000 {skip_locked})"
}

/// Erases the secrets of expired deliveries.
pub(crate) async fn erase_expired(database: &Database) -> Result<(), sqlx::Error> {
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        let erased = sqlx::query(ERASE_EXPIRED.on(database));
        erased.execute(&mut *connection).await.map(drop)
    })
}
