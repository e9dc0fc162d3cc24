//! The **write**: windows claimed, local rows, deliveries, in one atomic step on either database.
//!
//! `postgres` does it in one statement, `sqlite` in one `BEGIN IMMEDIATE`; both take the candidates of several dispatches
//! at once. The store knows tables and clocks. It knows no event and no channel by name.

#[cfg(feature = "postgres")]
pub(crate) mod postgres;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
pub(crate) mod claim;
pub(crate) mod settle;
pub(crate) mod release;
pub(crate) mod log;
pub(crate) mod pauses;
pub(crate) mod chores;
pub(crate) mod prune;
pub(crate) mod workers;
pub(crate) mod deliveries;
pub(crate) mod redrive;
pub(crate) mod addresses;
pub(crate) mod preferences;
pub(crate) mod forget;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use sqlx::{Connection as _, Row as _};
use uuid::Uuid;

use crate::channel::LocalChannel;
use crate::database::Database;
use crate::database::connection::within;
use crate::plan::preference::{Choice, Choices};

/// What is written at once: the dispatches, and the recipients of each that are not muted everywhere.
#[derive(Debug, Default, Clone)]
pub(crate) struct Batch {
    pub(crate) dispatches: Vec<DispatchRow>,
    pub(crate) candidates: Vec<Candidate>,
}

/// One dispatch, as its row.
#[derive(Debug, Clone)]
pub(crate) struct DispatchRow {
    pub(crate) id: Uuid,
    /// Whether the caller gave the id, so that what has it is written once.
    pub(crate) is_given: bool,
    pub(crate) event_type: &'static str,
    pub(crate) category: &'static str,
    pub(crate) subject_id: Option<String>,
    pub(crate) org_id: Option<String>,
    pub(crate) payload: String,
    pub(crate) content: String,
    /// The content of the channels that show secrets, if the event has any: an object of texts.
    pub(crate) secrets: Option<String>,
    /// The key of its window's row.
    pub(crate) dedup_key: String,
    /// Set for [`Until::Changed`](crate::event::Until::Changed) only: the whole key. All keys of a subject then share one window row,
    /// which is open only for the key that was admitted last.
    pub(crate) variant: Option<String>,
    /// Zero: nothing is a repeat, and no window is opened.
    pub(crate) window: Duration,
    /// How long its remote deliveries are worth sending.
    pub(crate) expires_after: Option<Duration>,
    pub(crate) trace_context: Option<String>,
}

impl DispatchRow {
    pub(crate) fn window_micros(&self) -> i64 {
        i64::try_from(self.window.as_micros()).expect("a window is at most a year")
    }

    pub(crate) fn expires_after_micros(&self) -> Option<i64> {
        self.expires_after.map(micros)
    }
}

/// One recipient of one dispatch. The database decides whether it is admitted.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// Index into [`Batch::dispatches`].
    pub(crate) dispatch: usize,
    pub(crate) notification_id: Uuid,
    /// How many candidates of the batch claim the same window before this one, each for another key.
    pub(crate) turn: usize,
    pub(crate) user_id: String,
    /// The channels that get it, each with an id for its delivery.
    pub(crate) deliveries: Vec<(Uuid, &'static str)>,
}

/// Who tries the remote deliveries first, and how long the write may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease {
    /// How many are leased to this process in the same statement; the rest waits for a worker.
    pub(crate) at_most: usize,
    pub(crate) time: Duration,
    pub(crate) worker: Uuid,
    /// The claim that they are under.
    pub(crate) claim: Uuid,
    /// How long to wait for a window that another transaction holds; inside the host's transaction its own setting counts.
    #[cfg_attr(
        not(feature = "postgres"),
        allow(unused, reason = "SQLite locks no rows")
    )]
    pub(crate) lock_wait: Option<Duration>,
    /// How long each statement may take; inside the host's transaction its own setting counts.
    pub(crate) answer_within: Option<Duration>,
}

