-- What an attempt needs to know of those before it.
alter table campanile.notification_deliveries
    -- After this time it is no longer worth sending.
    add column expires_at timestamptz,
    -- When the first attempt that counts was begun: retries end a horizon after it.
    add column first_attempt_at timestamptz,
    -- Whether an earlier attempt may have gone out: its answer was lost, or its worker was.
    add column maybe_sent boolean not null default false,
    -- The worker whose lease ran out before the last claim.
    add column lost_worker uuid,
    -- The batch it went out in, while nobody knows whether that arrived: it comes again whole, under the same key.
    add column batch_id uuid,
    -- Why it is parked: its event or its channel is unknown, or its content cannot be read.
    add column blocked_as text check (blocked_as in ('event', 'channel', 'content'));

create index notification_deliveries_batch
    on campanile.notification_deliveries (batch_id, id) where batch_id is not null;

-- What waits for an operator, or for a worker that knows it.
create index notification_deliveries_stuck
    on campanile.notification_deliveries (channel, id) where state in ('dead', 'unknown', 'blocked');

alter table campanile.notification_attempts
    add column error_class text,
    add column trace_id text;

-- The workers that were seen lately, each with the channels it links, a JSON array.
create table campanile.notification_workers (
    id uuid primary key,
    started_at timestamptz not null,
    seen_at timestamptz not null,
    channels jsonb not null
);
