-- Responses, their items, conversations and chat completions that model servers keep, beside files, batches and vector stores:
-- the kinds 'response', 'response_item', 'conversation' and 'chat_completion' of stored_objects.

-- When the model server deletes it by itself, in seconds since 1970; NULL if it never does.
ALTER TABLE stored_objects ADD COLUMN expires_at BIGINT;
CREATE INDEX stored_objects_by_expiry ON stored_objects (expires_at) WHERE expires_at IS NOT NULL;
