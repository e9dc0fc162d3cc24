//! The host's database: Postgres or SQLite, behind one type.
//!
//! Statements that are the same on both but for a schema prefix or the clock are written once, with the few placeholders of
//! [`Database::sql`]; the real differences are in `store/postgres.rs` and `store/sqlite.rs`. A [`Statement`] is composed once for
//! each database.

pub(crate) mod connection;
pub(crate) mod dialect;
pub(crate) mod statement;
pub(crate) mod row;
pub(crate) mod task;
pub(crate) mod transaction;
pub(crate) mod wake;
pub(crate) mod error;

use std::sync::Arc;
use std::time::Duration;

use sqlx::AssertSqlSafe;
#[cfg(feature = "postgres")]
use sqlx::Connection as _;
use tokio::sync::{Mutex, OwnedMutexGuard};

#[cfg(feature = "postgres")]
use crate::database::connection::within;
use crate::database::connection::{InUse, Isolation};
#[cfg(feature = "postgres")]
use crate::database::dialect::POSTGRES;
#[cfg(feature = "sqlite")]
use crate::database::dialect::SQLITE;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use crate::database::dialect::translate;
use crate::database::error::StoreError;
use crate::database::task::run_to_end;

/// The host's connection pool. Cheap to clone.
///
/// Made from a pool with `.into()`, or by [`Database::connect`].
///
/// # Isolation
///
/// Campanile's own statements run at `READ COMMITTED`. Where a database, a role or a pool sets another default
/// (`default_transaction_isolation`), a connection is set to that level while campanile holds it, and reset before the
/// application gets it again: two more round trips each time. It is better to set the role's default to `read committed`; the
/// doctor recommends it too. The default is read once, so restart after you change it.
///
/// Behind a pooler that assigns a backend to each transaction, as `PgBouncer` does in transaction mode, a session has no level of
/// its own, and the level that campanile sets may stay on a backend that the application uses next. There the role's default has
/// to be `read committed`; the doctor reports anything else as a problem.
///
/// Inside the host's transaction, that transaction's level applies; see [`enqueue_in`](crate::Dispatcher::enqueue_in).
#[derive(Debug, Clone)]
pub struct Database {
    pool: Pool,
    /// SQLite has one writer at a time: the writers of this process queue here, fairly, instead of polling the file's lock.
    #[cfg_attr(
        not(feature = "sqlite"),
        allow(unused, reason = "only SQLite has one writer")
    )]
    writer: Arc<Mutex<()>>,
    timeout: Duration,
    in_use: InUse,
    isolation: Isolation,
}

/// How long a statement may take: [`Database::statement_timeout`].
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an idle connection may take to show that it is alive before another one is taken.
#[cfg(feature = "postgres")]
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// The two kinds of pool.
#[derive(Debug, Clone)]
#[allow(
    clippy::exhaustive_enums,
    reason = "`each_database!` matches it exhaustively"
)]
pub enum Pool {
    /// A pool of Postgres connections.
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgPool),
    /// A pool of SQLite connections.
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::SqlitePool),
    /// Without a database feature there is no pool. Channel crates compile anyway.
    #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
    Missing(std::convert::Infallible),
}

#[cfg(feature = "postgres")]
impl From<sqlx::PgPool> for Database {
    fn from(pool: sqlx::PgPool) -> Self {
        Self::over(Pool::Postgres(pool))
    }
}

#[cfg(feature = "sqlite")]
impl From<sqlx::SqlitePool> for Database {
    fn from(pool: sqlx::SqlitePool) -> Self {
        Self::over(Pool::Sqlite(pool))
    }
}

const KNOWN_URLS: &[&str] = &[
    #[cfg(feature = "postgres")]
    "postgres://",
    #[cfg(feature = "sqlite")]
    "sqlite://",
];

impl Database {
    fn over(pool: Pool) -> Self {
        Self {
            pool,
            writer: Arc::default(),
            timeout: STATEMENT_TIMEOUT,
            in_use: InUse::default(),
            isolation: Isolation::default(),
        }
    }

