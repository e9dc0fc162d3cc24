//! The host's database: Postgres or SQLite, behind one type.
//!
//! Statements that are the same on both but for a schema prefix or the clock are written once, with the few placeholders
//! of [`Database::sql`]; what really differs lives in `store/postgres.rs` and `store/sqlite.rs`.

use std::sync::Arc;
use std::time::Duration;

use sqlx::AssertSqlSafe;
#[cfg(feature = "postgres")]
use sqlx::Connection as _;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::error::StoreError;

/// The host's connection pool. Cheap to clone.
///
/// Made from a pool with `.into()`, or by [`Database::connect`].
#[derive(Debug, Clone)]
pub struct Database {
    pool: Pool,
    /// SQLite has one writer at a time: writers of this process queue here, fairly, instead of polling the file's lock.
    #[cfg_attr(
        not(feature = "sqlite"),
        allow(unused, reason = "only SQLite has one writer")
    )]
    writer: Arc<Mutex<()>>,
}

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
    /// Without the feature of a database there is no pool. Channel crates compile all the same.
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
        }
    }

    /// Opens a pool: `postgres://..`, or `sqlite://file.db` (made if missing, in WAL mode), or `sqlite::memory:`.
    ///
    /// A host that has a pool already passes that one instead.
    ///
    /// # Errors
    ///
    /// A URL of another kind, a database whose feature is not enabled, or one that does not answer.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        match url.split(':').next().unwrap_or_default() {
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => {
                // A pool would go on trying until its time-out, and then not say why.
                let probe = sqlx::PgConnection::connect(url).await?;
                probe.close().await?;
                Ok(sqlx::PgPool::connect(url).await?.into())
            }
            #[cfg(feature = "sqlite")]
            "sqlite" => Ok(Self::open_sqlite(url).await?.into()),
            scheme => Err(StoreError::unsupported(format!(
                "no database for `{scheme}:`: this build of campanile knows {}",
                KNOWN_URLS.join(" and ")
            ))),
        }
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

    /// Creates or updates campanile's tables. Safe to run at every start, from several processes at once, and beside
    /// migrations of the host's own: campanile keeps its own bookkeeping table.
    ///
    /// # Errors
    ///
    /// When the database does not answer or holds tables of a newer campanile.
    ///
    /// # Cancel safety
    ///
    /// Once polled it goes on in a task of its own: a connection that was dropped in the middle would keep the
    /// migrators' lock.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let pool = self.pool.clone();
        let migration = tokio::spawn(async move {
            match &pool {
                #[cfg(feature = "postgres")]
                Pool::Postgres(pool) => campanile_migrations::postgres(pool).await,
                #[cfg(feature = "sqlite")]
                Pool::Sqlite(pool) => campanile_migrations::sqlite(pool).await,
                #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
                Pool::Missing(never) => match *never {},
            }
        });
        let migrated: Result<(), sqlx::migrate::MigrateError> =
            migration.await.map_err(|_| StoreError::interrupted())?;
        Ok(migrated?)
    }

    /// What this database is called: `Postgres` or `SQLite`.
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

    /// How a transaction that writes begins.
    pub(crate) fn begin(&self) -> &'static str {
        match &self.pool {
            #[cfg(feature = "postgres")]
            Pool::Postgres(_) => "begin",
            // Not a deferred one: it would fail at once where it has to wait (`SQLITE_BUSY_SNAPSHOT`).
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => "begin immediate",
            #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
            Pool::Missing(never) => match *never {},
        }
    }

    /// Writes a statement in this database's dialect. Parameters are `$1`, `$2` on both. The placeholders:
    ///
    /// | | Postgres | SQLite |
    /// |---|---|---|
    /// | `{campanile}` | `campanile.` | |
    /// | `{now}` | `clock_timestamp()` | microseconds since 1970 |
    /// | `{now_micros}` | microseconds since 1970 | the same |
    /// | `{later(x)}`, `{earlier(x)}` | the clock plus, minus microseconds | the same |
    /// | `{micros(x)}` | microseconds of a `timestamptz` | `x` |
    /// | `{uuid(x)}`, `{text(x)}`, `{int(x)}`, `{flag(x)}`, `{json(x)}` | a cast | `x` |
    /// | `{texts(x)}`, `{uuids(x)}` | the elements of a JSON array, to follow `select` | the same |
    /// | `{rows(x)}` | the elements of a JSON array, to follow `from`, in a column `value` | the same |
    /// | `{for_update}`, `{skip_locked}`, `{key_share}` | `for update`, `for update skip locked`, `for key share` | |
    ///
    /// # Panics
    ///
    /// On a brace that opens no known placeholder: that is a mistake in the statement.
    #[must_use]
    pub fn sql(&self, statement: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(match &self.pool {
            #[cfg(feature = "postgres")]
            Pool::Postgres(_) => translate(statement, &POSTGRES),
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => translate(statement, &SQLITE),
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

/// Runs the same code on a connection of either database: `each_connection!(&database, |connection| { .. Ok(..) })`, whose
/// value is a `Result` with an `sqlx::Error`.
///
/// For what runs by itself, without a caller who would give up: within ten seconds it ends or is an error, and a connection
/// that does not answer is closed and not given back. The code is a block of its own, which `return` leaves.
#[macro_export]
macro_rules! each_connection {
    ($database:expr, |$connection:ident| $body:expr) => {
        $crate::database::outcome($crate::each_database!($database, |pool| {
            $crate::database::in_time(async {
                let mut held = $crate::database::Held::of(pool).await?;
                let $connection = held.connection();
                let result: ::core::result::Result<_, $crate::sqlx::Error> = async { $body }.await;
                held.give_back();
                result
            })
            .await
        }))
    };
}

pub use crate::{each_connection, each_database};

/// How long a statement of a worker's may take, with the wait for a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a connection may take to show that it is in order when it is given back.
const LAST_WORD: Duration = Duration::from_secs(5);

/// Not public API: what [`each_connection!`] gives, also where there is no database.
#[doc(hidden)]
pub fn outcome<T>(result: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
    result
}

/// Not public API: see [`each_connection!`].
#[doc(hidden)]
pub async fn in_time<T>(
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(result) => result,
        Err(_) => Err(sqlx::Error::Io(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            "the database did not answer in time",
        ))),
    }
}

/// Not public API: a connection of [`each_connection!`]. Dropped in the middle of a statement it is closed; the pool would wait
/// for its answer, and where none comes be smaller by one for good.
#[doc(hidden)]
#[derive(Debug)]
pub struct Held<DB: sqlx::Database>(Option<sqlx::pool::PoolConnection<DB>>);

impl<DB: sqlx::Database> Held<DB> {
    /// Waits for a connection.
    ///
    /// # Errors
    ///
    /// When none comes free in the pool's own time.
    pub async fn of(pool: &sqlx::Pool<DB>) -> Result<Self, sqlx::Error> {
        Ok(Self(Some(pool.acquire().await?)))
    }

    /// The connection.
    ///
    /// # Panics
    ///
    /// Never: it is there until it is given back.
    pub fn connection(&mut self) -> &mut DB::Connection {
        self.0.as_mut().expect("it is there until it is given back")
    }

    /// Nothing is under way on it any more.
    pub fn give_back(mut self) {
        if let Some(mut connection) = self.0.take() {
            tokio::spawn(tokio::time::timeout(LAST_WORD, async move {
                connection.return_to_pool().await;
            }));
        }
    }
}

impl<DB: sqlx::Database> Drop for Held<DB> {
    fn drop(&mut self) {
        // SQLite is in this process and always answers; and a database in memory is gone with its connection.
        if let Some(connection) = &mut self.0
            && DB::NAME != "SQLite"
        {
            connection.close_on_drop();
        }
    }
}

type Dialect = [(&'static str, &'static str, &'static str); 17];

/// Placeholder, what stands before its argument, what stands after.
#[cfg(feature = "postgres")]
pub(crate) const POSTGRES: Dialect = [
    ("campanile", "campanile.", ""),
    ("now", "clock_timestamp()", ""),
    (
        "now_micros",
        "(extract(epoch from clock_timestamp()) * 1000000)::bigint",
        "",
    ),
    (
        "later",
        "clock_timestamp() + (",
        ")::bigint * interval '1 microsecond'",
    ),
    (
        "earlier",
        "clock_timestamp() - (",
        ")::bigint * interval '1 microsecond'",
    ),
    ("micros", "(extract(epoch from ", ") * 1000000)::bigint"),
    ("uuid", "(", ")::uuid"),
    ("text", "(", ")::text"),
    ("int", "(", ")::bigint"),
    ("flag", "(", ")::boolean"),
    ("texts", "jsonb_array_elements_text(", "::jsonb)"),
    ("uuids", "jsonb_array_elements_text(", "::jsonb)::uuid"),
    ("rows", "jsonb_array_elements(", "::jsonb)"),
    ("skip_locked", "for update skip locked", ""),
    ("for_update", "for update", ""),
    ("key_share", "for key share", ""),
    ("json", "(", ")::jsonb"),
];

/// Placeholder, what stands before its argument, what stands after.
#[cfg(feature = "sqlite")]
pub(crate) const SQLITE: Dialect = [
    ("campanile", "", ""),
    ("now", "cast(unixepoch('subsec') * 1000000 as integer)", ""),
    (
        "now_micros",
        "cast(unixepoch('subsec') * 1000000 as integer)",
        "",
    ),
    (
        "later",
        "cast(unixepoch('subsec') * 1000000 as integer) + (",
        ")",
    ),
    (
        "earlier",
        "cast(unixepoch('subsec') * 1000000 as integer) - (",
        ")",
    ),
    ("micros", "", ""),
    ("uuid", "(", ")"),
    ("text", "(", ")"),
    ("int", "(", ")"),
    ("flag", "(", ")"),
    ("texts", "value from json_each(", ")"),
    ("uuids", "value from json_each(", ")"),
    ("rows", "json_each(", ")"),
    ("skip_locked", "", ""),
    ("for_update", "", ""),
    ("key_share", "", ""),
    ("json", "(", ")"),
];

/// Replaces the placeholders. A brace that opens no known placeholder is a mistake in our own statement.
pub(crate) fn translate(statement: &str, dialect: &Dialect) -> String {
    let mut out = String::with_capacity(statement.len() + 64);
    let mut rest = statement;
    while let Some((before, after)) = rest.split_once('{') {
        let (placeholder, tail) = after
            .split_once('}')
            .expect("every placeholder of a statement is closed");
        let (name, argument) = placeholder
            .strip_suffix(')')
            .and_then(|call| call.split_once('('))
            .unwrap_or((placeholder, ""));
        let (_, open, close) = dialect
            .iter()
            .find(|(known, ..)| *known == name)
            .expect("every placeholder of a statement is known");
        for piece in [before, open, argument, close] {
            out.push_str(piece);
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(all(feature = "postgres", feature = "sqlite"))]
    fn one_statement_reads_well_in_both_dialects() {
        let statement = "select {micros(created_at)} from {campanile}notification_dedup where id = {uuid($1)} and user_id in (select {texts($2)})";
        assert_eq!(
            translate(statement, &POSTGRES),
            "select (extract(epoch from created_at) * 1000000)::bigint from campanile.notification_dedup \
             where id = ($1)::uuid and user_id in (select jsonb_array_elements_text($2::jsonb))"
        );
        assert_eq!(
            translate(statement, &SQLITE),
            "select created_at from notification_dedup where id = ($1) and user_id in (select value from json_each($2))"
        );
    }
}
