//! Every statement by name, with the indexes that **serve** it, for the tests that check query plans.

use campanile::Database;
use uuid::Uuid;

use crate::changes::CHANGES;
use crate::counts::{COUNT_UNREAD, COUNTS, COUNTS_OF_MANY};
use crate::cursor::Cursor;
use crate::feed::{self, Filter, Page};
use crate::mark::{CHANGE, READ_ALL, SEE_ALL};
use crate::moment::Moment;

/// Not public API: a statement's name, its text, its parameters after the third, and the indexes that serve it.
#[doc(hidden)]
pub type Served = (
    &'static str,
    &'static str,
    Vec<Option<String>>,
    Vec<&'static str>,
);

/// The key of a user's items, archived or not.
fn view(database: &Database) -> &'static str {
    match database.kind() {
        "Postgres" => "notifications_pkey",
        _ => "PRIMARY KEY (user_id=? AND archived=?",
    }
}

/// Not public API: every statement, for the tests that check query plans. `place` and `moment` are the parameters of those that
/// need one.
#[must_use]
pub fn every_statement(database: &Database, place: Uuid, moment: &Moment) -> Vec<Served> {
    const UNREAD: &[&str] = &["notifications_unread"];
    let view = view(database);
    let (feed, all) = (&[view][..], &[view, UNREAD[0], "notifications_unseen"][..]);
    let cursor = Some(Cursor(place));
    let page = |filter, after, before| Page {
        after,
        before,
        filter,
        ..Page::default()
    };
    let pages = [
        ("all", page(Filter::All, None, None), feed),
        ("all, older", page(Filter::All, cursor, None), feed),
        ("all, newer", page(Filter::All, None, cursor), feed),
        ("unread", page(Filter::Unread, None, None), UNREAD),
        ("unread, older", page(Filter::Unread, cursor, None), UNREAD),
        ("archived", page(Filter::Archived, None, None), feed),
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
        .map(|(name, page, indexes)| (name, feed::statement(&page), places(&page), indexes))
        .chain([
            ("counts", &COUNTS, cap.clone(), all),
            ("unread count", &COUNT_UNREAD, cap, UNREAD),
            ("change", &CHANGE, changed, feed),
            ("read all", &READ_ALL, shown.clone(), UNREAD),
            // Postgres may use the index of the unread items here, because the statement changes the index of the unseen ones.
            ("see all", &SEE_ALL, shown, &["notifications_un"]),
        ])
        .map(|(name, statement, parameters, indexes)| {
            (name, statement.on(database), parameters, indexes.to_vec())
        })
        .collect()
}

/// Not public API: the statements about several inboxes, by name, with the indexes that serve them.
#[must_use]
pub fn statements_of_many(
    database: &Database,
) -> [(&'static str, &'static str, Vec<&'static str>); 2] {
    let changed = vec!["notifications_changed"];
    let counted = vec![
        view(database),
        "notifications_unread",
        "notifications_unseen",
    ];
    [
        ("changes", CHANGES.on(database), changed),
        ("counts", COUNTS_OF_MANY.on(database), counted),
    ]
}