/// Why nothing is known to be written.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// Nothing was written.
    Nothing(sqlx::Error),
    /// The answer to a commit was lost.
    Unknown(sqlx::Error),
}

impl WriteError {
    /// An error of a statement that commits. Inside a transaction of the host's nothing of ours does.
    fn of_commit(error: sqlx::Error, around: Around) -> Self {
        if around == Around::Nothing && is_answer_lost(&error) {
            Self::Unknown(error)
        } else {
            Self::Nothing(error)
        }
    }
}

/// Whether the statement may have been carried out all the same. What the database itself says was rolled back, but for what a
/// pooler between says of its own connection (class 08), and a server's last word in a crash (57P02).
fn is_answer_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| code.len() == 5 && (code.starts_with("08") || code == "57P02")),
        sqlx::Error::Encode(_) => false,
        _ => true,
    }
}

/// What the database decided.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    /// The notifications that are not repeats.
    pub(crate) admitted: HashSet<Uuid>,
    /// The deliveries leased to this process.
    pub(crate) leased: HashSet<Uuid>,
}

impl Admission {
    pub(crate) fn merge(&mut self, other: Self) {
        self.admitted.extend(other.admitted);
        self.leased.extend(other.leased);
    }
}

impl Batch {
    /// Cuts the batch into pieces of at most `size` candidates, each with the dispatches it needs. One piece claims a window
    /// at most once.
    pub(crate) fn chunks(self, size: usize) -> Vec<Self> {
        if self.candidates.len() <= size && self.candidates.iter().all(|its| its.turn == 0) {
            return vec![self];
        }
        self.candidates
            .chunk_by(|left, right| left.turn == right.turn)
            .flat_map(|turn| turn.chunks(size))
            .map(|candidates| {
                let mut chunk = Self::default();
                let mut positions = HashMap::new();
                for candidate in candidates {
                    let dispatch = *positions.entry(candidate.dispatch).or_insert_with(|| {
                        chunk
                            .dispatches
                            .push(self.dispatches[candidate.dispatch].clone());
                        chunk.dispatches.len() - 1
                    });
                    chunk.candidates.push(Candidate {
                        dispatch,
                        ..candidate.clone()
                    });
                }
                chunk
            })
            .collect()
    }

    /// Drops consecutive repeats of one window and key: one statement cannot claim a row twice. The same window under another key
    /// gets a higher turn, and is written by a later statement. What stays is sorted by turn, then key, then user, also across
    /// chunks, so that all writers lock in one order; a later turn locks no new row.
    pub(crate) fn settle_repeats(&mut self) {
        let dispatches = &self.dispatches;
        let mut last = HashMap::new();
        self.candidates.retain_mut(|candidate| {
            let dispatch = &dispatches[candidate.dispatch];
            if dispatch.window.is_zero() {
                return true;
            }
            let window = (
                dispatch.event_type,
                dispatch.dedup_key.as_str(),
                candidate.user_id.clone(),
            );
            let variant = dispatch.variant.as_deref();
            match last.get(&window) {
                Some((before, _)) if *before == variant => return false,
                Some((_, turn)) => candidate.turn = turn + 1,
                None => {}
            }
            last.insert(window, (variant, candidate.turn));
            true
        });
        let key = |candidate: &Candidate| {
            let dispatch = &dispatches[candidate.dispatch];
            let key = (dispatch.event_type, dispatch.dedup_key.as_str());
            (candidate.turn, key)
        };
        self.candidates
            .sort_by(|left, right| (key(left), &left.user_id).cmp(&(key(right), &right.user_id)));
    }
}

/// A channel that writes rows in the dispatch statement, as the store composes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalInsert {
    pub(crate) channel: &'static str,
    pub(crate) statement: LocalChannel,
}

/// The statements of one dispatcher, composed once at start-up.
#[derive(Debug)]
pub(crate) struct Statements {
    #[cfg(feature = "postgres")]
    pub(crate) postgres: postgres::WriteStatements,
    #[cfg(feature = "sqlite")]
    pub(crate) sqlite: sqlite::WriteStatements,
}

