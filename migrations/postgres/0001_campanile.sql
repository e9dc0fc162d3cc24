-- The tables of campanile 0.1.
--
-- Keys of what belongs to a user begin with the user, so that the tables can be partitioned by it. Ids are of version 7 of UUIDs:
-- made by the client, ordered by time. Times are those of the database's clock.

-- One cell of a user's preferences. A missing row means on. The organization is '' for a choice that holds everywhere.
create table campanile.user_notification_preferences (
    user_id text not null,
    org_id text not null default '',
    category text not null,
    channel text not null,
    enabled boolean not null,
    updated_at timestamptz not null,
    primary key (user_id, org_id, category, channel)
);

-- Where a user is reached on a channel; several rows for several devices.
create table campanile.notification_addresses (
    user_id text not null,
    channel text not null,
    address text not null,
    created_at timestamptz not null,
    primary key (user_id, channel, address)
);

-- One window: (recipient, event type, dedup key). One row for each, updated in place: the fill factor keeps renewals on their page
-- (HOT), and an index on a column that a renewal changes would undo that.
create table campanile.notification_dedup (
    recipient_user_id text not null,
    event_type text not null,
    dedup_key text not null,
    fired_at timestamptz not null,
    window_ends_at timestamptz not null,
    notification_id uuid not null,
    -- For what the window is open, where all keys of one event, subject and recipient share it: the key that was admitted last.
    -- Null: for every dispatch of its key.
    variant text,
    primary key (recipient_user_id, event_type, dedup_key)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01);

-- One dispatch with remote deliveries, with what was rendered: once, and not once for each recipient.
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
    -- How many remaining deliveries share it; it is deleted with the last one.
    deliveries integer not null,
    created_at timestamptz not null
);

-- The ids that callers gave to their dispatches, so that a repeat is known: also of a dispatch that left no row of its own.
create table campanile.notification_dispatch_ids (
    id uuid primary key,
    created_at timestamptz not null
);

create index notification_dispatch_ids_created
    on campanile.notification_dispatch_ids (created_at);

-- One remote delivery: the row is the queue.
create table campanile.notification_deliveries (
    -- The id of its notification, which ends with a zero byte, with the delivery's number in the place of that byte: the deliveries
    -- of one notification stand side by side in the index.
    id uuid primary key,
    notification_id uuid not null,
    dispatch_id uuid not null,
    user_id text not null,
    channel text not null,
    -- Whether the notification also has a row of a local channel, so that it has reached its recipient anyway.
    has_local boolean not null,
    state text not null check (state in (
        'pending', 'running', 'delivered', 'suppressed', 'unreachable', 'expired', 'cancelled', 'moot', 'dead', 'unknown', 'blocked'
    )),
    -- The lower, the sooner.
    priority smallint not null default 1,
    -- Why it waits and since when; null for a retry, or if it does not wait.
    held_as text,
    held_since timestamptz,
    -- What its recipient may do in the inbox that makes it unnecessary: see, read or archive the item.
    gate text,
    locale text,
    attempt integer not null,
    -- How many of the attempts do not count against the delivery: the channel was misconfigured, or nothing could be tried.
    uncounted integer not null default 0,
    -- How many attempts may have been sent, because their answer was lost or their worker was.
    lost_answers integer not null default 0,
    run_at timestamptz not null,
    -- After this time it is no longer worth sending.
    expires_at timestamptz,
    -- When the first attempt that counts was begun: retries end a horizon after it.
    first_attempt_at timestamptz,
    -- Since when the provider could not be reached or took no more calls, so that nothing was tried, and how often in a row.
    outage_since timestamptz,
    outage_rounds integer not null default 0,
    lease_until timestamptz,
    worker uuid,
    -- Which claim a running delivery is under. Each claim has a new one; what a worker does under another changes nothing.
    claim uuid,
    -- The worker whose lease ran out before the last claim.
    lost_worker uuid,
    -- Whether an earlier attempt may have been sent.
    maybe_sent boolean not null default false,
    -- The batch it was sent in, while nobody knows whether that arrived: it is retried whole, under the same key.
    batch_id uuid,
    -- Why it is parked: its event or its channel is unknown, or its content cannot be read.
    blocked_as text check (blocked_as in ('event', 'channel', 'content')),
    last_error text,
    created_at timestamptz not null,
    finished_at timestamptz,
    -- What was rendered with a secret field, with the texts that may not be kept: of this delivery alone, and only until it ends.
    -- Empty: it has ended, and what it held is erased. Null: its content has no secret, and is its dispatch's.
    secret text,
    constraint notification_deliveries_secret check (secret is null or secret = '' or finished_at is null)
) with (autovacuum_vacuum_scale_factor = 0.01);

create index notification_deliveries_due
    on campanile.notification_deliveries (channel, run_at) where state = 'pending';
