//! A **feed**: the items of an inbox, newest first, page by page.

use campanile::StoreError;
use campanile::database::{Statement, each_connection, statement};
use sqlx::{ColumnIndex, Decode, Row, Type};

use crate::cursor::Cursor;
use crate::error::InboxError;
use crate::inbox::Inbox;
use crate::item::{COLUMNS, Item};
use crate::moment::{Moment, NOW};
use crate::statement::{ARCHIVED, CURRENT, SCOPE, UNREAD};

/// A page, with the moment at which it is read; `$4` is the item after which it begins, `$5` the one before which it ends, `$6`
/// the maximum number of items. `order by id` without the name `item` would sort by the id as text, for which there is no index.
const FEED: &str = "\
    select now.moment, page.* from (select {moment} as moment) as now left join (\
        select {columns} from {rows} and {after} and {before} order by item.id {order} limit {int($6)}) as page on true";

/// The pages of one filter. Towards the head the nearest items come first, and are reversed afterwards.
macro_rules! pages {
    ($of:ident = $rows:expr, $head:ident, $older:ident, $newer:ident, $between:ident) => {
        pages! { @ $head = $rows, "$4 is null", "$5 is null", "desc" }
        pages! { @ $older = $rows, "id < {uuid($4)}", "$5 is null", "desc" }
        pages! { @ $newer = $rows, "$4 is null", "id > {uuid($5)}", "asc" }
        pages! { @ $between = $rows, "id < {uuid($4)}", "id > {uuid($5)}", "desc" }

        const fn $of(page: &Page) -> &'static Statement {
            match (page.after, page.before) {
                (None, None) => &$head,
                (Some(_), None) => &$older,
                (None, Some(_)) => &$newer,
                (Some(_), Some(_)) => &$between,
            }
        }
    };
    (@ $name:ident = $rows:expr, $after:expr, $before:expr, $order:expr) => {
        statement! {
            $name = FEED, moment = NOW, columns = COLUMNS, rows = $rows, scope = SCOPE, after = $after, before = $before, order = $order
        }
    };
}

pages! { all = CURRENT, ALL_HEAD, ALL_OLDER, ALL_NEWER, ALL_BETWEEN }
pages! { unread = UNREAD, UNREAD_HEAD, UNREAD_OLDER, UNREAD_NEWER, UNREAD_BETWEEN }
pages! { archived = ARCHIVED, ARCHIVED_HEAD, ARCHIVED_OLDER, ARCHIVED_NEWER, ARCHIVED_BETWEEN }

/// The statement of a page.
pub(crate) const fn statement(page: &Page) -> &'static Statement {
    match page.filter {
        Filter::All => all(page),
        Filter::Unread => unread(page),
        Filter::Archived => archived(page),
    }
}

/// The maximum number of items of one page.
pub(crate) const MAX_PAGE: usize = 100;

/// Which items of the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Filter {
    /// Items that are not archived.
    #[default]
    All,
    /// Items that are neither archived nor read.
    Unread,
    /// Items that are archived.
    Archived,
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
    /// Only items older than this place; `None` begins at the head.
    pub after: Option<Cursor>,
    /// Only items newer than this place, the nearest ones. With `after` too, the items between the two.
    pub before: Option<Cursor>,
    /// Which items.
    pub filter: Filter,
}

impl Default for Page {
    fn default() -> Self {
        Self {
            limit: 20,
            after: None,
            before: None,
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
    /// The place of the next page, with older items, for `after`; `None` at the end.
    pub next: Option<Cursor>,
    /// The place of the previous page, with newer items, for `before`; `None` at the head.
    pub previous: Option<Cursor>,
    /// When it was read, for [`Inbox::mark_all_read`] and [`Inbox::mark_all_seen`].
    pub as_of: Moment,
}

impl Inbox {
    /// Reads a page of the feed, newest first.
    ///
    /// # Errors
    ///
    /// [`InboxError::InvalidLimit`], [`InboxError::Store`].
    pub async fn feed(&self, page: Page) -> Result<Feed, InboxError> {
        if !(1..=MAX_PAGE).contains(&page.limit) {
            return Err(InboxError::InvalidLimit(page.limit));
        }
        // One item more than requested shows whether there is another page.
        let limit = i64::try_from(page.limit + 1).unwrap_or(i64::MAX);
        let read_at = each_connection!(&self.database, |connection| {
            let rows = sqlx::query(self::statement(&page).on(&self.database))
                .bind(&self.user)
                .bind(&self.org)
                .bind(&self.category)
                .bind(page.after.map(|cursor| cursor.0.to_string()))
                .bind(page.before.map(|cursor| cursor.0.to_string()))
                .bind(limit)
                .fetch_all(connection)
                .await;
            rows.and_then(|rows| read(&rows))
        });
        let (as_of, items) = read_at.map_err(StoreError::from)?;
        Ok(Feed::of(items, page, as_of))
    }
}

/// The moment and the items of a page. An empty page is one row with only the moment.
fn read<R: Row>(rows: &[R]) -> Result<(Moment, Vec<Item>), sqlx::Error>
where
    for<'r> &'r str: Decode<'r, R::Database> + Type<R::Database> + ColumnIndex<R>,
    for<'r> String: Decode<'r, R::Database> + Type<R::Database>,
    for<'r> i64: Decode<'r, R::Database> + Type<R::Database>,
{
    let moment = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let moment = Moment::of_database(moment.try_get("moment")?);
    let mut items = Vec::with_capacity(rows.len());
    for row in rows {
        if row.try_get::<Option<String>, _>("id")?.is_some() {
            items.push(Item::of_row(row)?);
        }
    }
    Ok((moment, items))
}

impl Feed {
    /// Makes a page of the items that were read, which are one more than requested if there is another page.
    fn of(mut items: Vec<Item>, page: Page, as_of: Moment) -> Self {
        let more = items.len() > page.limit;
        items.truncate(page.limit);
        let backwards = page.after.is_none() && page.before.is_some();
        if backwards {
            items.reverse();
        }
        // The place that the client came from has items on its other side.
        let (older, newer) = if backwards {
            (true, more)
        } else {
            (more, page.after.is_some())
        };
        if items.is_empty() {
            return Self::nothing_at(page, as_of);
        }
        let cursor = |item: &Item| Cursor(item.id);
        Self {
            next: items.last().filter(|_| older).map(cursor),
            previous: items.first().filter(|_| newer).map(cursor),
            items,
            as_of,
        }
    }

    /// An empty page: the way back begins with the item whose place was given.
    const fn nothing_at(page: Page, as_of: Moment) -> Self {
        let (next, previous) = match (page.after, page.before) {
            (Some(place), _) => (None, Some(place.just_older())),
            (None, Some(place)) => (Some(place.just_newer()), None),
            (None, None) => (None, None),
        };
        Self {
            items: Vec::new(),
            next,
            previous,
            as_of,
        }
    }
}
