-- Whose delivery put the address there, so that it is found when that user is forgotten, also if no address book knows it any
-- more. A row of an older binary, and one entered by hand, has none.
alter table email_suppressions add column user_id text;
alter table email_suspects add column user_id text;

create index email_suppressions_user on email_suppressions (user_id) where user_id is not null;
create index email_suspects_user on email_suspects (user_id) where user_id is not null;
