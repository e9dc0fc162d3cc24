-- To prune what ended long ago.
create index notification_deliveries_finished
    on campanile.notification_deliveries (finished_at) where finished_at is not null;
