//! **Claims** the deliveries that are due, and reads them.
//!
//! The delivery's row is the queue. Each claim has its own id, and every later transition is guarded by it. The attempt number
//! cannot be the guard: a claim that made no call gives its number back, and the next claim uses it again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::micros;
use super::settle::{Settled, unreadable};
use crate::channel::delivery::{Delivery, Hidden, Parts, Past};
use crate::database::row::{Id, Number};
use crate::database::{Database, Pool, Statement, each_connection, row, statement};
use crate::event::secret::Kept;

/// Which deliveries of a channel are claimed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Take<'a> {
    /// Those that are due, and those whose lease has expired; none while the channel is paused.
    Due,
    /// The same, also while the channel is paused: to find out whether it works again.
    Probe,
    /// Those that were parked because their channel or their event was unknown, if the event is now one of these; a batch only if
    /// the events of all its members are. Only ids above `after`, so that a delivery that is parked again is not claimed twice in
    /// one pass.
    Known { events: &'a [&'a str], after: Uuid },
    /// The same, and those that could not be read: another version may be able to read them.
    Parked { events: &'a [&'a str], after: Uuid },
}

/// A restriction on the deliveries that may be claimed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Among<'a> {
    All,
    /// Neither these nor the batches they are in.
    AllBut(&'a [Uuid]),
    /// This one, with its batch if it is the batch's first.
    Only(Uuid),
}

impl Among<'_> {
    fn ids(self) -> Vec<Uuid> {
        match self {
            Self::All => Vec::new(),
            Self::AllBut(ids) => ids.to_vec(),
            Self::Only(id) => vec![id],
        }
    }
}

/// Neither these nor the batches they are in.
const ALL_BUT: &str = "\
    id not in (select {uuids($8)}) and (batch_id is null or not exists (\
        select 1 from {campanile}notification_deliveries as left_alone \
        where left_alone.batch_id = delivery.batch_id and left_alone.id in (select {uuids($8)})))";

const ONLY: &str = "id in (select {uuids($8)})";

/// The claimed deliveries.
#[derive(Debug, Default)]
pub(crate) struct Claimed {
    /// A delivery that cannot be read is present as the transition to be recorded for it.
    pub(crate) deliveries: Vec<Result<Delivery, Settled>>,
    /// Where the next step of a pass over parked deliveries begins; `None` if nothing was claimed.
    pub(crate) last: Option<Uuid>,
}

impl Claimed {
    pub(crate) fn extend(&mut self, other: Self) {
        self.deliveries.extend(other.deliveries);
        self.last = self.last.max(other.last);
    }
}

/// Expired leases come first. The clock is read once (`select {now}`); otherwise no index could serve the comparison.
const DUE: &str = "\
    with lost as materialized (\
        select id, batch_id from {campanile}notification_deliveries as delivery \
        where channel = $1 and state = {state.running} and lease_until <= (select {now}) and {first_of_batch} and {among} and {open} \
        order by lease_until limit $2 {skip_locked}), \
    due as materialized (\
        select id, batch_id from {campanile}notification_deliveries as delivery \
        where channel = $1 and state = {state.pending} and run_at <= (select {now}) and {first_of_batch} and {among} and {open} \
        order by run_at limit $2 {skip_locked}), \
    either as materialized (select * from (select * from lost union all select * from due) as all_of_them limit $2), \
    {and_their_batches}";

/// The other members of the chosen deliveries' batches. It waits for no lock: a batch with a locked member is left for later as a
/// whole.
const AND_THEIR_BATCHES: &str = "\
    mates as materialized (\
        select id, batch_id from {campanile}notification_deliveries where {in_their_batches} {skip_locked}), \
    busy as materialized (\
        select batch_id from {campanile}notification_deliveries where {in_their_batches} and id not in (select id from mates)), \
    chosen as (\
        select id from either where batch_id is null or batch_id not in (select batch_id from busy) union \
        select id from mates where batch_id not in (select batch_id from busy))";

const IN_THEIR_BATCHES: &str = "\
    batch_id in (select batch_id from either where batch_id is not null) and state in {states.open}";

/// The first waiting member of a batch represents the batch: a claim that locks it has them all, and no other claim takes any of
/// them.
const FIRST_OF_BATCH: &str = "\
    (batch_id is null or not exists (select 1 from {campanile}notification_deliveries as other \
        where other.batch_id = delivery.batch_id and other.id < delivery.id and other.state in {states.open}))";

