//! The host's own transaction, which [`enqueue_in`](crate::Dispatcher::enqueue_in) takes.

/// The host's open transaction, on either database.
///
/// Made with `.into()` from `&mut Transaction` or from a bare connection on which a transaction was begun.
#[derive(Debug)]
#[non_exhaustive]
pub enum InTransaction<'c> {
    /// On Postgres.
    #[cfg(feature = "postgres")]
    Postgres(&'c mut sqlx::PgConnection),
    /// On SQLite.
    #[cfg(feature = "sqlite")]
    Sqlite(&'c mut sqlx::SqliteConnection),
    /// Without a database feature there is no transaction.
    #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
    Missing(&'c std::convert::Infallible),
}

macro_rules! in_transaction {
    ($database:ty, $connection:ty, $variant:ident) => {
        impl<'c> From<&'c mut $connection> for InTransaction<'c> {
            fn from(connection: &'c mut $connection) -> Self {
                Self::$variant(connection)
            }
        }

        impl<'c> From<&'c mut sqlx::Transaction<'_, $database>> for InTransaction<'c> {
            fn from(transaction: &'c mut sqlx::Transaction<'_, $database>) -> Self {
                Self::$variant(transaction)
            }
        }

        impl<'c> From<&'c mut sqlx::pool::PoolConnection<$database>> for InTransaction<'c> {
            fn from(connection: &'c mut sqlx::pool::PoolConnection<$database>) -> Self {
                Self::$variant(connection)
            }
        }
    };
}

#[cfg(feature = "postgres")]
in_transaction!(sqlx::Postgres, sqlx::PgConnection, Postgres);
#[cfg(feature = "sqlite")]
in_transaction!(sqlx::Sqlite, sqlx::SqliteConnection, Sqlite);
