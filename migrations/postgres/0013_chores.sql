-- What one worker of a fleet does now and then for all of them.
create table campanile.notification_chores (
    name text primary key,
    due_at timestamptz not null,
    taken_by uuid
);

insert into campanile.notification_chores (name, due_at) values ('prune', clock_timestamp() + interval '1 hour');
