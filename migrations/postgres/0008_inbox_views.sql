-- What an inbox shows: what is not archived, what of that is unread or not seen yet, and what is archived. Each is read in the
-- order of its index, so that neither a page nor a capped count walks over rows that another view shows.
drop index campanile.notifications_feed;
drop index campanile.notifications_unread;

create index notifications_feed
    on campanile.notifications (user_id, id) where archived_at is null;
create index notifications_unread
    on campanile.notifications (user_id, id) where archived_at is null and read_at is null;
create index notifications_unseen
    on campanile.notifications (user_id, id) where archived_at is null and read_at is null and seen_at is null;
-- A new item is not in it, so that a dispatch does not write to it.
create index notifications_archived
    on campanile.notifications (user_id, id) where archived_at is not null;
