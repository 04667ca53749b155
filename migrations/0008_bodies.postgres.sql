-- What is encrypted cannot be compressed.
ALTER TABLE bodies ALTER COLUMN content SET STORAGE EXTERNAL;
