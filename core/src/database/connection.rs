//! A **connection** for every statement that somebody waits for: bounded in time, and never given back in the middle of a
//! statement.
//!
//! A connection may be half-open: its other end has vanished without a word, and no answer will ever come. Nothing but a bound
//! finds that out, so every statement of campanile's own has one, [`Database::statement_timeout`].

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, sleep, timeout};

use crate::database::Database;
use crate::database::error::StoreError;

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

/// Not public API: a connection of [`each_connection!`]. Dropped in the middle of a statement it is closed; the pool would wait
/// for its answer, and where none comes be smaller by one for good.
#[doc(hidden)]
#[derive(Debug)]
pub struct Held<DB: sqlx::Database> {
    connection: Option<sqlx::pool::PoolConnection<DB>>,
    counted: Option<Counted>,
}

impl<DB: sqlx::Database> Held<DB> {
    /// Waits for a connection.
    ///
    /// # Errors
    ///
    /// When none comes free in the pool's own time, or sooner where the application itself holds them all.
    pub async fn of(database: &Database, pool: &sqlx::Pool<DB>) -> Result<Self, sqlx::Error> {
        tokio::select! {
            biased;
            connection = pool.acquire() => Ok(Self::over(database, connection?)),
            () = starved(database, pool) => Err(refusal(
                io::ErrorKind::WouldBlock,
                "a handler that holds a connection while it dispatches waits for itself if it is the last one",
            )),
        }
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
            let counted = self.counted.take();
            tokio::spawn(async move {
                let _ = timeout(RETURN_TIMEOUT, connection.return_to_pool()).await;
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
