//! The **address table**, `notification_addresses`: the address book of a host that brings none of its own.

use std::collections::HashMap;

use async_trait::async_trait;
use sqlx::{Connection as _, Row as _};

use crate::channel::address::{AddressBook, AddressError};
use crate::database::error::StoreError;
use crate::database::{Database, each_connection};
use crate::event::recipient::{self, InvalidInput};

/// An address is newer than every other of its user, whatever the clock says: SQLite's has milliseconds.
const ADD: &str = "\
    insert into {campanile}notification_addresses (user_id, channel, address, created_at) \
    select $1, $2, $3, case when newest >= {now} then {after(newest)} else {now} end \
    from (select max(created_at) as newest from {campanile}notification_addresses \
    where user_id = $1 and channel = $2) as known where true \
    on conflict (user_id, channel, address) do update set created_at = excluded.created_at";

const LOCK: &str = "\
    select address from {campanile}notification_addresses \
    where user_id = $1 and channel = $2 order by address {for_update}";

const KEEP_NEWEST: &str = "\
    delete from {campanile}notification_addresses where user_id = $1 and channel = $2 and address <> \
    (select address from {campanile}notification_addresses \
    where user_id = $1 and channel = $2 order by created_at desc, address limit 1)";

/// The default address book: the table `notification_addresses`, the newest address first.
///
/// ```
/// # async fn example(addresses: campanile::address::AddressTable) -> Result<(), campanile::address::AddressTableError> {
/// // Whoever has one address, as a mailbox, gets another: the old one is gone.
/// addresses.set("u_ada", "email", "ada@example.com").await?;
/// // Whoever has several devices gets one more.
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
    /// The book in this database.
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
    /// Once polled it goes on in a task of its own: all of it happens or nothing.
    pub async fn set(
        &self,
        user: &str,
        channel: &str,
        address: &str,
    ) -> Result<(), AddressTableError> {
        check(user, channel, address)?;
        let database = self.database.clone();
        let row = [user, channel, address].map(ToOwned::to_owned);
        tokio::spawn(async move { replace(&database, &row).await })
            .await
            .map_err(|_| StoreError::interrupted())?
            .map_err(StoreError::from)?;
        Ok(())
    }

    /// Adds an address beside those that are there, for somebody with several devices. It is the newest now, also if it was
    /// there already.
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
        self.write(ADD, [user, channel, address]).await
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
        check(user, channel, address)?;
        let statement = self.database.sql(statement);
        let written: Result<(), sqlx::Error> = each_connection!(&self.database, |connection| {
            let write = sqlx::query(statement).bind(user).bind(channel);
            write.bind(address).execute(&mut *connection).await?;
            Ok(())
        });
        Ok(written.map_err(StoreError::from)?)
    }
}

fn check(user: &str, channel: &str, address: &str) -> Result<(), InvalidInput> {
    recipient::check("user_id", user)?;
    recipient::check("channel", channel)?;
    recipient::check_text("address", address, 4_096)
}

/// One transaction; the rows that are there are locked in one order, so that two calls do not wait for each other. Another call
/// at the same time may have added a row that this one could not see: once both are committed, only the newest stays.
async fn replace(
    database: &Database,
    [user, channel, address]: &[String; 3],
) -> Result<(), sqlx::Error> {
    let _turn = database.turn_to_write().await;
    each_connection!(database, |connection| {
        let mut transaction = connection.begin_with(database.begin()).await?;
        let lock = sqlx::query(database.sql(LOCK)).bind(user).bind(channel);
        lock.execute(&mut *transaction).await?;
        let add = sqlx::query(database.sql(ADD)).bind(user).bind(channel);
        add.bind(address).execute(&mut *transaction).await?;
        let keep = sqlx::query(database.sql(KEEP_NEWEST));
        let keep = keep.bind(user).bind(channel);
        keep.execute(&mut *transaction).await?;
        transaction.commit().await?;
        let keep = sqlx::query(database.sql(KEEP_NEWEST));
        let keep = keep.bind(user).bind(channel);
        keep.execute(&mut *connection).await?;
        Ok(())
    })
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
             where channel = $1 and user_id in (select {texts($2)}) order by user_id, created_at desc, address",
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
