//! What an operator sees and does of **deliveries**: count, list, trace; try again, cancel, redrive the dead.
//!
//! Every change is guarded by the state it starts from: what a worker has under way, or what was delivered, is not touched.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::Row as _;
use uuid::Uuid;

use crate::database::error::StoreError;
use crate::database::{Database, each_connection};
use crate::operate::Operations;
use crate::store::settle;

mod redrive;
mod trace;

pub use redrive::DeadFilter;
pub use trace::{Attempt, Trace};

/// The most deliveries one list holds.
pub const LONGEST_LIST: usize = 1_000;

/// The state of a delivery. In JSON a lower case word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum DeliveryState {
    /// It waits for a worker, or for its next attempt.
    Pending,
    /// An attempt is under way.
    Running,
    /// It went out.
    Delivered,
    /// Its address is on the channel's suppression list, or the recipient has muted the channel since.
    Suppressed,
    /// The recipient has no address on the channel.
    Unreachable,
    /// It was no longer worth sending.
    Expired,
    /// An operator cancelled it.
    Cancelled,
    /// It will never work, or has used up its attempts.
    Dead,
    /// Nobody knows whether it went out.
    Unknown,
    /// Its event or its channel is not known to any running worker, until one knows it; or it cannot be read, or the database
    /// refuses to record what came of it, and it waits for an operator.
    Blocked,
}

impl DeliveryState {
    /// Every state, in the order of a delivery's life.
    pub const ALL: &'static [Self] = &[
        Self::Pending,
        Self::Running,
        Self::Delivered,
        Self::Suppressed,
        Self::Unreachable,
        Self::Expired,
        Self::Cancelled,
        Self::Dead,
        Self::Unknown,
        Self::Blocked,
    ];

    /// The state as the database has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Delivered => "delivered",
            Self::Suppressed => "suppressed",
            Self::Unreachable => "unreachable",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Dead => "dead",
            Self::Unknown => "unknown",
            Self::Blocked => "blocked",
        }
    }

    fn read(text: &str) -> Result<Self, sqlx::Error> {
        let known = Self::ALL.iter().find(|state| state.as_str() == text);
        known
            .copied()
            .ok_or_else(|| sqlx::Error::Decode(format!("no state `{text}` is known").into()))
    }
}

/// A delivery as an operator sees it: no address, no content. In JSON its keys are camelCase, its times RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DeliverySummary {
    /// The delivery.
    pub id: Uuid,
    /// The notification it belongs to.
    pub notification_id: Uuid,
    /// The recipient.
    pub user_id: String,
    /// The channel.
    pub channel: String,
    /// The event's type.
    pub event_type: String,
    /// Its state.
    pub state: DeliveryState,
    /// How many attempts were begun.
    pub attempts: u32,
    /// When the next attempt is due, while it is pending.
    pub run_at: Timestamp,
    /// What the last attempt said.
    pub last_error: Option<String>,
    /// When it was committed.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Whether it had a secret in it, which was erased when it ended: it cannot be tried again.
    pub erased: bool,
}

/// How many deliveries of a channel are in a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DeliveryCount {
    /// The channel.
    pub channel: String,
    /// The state.
    pub state: DeliveryState,
    /// How many.
    pub count: u64,
}

/// Which deliveries to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(
    clippy::exhaustive_structs,
    reason = "made by callers with `..DeliveryFilter::default()`"
)]
pub struct DeliveryFilter<'a> {
    /// Of this channel only.
    pub channel: Option<&'a str>,
    /// In this state only.
    pub state: Option<DeliveryState>,
    /// Older than this one: the last of the page before.
    pub before: Option<Uuid>,
    /// At most this many, and never more than [`LONGEST_LIST`]; 0 means 100.
    pub limit: usize,
}

