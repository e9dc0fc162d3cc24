//! One user's inbox: feed, badge, mark as read. It knows one user's rows and no other's.

use campanile::database::each_database;
use campanile::recipient::{self, InvalidInput};
use campanile::{Database, StoreError};
use jiff::Timestamp;
use serde::Serialize;
use sqlx::Row as _;
use uuid::Uuid;

use crate::cursor::Cursor;

/// The most items of one page.
const LARGEST_PAGE: usize = 100;

/// The inbox of one user, all organizations together or one of them.
#[derive(Debug, Clone)]
pub struct Inbox {
    database: Database,
    user: String,
    org: Option<String>,
}

/// An item as it was frozen at dispatch. In JSON its keys are camelCase, its times RFC 3339.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Item {
    /// The notification.
    pub id: Uuid,
    /// The event's type.
    pub event_type: String,
    /// The category that the user may mute.
    pub category: String,
    /// What the event is about.
    pub subject_id: Option<String>,
    /// The organization it happened in.
    pub org_id: Option<String>,
    /// The title: one line of plain text.
    pub title: String,
    /// The body: plain text.
    pub body: String,
    /// The event's fields.
    pub payload: serde_json::Value,
    /// Where a click leads: `https`, `mailto` or an absolute path.
    pub action_url: Option<String>,
    /// When the user read it.
    pub read_at: Option<Timestamp>,
    /// When it was written.
    pub created_at: Timestamp,
}

/// Which items of the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Filter {
    /// All of them.
    #[default]
    All,
    /// Those not read yet.
    Unread,
}

/// Which page of the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(
    clippy::exhaustive_structs,
    reason = "made by callers with `..Page::default()`"
)]
pub struct Page {
    /// From 1 to 100 items.
    pub limit: usize,
    /// The place to go on from; `None` is the head.
    pub after: Option<Cursor>,
    /// Which items.
    pub filter: Filter,
}

impl Default for Page {
    fn default() -> Self {
        Self {
            limit: 20,
            after: None,
            filter: Filter::All,
        }
    }
}

/// A page of the feed, newest first.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Feed {
    /// The items.
    pub items: Vec<Item>,
    /// The place of the next page; `None` at the end.
    pub next: Option<Cursor>,
}

