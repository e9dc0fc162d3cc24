-- One window: (event type, dedup key, recipient). One row for each, updated in place.
-- The fill factor keeps renewals on their page (HOT); an index on a column that a renewal changes would undo that.
create table campanile.notification_dedup (
    event_type text not null,
    dedup_key text not null,
    recipient_user_id text not null,
    fired_at timestamptz not null,
    window_ends_at timestamptz not null,
    notification_id uuid not null,
    primary key (event_type, dedup_key, recipient_user_id)
) with (fillfactor = 80);

-- To forget a user. A recipient never changes, so that renewals stay on their page all the same.
create index notification_dedup_of_recipient
    on campanile.notification_dedup (recipient_user_id);

-- One dispatch, with what was rendered, once and not once for each recipient.
create table campanile.notification_dispatches (
    id uuid primary key,
    event_type text not null,
    category text not null,
    subject_id text,
    org_id text,
    dedup_key text not null,
    payload jsonb not null,
    content jsonb not null,
    trace_context text,
    created_at timestamptz not null
);

-- One remote delivery: the row is the queue.
create table campanile.notification_deliveries (
    id uuid primary key,
    notification_id uuid not null,
    dispatch_id uuid not null,
    user_id text not null,
    channel text not null,
    -- Whether the notification also has a row of a local channel, so that it has reached its recipient anyway.
    has_local boolean not null,
    state text not null check (state in (
        'pending', 'running', 'delivered', 'suppressed', 'unreachable', 'expired', 'cancelled', 'dead', 'unknown', 'blocked'
    )),
    attempt integer not null,
    -- How many of the attempts do not count against the delivery: the channel was set up wrongly.
    uncounted integer not null default 0,
    run_at timestamptz not null,
    lease_until timestamptz,
    worker uuid,
    last_error text,
    created_at timestamptz not null,
    finished_at timestamptz,
    unique (notification_id, channel)
);

create index notification_deliveries_due
    on campanile.notification_deliveries (channel, run_at) where state = 'pending';
create index notification_deliveries_leased
    on campanile.notification_deliveries (channel, lease_until) where state = 'running';
create index notification_deliveries_of_user
    on campanile.notification_deliveries (user_id);
create index notification_deliveries_of_dispatch
    on campanile.notification_deliveries (dispatch_id);

-- The delivery log: one row for each attempt.
create table campanile.notification_attempts (
    delivery_id uuid not null,
    attempt integer not null,
    started_at timestamptz not null,
    took_micros bigint not null,
    outcome text not null,
    status integer,
    provider_id text,
    error text,
    worker uuid not null,
    primary key (delivery_id, attempt)
);
