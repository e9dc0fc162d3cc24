//! What a bell shows: how many items there are.

use campanile::StoreError;
use campanile::database::each_database;
use sqlx::Row as _;

use crate::error::InboxError;
use crate::inbox::Inbox;
use crate::statement;

/// How many items there are that are not archived, each number up to the cap that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Counts {
    /// Those that were not read.
    pub unread: u64,
    /// Those that were in no list yet that the user opened.
    pub unseen: u64,
    /// All of them.
    pub total: u64,
}

impl Inbox {
    /// Counts what is unread, unseen and there at all, each up to a cap, so that its cost does not grow with the inbox.
    ///
    /// # Errors
    ///
    /// [`InboxError::Store`].
    pub async fn counts_up_to(&self, cap: u32) -> Result<Counts, InboxError> {
        let statement = self.database.sql(&statement::counts(cap));
        Ok(each_database!(&self.database, |pool| {
            let row = sqlx::query(statement)
                .bind(&self.user)
                .bind(&self.org)
                .bind(&self.category)
                .fetch_one(pool)
                .await
                .map_err(StoreError::from)?;
            let count = |column| row.try_get(column).map(number).map_err(StoreError::from);
            Counts {
                unread: count("unread")?,
                unseen: count("unseen")?,
                total: count("total")?,
            }
        }))
    }

    /// Counts the unread items.
    ///
    /// # Errors
    ///
    /// [`InboxError::Store`].
    pub async fn unread(&self) -> Result<u64, InboxError> {
        self.count_unread(None).await
    }

    /// Counts the unread items up to a cap, for a badge that says `99+`: `unread_up_to(100)`. Its cost does not grow with
    /// the inbox.
    ///
    /// # Errors
    ///
    /// [`InboxError::Store`].
    pub async fn unread_up_to(&self, cap: u32) -> Result<u64, InboxError> {
        self.count_unread(Some(cap)).await
    }

    async fn count_unread(&self, cap: Option<u32>) -> Result<u64, InboxError> {
        let statement = self.database.sql(&statement::unread(cap));
        let count: i64 = each_database!(&self.database, |pool| {
            sqlx::query_scalar(statement)
                .bind(&self.user)
                .bind(&self.org)
                .bind(&self.category)
                .fetch_one(pool)
                .await
                .map_err(StoreError::from)?
        });
        Ok(number(count))
    }
}

fn number(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}
