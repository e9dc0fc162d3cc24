//! The **statements** of the inbox, with the placeholders of [`campanile::Database::sql`]. Each one begins with whose rows it
//! is about, and is served by an index of that user's rows.
//!
//! `$1` is the user, `$2` the organization or null, `$3` the category or null.

use campanile::Database;
use uuid::Uuid;

use crate::cursor::Cursor;
use crate::feed::{Filter, Page};
use crate::item::COLUMNS;
use crate::mark::Change;
use crate::moment::{Moment, Moments};

/// Whose rows, and which part of them.
const SCOPE: &str =
    "user_id = $1 and ($2 is null or org_id = $2) and ($3 is null or category = $3)";

/// What is in the inbox and not put away.
const CURRENT: &str = "archived_at is null";
const UNREAD: &str = "archived_at is null and read_at is null";
/// What was read counts as seen.
const UNSEEN: &str = "archived_at is null and read_at is null and seen_at is null";
const ARCHIVED: &str = "archived_at is not null";

/// The part of a user's rows that an index has, and what it is called.
type Part = (&'static str, &'static str);

const IN_FEED: Part = (CURRENT, "notifications_feed");
const IN_UNREAD: Part = (UNREAD, "notifications_unread");
const IN_UNSEEN: Part = (UNSEEN, "notifications_unseen");
const IN_ARCHIVED: Part = (ARCHIVED, "notifications_archived");

/// The table, to be read by an index. SQLite is told which one: where two would do, it may walk over what is read to find what is
/// not, for it goes by how many rows a user has on average.
fn table(database: &Database, index: &str) -> String {
    let table = "{campanile}notifications";
    if database.kind() == "Postgres" {
        table.to_owned()
    } else {
        format!("{table} indexed by {index}")
    }
}

/// The rows that an index has.
fn rows_of(database: &Database, (condition, index): Part, scope: &str) -> String {
    let table = table(database, index);
    format!("{table} where {scope} and {condition}")
}

const fn part(filter: Filter) -> Part {
    match filter {
        Filter::All => IN_FEED,
        Filter::Unread => IN_UNREAD,
        Filter::Archived => IN_ARCHIVED,
    }
}

/// A page, beside the moment at which it is read; `$4` is the item after which it begins, `$5` the one before which it ends.
pub(crate) fn feed(database: &Database, page: &Page) -> String {
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
    let rows = rows_of(database, part(page.filter), SCOPE);
    let now = Moments::of(database).now;
    format!(
        "select now.moment, page.* from (select {now} as moment) as now left join (select {COLUMNS} from {rows} and {after} and \
         {before} order by notifications.id {order} limit {limit}) as page on true"
    )
}

/// The three counts, each up to a cap.
pub(crate) fn counts(database: &Database, cap: u32) -> String {
    format!("select {}", counts_in(database, SCOPE, cap))
}

/// The three counts of several inboxes; `$1` is an array of a place, a user, an organization or null, a category or null.
pub(crate) fn counts_of_many(database: &Database, cap: u32) -> String {
    let scope =
        "user_id = whose and (org is null or org_id = org) and (kind is null or category = kind)";
    let counts = counts_in(database, scope, cap);
    format!(
        "with inboxes as (select {{int(value ->> 0)}} as place, value ->> 1 as whose, value ->> 2 as org, value ->> 3 as kind \
         from {{rows($1)}}) select {counts} from inboxes order by place"
    )
}

fn counts_in(database: &Database, scope: &str, cap: u32) -> String {
    let [unread, unseen, total] = [IN_UNREAD, IN_UNSEEN, IN_FEED].map(|part| {
        let rows = rows_of(database, part, scope);
        format!("(select count(*) from (select 1 from {rows} limit {cap}) as capped)")
    });
    format!("{unread} as unread, {unseen} as unseen, {total} as total")
}

/// The unread items.
pub(crate) fn unread(database: &Database, cap: Option<u32>) -> String {
    let limit = cap.map(|cap| format!("limit {cap}")).unwrap_or_default();
    let rows = rows_of(database, IN_UNREAD, SCOPE);
    format!("select count(*) as unread from (select 1 from {rows} {limit}) as capped")
}

/// What says that an item was changed, for [`crate::Watch`].
fn changed(database: &Database) -> String {
    format!("changed_in = {}", Moments::of(database).this_write)
}

