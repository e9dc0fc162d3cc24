//! The statements of the loop by hand on Postgres.

super::by_hand!(Postgres, "BEGIN");

/// How an id is bound.
const fn id(id: Uuid) -> Uuid {
    id
}

/// The channels that a user (`$1`) muted in a category (`$2`).
const PREFERENCES: &str = "\
    select channel from campanile.user_notification_preferences where user_id = $1 and category = $2 and not enabled";

/// Changes no row where a window is open.
const CLAIM_WINDOW: &str = "\
    insert into campanile.notification_dedup as held \
        (event_type, dedup_key, recipient_user_id, fired_at, window_ends_at, notification_id) \
    values ($1, $2, $3, now(), now() + interval '10 minutes', $4) \
    on conflict (recipient_user_id, event_type, dedup_key) do update set \
        fired_at = excluded.fired_at, window_ends_at = excluded.window_ends_at, notification_id = excluded.notification_id \
    where held.window_ends_at <= now()";

const INSERT_ITEM: &str = "\
    insert into campanile.notifications (id, user_id, event_type, category, subject_id, title, body, payload, created_at) \
    values ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb, now())";

const INSERT_DISPATCH: &str = "\
    insert into campanile.notification_dispatches \
        (id, event_type, category, subject_id, dedup_key, payload, content, deliveries, created_at) \
    values ($1, $2, $3, $4, $4, $5::text::jsonb, $6::text::jsonb, 1, now())";

const INSERT_DELIVERY: &str = "\
    insert into campanile.notification_deliveries \
        (id, notification_id, dispatch_id, user_id, channel, has_local, state, attempt, run_at, created_at) \
    values ($1, $2, $3, $4, 'wire', $5, 'pending', 0, now(), now())";

const ADDRESS: &str = "\
    select address from campanile.notification_addresses where user_id = $1 and channel = 'wire' order by created_at limit 1";

const CLAIM: &str = "\
    update campanile.notification_deliveries as delivery \
    set state = 'running', lease_until = now() + interval '30 seconds', claim = $2, worker = $2 \
    from campanile.notification_dispatches as dispatch \
    where dispatch.id = delivery.dispatch_id and delivery.id in (\
        select id from campanile.notification_deliveries \
        where channel = 'wire' and state = 'pending' and run_at <= now() \
        order by run_at limit $1 for update skip locked) \
    returning delivery.id::text, delivery.user_id, dispatch.content #>> '{wire,text}'";

const FINISH: &str = "\
    update campanile.notification_deliveries \
    set state = $2, attempt = 1, first_attempt_at = now(), finished_at = now(), lease_until = null, worker = null \
    where id = $1";

const INSERT_ATTEMPT: &str = "\
    insert into campanile.notification_attempts (delivery_id, attempt, started_at, took_micros, outcome, worker) \
    values ($1, 1, now(), 1, 'accepted', $2)";

/// The row of the host's own.
const INVOICE: &str = "insert into bench_invoices (number, amount) values ($1, $2)";

const FEED: &str = "\
    select id, event_type, category, subject_id, title, body, payload, action_url, read_at, seen_at, created_at \
    from campanile.notifications where user_id = $1 and not archived order by id desc limit 20";

const COUNTS: &str = "\
    select count(*) filter (where read_at is null), count(*) filter (where read_at is null and seen_at is null), count(*) \
    from campanile.notifications where user_id = $1 and not archived";

const MARK_ALL_READ: &str = "\
    update campanile.notifications set read_at = now(), changed_in = pg_current_xact_id() \
    where user_id = $1 and not archived and read_at is null";

const MARK_ALL_SEEN: &str = "\
    update campanile.notifications set seen_at = now(), changed_in = pg_current_xact_id() \
    where user_id = $1 and not archived and read_at is null and seen_at is null";
