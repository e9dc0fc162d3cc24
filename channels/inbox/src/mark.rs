//! What a user does with items: see, read, archive, and undo.

use campanile::StoreError;
use campanile::database::{Statement, each_connection, statement};
use uuid::Uuid;

use crate::error::InboxError;
use crate::inbox::Inbox;
use crate::item::{COLUMNS, Item};
use crate::moment::{Moment, THIS_WRITE, WAS_THERE};
use crate::statement::SCOPE;

statement! {
    /// Changes the item `$4`: `$5` is seen, `$6` read, `$7` archived, each 1, 0, or null to leave it as it is. A repeated change
    /// keeps the first time. [`crate::Watch`] finds the change by `changed_in`. Returns the item.
    pub(crate) CHANGE = "\
        update {campanile}notifications set \
            seen_at = case {int($5)} when 1 then coalesce(seen_at, {now}) when 0 then null else seen_at end, \
            read_at = case {int($6)} when 1 then coalesce(read_at, {now}) when 0 then null else read_at end, \
            archived = case {int($7)} when 1 then {flag(1)} when 0 then {flag(0)} else archived end, \
            archived_at = case {int($7)} when 1 then coalesce(archived_at, {now}) when 0 then null else archived_at end, \
            changed_in = {this_write} \
        where {scope} and archived in ({flag(0)}, {flag(1)}) and id = {uuid($4)} returning {columns}",
    scope = SCOPE, columns = COLUMNS, this_write = THIS_WRITE
}

statement! {
    /// Marks as read the unread items that were visible at the moment `$4`, and those of the ids `$5`, a JSON array.
    pub(crate) READ_ALL = "update {mark}",
    mark = "{table} set read_at = {now}, seen_at = coalesce(seen_at, {now}), changed_in = {this_write} \
        where {scope} and archived = {flag(0)} and read_at is null and {shown}",
    table = "{campanile}notifications{sqlite( indexed by campanile_notifications_unread)}",
    scope = SCOPE, this_write = THIS_WRITE, shown = SHOWN, was_there = WAS_THERE
}

statement! {
    /// Marks the same items as seen.
    pub(crate) SEE_ALL = "update {mark}",
    mark = "{table} set seen_at = {now}, changed_in = {this_write} \
        where {scope} and archived = {flag(0)} and read_at is null and seen_at is null and {shown}",
    table = "{campanile}notifications{sqlite( indexed by campanile_notifications_unseen)}",
    scope = SCOPE, this_write = THIS_WRITE, shown = SHOWN, was_there = WAS_THERE
}

const SHOWN: &str = "({was_there} or id in (select {uuids($5)}))";

/// A change of an item; `None` leaves a mark as it is. A read item counts as seen.
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
    /// Changes an item and returns it as it is then. A repeated change keeps the first time.
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

    /// Marks everything that the user was shown as read, and returns how many items changed: all items that were committed when a
    /// page was read ([`Feed::as_of`](crate::Feed::as_of)), on that page or older, and the items that were shown `since` then.
    /// Items that were committed later stay unread, whatever their ids and times. Archived items stay as they are.
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

    /// Marks everything that the user was shown as seen, and returns how many items changed. `as_of` and `since` mean what they
    /// mean in [`Inbox::mark_all_read`].
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
