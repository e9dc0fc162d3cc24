//! A **connection** for every statement that a caller waits for: bounded in time, and never returned to the pool in the middle of
//! a statement.
//!
//! A connection may be half-open: the other end has vanished without closing it, and no answer will ever come. Only a timeout
//! detects that, so every statement that campanile runs has one, [`Database::statement_timeout`].
//!
//! Campanile's statements run at `READ COMMITTED`. Where sessions start at another level, a connection is set to `READ COMMITTED`
//! while campanile holds it, and reset before it returns to the pool.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, sleep, timeout};

use crate::database::Database;
use crate::database::error::StoreError;
#[cfg(feature = "postgres")]
use crate::database::statement;

/// Runs the same code on a connection of either database: `each_connection!(&database, |connection| { .. Ok(..) })`, whose
/// value is a `Result` with an `sqlx::Error`.
///
/// It finishes or fails within [`Database::statement_timeout`]; a connection that does not answer is closed and not returned to
/// the pool. The code is its own async block, so `return` leaves only that block.
#[macro_export]
macro_rules! each_connection {
    ($database:expr, |$connection:ident| $body:expr) => {
        $crate::database::outcome($crate::each_database!($database, |pool| {
            // Boxed, so that the futures of callers do not contain it.
            let work = ::std::boxed::Box::pin(async {
                let mut held = $crate::database::Held::of($database, pool).await?;
                let $connection = held.connection();
                let result: ::core::result::Result<_, $crate::sqlx::Error> = async { $body }.await;
                held.give_back();
                result
            });
            $crate::database::in_time($database, work).await
        }))
    };
}

/// How long a connection may take to answer a ping when it is returned to the pool.
const RETURN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a caller waits for the only connection of a pool while the application holds it. The caller itself may hold it, and
/// then it waits for itself.
const STARVED_AFTER: Duration = Duration::from_secs(2);

/// How often a waiting caller checks who holds the connections.
const STARVED_POLL: Duration = Duration::from_millis(100);

/// Not public API: the result of [`each_connection!`], also in a build without a database.
#[doc(hidden)]
pub fn outcome<T>(result: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
    result
}

/// Not public API: see [`each_connection!`].
#[doc(hidden)]
pub async fn in_time<T>(
    database: &Database,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    within(Some(database.timeout()), work).await
}

/// The same with the given bound, or with none.
pub(crate) async fn within<T>(
    bound: Option<Duration>,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let Some(bound) = bound else {
        return work.await;
    };
    match timeout(bound, work).await {
        Ok(result) => result,
        Err(_) => Err(refusal(
            io::ErrorKind::TimedOut,
            format!("the database did not answer within {bound:?}"),
        )),
    }
}

fn refusal(kind: io::ErrorKind, text: impl Into<String>) -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(kind, text.into()))
}

/// How many connections of a pool campanile itself holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct InUse(Arc<AtomicUsize>);

/// One of them.
#[derive(Debug)]
struct Counted(InUse);

impl InUse {
    fn one_more(&self) -> Counted {
        self.0.fetch_add(1, Ordering::SeqCst);
        Counted(self.clone())
    }

