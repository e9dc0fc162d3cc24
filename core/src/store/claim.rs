//! Claims what is due, renews what is held, and parks what no worker can deliver.
//!
//! The delivery's row is the queue. Each claim has an id of its own, and every later transition is guarded by it. The number of an
//! attempt cannot do that: a claim that began no call gives its number back, and the next one gets it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sqlx::Row as _;
use uuid::Uuid;

use super::settle::{Settled, unreadable};
use super::{in_order, micros};
use crate::channel::delivery::Hidden;
use crate::channel::delivery::{Delivery, Parts, Past};
use crate::database::error::StoreError;
use crate::database::{Database, Pool, each_connection};
use crate::event::secret::Kept;
use crate::state::DeliveryState;

/// Which deliveries of a channel are claimed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Take<'a> {
    /// Those that are due, and those whose lease has run out; none while the channel is paused.
    Due,
    /// The same, also while it is paused: to see whether it works again.
    Probe,
    /// Those that were parked because their channel was unknown, or their event, which is one of these now; a batch only if the
    /// events of all its members are. With ids above `after`: what is parked again is not met twice in one pass.
    Known { events: &'a [&'a str], after: Uuid },
    /// Those, and the ones that could not be read: another version may be able to.
    Parked { events: &'a [&'a str], after: Uuid },
}

/// Which of the deliveries that may be claimed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Among<'a> {
    All,
    /// Neither these nor the batches they are in.
    AllBut(&'a [Uuid]),
    /// This one, with its batch if it is the first of it.
    Only(Uuid),
}

impl Among<'_> {
    const fn condition(self) -> &'static str {
        match self {
            Self::All => "true",
            Self::AllBut(_) => {
                "id not in (select {uuids($8)}) and (batch_id is null or not exists (\
                    select 1 from {campanile}notification_deliveries as left_alone \
                    where left_alone.batch_id = its.batch_id and left_alone.id in (select {uuids($8)})))"
            }
            Self::Only(_) => "id in (select {uuids($8)})",
        }
    }

    fn ids(self) -> Vec<Uuid> {
        match self {
            Self::All => Vec::new(),
            Self::AllBut(ids) => ids.to_vec(),
            Self::Only(id) => vec![id],
        }
    }
}

/// What was claimed.
#[derive(Debug, Default)]
pub(crate) struct Claimed {
    /// One that cannot be read is there as what is to be recorded of it.
    pub(crate) deliveries: Vec<Result<Delivery, Settled>>,
    /// Where the next step of a pass over what is parked begins; `None` if nothing was claimed.
    pub(crate) last: Option<Uuid>,
}

impl Claimed {
    pub(crate) fn extend(&mut self, other: Self) {
        self.deliveries.extend(other.deliveries);
        self.last = self.last.max(other.last);
    }
}

/// Leases that ran out come first. The clock is asked once (`select {now}`), or no index would serve the comparison.
const DUE: &str = "\
    with lost as materialized (\
        select id, batch_id from {campanile}notification_deliveries as its \
        where channel = $1 and state = {state.running} and lease_until <= (select {now}) and {first_of_batch} and {among} and {open} \
        order by lease_until limit $2 {skip_locked}), \
    due as materialized (\
        select id, batch_id from {campanile}notification_deliveries as its \
        where channel = $1 and state = {state.pending} and run_at <= (select {now}) and {first_of_batch} and {among} and {open} \
        order by run_at limit $2 {skip_locked}), \
    either as materialized (select * from (select * from lost union all select * from due) as all_of_them limit $2), \
    {and_their_batches}";

/// The rest of the batches of which one was chosen. It waits for nobody: a batch of which somebody has locked one is left for
/// later, as a whole.
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

/// Of a batch the first that waits stands for all: whoever locks it has them all, and nobody else takes another of them.
const FIRST_OF_BATCH: &str = "\
    (batch_id is null or not exists (select 1 from {campanile}notification_deliveries as other \
        where other.batch_id = its.batch_id and other.id < its.id and other.state in {states.open}))";

const OPEN: &str = "\
    ($5 = 'probe' or not exists (select 1 from {campanile}notification_channel_pauses where channel = $1))";

