//! What a user does with the items: see, read, archive, and take it back.

use campanile::StoreError;
use campanile::database::each_database;
use uuid::Uuid;

use crate::error::InboxError;
use crate::inbox::Inbox;
use crate::item::Item;
use crate::statement;

/// What becomes of an item; `None` leaves it as it is. What is read has been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(
    clippy::exhaustive_structs,
    reason = "made by callers with `..Change::default()`"
)]
pub struct Change {
    /// Whether it is read.
    pub read: Option<bool>,
    /// Whether it is archived.
    pub archived: Option<bool>,
}

impl Inbox {
    /// Changes an item and gives it back as it is then. A repeated change keeps the first time.
    ///
    /// # Errors
    ///
    /// [`InboxError::NotFound`] for an item that is missing or another user's.
    ///
    /// # Cancel safety
    ///
    /// One statement: it is changed or it is not.
    pub async fn change(&self, id: Uuid, change: Change) -> Result<Item, InboxError> {
        let statement = self
            .database
            .sql(&statement::change(&self.database, change));
        let item: Option<Item> = each_database!(&self.database, |pool| {
            sqlx::query(statement)
                .bind(&self.user)
                .bind(&self.org)
                .bind(&self.category)
                .bind(id.to_string())
                .fetch_optional(pool)
                .await
                .and_then(|row| row.as_ref().map(Item::of_row).transpose())
                .map_err(StoreError::from)?
        });
        item.ok_or(InboxError::NotFound)
    }

    /// Marks an item as read. Marking it again keeps the first time.
    ///
    /// # Errors
    ///
    /// [`InboxError::NotFound`] for an item that is missing or another user's.
    ///
    /// # Cancel safety
    ///
    /// One statement: it is marked or it is not.
    pub async fn mark_read(&self, id: Uuid) -> Result<(), InboxError> {
        let read = Change {
            read: Some(true),
            ..Change::default()
        };
        self.change(id, read).await.map(drop)
    }

    /// Marks an item as unread.
    ///
    /// # Errors
    ///
    /// [`InboxError::NotFound`] for an item that is missing or another user's.
    ///
    /// # Cancel safety
    ///
    /// One statement: it is marked or it is not.
    pub async fn mark_unread(&self, id: Uuid) -> Result<(), InboxError> {
        let unread = Change {
            read: Some(false),
            ..Change::default()
        };
        self.change(id, unread).await.map(drop)
    }

    /// Marks every unread item as read, up to and including the newest one the user has seen, and says how many there
    /// were. Archived items stay as they are. An item that is dispatched meanwhile stays unread; one that was dispatched
    /// before in a transaction that committed since counts as older, and is marked.
    ///
    /// # Errors
    ///
    /// [`InboxError::Store`].
    ///
    /// # Cancel safety
    ///
    /// One statement: all are marked or none.
    pub async fn mark_all_read(&self, newest_seen: Uuid) -> Result<u64, InboxError> {
        self.mark_all(&statement::read_all(&self.database), newest_seen)
            .await
    }

    /// Marks every item as seen, up to and including the newest one that was shown, and says how many were not. It bounds
    /// what it marks as [`Inbox::mark_all_read`] does.
    ///
    /// # Errors
    ///
    /// [`InboxError::Store`].
    ///
    /// # Cancel safety
    ///
    /// One statement: all are marked or none.
    pub async fn mark_all_seen(&self, newest_shown: Uuid) -> Result<u64, InboxError> {
        self.mark_all(&statement::see_all(&self.database), newest_shown)
            .await
    }

    async fn mark_all(&self, statement: &str, newest: Uuid) -> Result<u64, InboxError> {
        let statement = self.database.sql(statement);
        Ok(each_database!(&self.database, |pool| {
            sqlx::query(statement)
                .bind(&self.user)
                .bind(&self.org)
                .bind(&self.category)
                .bind(newest.to_string())
                .execute(pool)
                .await
                .map_err(StoreError::from)?
                .rows_affected()
        }))
    }
}
