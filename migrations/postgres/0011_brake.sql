alter table campanile.notification_deliveries
    -- How many attempts may have gone out, because their answer was lost or their worker was.
    add column lost_answers integer not null default 0,
    -- Since when the provider could not be reached or took no more calls, so that nothing was tried.
    add column outage_since timestamptz,
    -- How often in a row; the pauses grow with it.
    add column outage_rounds integer not null default 0;

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
