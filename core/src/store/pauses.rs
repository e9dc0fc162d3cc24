//! The pauses of channels: one row for each paused channel, and one for each process that has paused a channel for itself.

use std::time::Duration;

use uuid::Uuid;

use super::micros;
use crate::database::row::Id;
use crate::database::{Database, Statement, each_connection, row, statement};

row! {
    /// A pause, as its row.
    #[derive(Debug)]
    pub(crate) struct PauseRow {
        pub(crate) channel: String,
        pub(crate) reason: String,
        pub(crate) paused_at: i64,
        pub(crate) probe_at: Option<i64>,
        is_due: bool,
    }
}

statement! {
    /// An operator's pause is not turned into one that ends automatically.
    PAUSE = "\
        insert into {campanile}notification_channel_pauses as held (channel, paused_at, reason, probe_at) \
        values ($1, {now}, $2, {later($3)}) \
        on conflict (channel) do update set reason = excluded.reason, probe_at = excluded.probe_at \
        where held.probe_at is not null or excluded.probe_at is null"
}

/// Pauses a channel; with `probe` it is tried again after that time.
pub(crate) async fn pause(
    database: &Database,
    channel: &str,
    reason: &str,
    probe: Option<Duration>,
) -> Result<(), sqlx::Error> {
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        sqlx::query(PAUSE.on(database))
            .bind(channel)
            .bind(reason)
            .bind(probe.map(micros))
            .execute(&mut *connection)
            .await?;
        Ok(())
    })
}

statement! {
    RESUME = "delete from {campanile}notification_channel_pauses where channel = $1"
}

statement! {
    /// An operator's resume ends the pauses of single processes too.
    RESUME_WORKERS = "delete from {campanile}notification_worker_pauses where channel = $1"
}

/// Ends a pause, if there is one.
pub(crate) async fn resume(database: &Database, channel: &str) -> Result<(), sqlx::Error> {
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        for statement in [&RESUME_WORKERS, &RESUME] {
            sqlx::query(statement.on(database))
                .bind(channel)
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    })
}

statement! {
    /// If all processes had paused it, it may work again for all of them: each one probes.
    RESUME_PROBED_HERE = "\
        delete from {campanile}notification_worker_pauses where channel = $1 and (worker = {uuid($2)} or exists (\
            select 1 from {campanile}notification_channel_pauses as held where held.channel = $1 and held.probe_at is not null))"
}

statement! {
    RESUME_PROBED = "\
        delete from {campanile}notification_channel_pauses where channel = $1 and probe_at is not null and $2 is not null"
}

/// Ends this process's own pause, and the global one if a probe may end it; an operator's pause stays.
pub(crate) async fn resume_probed(
    database: &Database,
    worker: Uuid,
    channel: &str,
) -> Result<(), sqlx::Error> {
    write_each(
        database,
        [&RESUME_PROBED_HERE, &RESUME_PROBED],
        worker,
        channel,
    )
    .await
}

statement! {
    PROBE_NOW_HERE = "\
        update {campanile}notification_worker_pauses set probe_at = {now} where channel = $1 and worker = {uuid($2)}"
}

statement! {
    PROBE_NOW = "\
        update {campanile}notification_channel_pauses set probe_at = {now} \
        where channel = $1 and probe_at is not null and $2 is not null"
}

/// Makes the next probe due.
pub(crate) async fn probe_now(
    database: &Database,
    worker: Uuid,
    channel: &str,
) -> Result<(), sqlx::Error> {
    write_each(database, [&PROBE_NOW_HERE, &PROBE_NOW], worker, channel).await
}

async fn write_each(
    database: &Database,
    statements: [&'static Statement; 2],
    worker: Uuid,
    channel: &str,
) -> Result<(), sqlx::Error> {
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        for statement in statements {
            sqlx::query(statement.on(database))
                .bind(channel)
                .bind(worker.to_string())
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    })
}

/// A pause of one process.
#[derive(Debug)]
pub(crate) struct WorkerPauseRow {
    pub(crate) worker: Uuid,
    pub(crate) channel: String,
    pub(crate) reason: String,
    pub(crate) paused_at: i64,
    pub(crate) probe_at: i64,
}

statement! {
    PAUSE_HERE = "\
        insert into {campanile}notification_worker_pauses as held (worker, channel, paused_at, reason, probe_at) \
        values ({uuid($1)}, $2, {now}, $3, {later($4)}) \
        on conflict (worker, channel) do update set reason = excluded.reason, probe_at = excluded.probe_at"
}

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
        sqlx::query(PAUSE_HERE.on(database))
            .bind(worker.to_string())
            .bind(channel)
            .bind(reason)
            .bind(micros(probe))
            .execute(&mut *connection)
            .await?;
        Ok(())
    })
}