/// Why the inbox was not read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InboxError {
    /// The user or organization id is empty, too long or holds a control character.
    #[error(transparent)]
    InvalidInput(#[from] InvalidInput),
    /// The page's limit is not from 1 to 100.
    #[error("a page has from 1 to {LARGEST_PAGE} items, not {0}")]
    InvalidLimit(usize),
    /// The text is no cursor of this version.
    #[error("the cursor is not one of this feed; start again without one")]
    InvalidCursor,
    /// There is no such item in this inbox. Another user's item looks the same.
    #[error("there is no such notification in this inbox")]
    NotFound,
    /// The database refused or did not answer.
    #[error("the inbox was not read or written")]
    Store(#[from] StoreError),
}

/// The rows of one user, and of one organization if `$2` is not null.
const OWNED: &str = "user_id = $1 and ($2 is null or org_id = $2)";

impl Inbox {
    /// The inbox of one user.
    ///
    /// # Errors
    ///
    /// [`InboxError::InvalidInput`] for an id that cannot be a user's.
    pub fn for_user(database: &Database, user: &str) -> Result<Self, InboxError> {
        recipient::check("user_id", user)?;
        Ok(Self {
            database: database.clone(),
            user: user.to_owned(),
            org: None,
        })
    }

    /// Only what happened in one organization.
    ///
    /// # Errors
    ///
    /// [`InboxError::InvalidInput`] for an id that cannot be an organization's.
    pub fn in_org(mut self, org: &str) -> Result<Self, InboxError> {
        recipient::check("org_id", org)?;
        self.org = Some(org.to_owned());
        Ok(self)
    }

    /// Reads a page of the feed, newest first.
    ///
    /// # Errors
    ///
    /// [`InboxError::InvalidLimit`], [`InboxError::Store`].
    pub async fn feed(&self, page: Page) -> Result<Feed, InboxError> {
        if !(1..=LARGEST_PAGE).contains(&page.limit) {
            return Err(InboxError::InvalidLimit(page.limit));
        }
        let after = match page.after {
            Some(_) => "and id < {uuid($3)}",
            None => "and $3 is null",
        };
        let filter = match page.filter {
            Filter::All => "",
            Filter::Unread => "and read_at is null",
        };
        // One more than asked for tells whether there is a next page. `order by id` would mean the text of the id, for
        // which there is no index.
        let limit = page.limit + 1;
        let statement = self.database.sql(&format!(
            "select {{text(id)}} as id, event_type, category, subject_id, org_id, title, body, \
             {{text(payload)}} as payload, action_url, {{micros(read_at)}} as read_at, \
             {{micros(created_at)}} as created_at from {{campanile}}notifications \
             where {OWNED} {after} {filter} order by notifications.id desc limit {limit}"
        ));
        let mut items: Vec<Item> = each_database!(&self.database, |pool| {
            sqlx::query(statement)
                .bind(&self.user)
                .bind(&self.org)
                .bind(page.after.map(|cursor| cursor.0.to_string()))
                .fetch_all(pool)
                .await
                .map_err(StoreError::from)?
                .iter()
                .map(|row| {
                    Ok(Item {
                        id: decode(Uuid::parse_str(row.try_get("id")?))?,
                        event_type: row.try_get("event_type")?,
                        category: row.try_get("category")?,
                        subject_id: row.try_get("subject_id")?,
                        org_id: row.try_get("org_id")?,
                        title: row.try_get("title")?,
                        body: row.try_get("body")?,
                        payload: decode(serde_json::from_str(row.try_get("payload")?))?,
                        action_url: row.try_get("action_url")?,
                        read_at: row
                            .try_get::<Option<i64>, _>("read_at")?
                            .map(timestamp)
                            .transpose()?,
                        created_at: timestamp(row.try_get("created_at")?)?,
                    })
                })
                .collect::<Result<_, sqlx::Error>>()
                .map_err(StoreError::from)?
        });
        let more = items.len() > page.limit;
        items.truncate(page.limit);
        let next = items.last().filter(|_| more).map(|item| Cursor(item.id));
        Ok(Feed { items, next })
    }

    /// Counts the unread items.
    ///
    /// # Errors
    ///
    /// [`InboxError::Store`].
    pub async fn unread(&self) -> Result<u64, InboxError> {
        self.count(&format!(
            "select count(*) as unread from {{campanile}}notifications where {OWNED} and read_at is null"
        ))
        .await
    }

    /// Counts the unread items up to a cap, for a badge that says `99+`: `unread_up_to(100)`. Its cost does not grow with
    /// the inbox.
    ///
    /// # Errors
    ///
    /// [`InboxError::Store`].
    pub async fn unread_up_to(&self, cap: u32) -> Result<u64, InboxError> {
        self.count(&format!(
            "select count(*) as unread from (select 1 from {{campanile}}notifications \
             where {OWNED} and read_at is null limit {cap}) as capped"
        ))
        .await
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
        self.mark(id, "coalesce(read_at, {now})").await
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
        self.mark(id, "null").await
    }

    /// Marks every unread item as read, up to and including the newest one the user has seen, and says how many there
    /// were. An item that is dispatched meanwhile stays unread; one that was dispatched before in a transaction that
    /// committed since counts as older, and is marked.
    ///
    /// # Errors
    ///
    /// [`InboxError::Store`].
    ///
    /// # Cancel safety
    ///
    /// One statement: all are marked or none.
    pub async fn mark_all_read(&self, newest_seen: Uuid) -> Result<u64, InboxError> {
        let statement = self.database.sql(&format!(
            "update {{campanile}}notifications set read_at = {{now}} \
             where {OWNED} and id <= {{uuid($3)}} and read_at is null"
        ));
        self.write(statement, newest_seen).await
    }

    async fn mark(&self, id: Uuid, read_at: &str) -> Result<(), InboxError> {
        let statement = self.database.sql(&format!(
            "update {{campanile}}notifications set read_at = {read_at} where {OWNED} and id = {{uuid($3)}}"
        ));
        match self.write(statement, id).await? {
            0 => Err(InboxError::NotFound),
            _ => Ok(()),
        }
    }

    async fn write(
        &self,
        statement: sqlx::AssertSqlSafe<String>,
        id: Uuid,
    ) -> Result<u64, InboxError> {
        Ok(each_database!(&self.database, |pool| {
            sqlx::query(statement)
                .bind(&self.user)
                .bind(&self.org)
                .bind(id.to_string())
                .execute(pool)
                .await
                .map_err(StoreError::from)?
                .rows_affected()
        }))
    }

    async fn count(&self, statement: &str) -> Result<u64, InboxError> {
        let statement = self.database.sql(statement);
        let count: i64 = each_database!(&self.database, |pool| {
            sqlx::query_scalar(statement)
                .bind(&self.user)
                .bind(&self.org)
                .fetch_one(pool)
                .await
                .map_err(StoreError::from)?
        });
        Ok(u64::try_from(count).unwrap_or_default())
    }
}

fn timestamp(micros: i64) -> Result<Timestamp, sqlx::Error> {
    decode(Timestamp::from_microsecond(micros))
}

fn decode<T, E>(result: Result<T, E>) -> Result<T, sqlx::Error>
where
    E: std::error::Error + Send + Sync + 'static,
{
    result.map_err(|error| sqlx::Error::Decode(error.into()))
}
