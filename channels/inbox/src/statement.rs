//! The **statements** of the inbox, with the placeholders of [`campanile::Database::sql`]. Each one begins with whose rows it
//! is about, and is served by an index of that user's rows.
//!
//! `$1` is the user, `$2` the organization or null, `$3` the category or null.

use campanile::Database;
use campanile::database::{Statement, statement};
use uuid::Uuid;

use crate::cursor::Cursor;
use crate::feed::{Filter, Page};
use crate::item::COLUMNS;
use crate::moment::{EARLIER, IS_NEW, Moment, NOW, SINCE, THIS_WRITE, WAS_THERE};

/// Whose rows, and which part of them.
const SCOPE: &str =
    "user_id = $1 and ($2 is null or org_id = $2) and ($3 is null or category = $3)";

/// The same of one of several inboxes.
const SCOPE_OF_MANY: &str =
    "user_id = whose and (org is null or org_id = org) and (kind is null or category = kind)";

// The part of a user's rows that an index has. SQLite is told which index: where two would do, it may walk over what is read to find
// what is not, for it goes by how many rows a user has on average.

/// What is in the inbox and not put away.
const CURRENT: &str = "\
    {campanile}notifications{sqlite( indexed by notifications_feed)} where {scope} and archived_at is null";

const UNREAD: &str = "\
    {campanile}notifications{sqlite( indexed by notifications_unread)} where {scope} \
    and archived_at is null and read_at is null";

/// What was read counts as seen.
const UNSEEN: &str = "\
    {campanile}notifications{sqlite( indexed by notifications_unseen)} where {scope} \
    and archived_at is null and read_at is null and seen_at is null";

const ARCHIVED: &str = "\
    {campanile}notifications{sqlite( indexed by notifications_archived)} where {scope} and archived_at is not null";

/// A page, beside the moment at which it is read; `$4` is the item after which it begins, `$5` the one before which it ends, `$6` how
/// many items it has at most. `order by id` would mean the text of the id, for which there is no index.
const FEED: &str = "\
    select now.moment, page.* from (select {moment} as moment) as now left join (\
        select {columns} from {rows} and {after} and {before} order by notifications.id {order} limit {int($6)}) as page on true";

/// The pages of one filter. Towards the head the nearest items come first, and are turned round afterwards.
macro_rules! pages {
    ($module:ident = $rows:expr) => {
        mod $module {
            use super::*;

            pages! { @ HEAD = $rows, "$4 is null", "$5 is null", "desc" }
            pages! { @ OLDER = $rows, "id < {uuid($4)}", "$5 is null", "desc" }
            pages! { @ NEWER = $rows, "$4 is null", "id > {uuid($5)}", "asc" }
            pages! { @ BETWEEN = $rows, "id < {uuid($4)}", "id > {uuid($5)}", "desc" }

            pub(super) const fn of(page: &Page) -> &'static Statement {
                match (page.after, page.before) {
                    (None, None) => &HEAD,
                    (Some(_), None) => &OLDER,
                    (None, Some(_)) => &NEWER,
                    (Some(_), Some(_)) => &BETWEEN,
                }
            }
        }
    };
    (@ $name:ident = $rows:expr, $after:expr, $before:expr, $order:expr) => {
        statement! {
            $name = FEED, moment = NOW, columns = COLUMNS, rows = $rows, scope = SCOPE, after = $after, before = $before, order = $order
        }
    };
}

pages! { all = CURRENT }
pages! { unread = UNREAD }
pages! { archived = ARCHIVED }

/// The statement of a page.
pub(crate) const fn feed(page: &Page) -> &'static Statement {
    match page.filter {
        Filter::All => all::of(page),
        Filter::Unread => unread::of(page),
        Filter::Archived => archived::of(page),
    }
}

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
    /// The three counts of several inboxes, each up to the cap `$2`; `$1` is an array of a place, a user, an organization or null, a
    /// category or null.
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