/// How much content one step of what is parked holds, but for its last delivery. A process that begins beside a long row of
/// parked deliveries would hold all of theirs.
const MAX_PARKED_BYTES: i64 = 4 * 1024 * 1024;

/// `$7` is the id after which it looks. Content that several deliveries share counts once, as it is read once.
const PARKED: &str = "\
    with parked as materialized (\
        select id, dispatch_id, secret from {campanile}notification_deliveries as its \
        where channel = $1 and state = {state.blocked} and id > {uuid($7)} and {first_of_batch} and {among} and {open} and {known} \
        order by id limit $2), \
    measured as materialized (\
        select parked.id, case when row_number() over (partition by parked.dispatch_id order by parked.id) = 1 \
            then octet_length({text(dispatch.payload)}) + octet_length({text(dispatch.content)}) else 0 end \
            + coalesce(octet_length(parked.secret), 0) as size \
        from parked left join {campanile}notification_dispatches as dispatch on dispatch.id = parked.dispatch_id), \
    fitting as materialized (\
        select id from (select id, size, coalesce(sum(size) over (order by id rows unbounded preceding), 0) as total \
            from measured) as summed where total - coalesce(size, 0) < {max_parked_bytes}), \
    either as materialized (\
        select id, batch_id from {campanile}notification_deliveries \
        where id in (select id from fitting) and state = {state.blocked} {skip_locked}), \
    {and_their_batches}";

/// An older binary parks what has content of its own, which it does not know of, as unreadable. Such content begins so.
const KNOWN: &str = "\
    (blocked_as = 'channel' or (blocked_as = 'content' and ($5 = 'all' or substr(secret, 2, 8) = '\"hidden\"')) \
        or (blocked_as = 'event' and exists (select 1 from {campanile}notification_dispatches as dispatch \
            where dispatch.id = its.dispatch_id and dispatch.event_type in (select {texts($6)})))) \
    and (batch_id is null or not exists (select 1 from {campanile}notification_deliveries as member \
        join {campanile}notification_dispatches as dispatch on dispatch.id = member.dispatch_id \
        where member.batch_id = its.batch_id and member.state in {states.open} \
        and dispatch.event_type not in (select {texts($6)})))";

/// `$3` is the lease, `$4` the worker, `$9` the claim. The state is looked at again when the row is locked: one of a batch may have ended.
const LEASE: &str = "\
    update {campanile}notification_deliveries set state = {state.running}, attempt = attempt + 1, \
        lost_worker = case when state = {state.running} then worker end, maybe_sent = maybe_sent or state = {state.running}, \
        lost_answers = lost_answers + case when state = {state.running} then 1 else 0 end, \
        first_attempt_at = coalesce(first_attempt_at, {now}), blocked_as = null, \
        lease_until = {later($3)}, worker = {uuid($4)}, claim = {uuid($9)} \
    where id in (select id from chosen) and state in {states.open}";

/// The content comes with the first delivery of each dispatch.
const READ: &str = "\
    select {text(its.id)} as id, {text(its.notification_id)} as notification_id, \
        {text(its.dispatch_id)} as dispatch_id, its.user_id, its.attempt, its.uncounted, its.maybe_sent, its.lost_answers, its.has_local, \
        {text(its.batch_id)} as batch_id, {text(its.lost_worker)} as lost_worker, {now_micros} - {micros(its.first_attempt_at)} as age, \
        coalesce({now_micros} - {micros(its.outage_since)}, 0) as outage, its.outage_rounds, \
        (its.expires_at is not null and its.expires_at <= {now}) as is_expired, \
        dispatch.event_type, dispatch.category, dispatch.subject_id, dispatch.org_id, dispatch.trace_context, its.secret, \
        case when its.n = 1 then {text(dispatch.payload)} end as payload, \
        case when its.n = 1 then {text(dispatch.content)} end as content \
    from (select taken.*, row_number() over (partition by dispatch_id order by run_at, id) as n from {taken} as taken) as its \
    left join {campanile}notification_dispatches as dispatch on dispatch.id = its.dispatch_id \
    order by its.run_at, its.id";