    /// Opens a pool: `postgres://..`, or `sqlite://file.db` (made if missing, in WAL mode), or `sqlite::memory:`.
    ///
    /// A host that already has a pool passes that one instead; [`Database::statement_timeout`] describes the settings that such a
    /// pool needs.
    ///
    /// # Errors
    ///
    /// A URL of another kind, a database whose feature is not enabled, or one that does not answer.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        match url.split(':').next().unwrap_or_default() {
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => {
                // A pool would keep trying until its timeout, and then not report why.
                let probe = sqlx::PgConnection::connect(url).await?;
                probe.close().await?;
                Ok(Self::open_postgres(url).await?.into())
            }
            #[cfg(feature = "sqlite")]
            "sqlite" => Ok(Self::open_sqlite(url).await?.into()),
            scheme => Err(StoreError::unsupported(format!(
                "no database for `{scheme}:`: this build of campanile knows {}",
                KNOWN_URLS.join(" and ")
            ))),
        }
    }

    /// sqlx waits for the answer to its own ping as long as for a free connection, and then fails; so the ping has its own bound,
    /// and a connection that went half-open while idle is replaced by another one.
    #[cfg(feature = "postgres")]
    async fn open_postgres(url: &str) -> Result<sqlx::PgPool, sqlx::Error> {
        sqlx::postgres::PgPoolOptions::new()
            .acquire_timeout(STATEMENT_TIMEOUT)
            .test_before_acquire(false)
            .before_acquire(|connection, _| {
                let ping = connection.ping();
                Box::pin(async move {
                    within(Some(PING_TIMEOUT), ping).await?;
                    Ok(true)
                })
            })
            .connect(url)
            .await
    }

    #[cfg(feature = "sqlite")]
    async fn open_sqlite(url: &str) -> Result<sqlx::SqlitePool, sqlx::Error> {
        use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
        let options: SqliteConnectOptions = url.parse()?;
        let options = options
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(std::time::Duration::from_secs(10));
        let pool = SqlitePoolOptions::new();
        // Every connection to `:memory:` would be a database of its own, gone when the connection is closed.
        let pool = if url.contains(":memory:") || url.contains("mode=memory") {
            pool.max_connections(1)
                .idle_timeout(None)
                .max_lifetime(None)
        } else {
            pool
        };
        pool.connect_with(options).await
    }

    /// Creates or updates campanile's tables. Safe to run at every start, from several processes at once, and beside migrations
    /// of the host's own: campanile keeps its own bookkeeping table. [`statement_timeout`](Database::statement_timeout) does not
    /// bound it.
    ///
    /// If no migration is missing, only that table is read, so a role without the privilege to create tables can start. A binary
    /// also runs with the tables of a newer campanile, as happens in a rolling restart or a rollback, unless one of their
    /// migrations forbids it.
    ///
    /// # Errors
    ///
    /// When the database does not answer, when migrations are missing and this role may not apply them, when an applied
    /// migration is not the one this binary knows, or when the tables need a newer binary
    /// ([`StoreError::is_binary_too_old`]).
    ///
    /// # Cancel safety
    ///
    /// Once polled, it continues in its own task: a connection that was dropped in the middle would keep the migrators' lock.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let pool = self.pool.clone();
        let migrated: Result<(), campanile_migrations::MigrationError> = run_to_end(async move {
            match &pool {
                #[cfg(feature = "postgres")]
                Pool::Postgres(pool) => campanile_migrations::postgres(pool).await,
                #[cfg(feature = "sqlite")]
                Pool::Sqlite(pool) => campanile_migrations::sqlite(pool).await,
                #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
                Pool::Missing(never) => match *never {},
            }
        })
        .await?;
        Ok(migrated?)
    }

    /// The name of this database: `Postgres` or `SQLite`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.pool {
            #[cfg(feature = "postgres")]
            Pool::Postgres(_) => "Postgres",
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => "SQLite",
            #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
            Pool::Missing(never) => match *never {},
        }
    }

    /// How long a statement may take before it is abandoned and its connection closed. It applies to every statement that
    /// campanile runs, in dispatches, inboxes, preferences, workers, and operators' queries, and it bounds the wait for a
    /// connection too. Default: 10 seconds. Set it before the database is cloned or passed to a builder.
    ///
    /// [`prune`](crate::operate::Operations::prune) has thirty times as long for each statement, so has the one of
    /// [`forget_user`](crate::operate::Operations::forget_user) that finds a user's deliveries on Postgres, and
    /// [`migrate`](Database::migrate) has no bound: a step may legitimately take long on a large table.
    ///
    /// This timeout ends the wait on a half-open connection, whose other end has vanished without closing it. A dispatch that was
    /// writing then fails with [`DispatchError::CommitUnknown`](crate::DispatchError::CommitUnknown).
    ///
    /// [`enqueue_in`](crate::Dispatcher::enqueue_in) sends its statements on the host's connection, which campanile can neither
    /// time out nor close. For that, and for everything else that goes through the pool, a host that creates its own pool should
    /// set on Postgres `acquire_timeout` on the pool (sqlx: 30 seconds, of which a half-open idle connection may take all), and
    /// on the server, by `PgConnectOptions::options` or `alter role`, `statement_timeout` and
    /// `idle_in_transaction_session_timeout`, so that the locks of a client that vanished are released. sqlx 0.9 has no setting
    /// for TCP keep-alive; on the server's side there are `tcp_keepalives_idle` and `tcp_user_timeout`, on the client's the
    /// system's `net.ipv4.tcp_keepalive_time` and `tcp_retries2`.
    ///
    /// ```
    /// # async fn example() -> Result<(), campanile::StoreError> {
    /// use std::time::Duration;
    ///
    /// let database = campanile::Database::connect("sqlite://app.db").await?;
    /// let database = database.statement_timeout(Duration::from_secs(3));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.max(Duration::from_millis(1));
        self
    }

    /// The same database for statements that read whole tables: they may take thirty times as long, but still have a bound.
    pub(crate) fn for_chores(&self) -> Self {
        self.clone().statement_timeout(self.timeout * 30)
    }

    pub(crate) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The bound of each statement of a dispatch: SQLite runs in this process, always answers, and has its own timeout for the
    /// lock of the file.
    pub(crate) fn bound(&self) -> Option<Duration> {
        (self.kind() == "Postgres").then_some(self.timeout)
    }

    /// The connections that campanile itself holds now.
    pub(crate) const fn in_use(&self) -> &InUse {
        &self.in_use
    }

    /// The isolation level at which sessions start.
    pub(crate) const fn isolation(&self) -> &Isolation {
        &self.isolation
    }

    /// The pool itself, for the statements of a channel's own; see [`each_database!`](crate::each_database).
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Waits for this process's turn to write, where the database has one writer at a time.
    #[cfg_attr(
        not(feature = "sqlite"),
        allow(clippy::unused_async, reason = "only SQLite has one writer")
    )]
    pub(crate) async fn turn_to_write(&self) -> Option<OwnedMutexGuard<()>> {
        match &self.pool {
            #[cfg(feature = "postgres")]
            Pool::Postgres(_) => None,
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => Some(Arc::clone(&self.writer).lock_owned().await),
            #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
            Pool::Missing(never) => match *never {},
        }
    }

    /// The turn to write, if it is free.
    pub(crate) fn turn_to_write_now(&self) -> Option<OwnedMutexGuard<()>> {
        Arc::clone(&self.writer).try_lock_owned().ok()
    }

    /// How a transaction that writes begins.
    pub(crate) fn begin(&self) -> &'static str {
        match &self.pool {
            #[cfg(feature = "postgres")]
            Pool::Postgres(_) => "begin isolation level read committed",
            // Not deferred: a deferred transaction fails at once where it would have to wait (`SQLITE_BUSY_SNAPSHOT`).
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => "begin immediate",
            #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
            Pool::Missing(never) => match *never {},
        }
    }

    /// Writes a statement in this database's dialect; a statement that is known at build time is better declared with
    /// [`statement!`](crate::database::statement). Parameters are `$1`, `$2` on both. The placeholders:
    ///
    /// | | Postgres | SQLite |
    /// |---|---|---|
    /// | `{campanile}` | `campanile.` | `campanile_` |
    /// | `{now}` | `clock_timestamp()` | microseconds since 1970 |
    /// | `{now_micros}` | microseconds since 1970 | the same |
    /// | `{later(x)}`, `{earlier(x)}` | the clock plus, minus microseconds | the same |
    /// | `{moment(x)}` | a `timestamptz` of microseconds since 1970 | `x` |
    /// | `{last_delivery(x)}` | the largest id that a delivery of the notification `x` can have | the same |
    /// | `{after(x)}` | the microsecond after `x` | the same |
    /// | `{micros(x)}` | microseconds of a `timestamptz` | `x` |
    /// | `{uuid(x)}`, `{text(x)}`, `{int(x)}`, `{flag(x)}`, `{json(x)}` | a cast | `x` |
    /// | `{texts(x)}`, `{uuids(x)}` | the elements of a JSON array, for use after `select` | the same |
    /// | `{rows(x)}` | the elements of a JSON array, for use after `from`, in a column `value` | the same |
    /// | `{postgres(x)}`, `{sqlite(x)}` | `x` on the named database, nothing on the other | the same |
    /// | `{state.dead}` | the name of a [`DeliveryState`](crate::operate::DeliveryState), quoted | the same |
    /// | `{states.open}`, `{states.final}` | the states of deliveries that may still be sent, or that have ended: a list in parentheses | the same |
    /// | `{for_update}`, `{skip_locked}`, `{key_share}` | `for update`, `for update skip locked`, `for key share` | |
    ///
    /// # Panics
    ///
    /// On a brace that opens no known placeholder: that is a bug in the statement.
    #[must_use]
    pub fn sql(&self, statement: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(match &self.pool {
            #[cfg(feature = "postgres")]
            Pool::Postgres(_) => translate(statement, &POSTGRES, &[]),
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => translate(statement, &SQLITE, &[]),
            #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
            Pool::Missing(never) => match *never {},
        })
    }
}

