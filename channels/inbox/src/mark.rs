//! What a user does with the items: see, read, archive, and take it back.

use campanile::StoreError;
use campanile::database::{Statement, each_connection};
use uuid::Uuid;

use crate::error::InboxError;
use crate::inbox::Inbox;
use crate::item::Item;
use crate::moment::Moment;
use crate::statement::{CHANGE, READ_ALL, SEE_ALL};

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
        let to = |on: Option<bool>| on.map(i64::from);
        let seen = change.read.filter(|read| *read);
        let item: Result<Option<Item>, _> = each_connection!(&self.database, |connection| {
            sqlx::query(CHANGE.on(&self.database))
                .bind(&self.user)
                .bind(&self.org)
                .bind(&self.category)
                .bind(id.to_string())
                .bind(to(seen))
                .bind(to(change.read))
                .bind(to(change.archived))
                .fetch_optional(connection)
                .await
                .and_then(|row| row.as_ref().map(Item::of_row).transpose())
        });
        item.map_err(StoreError::from)?.ok_or(InboxError::NotFound)
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

    /// Marks as read what is unread of all that the user was shown, and says how many there were: everything that was committed
    /// when a page was read ([`Feed::as_of`](crate::Feed::as_of)), on it or older, and the items that were shown `since` then. What
    /// was committed later stays unread, whatever its id and its time. Archived items stay as they are.
    ///
    /// # Errors
    ///
    /// [`InboxError::InvalidMoment`] for a moment of another kind of database, [`InboxError::Store`].
    ///
    /// # Cancel safety
    ///
    /// One statement: all are marked or none.
    pub async fn mark_all_read(&self, as_of: &Moment, since: &[Uuid]) -> Result<u64, InboxError> {
        self.mark_all(&READ_ALL, as_of, since).await
    }

    /// Marks as seen all that the user was shown, and says how much of it was not. It bounds what it marks as
    /// [`Inbox::mark_all_read`] does.
    ///
    /// # Errors
    ///
    /// [`InboxError::InvalidMoment`] for a moment of another kind of database, [`InboxError::Store`].
    ///
    /// # Cancel safety
    ///
    /// One statement: all are marked or none.
    pub async fn mark_all_seen(&self, as_of: &Moment, since: &[Uuid]) -> Result<u64, InboxError> {
        self.mark_all(&SEE_ALL, as_of, since).await
    }

    async fn mark_all(
        &self,
        statement: &'static Statement,
        as_of: &Moment,
        since: &[Uuid],
    ) -> Result<u64, InboxError> {
        let as_of = as_of.for_database(&self.database)?;
        let since: Vec<_> = since.iter().map(Uuid::to_string).collect();
        let since = serde_json::json!(since).to_string();
        let marked = each_connection!(&self.database, |connection| {
            sqlx::query(statement.on(&self.database))
                .bind(&self.user)
                .bind(&self.org)
                .bind(&self.category)
                .bind(as_of)
                .bind(&since)
                .execute(connection)
                .await
                .map(|done| done.rows_affected())
        });
        Ok(marked.map_err(StoreError::from)?)
    }
}
