-- To prune what ended long ago.
create index notification_deliveries_finished
    on notification_deliveries (finished_at) where finished_at is not null;
