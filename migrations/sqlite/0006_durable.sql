-- What an attempt needs to know of those before it.
-- After this time it is no longer worth sending.
alter table notification_deliveries add column expires_at integer;
-- When the first attempt that counts was begun: retries end a horizon after it.
alter table notification_deliveries add column first_attempt_at integer;
-- Whether an earlier attempt may have gone out: its answer was lost, or its worker was.
alter table notification_deliveries add column maybe_sent integer not null default 0 check (maybe_sent in (0, 1));
-- The worker whose lease ran out before the last claim.
alter table notification_deliveries add column lost_worker text;
-- The batch it went out in, while nobody knows whether that arrived: it comes again whole, under the same key.
alter table notification_deliveries add column batch_id text;
-- Why it is parked: its event or its channel is unknown, or its content cannot be read.
alter table notification_deliveries add column blocked_as text check (blocked_as in ('event', 'channel', 'content'));

create index notification_deliveries_batch
    on notification_deliveries (batch_id, id) where batch_id is not null;

-- What waits for an operator, or for a worker that knows it.
create index notification_deliveries_stuck
    on notification_deliveries (channel, id) where state in ('dead', 'unknown', 'blocked');

alter table notification_attempts add column error_class text;
alter table notification_attempts add column trace_id text;

-- The workers that were seen lately, each with the channels it links, a JSON array.
create table notification_workers (
    id text primary key,
    started_at integer not null,
    seen_at integer not null,
    channels text not null
) strict, without rowid;