const OPEN: &str = "\
    ($5 = 'probe' or not exists (select 1 from {campanile}notification_channel_pauses where channel = $1))";

/// How much content one step over parked deliveries holds in memory, not counting its last delivery. Otherwise a process that
/// starts with many parked deliveries would load the content of all of them.
const MAX_PARKED_BYTES: i64 = 4 * 1024 * 1024;

/// `$7` is the id after which it searches, `$10` the maximum amount of content. Content that several deliveries share counts
/// once, because it is read once.
const PARKED: &str = "\
    with parked as materialized (\
        select id, dispatch_id, secret from {campanile}notification_deliveries as delivery \
        where channel = $1 and state = {state.blocked} and id > {uuid($7)} and {first_of_batch} and {among} and {open} and {known} \
        order by id limit $2), \
    measured as materialized (\
        select parked.id, case when row_number() over (partition by parked.dispatch_id order by parked.id) = 1 \
            then octet_length({text(dispatch.payload)}) + octet_length({text(dispatch.content)}) else 0 end \
            + coalesce(octet_length(parked.secret), 0) as size \
        from parked left join {campanile}notification_dispatches as dispatch on dispatch.id = parked.dispatch_id), \
    fitting as materialized (\
        select id from (select id, size, coalesce(sum(size) over (order by id rows unbounded preceding), 0) as total \
            from measured) as summed where total - coalesce(size, 0) < {int($10)}), \
    either as materialized (\
        select id, batch_id from {campanile}notification_deliveries \
        where id in (select id from fitting) and state = {state.blocked} {skip_locked}), \
    {and_their_batches}";

/// An older binary does not know the content that a delivery may have of its own, and parks such a delivery as unreadable. Such
/// content begins with this.
const KNOWN: &str = "\
    (blocked_as = 'channel' or (blocked_as = 'content' and ($5 = 'all' or substr(secret, 2, 8) = '\"hidden\"')) \
        or (blocked_as = 'event' and exists (select 1 from {campanile}notification_dispatches as dispatch \
            where dispatch.id = delivery.dispatch_id and dispatch.event_type in (select {texts($6)})))) \
    and (batch_id is null or not exists (select 1 from {campanile}notification_deliveries as member \
        join {campanile}notification_dispatches as dispatch on dispatch.id = member.dispatch_id \
        where member.batch_id = delivery.batch_id and member.state in {states.open} \
        and dispatch.event_type not in (select {texts($6)})))";

/// `$3` is the lease, `$4` the worker, `$9` the claim. The state is checked again when the row is locked: a member of a batch may
/// have ended.
const LEASE: &str = "\
    update {campanile}notification_deliveries set state = {state.running}, attempt = attempt + 1, \
        lost_worker = case when state = {state.running} then worker end, maybe_sent = maybe_sent or state = {state.running}, \
        lost_answers = lost_answers + case when state = {state.running} then 1 else 0 end, \
        first_attempt_at = coalesce(first_attempt_at, {now}), blocked_as = null, \
        lease_until = {later($3)}, worker = {uuid($4)}, claim = {uuid($9)} \
    where id in (select id from chosen) and state in {states.open}";

/// The content comes with the first delivery of each dispatch.
const READ: &str = "\
    select {text(delivery.id)} as id, {text(delivery.notification_id)} as notification_id, \
        {text(delivery.dispatch_id)} as dispatch_id, delivery.user_id, delivery.attempt, delivery.uncounted, \
        delivery.maybe_sent, delivery.lost_answers, delivery.has_local, {text(delivery.batch_id)} as batch_id, \
        {text(delivery.lost_worker)} as lost_worker, {now_micros} - {micros(delivery.first_attempt_at)} as age, \
        coalesce({now_micros} - {micros(delivery.outage_since)}, 0) as outage, delivery.outage_rounds, \
        (delivery.expires_at is not null and delivery.expires_at <= {now}) as is_expired, \
        dispatch.event_type, dispatch.category, dispatch.subject_id, dispatch.org_id, dispatch.trace_context, delivery.secret, \
        case when delivery.n = 1 then {text(dispatch.payload)} end as payload, \
        case when delivery.n = 1 then {text(dispatch.content)} end as content \
    from (select taken.*, row_number() over (partition by dispatch_id order by run_at, id) as n from {taken} as taken) as delivery \
    left join {campanile}notification_dispatches as dispatch on dispatch.id = delivery.dispatch_id \
    order by delivery.run_at, delivery.id";