/// Runs the same code on the pool of either database: `each_database!(&database, |pool| { .. })`.
///
/// Which arms it has is decided by campanile's own features, so a channel crate needs none.
#[cfg(all(feature = "postgres", feature = "sqlite"))]
#[macro_export]
macro_rules! each_database {
    ($database:expr, |$pool:ident| $body:expr) => {
        match $crate::database::Database::pool($database) {
            $crate::database::Pool::Postgres($pool) => $body,
            $crate::database::Pool::Sqlite($pool) => $body,
        }
    };
}

/// Runs the same code on the pool of either database: `each_database!(&database, |pool| { .. })`.
#[cfg(all(feature = "postgres", not(feature = "sqlite")))]
#[macro_export]
macro_rules! each_database {
    ($database:expr, |$pool:ident| $body:expr) => {
        match $crate::database::Database::pool($database) {
            $crate::database::Pool::Postgres($pool) => $body,
        }
    };
}

/// Runs the same code on the pool of either database: `each_database!(&database, |pool| { .. })`.
#[cfg(all(feature = "sqlite", not(feature = "postgres")))]
#[macro_export]
macro_rules! each_database {
    ($database:expr, |$pool:ident| $body:expr) => {
        match $crate::database::Database::pool($database) {
            $crate::database::Pool::Sqlite($pool) => $body,
        }
    };
}

/// Runs the same code on the pool of either database: `each_database!(&database, |pool| { .. })`.
#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
#[macro_export]
macro_rules! each_database {
    ($database:expr, |$pool:ident| $body:expr) => {
        match $crate::database::Database::pool($database) {
            $crate::database::Pool::Missing(never) => match *never {},
        }
    };
}

pub use crate::database::connection::{Held, Session, in_time, outcome};
pub use crate::database::statement::Statement;
#[doc(hidden)]
pub use crate::row;
pub use crate::{each_connection, each_database, statement};
