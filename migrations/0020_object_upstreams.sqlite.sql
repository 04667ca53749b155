-- Two upstreams may give the same id, so the upstream belongs to the key of an object. SQLite changes no key, so the table is made
-- anew; its columns are those of the migrations before.
CREATE TABLE stored_objects_by_upstream (
    organization_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    -- 'file', 'upload', 'upload_part', 'batch', 'vector_store', 'container', 'response', 'response_item', 'conversation' or
    -- 'chat_completion'.
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    upstream TEXT NOT NULL,
    purpose TEXT NOT NULL,
    api_key_id TEXT,
    user_id TEXT,
    created_at BIGINT NOT NULL,
    work TEXT,
    due_at BIGINT,
    claimed_until BIGINT,
    expires_at BIGINT,
    bytes BIGINT,
    PRIMARY KEY (organization_id, project_id, kind, id, upstream),
    UNIQUE (upstream, kind, id),
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, id)
);
INSERT INTO stored_objects_by_upstream (organization_id, project_id, kind, id, upstream, purpose, api_key_id, user_id, created_at,
                                        work, due_at, claimed_until, expires_at, bytes)
SELECT organization_id, project_id, kind, id, upstream, purpose, api_key_id, user_id, created_at,
       work, due_at, claimed_until, expires_at, bytes
FROM stored_objects;
DROP TABLE stored_objects;
ALTER TABLE stored_objects_by_upstream RENAME TO stored_objects;
CREATE INDEX stored_objects_by_time ON stored_objects (organization_id, project_id, kind, created_at, id);
CREATE INDEX stored_objects_due ON stored_objects (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX stored_objects_by_expiry ON stored_objects (expires_at) WHERE expires_at IS NOT NULL;
