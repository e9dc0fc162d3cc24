-- For what a window is open, where all keys of one event, subject and recipient share it: the key that was admitted last.
-- Null: for every dispatch of its key. Not indexed, so that a renewal stays on its page.
alter table campanile.notification_dedup add column variant text;
