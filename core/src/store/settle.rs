//! Records what came of attempts, and cancels; with the [windows](super::release) and the [log](super::log) that follow from it.
//!
//! Every transition is guarded by state, claim and worker, so that whoever lost its lease changes nothing.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::Connection as _;
use uuid::Uuid;

use super::{LOCKED, log, micros, release, uuids};
#[cfg(feature = "postgres")]
use crate::database::Pool;
use crate::database::error::StoreError;
use crate::database::{Database, each_connection};
use crate::state::DeliveryState;

/// What follows for a delivery that was claimed: the [state](DeliveryState) it goes to, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transition {
    Pending,
    Delivered,
    Suppressed,
    Unreachable,
    Expired,
    Dead,
    /// Nobody will ever know whether it went out.
    Unknown,
    /// Parked, without having used an attempt.
    Blocked(BlockedAs),
    /// Back to pending, without having been begun.
    Released,
    /// Back to pending; the attempt does not count, because the channel was set up wrongly.
    Waiting,
    /// Back to pending; the attempt does not count, because nothing could be tried.
    Untried,
}

/// Why a delivery is parked. The third reason, its channel, is found before any claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockedAs {
    /// This worker does not know its event.
    Event,
    /// Its content cannot be read.
    Content,
}

impl Transition {
    pub(crate) const fn state(self) -> DeliveryState {
        match self {
            Self::Pending | Self::Released | Self::Waiting | Self::Untried => {
                DeliveryState::Pending
            }
            Self::Delivered => DeliveryState::Delivered,
            Self::Suppressed => DeliveryState::Suppressed,
            Self::Unreachable => DeliveryState::Unreachable,
            Self::Expired => DeliveryState::Expired,
            Self::Dead => DeliveryState::Dead,
            Self::Unknown => DeliveryState::Unknown,
            Self::Blocked(_) => DeliveryState::Blocked,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        self.state().as_str()
    }

    /// Whether the delivery ends with it.
    pub(crate) const fn is_end(self) -> bool {
        self.state().is_final()
    }

    const fn blocked_as(self) -> Option<&'static str> {
        match self {
            Self::Blocked(BlockedAs::Event) => Some("event"),
            Self::Blocked(BlockedAs::Content) => Some("content"),
            _ => None,
        }
    }
}

/// What is recorded of one attempt.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) id: Uuid,
    /// The claim under which it was tried.
    pub(crate) claim: Uuid,
    pub(crate) attempt: u32,
    pub(crate) state: Transition,
    /// When to try again, for what goes back to pending.
    pub(crate) delay: Duration,
    pub(crate) maybe_sent: bool,
    /// How many of its attempts have lost their answer.
    pub(crate) lost_answers: u32,
    /// Whether it is to be in no batch any more.
    pub(crate) alone: bool,
    /// Whether its notification reached its recipient anyway, and keeps its window.
    pub(crate) has_local: bool,
    /// What the delivery log says; `None` if there was no attempt, and then none is used.
    pub(crate) outcome: Option<&'static str>,
    pub(crate) status: Option<u16>,
    pub(crate) provider_id: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) error_class: Option<&'static str>,
    pub(crate) trace_id: Option<String>,
    pub(crate) took: Duration,
}

/// A row that cannot be read keeps no other from being delivered.
pub(crate) fn unreadable(
    id: Uuid,
    claim: Uuid,
    attempt: u32,
    maybe_sent: bool,
    lost_answers: u32,
) -> Settled {
    Settled {
        id,
        claim,
        attempt,
        state: Transition::Blocked(BlockedAs::Content),
        delay: Duration::ZERO,
        maybe_sent,
        lost_answers,
        alone: false,
        has_local: false,
        outcome: None,
        status: None,
        provider_id: None,
        error: Some("its content cannot be read".to_owned()),
        error_class: None,
        trace_id: None,
        took: Duration::ZERO,
    }
}

