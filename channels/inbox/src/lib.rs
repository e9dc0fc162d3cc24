//! The **inbox**: rows in the app's own database, written with the dispatch and read by the user.
//!
//! Linking this crate registers the channel `inbox`: `use campanile_inbox as _;`. The rows are written by the dispatch
//! statement itself, so there is exactly one for each admitted notification, and none for an action that rolled back.
//!
//! [`Inbox::for_user`] is the only way in: no call takes a row without its owner. [`Watch`] polls many
//! inboxes for changes, for a process that shows them live.
//!
//! Seen, read and archived are three things: an item is *seen* when a list that contains it was opened, *read* when the item
//! itself was opened, *archived* when the user put it away. A read item counts as seen; an archived item is not counted.

mod inbox;
mod item;
mod cursor;
mod feed;
mod counts;
mod mark;
mod changes;
mod error;
mod moment;
mod statement;
mod served;

use campanile::channel::{LocalChannel, Transport};
use campanile::database::statement;

pub use campanile::channel::INBOX;

pub use crate::changes::{Changes, News, Watch};
pub use crate::counts::Counts;
pub use crate::cursor::Cursor;
pub use crate::error::InboxError;
pub use crate::feed::{Feed, Filter, Page};
pub use crate::inbox::Inbox;
pub use crate::item::Item;
pub use crate::mark::Change;
pub use crate::moment::Moment;
#[doc(hidden)]
pub use crate::served::{Served, every_statement, statements_of_many};

statement! {
    /// Deletes items with a `read_at`; an item that was archived unread stays. The sub-query evaluates the clock once, so that the index
    /// on that time can be used; the `with` is evaluated once, so that the limit holds.
    PRUNE_READ = "\
        with old as (select user_id, archived, id from {campanile}notifications \
            where read_at <= (select {earlier($1)}) order by read_at limit $2 {skip_locked}) \
        delete from {campanile}notifications where (user_id, archived, id) in (select user_id, archived, id from old)"
}

statement! {
    PRUNE_UNREAD = "\
        with old as (select user_id, archived, id from {campanile}notifications \
            where created_at <= (select {earlier($1)}) and read_at is null order by created_at limit $2 {skip_locked}) \
        delete from {campanile}notifications where (user_id, archived, id) in (select user_id, archived, id from old)"
}

campanile::register_channel!(
    INBOX,
    Transport::Local(LocalChannel {
        postgres: "\
            insert into campanile.notifications \
            (id, user_id, org_id, event_type, category, subject_id, title, body, payload, action_url, created_at) \
            select notification_id, user_id, org_id, event_type, category, subject_id, \
            parts ->> 'title', parts ->> 'body', payload, parts ->> 'action_url', created_at from admitted",
        sqlite: concat!(
            "insert into campanile_notifications \
            (id, user_id, org_id, event_type, category, subject_id, title, body, payload, action_url, created_at, \
            created_in, changed_in) \
            select notification_id, user_id, org_id, event_type, category, subject_id, \
            parts ->> 'title', parts ->> 'body', payload, parts ->> 'action_url', created_at, number, number \
            from admitted, (select ",
            moment::next_number!(),
            " as number)"
        ),
        // The table is created by campanile's migrations, so every binary erases its rows, with or without this crate.
        forget: &[],
        prune: &[&PRUNE_READ],
        prune_unread: &[&PRUNE_UNREAD],
    }),
);
