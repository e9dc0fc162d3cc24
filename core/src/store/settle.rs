//! Records the outcomes of attempts, and cancels; with the [windows](super::release) and the [log](super::log) that follow from
//! it.
//!
//! Every transition is guarded by state, claim and worker, so that a worker that lost its lease changes nothing.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::Connection as _;
use uuid::Uuid;

use super::{LOCKED, log, micros, release, uuids};
#[cfg(feature = "postgres")]
use crate::database::Pool;
use crate::database::error::StoreError;
use crate::database::task::run_to_end;
use crate::database::{Database, each_connection, statement};
use crate::state::DeliveryState;

/// The transition of a claimed delivery: its next [state](DeliveryState), and how it gets there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transition {
    Pending,
    Delivered,
    Suppressed,
    Unreachable,
    Expired,
    Dead,
    /// It can never be known whether it was sent.
    Unknown,
    /// Parked, without using an attempt.
    Blocked(BlockedAs),
    /// Back to pending, without having been started.
    Released,
    /// Back to pending; the attempt does not count, because the channel is misconfigured.
    Waiting,
    /// Back to pending; the attempt does not count, because the delivery could not be tried.
    Untried,
}

/// Why a delivery is parked. The third reason, an unknown channel, is detected before any claim.
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

    /// Whether it ends the delivery.
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

/// The record of one attempt.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) id: Uuid,
    /// The claim under which it was tried.
    pub(crate) claim: Uuid,
    pub(crate) attempt: u32,
    pub(crate) state: Transition,
    /// When to retry, for a delivery that goes back to pending.
    pub(crate) delay: Duration,
    pub(crate) maybe_sent: bool,
    /// How many of its attempts got no answer.
    pub(crate) lost_answers: u32,
    /// Whether it must not be in a batch any more.
    pub(crate) alone: bool,
    /// Whether its notification reached the recipient anyway, and keeps its window.
    pub(crate) has_local: bool,
    /// The entry in the delivery log; `None` if there was no attempt, and then none is used up.
    pub(crate) outcome: Option<&'static str>,
    pub(crate) status: Option<u16>,
    pub(crate) provider_id: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) error_class: Option<&'static str>,
    pub(crate) trace_id: Option<String>,
    pub(crate) took: Duration,
}

/// A row that cannot be read does not keep other rows from being delivered.
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

/// A row of [`GIVEN`].
fn row(settled: &Settled) -> serde_json::Value {
    let is_end = settled.state.is_end();
    serde_json::json!({
        "id": settled.id,
        "attempt": settled.attempt,
        "state": settled.state.as_str(),
        "delay": micros(settled.delay),
        "outcome": settled.outcome,
        "status": settled.status,
        "provider_id": settled.provider_id,
        "error": settled.error,
        "took": micros(settled.took),
        "error_class": settled.error_class,
        "trace_id": settled.trace_id,
        "unused": i32::from(settled.outcome.is_none()),
        "uncounted": i32::from(matches!(settled.state, Transition::Waiting | Transition::Untried)),
        "maybe_sent": settled.maybe_sent,
        "blocked_as": settled.state.blocked_as(),
        "keeps_batch": settled.maybe_sent
            && !is_end
            && settled.state != Transition::Blocked(BlockedAs::Content),
        "alone": settled.alone && !is_end,
        "lost_answers": settled.lost_answers,
        "claim": settled.claim,
        "untried": settled.state == Transition::Untried,
        "tried": settled.outcome.is_some() && settled.state != Transition::Untried,
        "released": settled.state == Transition::Released,
    })
}

/// The records, read once for [`UPDATE`] and [`LOG`](log::LOG). `$1` is the rows.
pub(super) const GIVEN: &str = "\
    given as materialized (\
        select {uuid(value ->> 'id')} as delivery_id, {int(value ->> 'attempt')} as attempt, value ->> 'state' as state, \
            {int(value ->> 'delay')} as delay, value ->> 'outcome' as outcome, {int(value ->> 'status')} as status, \
            value ->> 'provider_id' as provider_id, value ->> 'error' as error, {int(value ->> 'took')} as took, \
            value ->> 'error_class' as error_class, value ->> 'trace_id' as trace_id, {int(value ->> 'unused')} as unused, \
            {int(value ->> 'uncounted')} as uncounted, {flag(value ->> 'maybe_sent')} as maybe_sent, \
            value ->> 'blocked_as' as blocked_as, {flag(value ->> 'keeps_batch')} as keeps_batch, \
            {flag(value ->> 'alone')} as alone, {int(value ->> 'lost_answers')} as lost_answers, \
            {uuid(value ->> 'claim')} as claim, {flag(value ->> 'untried')} as untried, {flag(value ->> 'tried')} as tried, \
            {flag(value ->> 'released')} as released \
        from {rows($1)} as rows)";

