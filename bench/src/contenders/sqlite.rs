//! What the raw limit and the loop by hand have in common on SQLite.

/// Now, in microseconds.
macro_rules! now {
    () => {
        "cast(unixepoch('subsec') * 1000000 as integer)"
    };
}

/// The number of this write, as the inbox counts them.
macro_rules! number {
    () => {
        concat!(
            "max(",
            now!(),
            ", 1 + coalesce((select max(changed_in) from campanile_notifications), 0))"
        )
    };
}
pub(crate) use {now, number};

pub(crate) const CLAIM: &str = concat!(
    "update campanile_notification_deliveries as delivery \
    set state = 'running', lease_until = ",
    now!(),
    " + 30000000, claim = $2, worker = $2 \
    where delivery.id in (\
        select id from campanile_notification_deliveries \
        where channel = 'wire' and state = 'pending' and run_at <= ",
    now!(),
    " order by run_at limit $1) \
    returning id, user_id, \
        (select content ->> '$.wire.text' from campanile_notification_dispatches as dispatch where dispatch.id = dispatch_id)"
);

pub(crate) const FEED: &str = "\
    select id, event_type, category, subject_id, title, body, payload, action_url, read_at, seen_at, created_at \
    from campanile_notifications where user_id = $1 and archived = 0 order by id desc limit 20";

pub(crate) const MARK_ALL_READ: &str = concat!(
    "update campanile_notifications set read_at = ",
    now!(),
    ", changed_in = ",
    number!(),
    " \
    where user_id = $1 and archived = 0 and read_at is null"
);

pub(crate) const MARK_ALL_SEEN: &str = concat!(
    "update campanile_notifications set seen_at = ",
    now!(),
    ", changed_in = ",
    number!(),
    " \
    where user_id = $1 and archived = 0 and read_at is null and seen_at is null"
);

/// The row of the host's own.
pub(crate) const INVOICE: &str = "insert into bench_invoices (number, amount) values ($1, $2)";
