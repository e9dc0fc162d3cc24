-- The inbox: one item. Ids are ordered by time, so (user_id, id) is the feed's order. Written only by the inbox channel.
create table campanile.notifications (
    id uuid primary key,
    user_id text not null,
    org_id text,
    event_type text not null,
    category text not null,
    subject_id text,
    title text not null,
    body text not null,
    payload jsonb not null,
    action_url text,
    read_at timestamptz,
    seen_at timestamptz,
    archived_at timestamptz,
    created_at timestamptz not null
);

create index notifications_feed on campanile.notifications (user_id, id);
create index notifications_unread on campanile.notifications (user_id, id) where read_at is null;

-- An address that must not be mailed, in lower case. Owned by the email channel.
create table campanile.email_suppressions (
    address text primary key,
    reason text not null,
    created_at timestamptz not null
);
