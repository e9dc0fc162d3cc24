//! The pauses of channels: one row for each that waits, and one for each process that has paused a channel for itself.

use std::time::Duration;

use sqlx::Row as _;
use uuid::Uuid;

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

/// An operator's word ends the pauses of single processes too.
const RESUME: [&str; 2] = [
    "delete from {campanile}notification_worker_pauses where channel = $1",
    "delete from {campanile}notification_channel_pauses where channel = $1",
];

/// Ends a pause, if there is one.
pub(crate) async fn resume(database: &Database, channel: &str) -> Result<(), sqlx::Error> {
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        for statement in RESUME {
            sqlx::query(database.sql(statement))
                .bind(channel)
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    })
}

/// Where all had paused it, it may work again for all of them: each tries.
const RESUME_PROBED: [&str; 2] = [
    "delete from {campanile}notification_worker_pauses where channel = $1 and (worker = {uuid($2)} or exists (\
        select 1 from {campanile}notification_channel_pauses as held where held.channel = $1 and held.probe_at is not null))",
    "delete from {campanile}notification_channel_pauses where channel = $1 and probe_at is not null and $2 is not null",
];

/// Ends this process's own pause, and the one for all if a probe may end it; an operator's stays.
pub(crate) async fn resume_probed(
    database: &Database,
    worker: Uuid,
    channel: &str,
) -> Result<(), sqlx::Error> {
    write_each(database, &RESUME_PROBED, worker, channel).await
}

const PROBE_NOW: [&str; 2] = [
    "update {campanile}notification_worker_pauses set probe_at = {now} where channel = $1 and worker = {uuid($2)}",
    "update {campanile}notification_channel_pauses set probe_at = {now} \
        where channel = $1 and probe_at is not null and $2 is not null",
];

/// Makes the next probe due.
pub(crate) async fn probe_now(
    database: &Database,
    worker: Uuid,
    channel: &str,
) -> Result<(), sqlx::Error> {
    write_each(database, &PROBE_NOW, worker, channel).await
}

async fn write_each(
    database: &Database,
    statements: &[&str],
    worker: Uuid,
    channel: &str,
) -> Result<(), sqlx::Error> {
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        for statement in statements {
            sqlx::query(database.sql(statement))
                .bind(channel)
                .bind(worker.to_string())
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    })
}

/// A pause of one process, as its row.
#[derive(Debug)]
pub(crate) struct WorkerPauseRow {
    pub(crate) worker: Uuid,
    pub(crate) channel: String,
    pub(crate) reason: String,
    pub(crate) paused_at: i64,
    pub(crate) probe_at: i64,
}

const PAUSE_HERE: &str = "\
    insert into {campanile}notification_worker_pauses as held (worker, channel, paused_at, reason, probe_at) \
    values ({uuid($1)}, $2, {now}, $3, {later($4)}) \
    on conflict (worker, channel) do update set reason = excluded.reason, probe_at = excluded.probe_at";

/// Pauses a channel for this process alone.
pub(crate) async fn pause_here(
    database: &Database,
    worker: Uuid,
    channel: &str,
    reason: &str,
    probe: Duration,
) -> Result<(), sqlx::Error> {
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        sqlx::query(database.sql(PAUSE_HERE))
            .bind(worker.to_string())
            .bind(channel)
            .bind(reason)
            .bind(micros(probe))
            .execute(&mut *connection)
            .await?;
        Ok(())
    })
}

/// How it stands with a process's own pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Own {
    /// Somebody has ended it.
    Over,
    /// It is time to see whether the channel works again; nobody else of this process sees it now.
    ProbeDue,
    NotYet,
}

const OWN: &str = "\
    select count(*) as pauses, count(case when probe_at <= {now} then 1 end) as due \
    from {campanile}notification_worker_pauses where worker = {uuid($1)} and channel = $2";

const TAKE_OWN_PROBE: &str = "\
    update {campanile}notification_worker_pauses set probe_at = {later($3)} \
    where worker = {uuid($1)} and channel = $2 and probe_at <= {now}";

/// How it stands with this process's own pause; a probe that is due is taken.
pub(crate) async fn own(
    database: &Database,
    worker: Uuid,
    channel: &str,
    next: Duration,
) -> Result<Own, sqlx::Error> {
    let (pauses, due): (i64, i64) = each_connection!(database, |connection| {
        sqlx::query_as(database.sql(OWN))
            .bind(worker.to_string())
            .bind(channel)
            .fetch_one(&mut *connection)
            .await
    })?;
    if pauses == 0 {
        return Ok(Own::Over);
    }
    if due == 0 {
        return Ok(Own::NotYet);
    }
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        let taken = sqlx::query(database.sql(TAKE_OWN_PROBE))
            .bind(worker.to_string())
            .bind(channel)
            .bind(micros(next))
            .execute(&mut *connection)
            .await?;
        Ok(match taken.rows_affected() {
            0 => Own::NotYet,
            _ => Own::ProbeDue,
        })
    })
}

const BY_WORKERS: &str = "\
    select {text(worker)} as worker, channel, reason, {micros(paused_at)} as paused_at, {micros(probe_at)} as probe_at \
    from {campanile}notification_worker_pauses where probe_at > {earlier($1)} order by channel, paused_at, worker";

/// The pauses of single processes whose probe is not long overdue: those of the others are gone.
pub(crate) async fn by_workers(
    database: &Database,
    overdue: Duration,
) -> Result<Vec<WorkerPauseRow>, sqlx::Error> {
    each_connection!(database, |connection| {
        let rows = sqlx::query(database.sql(BY_WORKERS))
            .bind(micros(overdue))
            .fetch_all(&mut *connection)
            .await?;
        rows.iter()
            .map(|row| {
                let worker = Uuid::parse_str(row.try_get("worker")?);
                Ok(WorkerPauseRow {
                    worker: worker.map_err(|error| sqlx::Error::Decode(error.into()))?,
                    channel: row.try_get("channel")?,
                    reason: row.try_get("reason")?,
                    paused_at: row.try_get("paused_at")?,
                    probe_at: row.try_get("probe_at")?,
                })
            })
            .collect()
    })
}

const LEAVE: &str = "\
    delete from {campanile}notification_worker_pauses where worker = {uuid($1)} or probe_at <= {earlier(3600000000)}";

/// Forgets the pauses of this process, which ends, and of those that are long gone.
pub(crate) async fn leave(database: &Database, worker: Uuid) -> Result<(), sqlx::Error> {
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        sqlx::query(database.sql(LEAVE))
            .bind(worker.to_string())
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