/// Statements for each choice, restricted to all deliveries, all but some, or one. Each restriction has its own statement, so
/// that the common one is planned without the others.
macro_rules! of_each_choice {
    ($(#[$doc:meta])* [$($on:tt)*] $name:ident = $text:expr) => {
        $(#[$doc])*
        mod $name {
            use super::*;

            of_each_choice! { @ [$($on)*] DUE_OF_ALL = $text, DUE, "true" }
            of_each_choice! { @ [$($on)*] DUE_OF_ALL_BUT = $text, DUE, ALL_BUT }
            of_each_choice! { @ [$($on)*] DUE_AND_ONLY = $text, DUE, ONLY }
            of_each_choice! { @ [$($on)*] PARKED_OF_ALL = $text, PARKED, "true" }
            of_each_choice! { @ [$($on)*] PARKED_OF_ALL_BUT = $text, PARKED, ALL_BUT }
            of_each_choice! { @ [$($on)*] PARKED_AND_ONLY = $text, PARKED, ONLY }

            pub(super) const fn of(take: Take<'_>, among: Among<'_>) -> &'static Statement {
                match (take, among) {
                    (Take::Due | Take::Probe, Among::All) => &DUE_OF_ALL,
                    (Take::Due | Take::Probe, Among::AllBut(_)) => &DUE_OF_ALL_BUT,
                    (Take::Due | Take::Probe, Among::Only(_)) => &DUE_AND_ONLY,
                    (Take::Known { .. } | Take::Parked { .. }, Among::All) => &PARKED_OF_ALL,
                    (Take::Known { .. } | Take::Parked { .. }, Among::AllBut(_)) => &PARKED_OF_ALL_BUT,
                    (Take::Known { .. } | Take::Parked { .. }, Among::Only(_)) => &PARKED_AND_ONLY,
                }
            }
        }
    };
    (@ [$($on:tt)*] $name:ident = $text:expr, $choice:expr, $among:expr) => {
        statement! {
            $($on)* $name = $text,
            choice = $choice, among = $among,
            first_of_batch = FIRST_OF_BATCH, and_their_batches = AND_THEIR_BATCHES, in_their_batches = IN_THEIR_BATCHES,
            open = OPEN, known = KNOWN, lease = LEASE, read = READ, taken = "taken"
        }
    };
}

of_each_choice! {
    /// The deliveries that a claim would take.
    [] look = "{choice} select {text(id)} as id from chosen order by 1"
}

#[cfg(feature = "postgres")]
of_each_choice! {
    /// Leases and reads in one statement.
    [on Postgres;] take = "{choice}, taken as ({lease} returning *) {read}"
}

#[cfg(feature = "sqlite")]
of_each_choice! {
    /// Leases; SQLite cannot change rows in a sub-query.
    [on SQLite;] lease = "{choice} {lease} returning id"
}

#[cfg(feature = "sqlite")]
statement! {
    /// Reads the leased deliveries.
    on SQLite; READ_LEASED = READ,
    taken = "(select * from campanile_notification_deliveries where id in (select value from json_each($1)))"
}

/// Binds the parameters of a [`Claim`], on either database.
macro_rules! bind {
    ($query:expr, $claim:expr) => {
        $query
            .bind($claim.channel)
            .bind($claim.at_most)
            .bind($claim.lease)
            .bind(&$claim.worker)
            .bind($claim.word)
            .bind(&$claim.events)
            .bind(&$claim.after)
            .bind(&$claim.among)
            .bind($claim.id.to_string())
            .bind(MAX_PARKED_BYTES)
    };
}

/// Leases up to `at_most` deliveries of a channel to this worker, and the other members of their batches.
pub(crate) async fn claim(
    database: &Database,
    channel: &str,
    take: Take<'_>,
    at_most: usize,
    lease: Duration,
    worker: Uuid,
    among: Among<'_>,
) -> Result<Claimed, sqlx::Error> {
    let claim = Claim::new(database, channel, take, at_most, among);
    let claim = Claim {
        lease: micros(lease),
        worker: worker.to_string(),
        ..claim
    };
    let _turn = database.turn_to_write().await;
    let rows: Vec<Row> = match database.pool() {
        #[cfg(feature = "postgres")]
        Pool::Postgres(_) => claim_in_one(database, &claim).await?,
        #[cfg(feature = "sqlite")]
        Pool::Sqlite(pool) => claim_in_two(database, pool, &claim).await?,
        #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
        Pool::Missing(never) => match *never {},
    };
    Ok(Claimed {
        last: last_in_line(&rows),
        deliveries: read_each(channel, claim.id, rows),
    })
}

/// The last of the deliveries chosen in the order of ids; the first member of a batch represents the batch.
fn last_in_line(rows: &[Row]) -> Option<Uuid> {
    let mut firsts: HashMap<Uuid, Uuid> = HashMap::new();
    for row in rows {
        let line = row.batch_id.unwrap_or(row.id);
        let first = firsts.entry(line.0).or_insert(row.id.0);
        *first = (*first).min(row.id.0);
    }
    firsts.into_values().max()
}

/// The deliveries that [`claim`] would take, without taking them.
pub(crate) async fn chosen(
    database: &Database,
    channel: &str,
    take: Take<'_>,
    at_most: usize,
    among: Among<'_>,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let claim = Claim::new(database, channel, take, at_most, among);
    let chosen: Vec<Id> = each_connection!(database, |connection| {
        bind!(sqlx::query_scalar(claim.look.on(database)), claim)
            .fetch_all(&mut *connection)
            .await
    })?;
    Ok(chosen.into_iter().map(|id| id.0).collect())
}

/// A claim: its choice, and its parameters.
struct Claim<'a> {
    look: &'static Statement,
    take: &'static Statement,
    channel: &'a str,
    at_most: i64,
    lease: i64,
    worker: String,
    word: &'a str,
    events: String,
    after: String,
    among: String,
    id: Uuid,
}