/// Why a delivery was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryChangeError {
    /// There is no such delivery.
    #[error("there is no delivery {0}")]
    NotFound(Uuid),
    /// Its state does not allow it.
    #[error("the delivery {id} is {}, and cannot be {change}", state.as_str())]
    WrongState {
        /// The delivery.
        id: Uuid,
        /// Its state.
        state: DeliveryState,
        /// What was asked for.
        change: &'static str,
    },
    /// It had a secret in it, which was erased when it ended.
    #[error(
        "the delivery {0} had a secret in it, which was erased when it ended; dispatch the event again"
    )]
    Erased(Uuid),
    /// The database refused or did not answer.
    #[error("the delivery was not changed")]
    Store(#[from] StoreError),
}

const SUMMARY: &str = "\
    select {text(its.id)} as id, {text(its.notification_id)} as notification_id, its.user_id, its.channel, \
        coalesce(dispatch.event_type, '') as event_type, its.state, its.attempt, {micros(its.run_at)} as run_at, its.last_error, \
        {micros(its.created_at)} as created_at, {micros(its.finished_at)} as finished_at, \
        coalesce(its.secret = '', false) as erased \
    from {campanile}notification_deliveries as its \
    left join {campanile}notification_dispatches as dispatch on dispatch.id = its.dispatch_id";

/// A fresh set of attempts: those so far no longer count.
const RETRY: &str = "\
    update {campanile}notification_deliveries set state = 'pending', run_at = {now}, uncounted = attempt, \
        lost_answers = 0, outage_since = null, outage_rounds = 0, \
        first_attempt_at = null, batch_id = null, blocked_as = null, finished_at = null";

const RETRIABLE: &str =
    "('suppressed', 'unreachable', 'expired', 'cancelled', 'dead', 'unknown', 'blocked')";

/// What there is to send is still there.
const COMPLETE: &str = "coalesce(secret, '-') <> ''";

/// What waits for its next attempt is only made due: it may have gone out under a key that its provider still knows.
const NOW: &str = "\
    update {campanile}notification_deliveries set run_at = {now}, uncounted = attempt where id = {uuid($1)} and state = 'pending'";

impl Operations {
    /// How many deliveries there are, by channel and state.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn delivery_counts(&self) -> Result<Vec<DeliveryCount>, StoreError> {
        let statement = self.database().sql(
            "select channel, state, count(*) as count from {campanile}notification_deliveries \
             group by channel, state order by channel, state",
        );
        let counts: Result<Vec<_>, sqlx::Error> = each_connection!(self.database(), |connection| {
            let rows = sqlx::query(statement).fetch_all(&mut *connection).await?;
            let counts = rows.iter().map(|row| {
                let count: i64 = row.try_get("count")?;
                Ok(DeliveryCount {
                    channel: row.try_get("channel")?,
                    state: DeliveryState::read(row.try_get("state")?)?,
                    count: u64::try_from(count).unwrap_or_default(),
                })
            });
            counts.collect()
        });
        Ok(counts?)
    }

    /// Lists deliveries, newest first.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn deliveries(
        &self,
        filter: DeliveryFilter<'_>,
    ) -> Result<Vec<DeliverySummary>, StoreError> {
        let limit = match filter.limit {
            0 => 100,
            limit => limit.min(LONGEST_LIST),
        };
        let before = match filter.before {
            Some(_) => "and its.id < {uuid($3)}",
            None => "and $3 is null",
        };
        let condition = format!(
            "where ($1 is null or its.channel = $1) and ($2 is null or its.state = $2) {before} \
             order by its.id desc limit {limit}"
        );
        let parameters = [
            filter.channel.map(str::to_owned),
            filter.state.map(|state| state.as_str().to_owned()),
            filter.before.map(|id| id.to_string()),
        ];
        Ok(summaries(self.database(), &condition, parameters).await?)
    }

    /// Makes a delivery due now, with a fresh set of attempts, whatever kept it from being delivered, also if it has expired. It opens no window: if
    /// its own was released and the event was fired again since, the user hears of it twice.
    ///
    /// # Errors
    ///
    /// [`DeliveryChangeError::WrongState`] for one that is under way or delivered, [`DeliveryChangeError::Erased`] for one that had
    /// a secret in it and has ended.
    ///
    /// # Cancel safety
    ///
    /// One statement: it is due or it is as before.
    pub async fn retry_delivery(&self, id: Uuid) -> Result<(), DeliveryChangeError> {
        let statement = format!(
            "{RETRY}, expires_at = null where id = {{uuid($1)}} and state in {RETRIABLE} and {COMPLETE}"
        );
        let id_text = id.to_string();
        let mut changed = write(self.database(), &statement, Some(&id_text)).await;
        if let Ok(0) = changed {
            changed = write(self.database(), NOW, Some(&id_text)).await;
        }
        if changed.map_err(StoreError::from)? == 1 {
            self.deliverer.bell.ring(self.database());
            return Ok(());
        }
        Err(self.refusal(id, "tried again").await)
    }

    /// Cancels a delivery that waits. If nobody was reached on any channel, its window is released.
    ///
    /// # Errors
    ///
    /// [`DeliveryChangeError::WrongState`] for one that is under way or has ended.
    ///
    /// # Cancel safety
    ///
    /// Once polled it goes on in a task of its own: it is cancelled and its window released, or neither.
    pub async fn cancel_delivery(&self, id: Uuid) -> Result<(), DeliveryChangeError> {
        let database = self.database().clone();
        let cancelling = tokio::spawn(async move { settle::cancel(&database, id).await });
        let cancelled = cancelling.await.map_err(|_| StoreError::interrupted())?;
        if cancelled.map_err(StoreError::from)? {
            return Ok(());
        }
        Err(self.refusal(id, "cancelled").await)
    }

    /// Why a delivery was not changed.
    async fn refusal(&self, id: Uuid, change: &'static str) -> DeliveryChangeError {
        let condition = "where its.id = {uuid($1)} and $2 is null and $3 is null";
        let found = summaries(
            self.database(),
            condition,
            [Some(id.to_string()), None, None],
        );
        match found.await.map_err(StoreError::from) {
            Err(error) => error.into(),
            Ok(found) => match found.first() {
                None => DeliveryChangeError::NotFound(id),
                Some(its) if its.erased && its.state != DeliveryState::Delivered => {
                    DeliveryChangeError::Erased(id)
                }
                Some(its) => DeliveryChangeError::WrongState {
                    id,
                    state: its.state,
                    change,
                },
            },
        }
    }
}

