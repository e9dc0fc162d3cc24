-- Which transaction wrote an item, and which one changed it last, so that whoever shows inboxes can ask for what was committed
-- between two of its snapshots, in whatever order that was begun. Rows from before have neither, and are in no such answer.
-- The defaults come in a step of their own: with them the columns would be written into every row there is.
alter table campanile.notifications add column created_in xid8, add column changed_in xid8;
alter table campanile.notifications
    alter column created_in set default pg_current_xact_id(),
    alter column changed_in set default pg_current_xact_id();

create index notifications_changed
    on campanile.notifications (changed_in) where changed_in is not null;