impl Statements {
    pub(crate) fn compose(locals: &[LocalInsert]) -> Self {
        Self {
            #[cfg(feature = "postgres")]
            postgres: postgres::WriteStatements::compose(locals),
            #[cfg(feature = "sqlite")]
            sqlite: sqlite::WriteStatements::compose(locals),
        }
    }
}

/// A connection of either database, as the dispatcher uses it.
pub(crate) trait Store: Send {
    /// The preference rows of these users in these categories, in one query.
    fn read_choices(
        &mut self,
        database: &Database,
        categories: &[&str],
        users: &[String],
    ) -> impl Future<Output = Result<Choices, sqlx::Error>> + Send;

    /// Finds the host's open transaction and makes sure that it can write; `None` if there is none.
    fn enter(&mut self) -> impl Future<Output = Result<Option<Around>, sqlx::Error>> + Send;

    /// Claims the windows and writes everything that is admitted: all chunks or none.
    ///
    /// Opens a transaction, or a savepoint inside the host's, where one statement is not enough. Of the dispatches whose id the
    /// caller gave, those that were written before are left out.
    fn write(
        &mut self,
        statements: &Statements,
        chunks: &[Batch],
        lease: Lease,
        around: Around,
    ) -> impl Future<Output = Result<Admission, WriteError>> + Send;

    /// Leaves the host's transaction as it was entered, with or without what was written.
    fn leave(
        &mut self,
        around: Around,
        end: End,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}

/// What is around a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Around {
    /// Nothing: the connection is the dispatcher's own.
    Nothing,
    /// A transaction of the host's that sqlx knows of.
    Transaction,
    /// A transaction that the host began by a statement of its own, and our savepoint in it.
    Savepoint,
}

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Keep,
    Undo,
}

const READ_CHOICES: &str = "\
    select user_id, category, channel, enabled from {campanile}user_notification_preferences \
    where category in (select {texts($1)}) and user_id in (select {texts($2)})";

/// Writes the chunks one after the other; the leases are counted down.
macro_rules! write_each {
    ($module:ident, $connection:expr, $statements:expr, $chunks:expr, $lease:expr) => {
        async {
            let bound = $lease.answer_within;
            let mut chunks = Cow::Borrowed($chunks);
            let given = given_ids($chunks);
            if !given.is_empty() {
                let taken = $module::take_ids(&mut *$connection, &given, $lease);
                chunks = without_repeats($chunks, &within(bound, taken).await?).into();
            }
            let mut admission = Admission::default();
            for batch in &*chunks {
                let lease = Lease {
                    at_most: $lease.at_most - admission.leased.len(),
                    ..$lease
                };
                let written = $module::write(&mut *$connection, $statements, batch, lease);
                admission.merge(within(bound, written).await?);
            }
            Ok::<_, sqlx::Error>(admission)
        }
    };
}

/// The ids that callers gave, each once and in order, so that two writers take them in one order.
fn given_ids(chunks: &[Batch]) -> Vec<Uuid> {
    let dispatches = chunks.iter().flat_map(|chunk| &chunk.dispatches);
    let given = dispatches.filter(|dispatch| dispatch.is_given);
    let ids: BTreeSet<_> = given.map(|dispatch| dispatch.id).collect();
    ids.into_iter().collect()
}

/// The chunks without the candidates of dispatches whose id was taken before.
fn without_repeats(chunks: &[Batch], taken_now: &HashSet<Uuid>) -> Vec<Batch> {
    let mut chunks = chunks.to_vec();
    for Batch {
        dispatches,
        candidates,
    } in &mut chunks
    {
        candidates.retain(|candidate| {
            let dispatch = &dispatches[candidate.dispatch];
            !dispatch.is_given || taken_now.contains(&dispatch.id)
        });
    }
    chunks
}

