//! The numbers that a bell shows: unread, unseen and all items.

use campanile::StoreError;
use campanile::database::{Database, each_connection, row, statement};
use serde_json::json;

use crate::error::InboxError;
use crate::inbox::Inbox;
use crate::statement::{CURRENT, SCOPE, SCOPE_OF_MANY, UNREAD, UNSEEN};

const COUNTS_IN: &str = "\
    (select count(*) from (select 1 from {unread} limit {cap}) as capped) as unread, \
    (select count(*) from (select 1 from {unseen} limit {cap}) as capped) as unseen, \
    (select count(*) from (select 1 from {current} limit {cap}) as capped) as total";

statement! {
    /// The three counts, each up to the cap `$4`.
    pub(crate) COUNTS = "select {counts}",
    counts = COUNTS_IN, cap = "{int($4)}", scope = SCOPE, unread = UNREAD, unseen = UNSEEN, current = CURRENT
}

statement! {
    /// The three counts of several inboxes, each up to the cap `$2`; `$1` is a JSON array of objects with a place, a user, an
    /// organization or null, and a category or null.
    pub(crate) COUNTS_OF_MANY = "\
        with inboxes as (select {int(value ->> 'place')} as place, value ->> 'user' as whose, value ->> 'org' as org, \
            value ->> 'category' as kind from {rows($1)} as given) \
        select {counts} from inboxes order by place",
    counts = COUNTS_IN, cap = "{int($2)}", scope = SCOPE_OF_MANY, unread = UNREAD, unseen = UNSEEN, current = CURRENT
}

statement! {
    /// The unread items, up to the cap `$4`.
    pub(crate) COUNT_UNREAD = "select count(*) as unread from (select 1 from {unread} limit {int($4)}) as capped",
    unread = UNREAD, scope = SCOPE
}

/// How many items are not archived, each number up to the requested cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Counts {
    /// Items that were not read.
    pub unread: u64,
    /// Items that have not been in any list that the user opened.
    pub unseen: u64,
    /// All items.
    pub total: u64,
}

impl Inbox {
    /// Counts the unread, the unseen and all items, each up to a cap, so that the cost does not grow with the inbox.
    ///
    /// # Errors
    ///
    /// [`InboxError::Store`].
    pub async fn counts_up_to(&self, cap: u32) -> Result<Counts, InboxError> {
        let counts = each_connection!(&self.database, |connection| {
            sqlx::query_as(COUNTS.on(&self.database))
                .bind(&self.user)
                .bind(&self.org)
                .bind(&self.category)
                .bind(i64::from(cap))
                .fetch_one(connection)
                .await
        });
        let counts: CountsRow = counts.map_err(StoreError::from)?;
        Ok(counts.into())
    }

    /// The counts of [`Inbox::counts_up_to`] for each of these inboxes, in one statement. They must be of this database.
    ///
    /// # Errors
    ///
    /// [`InboxError::Store`], also when the database does not answer within ten seconds.
    pub async fn counts_of_each(
        database: &Database,
        inboxes: &[&Self],
        cap: u32,
    ) -> Result<Vec<Counts>, InboxError> {
        let inboxes = inboxes.iter().enumerate();
        let inboxes = inboxes.map(|(place, inbox)| {
            json!({ "place": place, "user": inbox.user, "org": inbox.org, "category": inbox.category })
        });
        let inboxes = serde_json::Value::Array(inboxes.collect()).to_string();
        let counts: Result<Vec<CountsRow>, _> = each_connection!(database, |connection| {
            let counts = sqlx::query_as(COUNTS_OF_MANY.on(database));
            let counts = counts.bind(&inboxes).bind(i64::from(cap));
            counts.fetch_all(connection).await
        });
        let counts = counts.map_err(StoreError::from)?;
        Ok(counts.into_iter().map(Counts::from).collect())
    }

    /// Counts the unread items.
    ///
    /// # Errors
    ///
    /// [`InboxError::Store`].
    pub async fn unread(&self) -> Result<u64, InboxError> {
        self.count_unread(None).await
    }

    /// Counts the unread items up to a cap, for a badge that says `99+`: `unread_up_to(100)`. The cost does not grow with
    /// the inbox.
    ///
    /// # Errors
    ///
    /// [`InboxError::Store`].
    pub async fn unread_up_to(&self, cap: u32) -> Result<u64, InboxError> {
        self.count_unread(Some(cap)).await
    }

    async fn count_unread(&self, cap: Option<u32>) -> Result<u64, InboxError> {
        let count = each_connection!(&self.database, |connection| {
            sqlx::query_scalar(COUNT_UNREAD.on(&self.database))
                .bind(&self.user)
                .bind(&self.org)
                .bind(&self.category)
                .bind(cap.map_or(i64::MAX, i64::from))
                .fetch_one(connection)
                .await
        });
        Ok(number(count.map_err(StoreError::from)?))
    }
}

row! {
    /// A row of [`COUNTS`].
    struct CountsRow {
        unread: i64,
        unseen: i64,
        total: i64,
    }
}

impl From<CountsRow> for Counts {
    fn from(row: CountsRow) -> Self {
        Self {
            unread: number(row.unread),
            unseen: number(row.unseen),
            total: number(row.total),
        }
    }
}

fn number(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}
