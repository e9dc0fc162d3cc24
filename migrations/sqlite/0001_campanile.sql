-- The tables of campanile 0.1.
--
-- Every table has the prefix `campanile_`: it is in the application's own file. Ids are of version 7 of UUIDs: made by the client,
-- ordered by time. Times are microseconds since 1970.

-- One cell of a user's preferences. A missing row means on. The organization is '' for a choice that holds everywhere.
create table campanile_user_notification_preferences (
    user_id text not null,
    org_id text not null default '',
    category text not null,
    channel text not null,
    enabled integer not null check (enabled in (0, 1)),
    updated_at integer not null,
    primary key (user_id, org_id, category, channel)
) strict, without rowid;

-- Where a user is reached on a channel; several rows for several devices.
create table campanile_notification_addresses (
    user_id text not null,
    channel text not null,
    address text not null,
    created_at integer not null,
    primary key (user_id, channel, address)
) strict, without rowid;

-- One window: (recipient, event type, dedup key). One row for each, updated in place.
create table campanile_notification_dedup (
    recipient_user_id text not null,
    event_type text not null,
    dedup_key text not null,
    fired_at integer not null,
    window_ends_at integer not null,
    notification_id text not null,
    -- For what the window is open, where all keys of one event, subject and recipient share it: the key that was admitted last.
    -- Null: for every dispatch of its key.
    variant text,
    primary key (recipient_user_id, event_type, dedup_key)
) strict, without rowid;

-- One dispatch with remote deliveries, with what was rendered: once, and not once for each recipient.
create table campanile_notification_dispatches (
    id text primary key,
    event_type text not null,
    category text not null,
    subject_id text,
    org_id text,
    dedup_key text not null,
    payload text not null,
    content text not null,
    trace_context text,
    -- How many remaining deliveries share it; it is deleted with the last one.
    deliveries integer not null,
    created_at integer not null
) strict, without rowid;

-- The ids that callers gave to their dispatches, so that a repeat is known: also of a dispatch that left no row of its own.
create table campanile_notification_dispatch_ids (
    id text primary key,
    created_at integer not null
) strict, without rowid;

create index campanile_notification_dispatch_ids_created
    on campanile_notification_dispatch_ids (created_at);

-- One remote delivery: the row is the queue.
create table campanile_notification_deliveries (
    -- The id of its notification, which ends with a zero byte, with the delivery's number in the place of that byte: the deliveries
    -- of one notification stand side by side in the index.
    id text primary key,
    notification_id text not null,
    dispatch_id text not null,
    user_id text not null,
    channel text not null,
    -- Whether the notification also has a row of a local channel, so that it has reached its recipient anyway.
    has_local integer not null check (has_local in (0, 1)),
    state text not null check (state in (
        'pending', 'running', 'delivered', 'suppressed', 'unreachable', 'expired', 'cancelled', 'moot', 'dead', 'unknown', 'blocked'
    )),
    -- The lower, the sooner.
    priority integer not null default 1,
    -- Why it waits and since when; null for a retry, or if it does not wait.
    held_as text,
    held_since integer,
    -- What its recipient may do in the inbox that makes it unnecessary: see, read or archive the item.
    gate text,
    locale text,
    attempt integer not null,
    -- How many of the attempts do not count against the delivery: the channel was misconfigured, or nothing could be tried.
    uncounted integer not null default 0,
    -- How many attempts may have been sent, because their answer was lost or their worker was.
    lost_answers integer not null default 0,
    run_at integer not null,
    -- After this time it is no longer worth sending.
    expires_at integer,
    -- When the first attempt that counts was begun: retries end a horizon after it.
    first_attempt_at integer,
    -- Since when the provider could not be reached or took no more calls, so that nothing was tried, and how often in a row.
    outage_since integer,
    outage_rounds integer not null default 0,
    lease_until integer,
    worker text,
    -- Which claim a running delivery is under. Each claim has a new one; what a worker does under another changes nothing.
    claim text,
    -- The worker whose lease ran out before the last claim.
    lost_worker text,
    -- Whether an earlier attempt may have been sent.
    maybe_sent integer not null default 0 check (maybe_sent in (0, 1)),
    -- The batch it was sent in, while nobody knows whether that arrived: it is retried whole, under the same key.
    batch_id text,
    -- Why it is parked: its event or its channel is unknown, or its content cannot be read.
    blocked_as text check (blocked_as in ('event', 'channel', 'content')),
    last_error text,
    created_at integer not null,
    finished_at integer,
    -- What was rendered with a secret field, with the texts that may not be kept: of this delivery alone, and only until it ends.
    -- Empty: it has ended, and what it held is erased. Null: its content has no secret, and is its dispatch's.
    secret text,
    check (secret is null or secret = '' or finished_at is null)
) strict, without rowid;

create index campanile_notification_deliveries_due
    on campanile_notification_deliveries (channel, run_at) where state = 'pending';
create index campanile_notification_deliveries_leased
    on campanile_notification_deliveries (channel, lease_until) where state = 'running';
-- What waits for an operator, or for a worker that knows it.
create index campanile_notification_deliveries_stuck
    on campanile_notification_deliveries (channel, id) where state in ('dead', 'unknown', 'blocked');
