//! **Changes**: what was committed to several inboxes since they were looked at last, for a process that shows them live.
//!
//! Nothing is missed, in whatever order transactions begin, write and commit, because no time and no id of an item is compared.
//! Each row names the transaction that changed it last. On Postgres a look keeps its snapshot, and the next look asks for the
//! rows whose transaction that snapshot did not see: a transaction that was open then, for however long, is one of those. On
//! SQLite there is one writer at a time, so the number of a write is its place in the order of the commits.
//!
//! It does not tell of what was removed: pruned, or forgotten with its user.

use std::collections::{HashMap, HashSet};

use campanile::database::{each_connection, statement};
use campanile::{Database, StoreError};
use sqlx::Row as _;

use crate::error::InboxError;
use crate::inbox::Inbox;
use crate::item::{COLUMNS, Item};
use crate::moment::{EARLIER, IS_NEW, NOW, SINCE};

statement! {
    /// What was committed to the inboxes of the users `$2`, a JSON array, since the moment `$1`; beside it the moment that is now,
    /// and whether the database is at an earlier one than that. Of each user `$3` items, the newest ones, and one more.
    pub(crate) CHANGES = "\
        with changed as (select {columns}, user_id, coalesce({is_new}, {flag(0)}) as is_new, \
            row_number() over (partition by user_id order by notifications.id desc) as nth \
            from {campanile}notifications where {since} and user_id in (select {texts($2)})) \
        select now.moment, now.is_lost, changed.* from (select {moment} as moment, {earlier} as is_lost) as now \
        left join changed on changed.nth <= {int($3)} + 1 order by changed.id",
    columns = COLUMNS, is_new = IS_NEW, since = SINCE, moment = NOW, earlier = EARLIER
}

statement! {
    /// The moment that is now.
    pub(crate) MOMENT = "select {moment} as moment", moment = NOW
}

/// Of how many items of one user a look tells one by one.
const MOST: usize = 20;

/// Looks again and again at what is new in inboxes. It begins now.
#[derive(Debug, Clone)]
pub struct Watch {
    database: Database,
    /// When was looked last, in the database's own words.
    moment: String,
}

/// What a look found.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Changes {
    /// What is new in each of the inboxes, in their order.
    News(Vec<News>),
    /// Nobody knows: the database is at an earlier moment than at the last look. It was restored from a backup, or a replica
    /// took over that had not heard of everything, or, on SQLite, what was changed last was removed since.
    Lost,
}

/// What is new in one inbox: a few items, or many.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct News {
    /// Items that were not there at the last look, oldest first.
    pub created: Vec<Item>,
    /// Items that were there, and were changed since, oldest first.
    pub updated: Vec<Item>,
    /// Whether there is more than these: too much to be told one by one.
    pub many: bool,
}

impl News {
    /// Whether there is nothing new.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.created.is_empty() && self.updated.is_empty() && !self.many
    }
}

/// What a look reads: the moment that is now, whether it is an earlier one, and what changed.
struct Found {
    moment: String,
    is_lost: bool,
    changes: Vec<Change>,
}

/// A row of a look: whose item, and whether it is new.
struct Change {
    user: String,
    is_new: bool,
    item: Item,
}

impl Watch {
    /// Begins: what is committed from now on is found by the next look.
    ///
    /// # Errors
    ///
    /// [`InboxError::Store`], also when the database does not answer within ten seconds.
    pub async fn begin(database: &Database) -> Result<Self, InboxError> {
        let moment: Result<String, sqlx::Error> = each_connection!(database, |connection| {
            sqlx::query_scalar(MOMENT.on(database))
                .fetch_one(connection)
                .await
        });
        Ok(Self::at(database, moment.map_err(StoreError::from)?))
    }

    /// Not public API: begins at a moment, for the tests of those that this database has not come to yet.
    #[doc(hidden)]
    #[must_use]
    pub fn at(database: &Database, moment: String) -> Self {
        Self {
            database: database.clone(),
            moment,
        }
    }

    /// Finds what was committed to these inboxes, of the database it began with, since the last look. One statement, whatever
    /// their number, whose cost grows with what was changed since and not with what there is.
    ///
    /// # Errors
    ///
    /// [`InboxError::Store`], also when the database does not answer within ten seconds. The next look finds it then.
    ///
    /// # Cancel safety
    ///
    /// As with an error: the next look finds what this one did not give.
    pub async fn look(&mut self, inboxes: &[&Inbox]) -> Result<Changes, InboxError> {
        let users: HashSet<&str> = inboxes.iter().map(|inbox| inbox.user.as_str()).collect();
        let users = serde_json::json!(users).to_string();
        let found: Result<Found, sqlx::Error> = each_connection!(&self.database, |connection| {
            let rows = sqlx::query(CHANGES.on(&self.database))
                .bind(&self.moment)
                .bind(&users)
                .bind(i64::try_from(MOST).unwrap_or(i64::MAX));
            let rows = rows.fetch_all(connection).await?;
            let now = rows.first().ok_or(sqlx::Error::RowNotFound)?;
            let mut found = Found {
                moment: now.try_get("moment")?,
                is_lost: now.try_get("is_lost")?,
                changes: Vec::new(),
            };
            for row in &rows {
                // Beside the moment there is nothing if nothing is new.
                if let Some(user) = row.try_get("user_id")? {
                    let is_new = row.try_get("is_new")?;
                    let item = Item::of_row(row)?;
                    found.changes.push(Change { user, is_new, item });
                }
            }
            Ok(found)
        });
        let found = found.map_err(StoreError::from)?;
        self.moment = found.moment;
        if found.is_lost {
            return Ok(Changes::Lost);
        }
        let mut of_users: HashMap<&str, Vec<&Change>> = HashMap::new();
        for change in &found.changes {
            of_users.entry(&change.user).or_default().push(change);
        }
        let news = inboxes.iter().map(|inbox| {
            let changes = of_users.get(inbox.user.as_str());
            changes.map_or_else(News::default, |changes| News::of(changes, inbox))
        });
        Ok(Changes::News(news.collect()))
    }
}

impl News {
    /// What of a user's changes is in this part of their inbox.
    fn of(changes: &[&Change], inbox: &Inbox) -> Self {
        if changes.len() > MOST {
            return Self {
                many: true,
                ..Self::default()
            };
        }
        let mut news = Self::default();
        for change in changes.iter().filter(|change| inbox.holds(&change.item)) {
            let items = if change.is_new {
                &mut news.created
            } else {
                &mut news.updated
            };
            items.push(change.item.clone());
        }
        news
    }
}
