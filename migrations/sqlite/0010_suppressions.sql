-- What kind of entry it is, and until when it counts. A row of an older binary has neither.
alter table email_suppressions add column kind text;
alter table email_suppressions add column expires_at integer;

create index email_suppressions_latest on email_suppressions (created_at, address);

-- An address that was refused once without a word of why, in lower case: suppressed if that comes again on another day. Not
-- in the list itself, where an older binary would take it for suppressed. Owned by the email channel.
create table email_suspects (
    address text primary key,
    reason text not null,
    created_at integer not null
) strict, without rowid;