create index campanile_notification_deliveries_batch
    on campanile_notification_deliveries (batch_id, id) where batch_id is not null;
-- To erase a user. On Postgres, where each index costs every change of a row, the table is read instead.
create index campanile_notification_deliveries_of_user
    on campanile_notification_deliveries (user_id);
-- To prune what ended long ago. A new delivery is not in it.
create index campanile_notification_deliveries_finished
    on campanile_notification_deliveries (finished_at) where finished_at is not null;
-- To erase what has expired before it ends.
create index campanile_notification_deliveries_secrets
    on campanile_notification_deliveries (expires_at) where secret <> '';

-- The delivery log: one row for each attempt.
create table campanile_notification_attempts (
    delivery_id text not null,
    attempt integer not null,
    started_at integer not null,
    took_micros integer not null,
    outcome text not null,
    status integer,
    provider_id text,
    error text,
    error_class text,
    trace_id text,
    worker text not null,
    primary key (delivery_id, attempt)
) strict, without rowid;

-- A delivery of a notification whose window is to be released, and that another transaction held when it was: whoever delivers
-- next releases it.
create table campanile_notification_held_windows (
    delivery_id text primary key
) strict, without rowid;

-- A channel whose deliveries wait: paused by an operator, or because it turned out to be misconfigured.
create table campanile_notification_channel_pauses (
    channel text primary key,
    paused_at integer not null,
    reason text not null,
    -- When one delivery is tried to see whether it works again; null: when somebody resumes it.
    probe_at integer
) strict, without rowid;

-- A channel that one process has paused for itself, because it is misconfigured there.
create table campanile_notification_worker_pauses (
    worker text not null,
    channel text not null,
    reason text not null,
    paused_at integer not null,
    -- When that process tries one delivery to see whether it works again.
    probe_at integer not null,
    primary key (worker, channel)
) strict, without rowid;

-- The workers that were seen lately, each with the channels it links, a JSON array.
create table campanile_notification_workers (
    id text primary key,
    started_at integer not null,
    seen_at integer not null,
    channels text not null
) strict, without rowid;

-- What one worker of a fleet does now and then for all of them.
create table campanile_notification_chores (
    name text primary key,
    due_at integer not null,
    taken_by text
) strict, without rowid;

insert into campanile_notification_chores (name, due_at) values ('prune', cast(unixepoch('subsec') * 1000000 as integer) + 3600000000);

-- The inbox: one item. The key is the feed's order, and the archive's. Written only by the inbox channel.
create table campanile_notifications (
    user_id text not null,
    archived integer not null default 0 check (archived in (0, 1)),
    id text not null,
    org_id text,
    event_type text not null,
    category text not null,
    subject_id text,
    title text not null,
    body text not null,
    payload text not null,
    action_url text,
    locale text,
    actor text,
    group_key text,
    retract_key text,
    quiet integer not null default 0 check (quiet in (0, 1)),
    seen_at integer,
    read_at integer,
    archived_at integer,
    snoozed_until integer,
    retracted_at integer,
    expires_at integer,
    created_at integer not null,
    -- The number of the write that made the item, and of the one that changed it last, so that whoever shows inboxes can ask for what
    -- was written since. One writer at a time: the numbers rise in the order of the commits.
    created_in integer not null,
    changed_in integer not null,
    primary key (user_id, archived, id),
    check (archived = (archived_at is not null))
) strict, without rowid;

-- What is unread, in the feed's order, so that neither a page nor a capped count walks over what was read.
create index campanile_notifications_unread
    on campanile_notifications (user_id, id) where archived = 0 and read_at is null;
create index campanile_notifications_unseen
    on campanile_notifications (user_id, id) where archived = 0 and read_at is null and seen_at is null;
create index campanile_notifications_changed
    on campanile_notifications (changed_in);
-- To prune what was read long ago. A new item is not in it, so that a dispatch does not write to it.
create index campanile_notifications_read
    on campanile_notifications (read_at) where read_at is not null;
-- To prune what was never read. A new item is at its end.
create index campanile_notifications_created
    on campanile_notifications (created_at) where read_at is null;
create index campanile_notifications_retract
    on campanile_notifications (user_id, retract_key) where retract_key is not null;

-- An address that must not be mailed, in lower case. Owned by the email channel.
create table campanile_email_suppressions (
    address text primary key,
    reason text not null,
    kind text,
    created_at integer not null,
    -- Until when it counts; null: for ever.
    expires_at integer,
    -- Whose delivery put the address there, so that it is found when that user is forgotten, also if no address book knows it any
    -- more. One entered by hand has none.
    user_id text
) strict, without rowid;

create index campanile_email_suppressions_latest on campanile_email_suppressions (created_at, address);
create index campanile_email_suppressions_user on campanile_email_suppressions (user_id) where user_id is not null;

-- An address that was refused once without a reason, in lower case: suppressed if that happens again on another day. Owned by the
-- email channel.
create table campanile_email_suspects (
    address text primary key,
    reason text not null,
    created_at integer not null,
    user_id text
) strict, without rowid;

create index campanile_email_suspects_user on campanile_email_suspects (user_id) where user_id is not null;
