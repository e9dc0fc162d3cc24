//! The **suppression list**: addresses that must not be mailed, because they bounced, complained or were entered by hand.
//!
//! It is asked last, right before the wire. It knows addresses only: no user, no preference.

use std::collections::HashSet;

use campanile::database::{Database, each_connection, each_database};
use campanile::error::StoreError;
use campanile::sqlx::{self, Row as _};

use crate::mailbox::{InvalidMailbox, Mailbox};

/// The longest reason, in characters.
const LONGEST_REASON: usize = 500;

/// The table `email_suppressions`. Cheap to clone.
///
/// Addresses are compared in lower case, with their domain in ASCII.
///
/// ```
/// # async fn example(database: campanile::Database) -> Result<(), campanile_email::SuppressionError> {
/// use campanile_email::Suppressions;
///
/// let suppressions = Suppressions::new(database);
/// suppressions.add("ada@example.com", "asked support to stop").await?;
/// assert!(suppressions.contains("Ada@Example.com").await?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Suppressions {
    database: Database,
}

/// Why the list was not read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuppressionError {
    /// It is not an address.
    #[error(transparent)]
    InvalidAddress(#[from] InvalidMailbox),
    /// The database did not answer.
    #[error("the suppression list did not answer")]
    Store(#[from] StoreError),
}

impl SuppressionError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}

impl Suppressions {
    /// The list in this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Adds an address and why. An address that is listed keeps its first reason.
    ///
    /// # Errors
    ///
    /// When it is not an address, or the database does not answer.
    ///
    /// # Cancel safety
    ///
    /// One statement: it is added or it is not.
    pub async fn add(&self, address: &str, reason: &str) -> Result<(), SuppressionError> {
        let address = comparable(address)?;
        let reason: String = reason
            .replace('\0', " ")
            .chars()
            .take(LONGEST_REASON)
            .collect();
        let statement = self.database.sql(
            "insert into {campanile}email_suppressions (address, reason, created_at) \
             values ($1, $2, {now}) on conflict (address) do nothing",
        );
        each_database!(&self.database, |pool| {
            sqlx::query(statement)
                .bind(address)
                .bind(reason)
                .execute(pool)
                .await
                .map_err(StoreError::from)?;
        });
        Ok(())
    }

    /// Removes an address; whether it was listed.
    ///
    /// # Errors
    ///
    /// As [`add`](Suppressions::add).
    ///
    /// # Cancel safety
    ///
    /// One statement: it is removed or it is not.
    pub async fn remove(&self, address: &str) -> Result<bool, SuppressionError> {
        let address = comparable(address)?;
        let statement = self
            .database
            .sql("delete from {campanile}email_suppressions where address = $1");
        let removed: u64 = each_database!(&self.database, |pool| {
            sqlx::query(statement)
                .bind(address)
                .execute(pool)
                .await
                .map_err(StoreError::from)?
                .rows_affected()
        });
        Ok(removed > 0)
    }

    /// Why an address is listed, if it is.
    ///
    /// # Errors
    ///
    /// As [`add`](Suppressions::add).
    pub async fn reason(&self, address: &str) -> Result<Option<String>, SuppressionError> {
        let address = comparable(address)?;
        let statement = self
            .database
            .sql("select reason from {campanile}email_suppressions where address = $1");
        Ok(each_database!(&self.database, |pool| {
            sqlx::query(statement)
                .bind(address)
                .fetch_optional(pool)
                .await
                .map_err(StoreError::from)?
                .map(|row| row.get("reason"))
        }))
    }

    /// Whether an address is listed.
    ///
    /// # Errors
    ///
    /// As [`add`](Suppressions::add).
    pub async fn contains(&self, address: &str) -> Result<bool, SuppressionError> {
        Ok(self.reason(address).await?.is_some())
    }

    /// Which of these addresses, given in their comparable form, are listed. One query for any number of them.
    pub(crate) async fn among(&self, addresses: &[String]) -> Result<HashSet<String>, StoreError> {
        let statement = self.database.sql(
            "select address from {campanile}email_suppressions where address in (select {texts($1)})",
        );
        let addresses = serde_json::Value::from(addresses).to_string();
        let listed = each_connection!(&self.database, |connection| {
            let rows = sqlx::query(statement)
                .bind(addresses)
                .fetch_all(&mut *connection)
                .await?;
            rows.iter().map(|row| row.try_get("address")).collect()
        });
        Ok(listed?)
    }
}

fn comparable(address: &str) -> Result<String, InvalidMailbox> {
    Ok(address.parse::<Mailbox>()?.comparable())
}