/// What becomes of one item; `$4` is the item. Gives it back.
pub(crate) fn change(database: &Database, change: Change) -> String {
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
    let changed = changed(database);
    format!(
        "update {{campanile}}notifications set {seen}, {read}, {archived}, {changed} \
         where {SCOPE} and id = {{uuid($4)}} returning {COLUMNS}"
    )
}

/// What is unread of all that could be read at the moment `$4`, and of the items `$5`, a JSON array, is read.
pub(crate) fn read_all(database: &Database) -> String {
    let set = "read_at = {now}, seen_at = coalesce(seen_at, {now})";
    mark_all(database, IN_UNREAD, set)
}

/// The same is seen.
pub(crate) fn see_all(database: &Database) -> String {
    mark_all(database, IN_UNSEEN, "seen_at = {now}")
}

fn mark_all(database: &Database, (condition, index): Part, set: &str) -> String {
    let (table, changed) = (table(database, index), changed(database));
    let was_there = Moments::of(database).was_there;
    format!(
        "update {table} set {set}, {changed} where {SCOPE} and {condition} and ({was_there} or id in (select {{uuids($5)}}))"
    )
}

/// What was committed to the inboxes of the users `$2`, a JSON array, since the moment `$1`; beside it the moment that is now, and
/// whether the database is at an earlier one than that. Of each user `most` items, the newest ones, and one more.
pub(crate) fn changes(database: &Database, most: usize) -> String {
    let Moments {
        now,
        earlier,
        is_new,
        since,
        this_write: _,
        was_there: _,
    } = Moments::of(database);
    format!(
        "with changed as (select {COLUMNS}, user_id, coalesce({is_new}, {{flag(0)}}) as is_new, \
         row_number() over (partition by user_id order by notifications.id desc) as nth \
         from {{campanile}}notifications where {since} and user_id in (select {{texts($2)}})) \
         select now.moment, now.earlier, changed.* from (select {now} as moment, {earlier} as earlier) as now \
         left join changed on changed.nth <= {most} + 1 order by changed.id"
    )
}

/// The moment that is now.
pub(crate) fn now(database: &Database) -> String {
    format!("select {} as moment", Moments::of(database).now)
}

/// Not public API: a statement under a name, its parameters after the third, and the indexes that serve it.
#[doc(hidden)]
pub type Served = (
    &'static str,
    String,
    Vec<Option<String>>,
    &'static [&'static str],
);

/// Not public API: every statement, for the tests that look at the plans. Where a place is needed it is `place`, and where a
/// moment is, `moment`.
#[must_use]
pub fn every_statement(database: &Database, place: Uuid, moment: &Moment) -> Vec<Served> {
    const FEED: &[&str] = &["notifications_feed"];
    const UNREAD: &[&str] = &["notifications_unread"];
    const UNSEEN: &[&str] = &["notifications_unseen"];
    const ARCHIVED: &[&str] = &["notifications_archived"];
    const ALL: &[&str] = &[FEED[0], UNREAD[0], UNSEEN[0]];
    let of_one: &[&str] = match database.kind() {
        "Postgres" => &["notifications_pkey"],
        _ => &["PRIMARY KEY (id=?)"],
    };
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
    let places = |page: &Page| {
        let places = [page.after, page.before];
        places.map(|place| place.map(|cursor| cursor.0.to_string()))
    };
    let place = Some(place.to_string());
    let shown = vec![Some(moment.to_string()), Some("[]".to_owned())];
    pages
        .into_iter()
        .map(|(name, page, indexes)| (name, feed(database, &page), places(&page).to_vec(), indexes))
        .chain([
            ("counts", counts(database, 100), vec![], ALL),
            ("unread count", unread(database, Some(100)), vec![], UNREAD),
            ("change", change(database, read), vec![place], of_one),
            ("read all", read_all(database), shown.clone(), UNREAD),
            // Postgres may take the index of the unread items here, as the one of the unseen is about to change.
            ("see all", see_all(database), shown, &["notifications_un"]),
        ])
        .collect()
}

/// Not public API: the statements about several inboxes, under a name, with the indexes that serve them.
#[must_use]
pub fn statements_of_many(
    database: &Database,
) -> [(&'static str, String, &'static [&'static str]); 2] {
    const COUNTS: &[&str] = &[
        "notifications_feed",
        "notifications_unread",
        "notifications_unseen",
    ];
    [
        ("changes", changes(database, 20), &["notifications_changed"]),
        ("counts", counts_of_many(database, 100), COUNTS),
    ]
}
