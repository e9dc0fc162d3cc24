-- The number of the write that made an item, and of the one that changed it last, so that whoever shows inboxes can ask for what
-- was written since their last look. One writer at a time: the numbers rise in the order of the commits. Rows from before have
-- neither, and are in no such answer.
alter table notifications add column created_in integer;
alter table notifications add column changed_in integer;

create index notifications_changed
    on notifications (changed_in) where changed_in is not null;