statement! {
    /// What becomes of the item `$4`: whether it is seen is `$5`, read `$6`, archived `$7`; 1, 0, or null to leave it as it is. A
    /// repeated change keeps the first time. `changed_in` tells [`crate::Watch`] of it. Gives the item back.
    pub(crate) CHANGE = "\
        update {campanile}notifications set \
            seen_at = case {int($5)} when 1 then coalesce(seen_at, {now}) when 0 then null else seen_at end, \
            read_at = case {int($6)} when 1 then coalesce(read_at, {now}) when 0 then null else read_at end, \
            archived_at = case {int($7)} when 1 then coalesce(archived_at, {now}) when 0 then null else archived_at end, \
            changed_in = {this_write} \
        where {scope} and id = {uuid($4)} returning {columns}",
    scope = SCOPE, columns = COLUMNS, this_write = THIS_WRITE
}

statement! {
    /// What is unread of all that could be read at the moment `$4`, and of the items `$5`, a JSON array, is read.
    pub(crate) READ_ALL = "update {mark}",
    mark = "{table} set read_at = {now}, seen_at = coalesce(seen_at, {now}), changed_in = {this_write} \
        where {scope} and archived_at is null and read_at is null and {shown}",
    table = "{campanile}notifications{sqlite( indexed by notifications_unread)}",
    scope = SCOPE, this_write = THIS_WRITE, shown = SHOWN, was_there = WAS_THERE
}

statement! {
    /// The same is seen.
    pub(crate) SEE_ALL = "update {mark}",
    mark = "{table} set seen_at = {now}, changed_in = {this_write} \
        where {scope} and archived_at is null and read_at is null and seen_at is null and {shown}",
    table = "{campanile}notifications{sqlite( indexed by notifications_unseen)}",
    scope = SCOPE, this_write = THIS_WRITE, shown = SHOWN, was_there = WAS_THERE
}

const SHOWN: &str = "({was_there} or id in (select {uuids($5)}))";

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

/// Not public API: a statement under a name, its parameters after the third, and the indexes that serve it.
#[doc(hidden)]
pub type Served = (
    &'static str,
    &'static str,
    Vec<Option<String>>,
    &'static [&'static str],
);

/// Not public API: every statement, for the tests that look at the plans. Where a place is needed it is `place`, and where a
/// moment is, `moment`.
#[must_use]
pub fn every_statement(database: &Database, place: Uuid, moment: &Moment) -> Vec<Served> {
    const FEED: &[&str] = &["notifications_feed"];
    const UNREAD: &[&str] = &["notifications_unread"];
    const ARCHIVED: &[&str] = &["notifications_archived"];
    const ALL: &[&str] = &[FEED[0], UNREAD[0], "notifications_unseen"];
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
    let text = |text: &str| Some(text.to_owned());
    let places = |page: &Page| {
        let places = [page.after, page.before];
        let [after, before] = places.map(|place| place.map(|cursor| cursor.0.to_string()));
        vec![after, before, text("20")]
    };
    let changed = vec![Some(place.to_string()), text("1"), text("1"), None];
    let cap = vec![text("100")];
    let shown = vec![Some(moment.to_string()), Some("[]".to_owned())];
    pages
        .into_iter()
        .map(|(name, page, indexes)| (name, feed(&page), places(&page), indexes))
        .chain([
            ("counts", &COUNTS, cap.clone(), ALL),
            ("unread count", &COUNT_UNREAD, cap, UNREAD),
            ("change", &CHANGE, changed, of_one),
            ("read all", &READ_ALL, shown.clone(), UNREAD),
            // Postgres may take the index of the unread items here, as the one of the unseen is about to change.
            ("see all", &SEE_ALL, shown, &["notifications_un"]),
        ])
        .map(|(name, statement, parameters, indexes)| {
            (name, statement.on(database), parameters, indexes)
        })
        .collect()
}

/// Not public API: the statements about several inboxes, under a name, with the indexes that serve them.
#[must_use]
pub fn statements_of_many(
    database: &Database,
) -> [(&'static str, &'static str, &'static [&'static str]); 2] {
    const INDEXES: &[&str] = &[
        "notifications_feed",
        "notifications_unread",
        "notifications_unseen",
    ];
    [
        ("changes", CHANGES.on(database), &["notifications_changed"]),
        ("counts", COUNTS_OF_MANY.on(database), INDEXES),
    ]
}
