-- A delivery of a notification whose window is to be released, and that another transaction held when it was: whoever delivers
-- next releases it.
create table notification_held_windows (
    delivery_id text primary key
) strict, without rowid;

-- Which claim a running delivery is under. Each claim has a new one; what a worker does under another changes nothing.
alter table notification_deliveries add column claim text;