    fn is_zero(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.0).0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether the sessions of a database start at an isolation level other than `READ COMMITTED`; empty until the first check.
#[derive(Debug, Clone, Default)]
pub(crate) struct Isolation(Arc<OnceLock<Begins>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begins {
    AtReadCommitted,
    AtAnother,
}

/// Not public API: a session whose isolation level can be changed temporarily.
#[doc(hidden)]
pub trait Session: sqlx::Connection {
    /// Sets it to `READ COMMITTED`; returns whether it was at another level.
    fn set_level(&mut self) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;

    /// Restores the previous level.
    fn set_level_back(&mut self) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}

#[cfg(feature = "postgres")]
statement! {
    /// The previous level is stored in a setting of campanile's: `reset` would discard what the application has set.
    on Postgres; SET_LEVEL = "\
        with session as materialized (select current_setting('default_transaction_isolation') as level) \
        select set_config('campanile.level', level, false), \
            set_config('default_transaction_isolation', 'read committed', false) \
        from session where level <> 'read committed'"
}

#[cfg(feature = "postgres")]
statement! {
    on Postgres; SET_LEVEL_BACK = "\
        select set_config('default_transaction_isolation', current_setting('campanile.level'), false)"
}

#[cfg(feature = "postgres")]
impl Session for sqlx::PgConnection {
    async fn set_level(&mut self) -> Result<bool, sqlx::Error> {
        let changed = sqlx::query(SET_LEVEL.on_postgres())
            .fetch_optional(self)
            .await?;
        Ok(changed.is_some())
    }

    async fn set_level_back(&mut self) -> Result<(), sqlx::Error> {
        sqlx::query(SET_LEVEL_BACK.on_postgres())
            .execute(self)
            .await?;
        Ok(())
    }
}

/// SQLite has one writer at a time, and no levels.
#[cfg(feature = "sqlite")]
impl Session for sqlx::SqliteConnection {
    async fn set_level(&mut self) -> Result<bool, sqlx::Error> {
        Ok(false)
    }

    async fn set_level_back(&mut self) -> Result<(), sqlx::Error> {
        Ok(())
    }
}

/// Not public API: a connection of [`each_connection!`]. If it is dropped in the middle of a statement it is closed: given back,
/// it would make the pool wait for the answer, and without an answer the pool would permanently lose one connection.
#[doc(hidden)]
#[derive(Debug)]
pub struct Held<DB: sqlx::Database> {
    connection: Option<sqlx::pool::PoolConnection<DB>>,
    counted: Option<Counted>,
    /// Campanile has changed its isolation level, which has to be restored.
    is_changed: bool,
}

impl<DB: sqlx::Database<Connection: Session>> Held<DB> {
    /// Waits for a connection.
    ///
    /// # Errors
    ///
    /// When no connection becomes free within the pool's own timeout, or shortly before the bound of the statement, so that the
    /// error names what the caller waited for; sooner where the application itself holds them all.
    pub async fn of(database: &Database, pool: &sqlx::Pool<DB>) -> Result<Self, sqlx::Error> {
        let mut held = tokio::select! {
            biased;
            connection = pool.acquire() => Self::over(database, connection?),
            () = starved(database, pool) => return Err(refusal(
                io::ErrorKind::WouldBlock,
                "a handler that holds a connection while it dispatches waits for itself if it is the last one",
            )),
            () = sleep(database.timeout() * 9 / 10) => return Err(sqlx::Error::PoolTimedOut),
        };
        held.set_level(&database.isolation().0).await?;
        Ok(held)
    }

    /// The first call determines whether later calls have anything to do.
    async fn set_level(&mut self, begins: &OnceLock<Begins>) -> Result<(), sqlx::Error> {
        if begins.get() == Some(&Begins::AtReadCommitted) {
            return Ok(());
        }
        self.is_changed = self.connection().set_level().await?;
        let _ = begins.set(if self.is_changed {
            Begins::AtAnother
        } else {
            Begins::AtReadCommitted
        });
        Ok(())
    }

    /// This process's turn to write, where the database has one writer at a time, and a connection. It never holds one while it
    /// waits for the other, so the turn and the connections cannot deadlock.
    pub(crate) async fn to_write(
        database: &Database,
        pool: &sqlx::Pool<DB>,
    ) -> Result<(Option<OwnedMutexGuard<()>>, Self), sqlx::Error> {
        let bound = Some(database.timeout());
        loop {
            let Some(turn) = database.turn_to_write().await else {
                return Ok((None, within(bound, Self::of(database, pool)).await?));
            };
            if let Some(connection) = pool.try_acquire() {
                return Ok((Some(turn), Self::over(database, connection)));
            }
            drop(turn);
            let held = within(bound, Self::of(database, pool)).await?;
            if let Some(turn) = database.turn_to_write_now() {
                return Ok((Some(turn), held));
            }
            held.give_back();
        }
    }

    fn over(database: &Database, connection: sqlx::pool::PoolConnection<DB>) -> Self {
        Self {
            connection: Some(connection),
            counted: Some(database.in_use().one_more()),
            is_changed: false,
        }
    }

    /// The connection.
    ///
    /// # Panics
    ///
    /// Never: the connection is present until it is returned.
    pub fn connection(&mut self) -> &mut DB::Connection {
        self.connection
            .as_mut()
            .expect("the connection is present until it is returned")
    }

    /// Returns it to the pool, unless it broke or its statement was cancelled: then it is closed, so that nobody waits for the
    /// rest of its answer.
    pub(crate) fn end<T>(self, done: &Result<T, StoreError>) {
        match done {
            Err(error) if error.is_broken() => drop(self),
            _ => self.give_back(),
        }
    }

    /// No statement is running on it any more.
    pub fn give_back(mut self) {
        if let Some(mut connection) = self.connection.take() {
            let (counted, is_changed) = (self.counted.take(), self.is_changed);
            tokio::spawn(async move {
                let returned = async {
                    if is_changed && connection.set_level_back().await.is_err() {
                        connection.close_on_drop();
                        return;
                    }
                    connection.return_to_pool().await;
                };
                let _ = timeout(RETURN_TIMEOUT, returned).await;
                drop(counted);
            });
        }
    }
}

impl<DB: sqlx::Database> Drop for Held<DB> {
    fn drop(&mut self) {
        // SQLite runs in this process and always answers; and an in-memory database is lost with its connection.
        if let Some(connection) = &mut self.connection
            && DB::NAME != "SQLite"
        {
            connection.close_on_drop();
        }
    }
}

/// Ready when the application has held every connection of the pool for too long: two seconds if the pool has only one, otherwise
/// three quarters of the bound, because another handler may return one. While campanile holds one itself, or one is free, the
/// caller waits in an ordinary queue that moves.
async fn starved<DB: sqlx::Database>(database: &Database, pool: &sqlx::Pool<DB>) {
    let max_connections = pool.options().get_max_connections();
    let max_wait = match max_connections {
        1 => STARVED_AFTER.min(database.timeout() / 2),
        _ => database.timeout() * 3 / 4,
    };
    let mut since = Instant::now();
    while since.elapsed() < max_wait {
        sleep(STARVED_POLL).await;
        let is_exhausted = pool.size() >= max_connections && pool.num_idle() == 0;
        if !is_exhausted || !database.in_use().is_zero() {
            since = Instant::now();
        }
    }
}
