-- One window: (event type, dedup key, recipient). One row for each, updated in place. Times are microseconds since 1970.
create table notification_dedup (
    event_type text not null,
    dedup_key text not null,
    recipient_user_id text not null,
    fired_at integer not null,
    window_ends_at integer not null,
    notification_id text not null,
    primary key (event_type, dedup_key, recipient_user_id)
) strict, without rowid;

-- To forget a user. A recipient never changes, so that renewals stay on their page all the same.
create index notification_dedup_of_recipient
    on notification_dedup (recipient_user_id);

-- One dispatch, with what was rendered, once and not once for each recipient.
create table notification_dispatches (
    id text primary key,
    event_type text not null,
    category text not null,
    subject_id text,
    org_id text,
    dedup_key text not null,
    payload text not null,
    content text not null,
    trace_context text,
    created_at integer not null
) strict, without rowid;

-- One remote delivery: the row is the queue.
create table notification_deliveries (
    id text primary key,
    notification_id text not null,
    dispatch_id text not null,
    user_id text not null,
    channel text not null,
    -- Whether the notification also has a row of a local channel, so that it has reached its recipient anyway.
    has_local integer not null check (has_local in (0, 1)),
    state text not null check (state in (
        'pending', 'running', 'delivered', 'suppressed', 'unreachable', 'expired', 'cancelled', 'dead', 'unknown', 'blocked'
    )),
    attempt integer not null,
    -- How many of the attempts do not count against the delivery: the channel was set up wrongly.
    uncounted integer not null default 0,
    run_at integer not null,
    lease_until integer,
    worker text,
    last_error text,
    created_at integer not null,
    finished_at integer,
    unique (notification_id, channel)
) strict, without rowid;

create index notification_deliveries_due
    on notification_deliveries (channel, run_at) where state = 'pending';
create index notification_deliveries_leased
    on notification_deliveries (channel, lease_until) where state = 'running';
create index notification_deliveries_of_user
    on notification_deliveries (user_id);
create index notification_deliveries_of_dispatch
    on notification_deliveries (dispatch_id);

-- The delivery log: one row for each attempt.
create table notification_attempts (
    delivery_id text not null,
    attempt integer not null,
    started_at integer not null,
    took_micros integer not null,
    outcome text not null,
    status integer,
    provider_id text,
    error text,
    worker text not null,
    primary key (delivery_id, attempt)
) strict, without rowid;