create index notification_deliveries_leased
    on campanile.notification_deliveries (channel, lease_until) where state = 'running';
-- What waits for an operator, or for a worker that knows it.
create index notification_deliveries_stuck
    on campanile.notification_deliveries (channel, id) where state in ('dead', 'unknown', 'blocked');
create index notification_deliveries_batch
    on campanile.notification_deliveries (batch_id, id) where batch_id is not null;
-- To prune what ended long ago. A new delivery is not in it.
create index notification_deliveries_finished
    on campanile.notification_deliveries (finished_at) where finished_at is not null;
-- To erase what has expired before it ends.
create index notification_deliveries_secrets
    on campanile.notification_deliveries (expires_at) where secret <> '';

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
    error_class text,
    trace_id text,
    worker uuid not null,
    primary key (delivery_id, attempt)
);

-- A delivery of a notification whose window is to be released, and that another transaction held when it was: whoever delivers
-- next releases it.
create table campanile.notification_held_windows (
    delivery_id uuid primary key
);

-- A channel whose deliveries wait: paused by an operator, or because it turned out to be misconfigured.
create table campanile.notification_channel_pauses (
    channel text primary key,
    paused_at timestamptz not null,
    reason text not null,
    -- When one delivery is tried to see whether it works again; null: when somebody resumes it.
    probe_at timestamptz
);

-- A channel that one process has paused for itself, because it is misconfigured there.
create table campanile.notification_worker_pauses (
    worker uuid not null,
    channel text not null,
    reason text not null,
    paused_at timestamptz not null,
    -- When that process tries one delivery to see whether it works again.
    probe_at timestamptz not null,
    primary key (worker, channel)
);

-- The workers that were seen lately, each with the channels it links, a JSON array.
create table campanile.notification_workers (
    id uuid primary key,
    started_at timestamptz not null,
    seen_at timestamptz not null,
    channels jsonb not null
);

-- What one worker of a fleet does now and then for all of them.
create table campanile.notification_chores (
    name text primary key,
    due_at timestamptz not null,
    taken_by uuid
);

insert into campanile.notification_chores (name, due_at) values ('prune', clock_timestamp() + interval '1 hour');

-- The inbox: one item. The key is the feed's order, and the archive's. Written only by the inbox channel.
create table campanile.notifications (
    user_id text not null,
    archived boolean not null default false,
    id uuid not null,
    org_id text,
    event_type text not null,
    category text not null,
    subject_id text,
    title text not null,
    body text not null,
    payload jsonb not null,
    action_url text,
    locale text,
    actor text,
    group_key text,
    retract_key text,
    quiet boolean not null default false,
    seen_at timestamptz,
    read_at timestamptz,
    archived_at timestamptz,
    snoozed_until timestamptz,
    retracted_at timestamptz,
    expires_at timestamptz,
    created_at timestamptz not null,
    -- Which transaction wrote the item, and which one changed it last, so that whoever shows inboxes can ask for what was committed
    -- between two of its snapshots, in whatever order that was begun.
    created_in xid8 not null default pg_current_xact_id(),
    changed_in xid8 not null default pg_current_xact_id(),
    primary key (user_id, archived, id),
    check (archived = (archived_at is not null))
);

-- What is unread, in the feed's order, so that neither a page nor a capped count walks over what was read.
create index notifications_unread
    on campanile.notifications (user_id, id) where not archived and read_at is null;
create index notifications_unseen
    on campanile.notifications (user_id, id) where not archived and read_at is null and seen_at is null;
create index notifications_changed
    on campanile.notifications (changed_in);
-- To prune what was read long ago. A new item is not in it, so that a dispatch does not write to it.
create index notifications_read
    on campanile.notifications (read_at) where read_at is not null;
-- To prune what was never read. A new item is at its end.
create index notifications_created
    on campanile.notifications (created_at) where read_at is null;
create index notifications_retract
    on campanile.notifications (user_id, retract_key) where retract_key is not null;

-- An address that must not be mailed, in lower case. Owned by the email channel.
create table campanile.email_suppressions (
    address text primary key,
    reason text not null,
    kind text,
    created_at timestamptz not null,
    -- Until when it counts; null: for ever.
    expires_at timestamptz,
    -- Whose delivery put the address there, so that it is found when that user is forgotten, also if no address book knows it any
    -- more. One entered by hand has none.
    user_id text
);

create index email_suppressions_latest on campanile.email_suppressions (created_at, address);
create index email_suppressions_user on campanile.email_suppressions (user_id) where user_id is not null;

-- An address that was refused once without a reason, in lower case: suppressed if that happens again on another day. Owned by the
-- email channel.
create table campanile.email_suspects (
    address text primary key,
    reason text not null,
    created_at timestamptz not null,
    user_id text
);

create index email_suspects_user on campanile.email_suspects (user_id) where user_id is not null;
