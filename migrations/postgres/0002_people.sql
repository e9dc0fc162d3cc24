-- One cell of a user's preferences. A missing row means on.
create table campanile.user_notification_preferences (
    user_id text not null,
    category text not null,
    channel text not null,
    enabled boolean not null,
    updated_at timestamptz not null,
    primary key (user_id, category, channel)
);

-- Where a user is reached on a channel; several rows for several devices.
create table campanile.notification_addresses (
    user_id text not null,
    channel text not null,
    address text not null,
    created_at timestamptz not null,
    primary key (user_id, channel, address)
);