impl<'a> Claim<'a> {
    /// A claim that leases nothing yet.
    fn new(
        database: &Database,
        channel: &'a str,
        take: Take<'a>,
        at_most: usize,
        among: Among<'_>,
    ) -> Self {
        let (word, events, after) = match take {
            Take::Due => ("due", &[][..], Uuid::nil()),
            Take::Probe => ("probe", &[][..], Uuid::nil()),
            Take::Known { events, after } => ("known", events, after),
            Take::Parked { events, after } => ("all", events, after),
        };
        Self {
            look: look::of(take, among),
            take: take_of(database, take, among),
            channel,
            at_most: i64::try_from(at_most).unwrap_or(i64::MAX),
            lease: 0,
            worker: Uuid::nil().to_string(),
            word,
            events: serde_json::json!(events).to_string(),
            after: after.to_string(),
            among: serde_json::json!(among.ids()).to_string(),
            id: Uuid::now_v7(),
        }
    }
}

/// The statement that leases.
fn take_of(database: &Database, take: Take<'_>, among: Among<'_>) -> &'static Statement {
    match database.pool() {
        #[cfg(feature = "postgres")]
        Pool::Postgres(_) => take::of(take, among),
        #[cfg(feature = "sqlite")]
        Pool::Sqlite(_) => lease::of(take, among),
        #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
        Pool::Missing(never) => match *never {},
    }
}

#[cfg(feature = "postgres")]
async fn claim_in_one(database: &Database, claim: &Claim<'_>) -> Result<Vec<Row>, sqlx::Error> {
    use sqlx::Connection as _;
    each_connection!(database, |connection| {
        let rows = bind!(sqlx::query_as(claim.take.on(database)), claim)
            .fetch_all(&mut *connection)
            .await;
        if rows.is_err() {
            // The server reports an error before it releases the locks, and the next claim would pass over the locked rows.
            connection.ping().await?;
        }
        rows
    })
}