async fn write(
    database: &Database,
    statement: &str,
    parameter: Option<&str>,
) -> Result<u64, sqlx::Error> {
    let statement = database.sql(statement);
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        let write = sqlx::query(statement).bind(parameter);
        Ok(write.execute(&mut *connection).await?.rows_affected())
    })
}

async fn summaries(
    database: &Database,
    condition: &str,
    parameters: [Option<String>; 3],
) -> Result<Vec<DeliverySummary>, sqlx::Error> {
    let statement = database.sql(&format!("{SUMMARY} {condition}"));
    let [first, second, third] = parameters;
    each_connection!(database, |connection| {
        let rows = sqlx::query(statement)
            .bind(first)
            .bind(second)
            .bind(third)
            .fetch_all(&mut *connection)
            .await?;
        let summaries = rows.iter().map(|row| {
            Ok(DeliverySummary {
                id: id(row.try_get("id")?)?,
                notification_id: id(row.try_get("notification_id")?)?,
                user_id: row.try_get("user_id")?,
                channel: row.try_get("channel")?,
                event_type: row.try_get("event_type")?,
                state: DeliveryState::read(row.try_get("state")?)?,
                attempts: number(row.try_get("attempt")?),
                run_at: time(row.try_get("run_at")?)?,
                last_error: row.try_get("last_error")?,
                created_at: time(row.try_get("created_at")?)?,
                finished_at: row
                    .try_get::<Option<i64>, _>("finished_at")?
                    .map(time)
                    .transpose()?,
                erased: row.try_get("erased")?,
            })
        });
        summaries.collect()
    })
}

fn id(text: &str) -> Result<Uuid, sqlx::Error> {
    Uuid::parse_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn time(micros: i64) -> Result<Timestamp, sqlx::Error> {
    Timestamp::from_microsecond(micros).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn number(value: i32) -> u32 {
    u32::try_from(value).unwrap_or_default()
}
