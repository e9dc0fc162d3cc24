//! The **write** of claimed windows, local rows and deliveries, in one atomic step on either database.
//!
//! `postgres` does it in one statement, `sqlite` in one `BEGIN IMMEDIATE`; both take the candidates of several dispatches at
//! once. The store knows about tables and clocks, but about no event or channel by name.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use sqlx::{Connection as _, SqlStr};
use uuid::Uuid;

use crate::channel::LocalChannel;
use crate::database::connection::within;
use crate::database::{Database, Pool, row, statement};
use crate::plan::preference::{Choice, Choices};

use super::batch::Batch;
#[cfg(feature = "postgres")]
use super::postgres;
#[cfg(feature = "sqlite")]
use super::sqlite;

/// Who tries the remote deliveries first, and how long the write may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease {
    /// How many are leased to this process in the same statement; the others wait for a worker.
    pub(crate) at_most: usize,
    pub(crate) time: Duration,
    pub(crate) worker: Uuid,
    /// The id of their claim.
    pub(crate) claim: Uuid,
    /// How long to wait for a window that another transaction holds; inside the host's transaction, its own setting applies.
    #[cfg_attr(
        not(feature = "postgres"),
        allow(unused, reason = "SQLite locks no rows")
    )]
    pub(crate) lock_wait: Option<Duration>,
    /// How long each statement may take; inside the host's transaction, its own setting applies.
    pub(crate) answer_within: Option<Duration>,
}

/// Why the write is not known to have succeeded.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// Nothing was written.
    Nothing(sqlx::Error),
    /// The answer to a commit was lost.
    Unknown(sqlx::Error),
}

impl WriteError {
    /// An error of a statement that commits. Inside the host's transaction, none of ours does.
    fn of_commit(error: sqlx::Error, around: Around) -> Self {
        if around == Around::Nothing && is_answer_lost(&error) {
            Self::Unknown(error)
        } else {
            Self::Nothing(error)
        }
    }
}

/// Whether the statement may have been executed despite the error. An error that the database itself reports means a rollback,
/// except one that a pooler reports about its own connection (class 08), and the last message of a crashing server (57P02).
fn is_answer_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error
            .code()
            .is_some_and(|code| code.len() == 5 && (code.starts_with("08") || code == "57P02")),
        sqlx::Error::Encode(_) => false,
        _ => true,
    }
}

/// The database's decision.
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

    /// Those for this kind of database, each with a name.
    pub(crate) fn every(&self, database: &Database) -> Vec<(String, SqlStr)> {
        match database.pool() {
            #[cfg(feature = "postgres")]
            Pool::Postgres(_) => self.postgres.every(),
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => self.sqlite.every(),
            #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
            Pool::Missing(never) => match *never {},
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

    /// Claims the windows and writes all that is admitted: all chunks or none.
    ///
    /// Opens a transaction, or a savepoint inside the host's, where one statement is not enough. Dispatches with an id from the
    /// caller that were already written are left out.
    fn write(
        &mut self,
        statements: &Statements,
        chunks: &[Batch],
        lease: Lease,
        around: Around,
    ) -> impl Future<Output = Result<Admission, WriteError>> + Send;

    /// Leaves the host's transaction in the state in which it was entered, with or without the write.
    fn leave(
        &mut self,
        around: Around,
        end: End,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}

/// The context of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Around {
    /// None: the connection is the dispatcher's own.
    Nothing,
    /// A transaction of the host's that sqlx knows about.
    Transaction,
    /// A transaction that the host began with its own statement, and our savepoint in it.
    Savepoint,
}

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Keep,
    Undo,
}

statement! {
    READ_CHOICES = "\
        select user_id, category, channel, enabled from {campanile}user_notification_preferences \
        where user_id in (select {texts($2)}) and org_id = '' and category in (select {texts($1)})"
}

row! {
    /// A row of [`READ_CHOICES`].
    struct ChoiceRow {
        user_id: String,
        category: String,
        channel: String,
        enabled: bool,
    }
}

/// Writes the chunks one after the other; the remaining leases are counted down.
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

/// The chunks without the candidates of dispatches whose id was already taken.
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
                let rows: Vec<ChoiceRow> = sqlx::query_as(READ_CHOICES.on(database))
                    .bind(serde_json::json!(categories).to_string())
                    .bind(serde_json::json!(users).to_string())
                    .fetch_all(self)
                    .await?;
                let mut choices = Choices::default();
                for row in rows {
                    let choice = Choice::from_enabled(row.enabled);
                    choices.insert(&row.user_id, &row.category, &row.channel, choice);
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