#[cfg(feature = "sqlite")]
async fn claim_in_two(
    database: &Database,
    pool: &sqlx::SqlitePool,
    claim: &Claim<'_>,
) -> Result<Vec<Row>, sqlx::Error> {
    use sqlx::Connection as _;
    // A query that finds nothing must not take the file's lock.
    let found: Option<Id> = bind!(sqlx::query_scalar(claim.look.on(database)), claim)
        .fetch_optional(pool)
        .await?;
    if found.is_none() {
        return Ok(Vec::new());
    }
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin_with(database.begin()).await?;
    let ids: Vec<String> = bind!(sqlx::query_scalar(claim.take.on(database)), claim)
        .fetch_all(&mut *transaction)
        .await?;
    // An error while reading gives the others back.
    let rows = sqlx::query_as(READ_LEASED.on(database))
        .bind(serde_json::json!(ids).to_string())
        .fetch_all(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(rows)
}

row! {
    /// A row of [`READ`].
    struct Row {
        id: Id,
        notification_id: Id,
        /// A row that cannot be read affects only itself.
        dispatch_id: String,
        user_id: String,
        attempt: Number,
        uncounted: Number,
        maybe_sent: bool,
        lost_answers: Number,
        outage: i64,
        outage_rounds: Number,
        has_local: bool,
        batch_id: Option<Id>,
        lost_worker: Option<Id>,
        age: i64,
        is_expired: bool,
        event_type: Option<String>,
        category: Option<String>,
        subject_id: Option<String>,
        org_id: Option<String>,
        trace_context: Option<String>,
        payload: Option<String>,
        content: Option<String>,
        secret: Option<String>,
    }
}

/// The data that the deliveries of one dispatch share: its id, its parts, unless each has its own, and its payload; `None` if
/// they cannot be read.
type Shared = Option<(Uuid, Option<Arc<Parts>>, Arc<serde_json::Value>)>;

fn read_each(channel: &str, claim: Uuid, rows: Vec<Row>) -> Vec<Result<Delivery, Settled>> {
    let mut contents: HashMap<String, Shared> = HashMap::new();
    let mut deliveries = Vec::with_capacity(rows.len());
    for mut row in rows {
        let shared = contents
            .entry(std::mem::take(&mut row.dispatch_id))
            .or_insert_with_key(|dispatch| {
                let (parts, payload) = shared(channel, row.payload.take(), row.content.take())?;
                Some((Uuid::parse_str(dispatch).ok()?, parts, payload))
            });
        let read = shared.clone().and_then(|(dispatch_id, shared, payload)| {
            let (parts, hidden) = own_or_shared(&row, shared)?;
            Some((dispatch_id, parts, payload, hidden))
        });
        let Some((dispatch_id, parts, payload, hidden)) = read else {
            let (id, attempt, lost) = (row.id.0, row.attempt.0, row.lost_answers.0);
            let parked = unreadable(id, claim, attempt, row.maybe_sent, lost);
            deliveries.push(Err(parked));
            continue;
        };
        deliveries.push(Ok(Delivery {
            id: row.id.0,
            notification_id: row.notification_id.0,
            dispatch_id,
            user_id: row.user_id,
            org_id: row.org_id,
            event_type: row.event_type.unwrap_or_default(),
            subject_id: row.subject_id,
            category: row.category.unwrap_or_default(),
            attempt: row.attempt.0,
            maybe_sent: row.maybe_sent,
            batch_id: row.batch_id.map(|id| id.0),
            past: Past {
                claim,
                uncounted: row.uncounted.0,
                lost_answers: row.lost_answers.0,
                outage: time(row.outage),
                outage_rounds: row.outage_rounds.0,
                age: time(row.age),
                is_expired: row.is_expired,
                has_local: row.has_local,
                hidden,
                lost_worker: row.lost_worker.map(|id| id.0),
                trace_context: row.trace_context,
            },
            addresses: Vec::new(),
            parts,
            payload,
        }));
    }
    deliveries
}

fn time(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}

/// The parts of a delivery, its own or those of its dispatch, and which of them are hidden. `None` if there are none.
fn own_or_shared(row: &Row, shared: Option<Arc<Parts>>) -> Option<(Arc<Parts>, Hidden)> {
    match row.secret.as_deref() {
        // Erased when it expired; it only remains to record that.
        Some("") if row.is_expired => Some((Arc::default(), Hidden::default())),
        Some(own) => {
            let own: Kept = serde_json::from_str(own).ok()?;
            Some((own.parts, own.hidden))
        }
        None => Some((shared?, Hidden::default())),
    }
}

/// The content is parsed here and not by the database, where one row that is not valid JSON would fail the others.
fn shared(
    channel: &str,
    payload: Option<String>,
    content: Option<String>,
) -> Option<(Option<Arc<Parts>>, Arc<serde_json::Value>)> {
    let mut content: HashMap<String, serde_json::Value> = serde_json::from_str(&content?).ok()?;
    let parts = content.remove(channel).map(serde_json::from_value);
    let payload = serde_json::from_str(&payload?).ok()?;
    Some((parts.transpose().ok()?.map(Arc::new), Arc::new(payload)))
}
