//! A **connection** for every statement that somebody waits for: bounded in time, and never given back in the middle of a
//! statement.
//!
//! A connection may be half-open: its other end has vanished without a word, and no answer will ever come. Nothing but a bound
//! finds that out, so every statement of campanile's own has one, [`Database::statement_timeout`].
//!
//! Campanile's statements run at `READ COMMITTED`. Where sessions begin at another level, a connection is set to that one while
//! campanile holds it, and set back before the pool gets it again.

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
/// Within [`Database::statement_timeout`] it ends or is an error, and a connection that does not answer is closed and not given
/// back. The code is a block of its own, which `return` leaves.
#[macro_export]
macro_rules! each_connection {
    ($database:expr, |$connection:ident| $body:expr) => {
        $crate::database::outcome($crate::each_database!($database, |pool| {
            // In a box: the futures of callers would hold it.
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

/// How long a connection may take to show that it is in order when it is given back.
const RETURN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a caller waits for the only connection of a pool while the application holds it. It may be the caller's own, and
/// then it waits for itself.
const STARVED_AFTER: Duration = Duration::from_secs(2);

/// How often a waiting caller looks who holds the connections.
const STARVED_POLL: Duration = Duration::from_millis(100);

/// Not public API: what [`each_connection!`] gives, also where there is no database.
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

/// The same with a bound of one's own, or with none.
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

/// How many connections campanile itself holds of a pool.
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

/// Whether the sessions of a database begin at another isolation level than `READ COMMITTED`; empty as long as nobody has asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Isolation(Arc<OnceLock<Begins>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begins {
    AtReadCommitted,
    AtAnother,
}

/// Not public API: a session whose isolation level can be chosen for a while.
#[doc(hidden)]
pub trait Session: sqlx::Connection {
    /// Sets it to `READ COMMITTED`; whether it was at another level.
    fn set_level(&mut self) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;

    /// Sets it back.
    fn set_level_back(&mut self) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}

#[cfg(feature = "postgres")]
statement! {
    /// What the session had stays in a setting of campanile's own: `reset` would give up what the application has chosen.
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

/// Not public API: a connection of [`each_connection!`]. If it is dropped in the middle of a statement it is
/// closed: given back, it would make the pool wait for the answer, and without an answer the pool would be smaller by one for good.
#[doc(hidden)]
#[derive(Debug)]
pub struct Held<DB: sqlx::Database> {
    connection: Option<sqlx::pool::PoolConnection<DB>>,
    counted: Option<Counted>,
    /// It is at a level of campanile's, and to be set back.
    is_changed: bool,
}

impl<DB: sqlx::Database<Connection: Session>> Held<DB> {
    /// Waits for a connection.
    ///
    /// # Errors
    ///
    /// When none comes free in the pool's own time, or shortly before the bound of the statement, so that the caller hears what it
    /// waited for; sooner where the application itself holds them all.
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

    /// The first time says whether there is anything to do the next times.
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

    /// This process's turn to write, where the database has one writer at a time, and a connection. While it waits for the one
    /// it does not hold the other: nobody waits for a turn whose holder waits for a connection, or the other way round.
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
    /// Never: it is there until it is given back.
    pub fn connection(&mut self) -> &mut DB::Connection {
        self.connection
            .as_mut()
            .expect("it is there until it is given back")
    }

    /// Gives it back, unless it broke or was cut off: then nobody should wait for what it still has to say, and it is closed.
    pub(crate) fn end<T>(self, done: &Result<T, StoreError>) {
        match done {
            Err(error) if error.is_broken() => drop(self),
            _ => self.give_back(),
        }
    }

    /// Nothing is under way on it any more.
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
        // SQLite is in this process and always answers; and a database in memory is gone with its connection.
        if let Some(connection) = &mut self.connection
            && DB::NAME != "SQLite"
        {
            connection.close_on_drop();
        }
    }
}

/// Ready when every connection of the pool has been the application's for long: two seconds where there is only one, else
/// three quarters of the bound, for then another handler's may come free. While campanile holds one itself, or one is free,
/// whoever waits is in an ordinary queue that moves.
async fn starved<DB: sqlx::Database>(database: &Database, pool: &sqlx::Pool<DB>) {
    let most = pool.options().get_max_connections();
    let patience = match most {
        1 => STARVED_AFTER.min(database.timeout() / 2),
        _ => database.timeout() * 3 / 4,
    };
    let mut since = Instant::now();
    while since.elapsed() < patience {
        sleep(STARVED_POLL).await;
        let is_exhausted = pool.size() >= most && pool.num_idle() == 0;
        if !is_exhausted || !database.in_use().is_zero() {
            since = Instant::now();
        }
    }
}