/// `$2` is the worker.
///
/// * `first_attempt_at` is null if no attempt counts. An outage that is over moves it forward, unless the delivery may have been
///   sent.
/// * `run_at` stays unchanged if the delivery was not started, so that it keeps its place in the queue.
/// * `secret` becomes empty when the delivery ends, if it had one; null stays null.
const UPDATE: &str = "\
    update {campanile}notification_deliveries as delivery set \
        state = given.state, attempt = delivery.attempt - given.unused, \
        uncounted = delivery.uncounted + given.uncounted, maybe_sent = given.maybe_sent, \
        lost_answers = given.lost_answers, blocked_as = given.blocked_as, \
        batch_id = case when given.alone then delivery.id when given.keeps_batch then delivery.batch_id end, \
        lease_until = null, worker = null, claim = null, lost_worker = null, last_error = given.error, \
        first_attempt_at = case when delivery.attempt - given.unused > delivery.uncounted + given.uncounted \
            then case when given.tried and not given.maybe_sent and delivery.outage_since is not null \
                then delivery.first_attempt_at + ({now} - delivery.outage_since) else delivery.first_attempt_at end end, \
        outage_since = case when given.untried then coalesce(delivery.outage_since, {now}) \
            when not given.tried then delivery.outage_since end, \
        outage_rounds = case when given.untried then delivery.outage_rounds + 1 when given.tried then 0 \
            else delivery.outage_rounds end, \
        run_at = case when given.state = {state.pending} and not given.released then {later(given.delay)} else delivery.run_at end, \
        finished_at = case when given.state in {states.final} then {now} end, \
        secret = case when given.state in {states.waiting} then delivery.secret else substr(delivery.secret, 1, 0) end \
    from given \
    where delivery.id in (select id from locked) and delivery.id = given.delivery_id and delivery.state = {state.running} \
        and delivery.claim = given.claim and delivery.worker = {uuid($2)} \
    returning {text(id)} as id";

statement! {
    SETTLE = "with {given}, {locked} {update}", given = GIVEN, locked = LOCKED, update = UPDATE
}

#[cfg(feature = "postgres")]
statement! {
    /// The same with the log, in one statement.
    on Postgres; SETTLE_AND_LOG = "\
        with {given}, {locked}, settled as ({update}), logged as ({log}) select id from settled",
    given = GIVEN, locked = LOCKED, update = UPDATE, log = log::LOG,
    whose = "{text(delivery_id)} in (select id from settled)"
}

/// The result of recording.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    /// The deliveries that are settled: recorded, or no longer this worker's.
    over: HashSet<Uuid>,
    /// The deliveries whose lease was still this worker's.
    pub(crate) ours: HashSet<Uuid>,
    /// Those that were parked, because the database rejects their outcome.
    pub(crate) parked: HashSet<Uuid>,
    /// Those whose row the database refuses to change in any way. Their leases expire.
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

/// Records the outcomes of attempts, except those already recorded: one update and one log line each, for any number of attempts
/// in one statement on Postgres and one transaction on SQLite; and always in a transaction where a window may have to be
/// released.
///
/// If the database rejects them together, they are recorded one by one, so that one that cannot be stored does not affect the
/// others; that one is parked for an operator. A delivery whose lease was lost in between is left unchanged; its attempt is
/// logged anyway, because it happened.
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

statement! {
    /// If the database refuses to record how a delivery ended, clears its claim, lease and `blocked_as`, so that no worker claims it
    /// again.
    PARK_REFUSED = "\
        update {campanile}notification_deliveries set state = {state.blocked}, blocked_as = null, maybe_sent = {flag($4)}, \
            batch_id = null, lease_until = null, worker = null, claim = null, lost_worker = null, last_error = $5, \
            secret = case when {flag($6)} then substr(secret, 1, 0) else secret end \
        where id = {uuid($1)} and state = {state.running} and claim = {uuid($2)} and worker = {uuid($3)} \
        returning {text(id)} as id"
}

