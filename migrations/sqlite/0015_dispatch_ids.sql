-- The ids that callers gave to their dispatches, so that a repeat is known: also of a dispatch that left no row of its own.
create table notification_dispatch_ids (
    id text primary key,
    created_at integer not null
) strict, without rowid;

create index notification_dispatch_ids_created
    on notification_dispatch_ids (created_at);
