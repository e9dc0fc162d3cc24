-- What was rendered with a secret field, with the texts that may not be kept: of this delivery alone, and only until it ends.
-- Empty: it has ended, and what it held is erased. Null: its content has no secret, and is its dispatch's.
alter table notification_deliveries add column secret text
    check (secret is null or secret = '' or finished_at is null);

-- To erase what has expired before it ends.
create index notification_deliveries_secrets
    on notification_deliveries (expires_at) where secret <> '';
