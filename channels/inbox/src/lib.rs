//! The **inbox**: rows in the app's own database, written with the dispatch, and a pure read for the user.
//!
//! Linking this crate registers the channel `inbox`: `use campanile_inbox as _;`. The rows are written by the dispatch
//! statement itself, so there is exactly one for each admitted notification, and none for an action that rolled back.
//!
//! [`Inbox::for_user`] is the only way in: no call takes a row without its owner.

mod cursor;
mod inbox;

use campanile::channel::{LocalChannel, Transport};

pub use campanile::channel::INBOX;

pub use crate::cursor::Cursor;
pub use crate::inbox::{Feed, Filter, Inbox, InboxError, Item, Page};

campanile::register_channel!(
    INBOX,
    Transport::Local(LocalChannel {
        postgres: "\
            insert into campanile.notifications \
            (id, user_id, org_id, event_type, category, subject_id, title, body, payload, action_url, created_at) \
            select notification_id, user_id, org_id, event_type, category, subject_id, \
            parts ->> 'title', parts ->> 'body', payload, parts ->> 'action_url', created_at from admitted",
        sqlite: "\
            insert into notifications \
            (id, user_id, org_id, event_type, category, subject_id, title, body, payload, action_url, created_at) \
            select notification_id, user_id, org_id, event_type, category, subject_id, \
            parts ->> 'title', parts ->> 'body', payload, parts ->> 'action_url', created_at from admitted",
        forget: &["delete from {campanile}notifications where user_id = $1"],
    }),
);