macro_rules! store {
    ($connection:ty, $module:ident) => {
        impl Store for $connection {
            async fn read_choices(
                &mut self,
                database: &Database,
                categories: &[&str],
                users: &[String],
            ) -> Result<Choices, sqlx::Error> {
                let mut choices = Choices::default();
                for row in sqlx::query(database.sql(READ_CHOICES))
                    .bind(serde_json::json!(categories).to_string())
                    .bind(serde_json::json!(users).to_string())
                    .fetch_all(self)
                    .await?
                {
                    choices.insert(
                        row.try_get("user_id")?,
                        row.try_get("category")?,
                        row.try_get("channel")?,
                        Choice::from_enabled(row.try_get("enabled")?),
                    );
                }
                Ok(choices)
            }

            async fn enter(&mut self) -> Result<Option<Around>, sqlx::Error> {
                let around = if self.is_in_transaction() {
                    Around::Transaction
                } else if $module::set_savepoint(self).await? {
                    Around::Savepoint
                } else {
                    return Ok(None);
                };
                match $module::take_write_lock(self).await {
                    Ok(()) => Ok(Some(around)),
                    Err(error) => {
                        self.leave(around, End::Undo).await?;
                        Err(error)
                    }
                }
            }

            async fn write(
                &mut self,
                statements: &Statements,
                chunks: &[Batch],
                lease: Lease,
                around: Around,
            ) -> Result<Admission, WriteError> {
                let statements = &statements.$module;
                let is_one_statement =
                    chunks.len() == 1 && given_ids(chunks).is_empty() && $module::ONE_STATEMENT;
                if around == Around::Savepoint || is_one_statement {
                    return write_each!($module, self, statements, chunks, lease)
                        .await
                        .map_err(|error| WriteError::of_commit(error, around));
                }
                let bound = lease.answer_within;
                let begun = match around {
                    Around::Nothing => within(bound, self.begin_with($module::BEGIN)).await,
                    _ => self.begin().await,
                };
                let mut transaction = begun.map_err(WriteError::Nothing)?;
                let admission = write_each!($module, transaction, statements, chunks, lease)
                    .await
                    .map_err(WriteError::Nothing)?;
                within(bound, transaction.commit())
                    .await
                    .map_err(|error| WriteError::of_commit(error, around))?;
                Ok(admission)
            }

            async fn leave(&mut self, around: Around, end: End) -> Result<(), sqlx::Error> {
                if around != Around::Savepoint {
                    return Ok(());
                }
                if end == End::Undo {
                    sqlx::query("rollback to savepoint campanile")
                        .execute(&mut *self)
                        .await?;
                }
                sqlx::query("release savepoint campanile")
                    .execute(self)
                    .await?;
                Ok(())
            }
        }
    };
}

#[cfg(feature = "postgres")]
store!(sqlx::PgConnection, postgres);
#[cfg(feature = "sqlite")]
store!(sqlx::SqliteConnection, sqlite);

pub(crate) fn micros(duration: Duration) -> i64 {
    /// A century: longer than anything is kept, and short enough for a date.
    const LONGEST: i64 = 100 * 366 * 24 * 60 * 60 * 1_000_000;
    i64::try_from(duration.as_micros()).map_or(LONGEST, |micros| micros.min(LONGEST))
}

/// Rows of deliveries are locked by ascending id, everywhere: two statements that lock them in different orders wait for each other
/// in a ring. The order of an update is its plan's, so that one of several rows locks them first, by this; or it passes over what
/// somebody has locked. `$1` is rows that begin with the delivery.
const LOCKED: &str = "\
    locked as materialized (\
        select id from {campanile}notification_deliveries \
        where id in (select {uuid(value ->> 0)} from {rows($1)} as given) order by id {for_update})";

/// The statement with its `{locked}`.
fn in_order(statement: &str) -> String {
    statement.replace("{locked}", LOCKED)
}

/// The ids that a statement gave back as text.
fn uuids(texts: &[String]) -> HashSet<Uuid> {
    let uuids = texts.iter().filter_map(|id| Uuid::parse_str(id).ok());
    uuids.collect()
}