/// A row of [`ITS`].
fn row(its: &Settled) -> serde_json::Value {
    let is_end = its.state.is_end();
    serde_json::json!([
        its.id,
        its.attempt,
        its.state.as_str(),
        micros(its.delay),
        its.outcome,
        its.status,
        its.provider_id,
        its.error,
        micros(its.took),
        its.error_class,
        its.trace_id,
        i32::from(its.outcome.is_none()),
        i32::from(matches!(
            its.state,
            Transition::Waiting | Transition::Untried
        )),
        its.maybe_sent,
        its.state.blocked_as(),
        its.maybe_sent && !is_end && its.state != Transition::Blocked(BlockedAs::Content),
        its.alone && !is_end,
        its.lost_answers,
        its.claim,
        its.state == Transition::Untried,
        its.outcome.is_some() && its.state != Transition::Untried,
        its.state == Transition::Released,
    ])
}

/// What is recorded, read once for [`SETTLE`] and [`LOG`](log::LOG). `$1` is the rows.
pub(super) const ITS: &str = "\
    its (delivery_id, attempt, state, delay, outcome, status, provider_id, error, took, error_class, trace_id, \
        unused, uncounted, maybe_sent, blocked_as, keeps_batch, alone, lost_answers, claim, untried, tried, released) as materialized (\
        select {uuid(value ->> 0)}, {int(value ->> 1)}, value ->> 2, {int(value ->> 3)}, value ->> 4, {int(value ->> 5)}, \
            value ->> 6, value ->> 7, {int(value ->> 8)}, value ->> 9, value ->> 10, \
            {int(value ->> 11)}, {int(value ->> 12)}, {flag(value ->> 13)}, value ->> 14, {flag(value ->> 15)}, {flag(value ->> 16)}, \
            {int(value ->> 17)}, {uuid(value ->> 18)}, {flag(value ->> 19)}, {flag(value ->> 20)}, \
            {flag(value ->> 21)} \
        from {rows($1)} as given)";

/// `$2` is the worker.
///
/// * `first_attempt_at` is null if no attempt counts. An outage that is over moves it forward, unless the delivery may have gone out.
/// * `run_at` stays as it is if the delivery was not begun, so that it keeps its place in the queue.
/// * `secret` becomes empty at an end, if there was one; null stays null.
const SETTLE: &str = "\
    update {campanile}notification_deliveries as delivery set \
        state = its.state, attempt = delivery.attempt - its.unused, \
        uncounted = delivery.uncounted + its.uncounted, maybe_sent = its.maybe_sent, \
        lost_answers = its.lost_answers, blocked_as = its.blocked_as, \
        batch_id = case when its.alone then delivery.id when its.keeps_batch then delivery.batch_id end, \
        lease_until = null, worker = null, claim = null, lost_worker = null, last_error = its.error, \
        first_attempt_at = case when delivery.attempt - its.unused > delivery.uncounted + its.uncounted \
            then case when its.tried and not its.maybe_sent and delivery.outage_since is not null \
                then delivery.first_attempt_at + ({now} - delivery.outage_since) else delivery.first_attempt_at end end, \
        outage_since = case when its.untried then coalesce(delivery.outage_since, {now}) \
            when not its.tried then delivery.outage_since end, \
        outage_rounds = case when its.untried then delivery.outage_rounds + 1 when its.tried then 0 \
            else delivery.outage_rounds end, \
        run_at = case when its.state = {state.pending} and not its.released then {later(its.delay)} else delivery.run_at end, \
        finished_at = case when its.state in {states.final} then {now} end, \
        secret = case when its.state in {states.waiting} then delivery.secret else substr(delivery.secret, 1, 0) end \
    from its \
    where delivery.id in (select id from locked) and delivery.id = its.delivery_id and delivery.state = {state.running} \
        and delivery.claim = its.claim and delivery.worker = {uuid($2)} \
    returning {text(id)} as id";

/// What was recorded.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    /// What is over: recorded, or no longer this worker's.
    over: HashSet<Uuid>,
    /// The deliveries whose lease was still this worker's.
    pub(crate) ours: HashSet<Uuid>,
    /// Those that were parked, because the database refuses what came of them.
    pub(crate) parked: HashSet<Uuid>,
    /// Those whose row it refuses to change in any way. Their leases run out.
    pub(crate) refused: Vec<Uuid>,
}

impl Recorded {
    /// Whether its lease turned out to be lost.
    pub(crate) fn was_lost(&self, id: &Uuid) -> bool {
        let is_ours = self.ours.contains(id) || self.parked.contains(id);
        self.over.contains(id) && !is_ours && !self.refused.contains(id)
    }

