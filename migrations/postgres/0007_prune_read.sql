-- To prune what was read long ago. Unread items are not in it, so that a dispatch does not write to it.
create index notifications_read
    on campanile.notifications (read_at) where read_at is not null;
