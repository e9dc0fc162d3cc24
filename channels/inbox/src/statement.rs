//! The **statements** of the inbox, with the placeholders of [`campanile::Database::sql`]. Each one begins with whose rows it
//! is about, and is served by an index of that user's rows.
//!
//! `$1` is the user, `$2` the organization or null, `$3` the category or null.

use uuid::Uuid;

use crate::cursor::Cursor;
use crate::feed::{Filter, Page};
use crate::item::COLUMNS;
use crate::mark::Change;

/// Whose rows, and which part of them.
const SCOPE: &str =
    "user_id = $1 and ($2 is null or org_id = $2) and ($3 is null or category = $3)";

/// What is in the inbox and not put away.
const CURRENT: &str = "archived_at is null";
const UNREAD: &str = "archived_at is null and read_at is null";
/// What was read counts as seen.
const UNSEEN: &str = "archived_at is null and read_at is null and seen_at is null";
const ARCHIVED: &str = "archived_at is not null";

const fn condition(filter: Filter) -> &'static str {
    match filter {
        Filter::All => CURRENT,
        Filter::Unread => UNREAD,
        Filter::Archived => ARCHIVED,
    }
}

/// A page; `$4` is the item after which it begins, `$5` the one before which it ends.
pub(crate) fn feed(page: &Page) -> String {
    let after = match page.after {
        Some(_) => "id < {uuid($4)}",
        None => "$4 is null",
    };
    let before = match page.before {
        Some(_) => "id > {uuid($5)}",
        None => "$5 is null",
    };
    // Towards the head the nearest items come first, and are turned round afterwards. `order by id` would mean the text of
    // the id, for which there is no index.
    let order = match (page.after, page.before) {
        (None, Some(_)) => "asc",
        _ => "desc",
    };
    // One more than asked for tells whether there is a page beyond.
    let limit = page.limit + 1;
    let condition = condition(page.filter);
    format!(
        "select {COLUMNS} from {{campanile}}notifications where {SCOPE} and {condition} and {after} and {before} \
         order by notifications.id {order} limit {limit}"
    )
}

/// The three counts, each up to a cap.
pub(crate) fn counts(cap: u32) -> String {
    let [unread, unseen, total] = [UNREAD, UNSEEN, CURRENT].map(|condition| {
        format!(
            "(select count(*) from (select 1 from {{campanile}}notifications \
             where {SCOPE} and {condition} limit {cap}) as capped)"
        )
    });
    format!("select {unread} as unread, {unseen} as unseen, {total} as total")
}

/// The unread items.
pub(crate) fn unread(cap: Option<u32>) -> String {
    let limit = cap.map(|cap| format!("limit {cap}")).unwrap_or_default();
    format!(
        "select count(*) as unread from \
         (select 1 from {{campanile}}notifications where {SCOPE} and {UNREAD} {limit}) as capped"
    )
}

/// What becomes of one item; `$4` is the item. Gives it back.
pub(crate) fn change(change: Change) -> String {
    // A repeated change keeps the first time.
    let to = |column, on| match on {
        None => format!("{column} = {column}"),
        Some(true) => format!("{column} = coalesce({column}, {{now}})"),
        Some(false) => format!("{column} = null"),
    };
    let seen = change.read.filter(|read| *read);
    let (seen, read, archived) = (
        to("seen_at", seen),
        to("read_at", change.read),
        to("archived_at", change.archived),
    );
    format!(
        "update {{campanile}}notifications set {seen}, {read}, {archived} \
         where {SCOPE} and id = {{uuid($4)}} returning {COLUMNS}"
    )
}

/// Everything unread is read, up to and including the item `$4`.
pub(crate) fn read_all() -> String {
    format!(
        "update {{campanile}}notifications set read_at = {{now}}, seen_at = coalesce(seen_at, {{now}}) \
         where {SCOPE} and {UNREAD} and id <= {{uuid($4)}}"
    )
}

/// Everything is seen, up to and including the item `$4`.
pub(crate) fn see_all() -> String {
    format!(
        "update {{campanile}}notifications set seen_at = {{now}} where {SCOPE} and {UNSEEN} and id <= {{uuid($4)}}"
    )
}

/// Not public API: a statement under a name, its parameters after the third, and the indexes that serve it.
#[doc(hidden)]
pub type Served = (
    &'static str,
    String,
    Vec<Option<Uuid>>,
    &'static [&'static str],
);

/// Not public API: every statement, for the tests that look at the plans. Where a place is needed it is `place`.
#[must_use]
pub fn every_statement(place: Uuid) -> Vec<Served> {
    const FEED: &[&str] = &["notifications_feed"];
    const UNREAD: &[&str] = &["notifications_unread"];
    const UNSEEN: &[&str] = &["notifications_unseen"];
    const ARCHIVED: &[&str] = &["notifications_archived"];
    const ALL: &[&str] = &[FEED[0], UNREAD[0], UNSEEN[0]];
    let cursor = Some(Cursor(place));
    let page = |filter, after, before| Page {
        after,
        before,
        filter,
        ..Page::default()
    };
    let pages = [
        ("all", page(Filter::All, None, None), FEED),
        ("all, older", page(Filter::All, cursor, None), FEED),
        ("all, newer", page(Filter::All, None, cursor), FEED),
        ("unread", page(Filter::Unread, None, None), UNREAD),
        ("unread, older", page(Filter::Unread, cursor, None), UNREAD),
        ("archived", page(Filter::Archived, None, None), ARCHIVED),
    ];
    let read = Change {
        read: Some(true),
        ..Change::default()
    };
    let places = |page: &Page| [page.after, page.before].map(|its| its.map(|cursor| cursor.0));
    pages
        .into_iter()
        .map(|(name, page, indexes)| (name, feed(&page), places(&page).to_vec(), indexes))
        .chain([
            ("counts", counts(100), vec![], ALL),
            ("unread count", unread(Some(100)), vec![], UNREAD),
            (
                "change",
                change(read),
                vec![Some(place)],
                &["notifications"],
            ),
            ("read all", read_all(), vec![Some(place)], UNREAD),
            // SQLite takes the index of the unread items here, as the one of the unseen is about to change.
            (
                "see all",
                see_all(),
                vec![Some(place)],
                &["notifications_un"],
            ),
        ])
        .collect()
}
