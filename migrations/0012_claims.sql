-- Until when a node has claimed what is to be done once: by the clock of the database, since those of nodes differ. NULL
-- where nobody has, or whoever had it is done.
ALTER TABLE mails ADD COLUMN claimed_until BIGINT;
ALTER TABLE stored_objects ADD COLUMN claimed_until BIGINT;