/// A row of either database, as a [`Row`].
macro_rules! row {
    ($row:expr) => {
        Ok(Row {
            id: $row.try_get("id")?,
            notification_id: $row.try_get("notification_id")?,
            dispatch_id: $row.try_get("dispatch_id")?,
            user_id: $row.try_get("user_id")?,
            attempt: $row.try_get("attempt")?,
            uncounted: $row.try_get("uncounted")?,
            maybe_sent: $row.try_get("maybe_sent")?,
            lost_answers: $row.try_get("lost_answers")?,
            outage: $row.try_get("outage")?,
            outage_rounds: $row.try_get("outage_rounds")?,
            has_local: $row.try_get("has_local")?,
            batch_id: $row.try_get("batch_id")?,
            lost_worker: $row.try_get("lost_worker")?,
            age: $row.try_get("age")?,
            is_expired: $row.try_get("is_expired")?,
            event_type: $row.try_get("event_type")?,
            category: $row.try_get("category")?,
            subject_id: $row.try_get("subject_id")?,
            org_id: $row.try_get("org_id")?,
            trace_context: $row.try_get("trace_context")?,
            payload: $row.try_get("payload")?,
            content: $row.try_get("content")?,
            secret: $row.try_get("secret")?,
        })
    };
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
    };
}

/// Leases up to `at_most` deliveries of a channel to this worker, and the rest of the batches they are in.
pub(crate) async fn claim(
    database: &Database,
    channel: &str,
    take: Take<'_>,
    at_most: usize,
    lease: Duration,
    worker: Uuid,
    among: Among<'_>,
) -> Result<Claimed, sqlx::Error> {
    let claim = Claim::new(channel, take, at_most, among);
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
        last: last_in_line(&rows)?,
        deliveries: read_each(channel, claim.id, rows)?,
    })
}

/// The last of those that were chosen in the order of ids: of a batch its first stands for all.
fn last_in_line(rows: &[Row]) -> Result<Option<Uuid>, sqlx::Error> {
    let mut firsts: HashMap<&str, &str> = HashMap::new();
    for row in rows {
        let line = row.batch_id.as_deref().unwrap_or(&row.id);
        let first = firsts.entry(line).or_insert(&row.id);
        *first = (*first).min(&row.id);
    }
    firsts.into_values().max().map(id).transpose()
}

/// What [`claim`] would take, without taking it.
pub(crate) async fn chosen(
    database: &Database,
    channel: &str,
    take: Take<'_>,
    at_most: usize,
    among: Among<'_>,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let claim = Claim::new(channel, take, at_most, among);
    let look = format!(
        "{} select {{text(id)}} as id from chosen order by 1",
        claim.choice
    );
    let chosen: Vec<String> = each_connection!(database, |connection| {
        bind!(sqlx::query_scalar(database.sql(&look)), claim)
            .fetch_all(&mut *connection)
            .await
    })?;
    chosen.iter().map(|text| id(text)).collect()
}

