-- One cell of a user's preferences. A missing row means on.
create table user_notification_preferences (
    user_id text not null,
    category text not null,
    channel text not null,
    enabled integer not null check (enabled in (0, 1)),
    updated_at integer not null,
    primary key (user_id, category, channel)
) strict, without rowid;

-- Where a user is reached on a channel; several rows for several devices.
create table notification_addresses (
    user_id text not null,
    channel text not null,
    address text not null,
    created_at integer not null,
    primary key (user_id, channel, address)
) strict, without rowid;
