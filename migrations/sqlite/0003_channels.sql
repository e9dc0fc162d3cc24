-- The inbox: one item. Ids are ordered by time, so (user_id, id) is the feed's order. Written only by the inbox channel.
create table notifications (
    id text primary key,
    user_id text not null,
    org_id text,
    event_type text not null,
    category text not null,
    subject_id text,
    title text not null,
    body text not null,
    payload text not null,
    action_url text,
    read_at integer,
    seen_at integer,
    archived_at integer,
    created_at integer not null
) strict, without rowid;

create index notifications_feed on notifications (user_id, id);
create index notifications_unread on notifications (user_id, id) where read_at is null;

-- An address that must not be mailed, in lower case. Owned by the email channel.
create table email_suppressions (
    address text primary key,
    reason text not null,
    created_at integer not null
) strict, without rowid;
