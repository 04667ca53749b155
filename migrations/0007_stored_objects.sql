-- What model servers keep for projects. Projects share the account of an upstream, so whose something is, is known here
-- only.

CREATE TABLE stored_objects (
    organization_id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    -- 'file', 'batch' or 'vector_store'.
    kind TEXT NOT NULL,
    -- As its upstream calls it.
    id TEXT NOT NULL,
    -- The name of the upstream that keeps it.
    upstream TEXT NOT NULL,
    -- What a file is for; '' for what is no file.
    purpose TEXT NOT NULL,
    -- The key that made it, and the user of that key.
    api_key_id TEXT,
    user_id TEXT,
    -- Milliseconds since 1970: the order of lists.
    created_at BIGINT NOT NULL,
    -- What a batch, or the file that is its input, asks for; in JSON.
    work TEXT,
    -- When to look at what it has consumed; NULL if it consumes nothing, or nothing more.
    due_at BIGINT,
    PRIMARY KEY (organization_id, project_id, kind, id),
    UNIQUE (upstream, kind, id),
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, id)
);
CREATE INDEX stored_objects_by_time ON stored_objects (organization_id, project_id, kind, created_at, id);
CREATE INDEX stored_objects_due ON stored_objects (due_at) WHERE due_at IS NOT NULL;
