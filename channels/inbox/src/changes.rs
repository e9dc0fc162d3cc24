//! **Changes**: what was committed to several inboxes since the last poll, for a process that shows them live.
//!
//! Nothing is missed, in whatever order transactions begin, write and commit, because neither times nor ids are compared. Each
//! row names the transaction that changed it last. On Postgres a poll keeps its snapshot, and the next poll selects the rows
//! whose transaction that snapshot did not see; a transaction that was open then, for however long, is one of those. On SQLite
//! there is one writer at a time, so the number of a write is its place in the order of the commits.
//!
//! Items that were removed, because they were pruned or their user was forgotten, are not reported.

use std::collections::{HashMap, HashSet};

use campanile::database::{each_connection, statement};
use campanile::{Database, StoreError};
use sqlx::Row as _;

use crate::error::InboxError;
use crate::inbox::Inbox;
use crate::item::{COLUMNS, Item};
use crate::moment::{EARLIER, IS_NEW, NOW, SINCE};

statement! {
    /// What was committed to the inboxes of the users `$2`, a JSON array, since the moment `$1`; beside it the current moment,
    /// and whether that is earlier than `$1`. At most `$3` items of each user, the newest ones, and one more.
    pub(crate) CHANGES = "\
        with changed as (select {columns}, user_id, coalesce({is_new}, {flag(0)}) as is_new, \
            row_number() over (partition by user_id order by item.id desc) as nth \
            from {campanile}notifications as item{sqlite( indexed by campanile_notifications_changed)} where {since} and user_id in (select {texts($2)})) \
        select now.moment, now.is_lost, changed.* from (select {moment} as moment, {earlier} as is_lost) as now \
        left join changed on changed.nth <= {int($3)} + 1 order by changed.id",
    columns = COLUMNS, is_new = IS_NEW, since = SINCE, moment = NOW, earlier = EARLIER
}

statement! {
    /// The current moment.
    pub(crate) MOMENT = "select {moment} as moment", moment = NOW
}

/// How many changed items of one user a poll reports one by one.
const MAX_REPORTED: usize = 20;

/// Polls inboxes for changes, beginning with what is committed after its creation.
#[derive(Debug, Clone)]
pub struct Watch {
    database: Database,
    /// The moment of the last poll, in the database's own format.
    moment: String,
}

/// The result of a poll.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Changes {
    /// What is new in each of the inboxes, in the order in which they were given.
    News(Vec<News>),
    /// What changed is not known, because the database is at an earlier moment than at the last poll. It was restored from a
    /// backup, or a replica took over that lagged behind, or, on SQLite, the item that was changed last has been removed.
    Lost,
}

/// What is new in one inbox: a few items, or many.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct News {
    /// Items that did not exist at the last poll, oldest first.
    pub created: Vec<Item>,
    /// Items that existed then and have changed since, oldest first.
    pub updated: Vec<Item>,
    /// Whether there are too many changes to report one by one; both lists are empty then.
    pub many: bool,
}

impl News {
    /// Whether there is nothing new.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.created.is_empty() && self.updated.is_empty() && !self.many
    }
}

/// What a poll reads: the current moment, whether that is earlier than the last one, and what changed.
struct Found {
    moment: String,
    is_lost: bool,
    changes: Vec<Change>,
}

/// A row of a poll: the item, its user, and whether it is new.
struct Change {
    user: String,
    is_new: bool,
    item: Item,
}

impl Watch {
    /// Begins: the first poll finds what is committed from now on.
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

    /// Not public API: begins at a given moment, for tests with a moment that this database has not reached yet.
    #[doc(hidden)]
    #[must_use]
    pub fn at(database: &Database, moment: String) -> Self {
        Self {
            database: database.clone(),
            moment,
        }
    }

    /// Polls: finds what was committed to these inboxes since the last poll. The inboxes must be of the database that the watch
    /// began with. It is one statement for any number of inboxes, and its cost grows with the changes, not with the inboxes.
    ///
    /// # Errors
    ///
    /// [`InboxError::Store`], also when the database does not answer within ten seconds. The next poll finds what this one
    /// missed.
    ///
    /// # Cancel safety
    ///
    /// As after an error, the next poll finds what this one did not return.
    pub async fn look(&mut self, inboxes: &[&Inbox]) -> Result<Changes, InboxError> {
        let users: HashSet<&str> = inboxes.iter().map(|inbox| inbox.user.as_str()).collect();
        let users = serde_json::json!(users).to_string();
        let found: Result<Found, sqlx::Error> = each_connection!(&self.database, |connection| {
            let rows = sqlx::query(CHANGES.on(&self.database))
                .bind(&self.moment)
                .bind(&users)
                .bind(i64::try_from(MAX_REPORTED).unwrap_or(i64::MAX));
            let rows = rows.fetch_all(connection).await?;
            let now = rows.first().ok_or(sqlx::Error::RowNotFound)?;
            let mut found = Found {
                moment: now.try_get("moment")?,
                is_lost: now.try_get("is_lost")?,
                changes: Vec::new(),
            };
            for row in &rows {
                // The one row has only the moment if nothing is new.
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
    /// The changes of a user that are in this part of their inbox.
    fn of(changes: &[&Change], inbox: &Inbox) -> Self {
        if changes.len() > MAX_REPORTED {
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
