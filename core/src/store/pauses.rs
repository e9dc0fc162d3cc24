//! The pauses of channels: one row for each that waits.

use std::time::Duration;

use sqlx::Row as _;

use super::micros;
use crate::database::{Database, each_connection};

/// A pause, as its row.
#[derive(Debug)]
pub(crate) struct PauseRow {
    pub(crate) channel: String,
    pub(crate) reason: String,
    pub(crate) paused_at: i64,
    pub(crate) probe_at: Option<i64>,
}

/// A pause of an operator's is not turned into one that ends by itself.
const PAUSE: &str = "\
    insert into {campanile}notification_channel_pauses as held (channel, paused_at, reason, probe_at) \
    values ($1, {now}, $2, {later($3)}) \
    on conflict (channel) do update set reason = excluded.reason, probe_at = excluded.probe_at \
    where held.probe_at is not null or excluded.probe_at is null";

/// Pauses a channel; with `probe` it is tried again after that time.
pub(crate) async fn pause(
    database: &Database,
    channel: &str,
    reason: &str,
    probe: Option<Duration>,
) -> Result<(), sqlx::Error> {
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        sqlx::query(database.sql(PAUSE))
            .bind(channel)
            .bind(reason)
            .bind(probe.map(micros))
            .execute(&mut *connection)
            .await?;
        Ok(())
    })
}

const RESUME: &str = "delete from {campanile}notification_channel_pauses where channel = $1";

/// Ends a pause, if there is one.
pub(crate) async fn resume(database: &Database, channel: &str) -> Result<(), sqlx::Error> {
    write(database, RESUME, channel).await
}

const RESUME_PROBED: &str = "\
    delete from {campanile}notification_channel_pauses where channel = $1 and probe_at is not null";

/// Ends a pause that a probe may end; an operator's stays.
pub(crate) async fn resume_probed(database: &Database, channel: &str) -> Result<(), sqlx::Error> {
    write(database, RESUME_PROBED, channel).await
}

const PROBE_NOW: &str = "\
    update {campanile}notification_channel_pauses set probe_at = {now} where channel = $1 and probe_at is not null";

/// Makes the next probe due.
pub(crate) async fn probe_now(database: &Database, channel: &str) -> Result<(), sqlx::Error> {
    write(database, PROBE_NOW, channel).await
}

async fn write(database: &Database, statement: &str, channel: &str) -> Result<(), sqlx::Error> {
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        sqlx::query(database.sql(statement))
            .bind(channel)
            .execute(&mut *connection)
            .await?;
        Ok(())
    })
}

const LIST: &str = "\
    select channel, reason, {micros(paused_at)} as paused_at, {micros(probe_at)} as probe_at, \
        (probe_at is not null and probe_at <= {now}) as due \
    from {campanile}notification_channel_pauses order by channel";

/// Every pause, and whether its probe is due.
pub(crate) async fn list(database: &Database) -> Result<Vec<(PauseRow, Probe)>, sqlx::Error> {
    each_connection!(database, |connection| {
        let rows = sqlx::query(database.sql(LIST))
            .fetch_all(&mut *connection)
            .await?;
        rows.iter()
            .map(|row| {
                let pause = PauseRow {
                    channel: row.try_get("channel")?,
                    reason: row.try_get("reason")?,
                    paused_at: row.try_get("paused_at")?,
                    probe_at: row.try_get("probe_at")?,
                };
                let probe = if row.try_get("due")? {
                    Probe::Due
                } else {
                    Probe::NotYet
                };
                Ok((pause, probe))
            })
            .collect()
    })
}

/// Whether it is time to see if a paused channel works again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    Due,
    NotYet,
}

const TAKE_PROBE: &str = "\
    update {campanile}notification_channel_pauses set probe_at = {later($2)} \
    where channel = $1 and probe_at <= {now}";

/// Takes the probe of a channel, so that one worker of a fleet makes it; `false` if another was faster.
pub(crate) async fn take_probe(
    database: &Database,
    channel: &str,
    next: Duration,
) -> Result<bool, sqlx::Error> {
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        let taken = sqlx::query(database.sql(TAKE_PROBE))
            .bind(channel)
            .bind(micros(next))
            .execute(&mut *connection)
            .await?;
        Ok(taken.rows_affected() == 1)
    })
}