/// A claim: what it chooses, and its parameters.
struct Claim<'a> {
    choice: String,
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
    /// One that leases nothing yet.
    fn new(channel: &'a str, take: Take<'a>, at_most: usize, among: Among<'_>) -> Self {
        let (choice, word, events, after) = match take {
            Take::Due => (DUE, "due", &[][..], Uuid::nil()),
            Take::Probe => (DUE, "probe", &[][..], Uuid::nil()),
            Take::Known { events, after } => (PARKED, "known", events, after),
            Take::Parked { events, after } => (PARKED, "all", events, after),
        };
        Self {
            choice: complete(choice, among),
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

#[cfg(feature = "postgres")]
async fn claim_in_one(database: &Database, claim: &Claim<'_>) -> Result<Vec<Row>, sqlx::Error> {
    use sqlx::Connection as _;
    let read = READ.replace("{taken}", "taken");
    let statement = format!("{}, taken as ({LEASE} returning *) {read}", claim.choice);
    each_connection!(database, |connection| {
        let rows = bind!(sqlx::query(database.sql(&statement)), claim)
            .fetch_all(&mut *connection)
            .await;
        if rows.is_err() {
            // The server tells of a refusal before it lets the locks go, which the next claim would pass over.
            connection.ping().await?;
        }
        rows?.iter().map(|row| row!(row)).collect()
    })
}

#[cfg(feature = "sqlite")]
async fn claim_in_two(
    database: &Database,
    pool: &sqlx::SqlitePool,
    claim: &Claim<'_>,
) -> Result<Vec<Row>, sqlx::Error> {
    use sqlx::Connection as _;
    // A look that finds nothing must not take the file's lock.
    let look = format!("{} select count(*) from chosen", claim.choice);
    let found: i64 = bind!(sqlx::query_scalar(database.sql(&look)), claim)
        .fetch_one(pool)
        .await?;
    if found == 0 {
        return Ok(Vec::new());
    }
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin_with(database.begin()).await?;
    let statement = format!("{} {LEASE} returning id", claim.choice);
    let ids: Vec<String> = bind!(sqlx::query_scalar(database.sql(&statement)), claim)
        .fetch_all(&mut *transaction)
        .await?;
    let taken =
        "(select * from notification_deliveries where id in (select value from json_each($1)))";
    let rows = sqlx::query(database.sql(&READ.replace("{taken}", taken)))
        .bind(serde_json::json!(ids).to_string())
        .fetch_all(&mut *transaction)
        .await?;
    // One that cannot be read gives the others back.
    let rows = rows.iter().map(|row| row!(row));
    let rows = rows.collect::<Result<_, sqlx::Error>>()?;
    transaction.commit().await?;
    Ok(rows)
}

fn complete(choice: &str, among: Among<'_>) -> String {
    choice
        .replace("{first_of_batch}", FIRST_OF_BATCH)
        .replace("{and_their_batches}", AND_THEIR_BATCHES)
        .replace("{in_their_batches}", IN_THEIR_BATCHES)
        .replace("{open}", OPEN)
        .replace("{among}", among.condition())
        .replace("{known}", KNOWN)
        .replace("{max_parked_bytes}", &MAX_PARKED_BYTES.to_string())
}

/// What [`READ`] gives.
struct Row {
    id: String,
    notification_id: String,
    dispatch_id: String,
    user_id: String,
    attempt: i32,
    uncounted: i32,
    maybe_sent: bool,
    lost_answers: i32,
    outage: i64,
    outage_rounds: i32,
    has_local: bool,
    batch_id: Option<String>,
    lost_worker: Option<String>,
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

/// What the deliveries of one dispatch share: its id, its parts unless each has its own, and its payload; `None` if it cannot be
/// read.
type Shared = Option<(Uuid, Option<Arc<Parts>>, Arc<serde_json::Value>)>;

fn read_each(
    channel: &str,
    claim: Uuid,
    rows: Vec<Row>,
) -> Result<Vec<Result<Delivery, Settled>>, sqlx::Error> {
    let mut contents: HashMap<String, Shared> = HashMap::new();
    let deliveries = rows.into_iter().map(|mut row| {
        let shared = contents
            .entry(std::mem::take(&mut row.dispatch_id))
            .or_insert_with_key(|dispatch| {
                let (parts, payload) = shared(channel, row.payload.take(), row.content.take())?;
                Some((id(dispatch).ok()?, parts, payload))
            });
        let (delivery_id, attempt) = (id(&row.id)?, number(row.attempt));
        let read = shared.clone().and_then(|(dispatch_id, shared, payload)| {
            let (parts, hidden) = own_or_shared(&row, shared)?;
            Some((dispatch_id, parts, payload, hidden))
        });
        let Some((dispatch_id, parts, payload, hidden)) = read else {
            let lost_answers = number(row.lost_answers);
            return Ok(Err(unreadable(
                delivery_id,
                claim,
                attempt,
                row.maybe_sent,
                lost_answers,
            )));
        };
        let delivery = Delivery {
            id: delivery_id,
            notification_id: id(&row.notification_id)?,
            dispatch_id,
            user_id: row.user_id,
            org_id: row.org_id,
            event_type: row.event_type.unwrap_or_default(),
            subject_id: row.subject_id,
            category: row.category.unwrap_or_default(),
            attempt,
            maybe_sent: row.maybe_sent,
            batch_id: row.batch_id.as_deref().map(id).transpose()?,
            past: Past {
                claim,
                uncounted: number(row.uncounted),
                lost_answers: number(row.lost_answers),
                outage: Duration::from_micros(u64::try_from(row.outage).unwrap_or_default()),
                outage_rounds: number(row.outage_rounds),
                age: Duration::from_micros(u64::try_from(row.age).unwrap_or_default()),
                is_expired: row.is_expired,
                has_local: row.has_local,
                hidden,
                lost_worker: row.lost_worker.as_deref().map(id).transpose()?,
                trace_context: row.trace_context,
            },
            addresses: Vec::new(),
            parts,
            payload,
        };
        Ok(Ok(delivery))
    });
    deliveries.collect()
}

/// The parts of a delivery, and what of them is hidden: its own, or those of its dispatch. `None` if there are none.
fn own_or_shared(row: &Row, shared: Option<Arc<Parts>>) -> Option<(Arc<Parts>, Hidden)> {
    match row.secret.as_deref() {
        // Erased when it expired; all that is left is to say so.
        Some("") if row.is_expired => Some((Arc::default(), Hidden::default())),
        Some(own) => {
            let own: Kept = serde_json::from_str(own).ok()?;
            Some((own.parts, own.hidden))
        }
        None => Some((shared?, Hidden::default())),
    }
}

/// The content is taken apart here and not by the database, where one row that is no JSON would fail the others.
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

/// `$1` is `[delivery, claim]` rows, `$2` the worker, `$3` the lease.
const RENEW: &str = "\
    with {locked} update {campanile}notification_deliveries as its set lease_until = {later($3)} \
    from {rows($1)} as mine \
    where its.id in (select id from locked) and its.id = {uuid(mine.value ->> 0)} and its.claim = {uuid(mine.value ->> 1)} \
        and its.state = {state.running} and its.worker = {uuid($2)} \
    returning {text(id)} as id";

/// Renews these leases, and says which were still this worker's. If the database refuses them together it is asked one by one:
/// one that cannot be renewed keeps none of the others.
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
    let renewed: Vec<String> = each_connection!(database, |connection| {
        sqlx::query_scalar(database.sql(&in_order(RENEW)))
            .bind(serde_json::json!(held).to_string())
            .bind(worker.to_string())
            .bind(micros(lease))
            .fetch_all(&mut *connection)
            .await
    })?;
    renewed.iter().map(|text| id(text)).collect()
}

/// `$1` is `[delivery, claim]` rows, `$2` the worker.
const LOOK: &str = "\
    select {text(delivery.id)} as id, choice.enabled, \
        (delivery.expires_at is not null and delivery.expires_at <= {now}) as is_expired \
    from {rows($1)} as mine \
    join {campanile}notification_deliveries as delivery on delivery.id = {uuid(mine.value ->> 0)} \
    join {campanile}notification_dispatches as dispatch on dispatch.id = delivery.dispatch_id \
    left join {campanile}user_notification_preferences as choice on choice.user_id = delivery.user_id \
        and choice.category = dispatch.category and choice.channel = delivery.channel \
    where delivery.claim = {uuid(mine.value ->> 1)} and delivery.state = {state.running} and delivery.worker = {uuid($2)}";

/// What a [`look`] sees of a delivery that is this worker's.
#[derive(Debug)]
pub(crate) struct Look {
    /// What its recipient chose for its category and channel.
    pub(crate) enabled: Option<bool>,
    pub(crate) is_expired: bool,
}

/// Which of these, given with their claims, are still this worker's, and what is to be known of them before they are sent.
pub(crate) async fn look(
    database: &Database,
    worker: Uuid,
    held: &[(Uuid, Uuid)],
) -> Result<HashMap<Uuid, Look>, sqlx::Error> {
    each_connection!(database, |connection| {
        let rows = sqlx::query(database.sql(LOOK))
            .bind(serde_json::json!(held).to_string())
            .bind(worker.to_string())
            .fetch_all(&mut *connection)
            .await?;
        let looks = rows.iter().map(|row| {
            let seen = Look {
                enabled: row.try_get("enabled")?,
                is_expired: row.try_get("is_expired")?,
            };
            Ok((id(row.try_get("id")?)?, seen))
        });
        looks.collect()
    })
}

/// `$1` is `[delivery, claim, batch]` rows, `$2` the worker, `$3` the lease.
///
/// Freezing also renews the leases. Otherwise another worker's claim that began just when they ran out could take some members of
/// the batch and leave the others.
const FREEZE: &str = "\
    with {locked} update {campanile}notification_deliveries as its set batch_id = {uuid(mine.value ->> 2)}, lease_until = {later($3)} \
    from {rows($1)} as mine \
    where its.id in (select id from locked) and its.id = {uuid(mine.value ->> 0)} and its.claim = {uuid(mine.value ->> 1)} \
        and its.state = {state.running} and its.worker = {uuid($2)}";

/// Notes which deliveries go out in which batch, before they do; `false` if a lease was lost.
pub(crate) async fn freeze(
    database: &Database,
    worker: Uuid,
    batches: &[&[Delivery]],
    lease: Duration,
) -> Result<bool, sqlx::Error> {
    let rows: Vec<_> = batches
        .iter()
        .flat_map(|batch| batch.iter())
        .map(|its| (its.id, its.past.claim, its.batch_id))
        .collect();
    let _turn = database.turn_to_write().await;
    let frozen: u64 = each_connection!(database, |connection| {
        let frozen = sqlx::query(database.sql(&in_order(FREEZE)))
            .bind(serde_json::json!(rows).to_string())
            .bind(worker.to_string())
            .bind(micros(lease))
            .execute(&mut *connection)
            .await?;
        Ok(frozen.rows_affected())
    })?;
    Ok(frozen == rows.len() as u64)
}

/// The channels that have something pending, by hopping from one to the next in the index.
const WAITING_CHANNELS: &str = "\
    with recursive waiting(channel) as (\
        select min(channel) from {campanile}notification_deliveries where state = '{state}' \
        union all \
        select (select min(channel) from {campanile}notification_deliveries \
            where state = '{state}' and channel > waiting.channel) \
        from waiting where waiting.channel is not null) \
    select channel from waiting where channel is not null and channel not in (select {texts($1)}) \
        and channel not in (select channel from {campanile}notification_channel_pauses)";

const PARK: &str = "\
    update {campanile}notification_deliveries set state = {state.blocked}, blocked_as = 'channel', \
        maybe_sent = maybe_sent or state = {state.running}, lease_until = null, worker = null, \
        lost_answers = lost_answers + case when state = {state.running} then 1 else 0 end, \
        last_error = 'no running worker links its channel' \
    where id in (select id from {campanile}notification_deliveries \
        where channel = $1 and state = '{state}' and {due} <= (select {earlier($2)}) \
        order by {due} limit 1000 {skip_locked})";

/// Of what has expired nothing is sent any more, so that its secret goes, although the delivery ends only when it is claimed: its
/// channel may be paused, or nobody may link it.
const ERASE_EXPIRED: &str = "\
    update {campanile}notification_deliveries set secret = '' \
    where id in (select id from {campanile}notification_deliveries \
        where secret <> '' and expires_at <= {now} and state in {states.waiting} \
        order by id limit 1000 {skip_locked})";

/// Erases the secrets of what has expired.
pub(crate) async fn erase_expired(database: &Database) -> Result<(), sqlx::Error> {
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        let erased = sqlx::query(database.sql(ERASE_EXPIRED));
        erased.execute(&mut *connection).await.map(drop)
    })
}

/// The states that a delivery is parked from, and when it is due: it waits, or its worker was lost.
const PARKED_FROM: [(DeliveryState, &str); 2] = [
    (DeliveryState::Pending, "run_at"),
    (DeliveryState::Running, "lease_until"),
];

/// Parks what has been due for a while on channels that are not among these, and says how much.
pub(crate) async fn park_strangers(
    database: &Database,
    linked: &[String],
    overdue: Duration,
) -> Result<u64, sqlx::Error> {
    let linked = serde_json::json!(linked).to_string();
    // First the turn, then a connection, as everywhere.
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        let mut parked = 0;
        for (state, due) in PARKED_FROM {
            let in_state = |statement: &str| {
                let statement = statement.replace("{state}", state.as_str());
                let statement = statement.replace("{due}", due);
                database.sql(&statement)
            };
            let strange: Vec<String> = sqlx::query_scalar(in_state(WAITING_CHANNELS))
                .bind(&linked)
                .fetch_all(&mut *connection)
                .await?;
            for channel in strange {
                let done = sqlx::query(in_state(PARK))
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

fn id(text: &str) -> Result<Uuid, sqlx::Error> {
    Uuid::parse_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn number(value: i32) -> u32 {
    u32::try_from(value).unwrap_or_default()
}