/// The status of a process's own pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Own {
    /// It was ended elsewhere.
    Over,
    /// It is time to probe whether the channel works again; no other task of this process gets this answer now.
    ProbeDue,
    NotYet,
}

row! {
    /// A row of [`OWN`].
    struct OwnRow {
        pauses: i64,
        due: i64,
    }
}

statement! {
    OWN = "\
        select count(*) as pauses, count(case when probe_at <= {now} then 1 end) as due \
        from {campanile}notification_worker_pauses where worker = {uuid($1)} and channel = $2"
}

statement! {
    TAKE_OWN_PROBE = "\
        update {campanile}notification_worker_pauses set probe_at = {later($3)} \
        where worker = {uuid($1)} and channel = $2 and probe_at <= {now}"
}

/// The status of this process's own pause; takes the probe if it is due.
pub(crate) async fn own(
    database: &Database,
    worker: Uuid,
    channel: &str,
    next: Duration,
) -> Result<Own, sqlx::Error> {
    let own: OwnRow = each_connection!(database, |connection| {
        sqlx::query_as(OWN.on(database))
            .bind(worker.to_string())
            .bind(channel)
            .fetch_one(&mut *connection)
            .await
    })?;
    if own.pauses == 0 {
        return Ok(Own::Over);
    }
    if own.due == 0 {
        return Ok(Own::NotYet);
    }
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        let taken = sqlx::query(TAKE_OWN_PROBE.on(database))
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

statement! {
    BY_WORKERS = "\
        select {text(worker)} as worker, channel, reason, {micros(paused_at)} as paused_at, {micros(probe_at)} as probe_at \
        from {campanile}notification_worker_pauses where probe_at > {earlier($1)} order by channel, paused_at, worker"
}

row! {
    /// A row of [`BY_WORKERS`].
    struct ByWorkerRow {
        worker: Id,
        channel: String,
        reason: String,
        paused_at: i64,
        probe_at: i64,
    }
}

/// The pauses of single processes whose probe is not long overdue; a process with an overdue probe is gone.
pub(crate) async fn by_workers(
    database: &Database,
    overdue: Duration,
) -> Result<Vec<WorkerPauseRow>, sqlx::Error> {
    let rows: Vec<ByWorkerRow> = each_connection!(database, |connection| {
        let pauses = sqlx::query_as(BY_WORKERS.on(database)).bind(micros(overdue));
        pauses.fetch_all(&mut *connection).await
    })?;
    let pauses = rows.into_iter().map(|row| WorkerPauseRow {
        worker: row.worker.0,
        channel: row.channel,
        reason: row.reason,
        paused_at: row.paused_at,
        probe_at: row.probe_at,
    });
    Ok(pauses.collect())
}

statement! {
    LEAVE = "\
        delete from {campanile}notification_worker_pauses where worker = {uuid($1)} or probe_at <= {earlier(3600000000)}"
}

/// Deletes the pauses of this process, which is stopping, and of processes that are long gone.
pub(crate) async fn leave(database: &Database, worker: Uuid) -> Result<(), sqlx::Error> {
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        sqlx::query(LEAVE.on(database))
            .bind(worker.to_string())
            .execute(&mut *connection)
            .await?;
        Ok(())
    })
}

statement! {
    LIST = "\
        select channel, reason, {micros(paused_at)} as paused_at, {micros(probe_at)} as probe_at, \
            (probe_at is not null and probe_at <= {now}) as is_due \
        from {campanile}notification_channel_pauses order by channel"
}

/// Every pause, and whether its probe is due.
pub(crate) async fn list(database: &Database) -> Result<Vec<(PauseRow, Probe)>, sqlx::Error> {
    let rows: Vec<PauseRow> = each_connection!(database, |connection| {
        let pauses = sqlx::query_as(LIST.on(database));
        pauses.fetch_all(&mut *connection).await
    })?;
    let pauses = rows.into_iter().map(|row| {
        let probe = if row.is_due {
            Probe::Due
        } else {
            Probe::NotYet
        };
        (row, probe)
    });
    Ok(pauses.collect())
}

/// Whether it is time to probe a paused channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    Due,
    NotYet,
}

statement! {
    TAKE_PROBE = "\
        update {campanile}notification_channel_pauses set probe_at = {later($2)} \
        where channel = $1 and probe_at <= {now}"
}

/// Takes the probe of a channel, so that only one worker of a fleet makes it; `false` if another was faster.
pub(crate) async fn take_probe(
    database: &Database,
    channel: &str,
    next: Duration,
) -> Result<bool, sqlx::Error> {
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        let taken = sqlx::query(TAKE_PROBE.on(database))
            .bind(channel)
            .bind(micros(next))
            .execute(&mut *connection)
            .await?;
        Ok(taken.rows_affected() == 1)
    })
}
