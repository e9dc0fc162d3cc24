//! A **connection** for what runs by itself, without a caller who would give up: bounded in time, and never given back in the
//! middle of a statement.

use std::time::Duration;

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