    fn add(&mut self, settled: &[&Settled], ours: HashSet<Uuid>) {
        self.over.extend(settled.iter().map(|one| one.id));
        self.ours.extend(ours);
    }
}

/// Records what came of attempts and is not among what was recorded already: one update and one log line each, in one
/// statement on Postgres and one transaction on SQLite, for any number of them; and in a transaction where a window may have
/// to be released.
///
/// If the database refuses them together it is asked one by one, so that one that cannot be stored keeps none of the others; that
/// one is parked for an operator. A delivery whose lease was lost in between is left as it is; its attempt is logged all the
/// same, because it happened.
pub(crate) async fn settle(
    database: &Database,
    worker: Uuid,
    settled: &[Settled],
    recorded: &mut Recorded,
) -> Result<(), StoreError> {
    let rest = settled
        .iter()
        .filter(|one| !recorded.over.contains(&one.id));
    let rest: Vec<&Settled> = rest.collect();
    match record(database, worker, &rest).await {
        Ok(ours) => {
            recorded.add(&rest, ours);
            return Ok(());
        }
        Err(error) if !error.is_of_a_row() => return Err(error),
        Err(_) => {}
    }
    for one in rest {
        match record(database, worker, &[one]).await {
            Ok(ours) => recorded.add(&[one], ours),
            Err(error) if error.is_of_a_row() => {
                park_refused(database, worker, one, &error, recorded).await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Of a delivery whose end the database refuses nothing more is known to any worker, so that none claims it again.
const PARK_REFUSED: &str = "\
    update {campanile}notification_deliveries set state = {state.blocked}, blocked_as = null, maybe_sent = {flag($4)}, \
        batch_id = null, lease_until = null, worker = null, claim = null, lost_worker = null, last_error = $5, \
        secret = case when {flag($6)} then substr(secret, 1, 0) else secret end \
    where id = {uuid($1)} and state = {state.running} and claim = {uuid($2)} and worker = {uuid($3)} \
    returning {text(id)} as id";

/// Parks a delivery the end of which the database refuses, without a reason that a worker could find to be gone: it may have
/// gone out, and what comes next is an operator's.
async fn park_refused(
    database: &Database,
    worker: Uuid,
    settled: &Settled,
    refusal: &StoreError,
    recorded: &mut Recorded,
) -> Result<(), StoreError> {
    let state = settled.state.as_str();
    tracing::error!(
        target: "campanile",
        delivery_id = %settled.id,
        state,
        error = refusal as &dyn std::error::Error,
        "the database refuses to record what came of a delivery; it is parked. Mend what refuses it, then retry or cancel it"
    );
    match park(database, worker, settled)
        .await
        .map_err(StoreError::from)
    {
        Ok(parked) => recorded.parked.extend(uuids(&parked)),
        Err(error) if error.is_of_a_row() => {
            tracing::error!(
                target: "campanile",
                delivery_id = %settled.id,
                error = &error as &dyn std::error::Error,
                "nor does the database let it be parked; this process leaves it alone for ten minutes"
            );
            recorded.refused.push(settled.id);
        }
        Err(error) => return Err(error),
    }
    recorded.over.insert(settled.id);
    // The attempt was made, whatever its row says.
    if let Err(error) = log::write(database, worker, &[row(settled)]).await {
        tracing::error!(
            target: "campanile",
            delivery_id = %settled.id,
            error = &error as &dyn std::error::Error,
            "nor does the database take the line of the delivery log"
        );
    }
    Ok(())
}

async fn park(
    database: &Database,
    worker: Uuid,
    settled: &Settled,
) -> Result<Vec<String>, sqlx::Error> {
    let error = format!(
        "the database refused to record it as {}: mend what refuses it, then retry or cancel it",
        settled.state.as_str()
    );
    let maybe_sent = settled.maybe_sent || settled.state == Transition::Delivered;
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        sqlx::query_scalar(database.sql(PARK_REFUSED))
            .bind(settled.id.to_string())
            .bind(settled.claim.to_string())
            .bind(worker.to_string())
            .bind(maybe_sent)
            .bind(&error)
            .bind(settled.state.is_end())
            .fetch_all(&mut *connection)
            .await
    })
}

async fn record(
    database: &Database,
    worker: Uuid,
    settled: &[&Settled],
) -> Result<HashSet<Uuid>, StoreError> {
    let rows: Vec<_> = settled.iter().map(|its| row(its)).collect();
    let rows = serde_json::json!(rows).to_string();
    let ended = settled
        .iter()
        .filter(|its| its.state.state().reached_nobody() && !its.has_local);
    let ended: Vec<Uuid> = ended.map(|its| its.id).collect();
    let ids: Vec<Uuid> = settled.iter().map(|its| its.id).collect();
    let ours: Vec<String> = match database.pool() {
        #[cfg(feature = "postgres")]
        Pool::Postgres(_) if ended.is_empty() => {
            let log =
                log::LOG.replace("{whose}", "{text(delivery_id)} in (select id from settled)");
            let statement = format!(
                "with {ITS}, {LOCKED}, settled as ({SETTLE}), logged as ({log}) select id from settled"
            );
            each_connection!(database, |connection| {
                sqlx::query_scalar(database.sql(&statement))
                    .bind(&rows)
                    .bind(worker.to_string())
                    .fetch_all(&mut *connection)
                    .await
            })?
        }
        _ => record_and_release(database, worker, &rows, &ids, &ended).await?,
    };
    let ours = uuids(&ours);
    let lost = settled.iter().filter(|its| !ours.contains(&its.id));
    let lost: Vec<_> = lost.map(|its| row(its)).collect();
    log::write(database, worker, &lost).await?;
    Ok(ours)
}

async fn record_and_release(
    database: &Database,
    worker: Uuid,
    rows: &str,
    ids: &[Uuid],
    ended: &[Uuid],
) -> Result<Vec<String>, sqlx::Error> {
    let (database, rows) = (database.clone(), rows.to_owned());
    let ids = serde_json::json!(ids).to_string();
    let ended_ids = serde_json::json!(ended).to_string();
    let releases = !ended.is_empty();
    // In a task of its own: a transaction that is dropped while it begins would go back into the pool as it is.
    let recording = tokio::spawn(async move {
        let _turn = database.turn_to_write().await;
        let settle = format!("with {ITS}, {LOCKED} {SETTLE}");
        let log = log::statement();
        each_connection!(&database, |connection| {
            let mut transaction = connection.begin_with(database.begin()).await?;
            if releases {
                sqlx::query(database.sql(release::LOCK_SIBLINGS))
                    .bind(&ids)
                    .fetch_all(&mut *transaction)
                    .await?;
            }
            let recorded = sqlx::query_scalar(database.sql(&settle))
                .bind(&rows)
                .bind(worker.to_string())
                .fetch_all(&mut *transaction)
                .await?;
            sqlx::query(database.sql(&log))
                .bind(&rows)
                .bind(worker.to_string())
                .bind(ids)
                .execute(&mut *transaction)
                .await?;
            if releases {
                for statement in release::STEPS {
                    sqlx::query(database.sql(&release::complete(statement)))
                        .bind(&ended_ids)
                        .execute(&mut *transaction)
                        .await?;
                }
            }
            transaction.commit().await?;
            Ok(recorded)
        })
    });
    match recording.await {
        Ok(recorded) => recorded,
        Err(_) => Err(sqlx::Error::WorkerCrashed),
    }
}

const CANCEL: &str = "\
    update {campanile}notification_deliveries set state = {state.cancelled}, batch_id = null, blocked_as = null, finished_at = {now}, \
        secret = substr(secret, 1, 0) \
    where id = {uuid($1)} and state in {states.waiting}";

/// Cancels a delivery that waits, and releases the window if nobody was reached; `false` if it does not wait.
pub(crate) async fn cancel(database: &Database, id: Uuid) -> Result<bool, sqlx::Error> {
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        let ids = serde_json::json!([id]).to_string();
        let mut transaction = connection.begin_with(database.begin()).await?;
        sqlx::query(database.sql(release::LOCK_SIBLINGS))
            .bind(&ids)
            .fetch_all(&mut *transaction)
            .await?;
        let cancelled = sqlx::query(database.sql(CANCEL))
            .bind(id.to_string())
            .execute(&mut *transaction)
            .await?;
        for statement in release::STEPS {
            sqlx::query(database.sql(&release::complete(statement)))
                .bind(&ids)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(cancelled.rows_affected() == 1)
    })
}