/// Parks a delivery whose outcome the database rejects. It has no parking reason that a worker could later find resolved: it may
/// have been sent, and an operator has to decide what to do with it.
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
        "the database refuses to record the outcome of a delivery; it is parked. Fix the cause, then retry or cancel it"
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
                "the database refuses to park the delivery too; this process leaves it alone for ten minutes"
            );
            recorded.refused.push(settled.id);
        }
        Err(error) => return Err(error),
    }
    recorded.over.insert(settled.id);
    // The attempt was made, whatever its row contains.
    if let Err(error) = log::write(database, worker, &[row(settled)]).await {
        tracing::error!(
            target: "campanile",
            delivery_id = %settled.id,
            error = &error as &dyn std::error::Error,
            "the database refuses the line of the delivery log too"
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
        "the database refused to record it as {}: fix the cause, then retry or cancel it",
        settled.state.as_str()
    );
    let maybe_sent = settled.maybe_sent || settled.state == Transition::Delivered;
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        sqlx::query_scalar(PARK_REFUSED.on(database))
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
    let rows: Vec<_> = settled.iter().map(|one| row(one)).collect();
    let rows = serde_json::json!(rows).to_string();
    let ended = settled
        .iter()
        .filter(|one| one.state.state().reached_nobody() && !one.has_local);
    let ended: Vec<Uuid> = ended.map(|one| one.id).collect();
    let ids: Vec<Uuid> = settled.iter().map(|one| one.id).collect();
    let ours: Vec<String> = match database.pool() {
        #[cfg(feature = "postgres")]
        Pool::Postgres(_) if ended.is_empty() => each_connection!(database, |connection| {
            sqlx::query_scalar(SETTLE_AND_LOG.on(database))
                .bind(&rows)
                .bind(worker.to_string())
                .fetch_all(&mut *connection)
                .await
        })?,
        _ => record_and_release(database, worker, &rows, &ids, &ended).await?,
    };
    let ours = uuids(&ours);
    let lost = settled.iter().filter(|one| !ours.contains(&one.id));
    let lost: Vec<_> = lost.map(|one| row(one)).collect();
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
    // In its own task: a transaction that is dropped while it begins would return to the pool in that state.
    let recording = run_to_end(async move {
        let _turn = database.turn_to_write().await;
        each_connection!(&database, |connection| {
            let mut transaction = connection.begin_with(database.begin()).await?;
            if releases {
                sqlx::query(release::lock_siblings(&database).on(&database))
                    .bind(&ids)
                    .fetch_all(&mut *transaction)
                    .await?;
            }
            let recorded = sqlx::query_scalar(SETTLE.on(&database))
                .bind(&rows)
                .bind(worker.to_string())
                .fetch_all(&mut *transaction)
                .await?;
            sqlx::query(log::WRITE.on(&database))
                .bind(&rows)
                .bind(worker.to_string())
                .bind(ids)
                .execute(&mut *transaction)
                .await?;
            if releases {
                for statement in release::STEPS {
                    sqlx::query(statement.on(&database))
                        .bind(&ended_ids)
                        .execute(&mut *transaction)
                        .await?;
                }
            }
            transaction.commit().await?;
            Ok(recorded)
        })
    });
    recording.await.map_err(|_| sqlx::Error::WorkerCrashed)?
}

statement! {
    CANCEL = "\
        update {campanile}notification_deliveries set state = {state.cancelled}, batch_id = null, blocked_as = null, finished_at = {now}, \
            secret = substr(secret, 1, 0) \
        where id = {uuid($1)} and state in {states.waiting}"
}

/// Cancels a waiting delivery, and releases the window if nobody was reached; `false` if it does not wait.
pub(crate) async fn cancel(database: &Database, id: Uuid) -> Result<bool, sqlx::Error> {
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        let ids = serde_json::json!([id]).to_string();
        let mut transaction = connection.begin_with(database.begin()).await?;
        sqlx::query(release::lock_siblings(database).on(database))
            .bind(&ids)
            .fetch_all(&mut *transaction)
            .await?;
        let cancelled = sqlx::query(CANCEL.on(database))
            .bind(id.to_string())
            .execute(&mut *transaction)
            .await?;
        for statement in release::STEPS {
            sqlx::query(statement.on(database))
                .bind(&ids)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(cancelled.rows_affected() == 1)
    })
}
