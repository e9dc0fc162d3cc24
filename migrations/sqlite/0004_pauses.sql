-- A channel whose deliveries wait: paused by an operator, or because it turned out to be set up wrongly.
create table notification_channel_pauses (
    channel text primary key,
    paused_at integer not null,
    reason text not null,
    -- When one delivery is tried to see whether it works again; null: when somebody resumes it.
    probe_at integer
) strict, without rowid;
