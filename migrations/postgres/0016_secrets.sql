-- What was rendered with a secret field, with the texts that may not be kept: of this delivery alone, and only until it ends.
-- Empty: it has ended, and what it held is erased. Null: its content has no secret, and is its dispatch's.
alter table campanile.notification_deliveries add column secret text;
-- Not valid: no row from before has one, and none needs to be read for that.
alter table campanile.notification_deliveries
    add constraint notification_deliveries_secret check (secret is null or secret = '' or finished_at is null) not valid;

-- To erase what has expired before it ends.
create index notification_deliveries_secrets
    on campanile.notification_deliveries (expires_at) where secret <> '';
