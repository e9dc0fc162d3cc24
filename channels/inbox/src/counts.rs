//! What a bell shows: how many items there are.

use campanile::StoreError;
use campanile::database::{Database, each_connection};
use serde_json::json;
use sqlx::{ColumnIndex, Decode, Row, Type};

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
        let statement = self.database.sql(&statement::counts(&self.database, cap));
        let counts = each_connection!(&self.database, |connection| {
            sqlx::query(statement)
                .bind(&self.user)
                .bind(&self.org)
                .bind(&self.category)
                .fetch_one(connection)
                .await
                .and_then(|row| Counts::of_row(&row))
        });
        Ok(counts.map_err(StoreError::from)?)
    }

    /// What [`Inbox::counts_up_to`] says of each of these inboxes, which are of one database, in one statement.
    ///
    /// # Errors
    ///
    /// [`InboxError::Store`], also when the database does not answer within ten seconds.
    pub async fn counts_of_each(
        database: &Database,
        inboxes: &[&Self],
        cap: u32,
    ) -> Result<Vec<Counts>, InboxError> {
        let statement = database.sql(&statement::counts_of_many(database, cap));
        let inboxes = inboxes.iter().enumerate();
        let inboxes = inboxes.map(|(place, its)| json!([place, its.user, its.org, its.category]));
        let inboxes = serde_json::Value::Array(inboxes.collect()).to_string();
        let counts: Result<Vec<_>, sqlx::Error> = each_connection!(database, |connection| {
            let rows = sqlx::query(statement).bind(&inboxes);
            let rows = rows.fetch_all(connection).await?;
            rows.iter().map(Counts::of_row).collect()
        });
        Ok(counts.map_err(StoreError::from)?)
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
        let statement = self.database.sql(&statement::unread(&self.database, cap));
        let count = each_connection!(&self.database, |connection| {
            sqlx::query_scalar(statement)
                .bind(&self.user)
                .bind(&self.org)
                .bind(&self.category)
                .fetch_one(connection)
                .await
        });
        Ok(number(count.map_err(StoreError::from)?))
    }
}

impl Counts {
    fn of_row<R: Row>(row: &R) -> Result<Self, sqlx::Error>
    where
        for<'r> &'r str: ColumnIndex<R>,
        for<'r> i64: Decode<'r, R::Database> + Type<R::Database>,
    {
        let count = |column| row.try_get::<i64, _>(column).map(number);
        Ok(Self {
            unread: count("unread")?,
            unseen: count("unseen")?,
            total: count("total")?,
        })
    }
}

fn number(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}
