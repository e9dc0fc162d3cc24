-- The ids that callers gave to their dispatches, so that a repeat is known: also of a dispatch that left no row of its own.
create table campanile.notification_dispatch_ids (
    id uuid primary key,
    created_at timestamptz not null
);

create index notification_dispatch_ids_created
    on campanile.notification_dispatch_ids (created_at);
