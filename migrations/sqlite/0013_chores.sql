-- What one worker of a fleet does now and then for all of them.
create table notification_chores (
    name text primary key,
    due_at integer not null,
    taken_by text
) strict, without rowid;

insert into notification_chores (name, due_at)
    values ('prune', cast(unixepoch('subsec') * 1000000 as integer) + 3600000000);
