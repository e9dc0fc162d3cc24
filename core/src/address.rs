//! The **address book** says where a user is reached on a channel.
//!
//! By default that is the table `notification_addresses`; a host that keeps addresses elsewhere plugs its own lookup.

use std::collections::HashMap;

use async_trait::async_trait;
use sqlx::Row as _;

use crate::database::{Database, each_connection, each_database};
use crate::error::StoreError;
use crate::recipient::{self, InvalidInput};

/// Where users are reached. Asked once per dispatch and channel, for all recipients at once.
///
/// Each look-up runs on a thread of its own, for at most half of [`Builder::attempt_timeout`](crate::Builder::attempt_timeout),
/// and at most eight of a channel are under way at once. One that fails, panics, hangs or blocks its thread uses no attempt: the
/// deliveries wait and are tried again, and no other channel is held up.
#[async_trait]
pub trait AddressBook: Send + Sync + 'static {
    /// The addresses of each of these users on a channel. A user without any may be left out.
    ///
    /// # Errors
    ///
    /// Whatever keeps the book from answering; the deliveries are tried again later.
    async fn addresses(
        &self,
        channel: &str,
        users: &[String],
    ) -> Result<HashMap<String, Vec<String>>, AddressError>;

    /// A channel learned that an address is dead: a push token the provider no longer knows. Does nothing by default.
    ///
    /// # Errors
    ///
    /// Whatever keeps the book from being written; it is logged.
    async fn forget(&self, channel: &str, user: &str, address: &str) -> Result<(), AddressError> {
        let _ = (channel, user, address);
        Ok(())
    }
}

/// Why an address book did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the address book did not answer")]
pub struct AddressError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl AddressError {
    /// Wraps the cause.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// The default address book: the table `notification_addresses`.
#[derive(Debug, Clone)]
pub struct AddressTable {
    database: Database,
}

/// Why an address was not stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddressTableError {
    /// The user, channel or address cannot be stored.
    #[error(transparent)]
    InvalidInput(#[from] InvalidInput),
    /// The database did not answer.
    #[error("the address was not stored")]
    Store(#[from] StoreError),
}

impl AddressTable {
    /// The book in this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Adds an address; adding it again changes nothing.
    ///
    /// # Errors
    ///
    /// [`AddressTableError::InvalidInput`] for an empty, overlong or control-character-bearing user, channel or address.
    ///
    /// # Cancel safety
    ///
    /// One statement: it is stored or it is not.
    pub async fn add(
        &self,
        user: &str,
        channel: &str,
        address: &str,
    ) -> Result<(), AddressTableError> {
        self.write(
            "insert into {campanile}notification_addresses (user_id, channel, address, created_at) \
             values ($1, $2, $3, {now}) on conflict do nothing",
            [user, channel, address],
        )
        .await
    }

    /// Removes an address; removing one that is not there changes nothing.
    ///
    /// # Errors
    ///
    /// As [`AddressTable::add`].
    ///
    /// # Cancel safety
    ///
    /// One statement: it is removed or it is not.
    pub async fn remove(
        &self,
        user: &str,
        channel: &str,
        address: &str,
    ) -> Result<(), AddressTableError> {
        self.write(
            "delete from {campanile}notification_addresses \
             where user_id = $1 and channel = $2 and address = $3",
            [user, channel, address],
        )
        .await
    }

    async fn write(
        &self,
        statement: &str,
        [user, channel, address]: [&str; 3],
    ) -> Result<(), AddressTableError> {
        recipient::check("user_id", user)?;
        recipient::check("channel", channel)?;
        recipient::check_text("address", address, 4_096)?;
        let statement = self.database.sql(statement);
        each_database!(&self.database, |pool| {
            sqlx::query(statement)
                .bind(user)
                .bind(channel)
                .bind(address)
                .execute(pool)
                .await
                .map_err(StoreError::from)?;
        });
        Ok(())
    }
}

#[async_trait]
impl AddressBook for AddressTable {
    async fn addresses(
        &self,
        channel: &str,
        users: &[String],
    ) -> Result<HashMap<String, Vec<String>>, AddressError> {
        let statement = self.database.sql(
            "select user_id, address from {campanile}notification_addresses \
             where channel = $1 and user_id in (select {texts($2)}) order by user_id, created_at, address",
        );
        let users = serde_json::json!(users).to_string();
        let mut book: HashMap<String, Vec<String>> = HashMap::new();
        let rows: Result<Vec<(String, String)>, _> =
            each_connection!(&self.database, |connection| {
                let rows = sqlx::query(statement)
                    .bind(channel)
                    .bind(users)
                    .fetch_all(&mut *connection)
                    .await?;
                let rows = rows.iter();
                rows.map(|row| Ok((row.try_get("user_id")?, row.try_get("address")?)))
                    .collect()
            });
        for (user, address) in rows.map_err(AddressError::new)? {
            book.entry(user).or_default().push(address);
        }
        Ok(book)
    }

    async fn forget(&self, channel: &str, user: &str, address: &str) -> Result<(), AddressError> {
        self.remove(user, channel, address)
            .await
            .map_err(AddressError::new)
    }
}
