-- The size of an upload, or of a file that came as one. NULL for others: no such file is larger than 64 MiB.
ALTER TABLE stored_objects ADD COLUMN bytes BIGINT;
