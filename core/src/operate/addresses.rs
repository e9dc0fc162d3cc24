//! The **address table**, `notification_addresses`: the default address book.

use std::collections::HashMap;

use async_trait::async_trait;

use crate::channel::address::{AddressBook, AddressError};
use crate::database::Database;
use crate::database::error::StoreError;
use crate::database::task::run_to_end;
use crate::event::recipient::{self, InvalidInput};
use crate::store::addresses;

/// The default address book: the table `notification_addresses`, the newest address first.
///
/// ```
/// # async fn example(addresses: campanile::operate::AddressTable) -> Result<(), campanile::operate::AddressTableError> {
/// // One address, a mailbox for example: replaces the old one.
/// addresses.set("u_ada", "email", "ada@example.com").await?;
/// // Several devices: adds one.
/// addresses.add("u_ada", "push", "token_of_a_phone").await?;
/// # Ok(())
/// # }
/// ```
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
    /// The table in this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Replaces the user's addresses on a channel by this one.
    ///
    /// # Errors
    ///
    /// As [`AddressTable::add`].
    ///
    /// # Cancel safety
    ///
    /// Once polled, it runs in a task of its own: all of it happens or nothing.
    pub async fn set(
        &self,
        user: &str,
        channel: &str,
        address: &str,
    ) -> Result<(), AddressTableError> {
        check(user, channel, address)?;
        let database = self.database.clone();
        let row = [user, channel, address].map(ToOwned::to_owned);
        run_to_end(async move { addresses::replace(&database, &row).await })
            .await?
            .map_err(StoreError::from)?;
        Ok(())
    }

    /// Adds an address, for somebody with several devices. It becomes the newest, even if it was there already.
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
        check(user, channel, address)?;
        let added = addresses::add(&self.database, [user, channel, address]);
        Ok(added.await.map_err(StoreError::from)?)
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
        check(user, channel, address)?;
        let removed = addresses::remove(&self.database, [user, channel, address]);
        Ok(removed.await.map_err(StoreError::from)?)
    }
}

fn check(user: &str, channel: &str, address: &str) -> Result<(), InvalidInput> {
    recipient::check("user_id", user)?;
    recipient::check("channel", channel)?;
    recipient::check_text("address", address, 4_096)
}

#[async_trait]
impl AddressBook for AddressTable {
    async fn addresses(
        &self,
        channel: &str,
        users: &[String],
    ) -> Result<HashMap<String, Vec<String>>, AddressError> {
        let mut book: HashMap<String, Vec<String>> = HashMap::new();
        let rows = addresses::read(&self.database, channel, users);
        for (user, address) in rows.await.map_err(AddressError::new)? {
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
