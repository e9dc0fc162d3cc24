//! The statements of the loop by hand on SQLite.

use crate::contenders::sqlite::{CLAIM, FEED, INVOICE, MARK_ALL_READ, MARK_ALL_SEEN, now, number};

super::by_hand!(Sqlite, "BEGIN IMMEDIATE");

/// How an id is bound.
fn id(id: Uuid) -> String {
    id.to_string()
}

/// The channels that a user (`$1`) muted in a category (`$2`).
const PREFERENCES: &str = "select channel from campanile_user_notification_preferences where user_id = $1 and category = $2 and not enabled";

/// Changes no row where a window is open.
const CLAIM_WINDOW: &str = concat!(
    "insert into campanile_notification_dedup as held \
        (event_type, dedup_key, recipient_user_id, fired_at, window_ends_at, notification_id) \
    values ($1, $2, $3, ",
    now!(),
    ", ",
    now!(),
    " + 600000000, $4) \
    on conflict (recipient_user_id, event_type, dedup_key) do update set \
        fired_at = excluded.fired_at, window_ends_at = excluded.window_ends_at, notification_id = excluded.notification_id \
    where held.window_ends_at <= excluded.fired_at"
);

const INSERT_ITEM: &str = concat!(
    "insert into campanile_notifications (id, user_id, event_type, category, subject_id, title, body, payload, created_at, created_in, changed_in) \
    select $1, $2, $3, $4, $5, $6, $7, $8, ",
    now!(),
    ", number, number from (select ",
    number!(),
    " as number)"
);

const INSERT_DISPATCH: &str = concat!(
    "insert into campanile_notification_dispatches (id, event_type, category, subject_id, dedup_key, payload, content, deliveries, created_at) \
    values ($1, $2, $3, $4, $4, $5, $6, 1, ",
    now!(),
    ")"
);

const INSERT_DELIVERY: &str = concat!(
    "insert into campanile_notification_deliveries \
        (id, notification_id, dispatch_id, user_id, channel, has_local, state, attempt, run_at, created_at) \
    values ($1, $2, $3, $4, 'wire', $5, 'pending', 0, ",
    now!(),
    ", ",
    now!(),
    ")"
);

const ADDRESS: &str = "select address from campanile_notification_addresses where user_id = $1 and channel = 'wire' order by created_at limit 1";

const FINISH: &str = concat!(
    "update campanile_notification_deliveries \
    set state = $2, attempt = 1, first_attempt_at = ",
    now!(),
    ", finished_at = ",
    now!(),
    ", lease_until = null, worker = null \
    where id = $1"
);

const INSERT_ATTEMPT: &str = concat!(
    "insert into campanile_notification_attempts (delivery_id, attempt, started_at, took_micros, outcome, worker) \
    values ($1, 1, ",
    now!(),
    ", 1, 'accepted', $2)"
);

const COUNTS: &str = "\
    select count(*) filter (where read_at is null), count(*) filter (where read_at is null and seen_at is null), count(*) \
    from campanile_notifications where user_id = $1 and archived = 0";
